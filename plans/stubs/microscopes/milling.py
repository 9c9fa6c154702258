"""Pieces of a run that mill; a pause at any of their messages costs no material.

The RunEngine replays the messages since the last checkpoint. The mill is told a depth, so a
replayed `mill_to` finds the face there. Telling the mill that its depth is another one, as after
a cut that removed nothing, does ask for a cut once more: `declare_depth` is therefore never
replayed.
"""

from __future__ import annotations

from typing import Any, Protocol

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import NamedMovable, Readable
from bluesky.utils import FailedStatus, Msg, MsgGenerator
from numpy.typing import NDArray

from plans.stubs.microscopes.micrographs import Microscope

__all__ = ["Column", "Mill", "SlicingError", "declare_depth", "mill_to"]

MAX_STOPS = 10
SAME_NM = 0.5


class SlicingError(RuntimeError):
    """The slices cannot go on."""


class Mill(Readable[Any], NamedMovable[float], Protocol):
    """An ion beam that mills to a depth: `devices.IonMill`, …"""

    depth: Any
    """Signal: how deep it says it has milled, nm."""


class Column(Microscope, Protocol):
    """An electron column that is refocused and shifted: `devices.FibSemColumn`, …"""

    working_distance: Any
    beam_shift_x: Any
    beam_shift_y: Any
    beam_shift_range: Any

    def frames(self) -> NDArray[Any]:
        """Return the latest image, shape (1, H, W)."""
        ...


def mill_to(mill: Mill, depth_nm: float) -> MsgGenerator[None]:
    """Mill to a depth, nm. A cut that a pause has stopped is made to its end.

    Raises
    ------
    SlicingError
        When the mill ends a cut again and again without coming to the depth.
    """
    for _ in range(MAX_STOPS):
        yield from bps.checkpoint()
        try:
            yield from bps.abs_set(mill, depth_nm, group="mill")
            yield from bps.wait("mill")
        except FailedStatus as failure:
            raise failure.__cause__ or failure from None
        reached = float((yield from bps.rd(mill.depth)))
        if reached > depth_nm - SAME_NM:
            return
    raise SlicingError(
        f"{mill.name} must come to {depth_nm:g} nm, got {reached:g} nm after {MAX_STOPS} cuts; "
        "check the ion beam, then resume the run"
    )


def declare_depth(mill: Mill, depth_nm: float) -> MsgGenerator[None]:
    """Tell the mill how deep the face is, nm, once, whenever the run is paused."""
    rewindable = yield Msg("rewindable", None, None)

    def put() -> MsgGenerator[None]:
        yield Msg("rewindable", None, False)
        while abs(float((yield from bps.rd(mill.depth))) - depth_nm) > SAME_NM:
            yield from bps.abs_set(mill.depth, depth_nm, wait=True)

    def restore() -> MsgGenerator[None]:
        yield Msg("rewindable", None, rewindable)

    yield from bpp.finalize_wrapper(put(), restore())
