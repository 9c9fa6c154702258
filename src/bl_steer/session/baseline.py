"""The baseline of a run: what is read before and after it, and never hides how it ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import Readable
from bluesky.utils import Msg, MsgGenerator

__all__ = ["Baseline"]

STREAM = "baseline"

logger = logging.getLogger(__name__)


class Baseline:
    """A preprocessor that reads devices at the start and at the end of every run.

    Unlike `bluesky.preprocessors.SupplementalData` it lets a run end as it did: where an IOC died
    in the midst of it, the devices of the baseline do not answer either, and theirs would be the
    error that is told and recorded.

    Parameters
    ----------
    devices : to read into the stream ``baseline``
    """

    def __init__(self, devices: Sequence[Readable[Any]]) -> None:
        self.devices = list(devices)

    def __call__(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Return the plan with its runs' baselines."""
        return (yield from bpp.plan_mutator(plan, self._insert))

    def _insert(self, msg: Msg) -> tuple[MsgGenerator[Any] | None, MsgGenerator[Any] | None]:
        if msg.command == "open_run":
            return None, _in_run(self._first(), msg)
        if msg.command == "close_run":
            return self._last(msg), None
        return None, None

    def _first(self) -> MsgGenerator[None]:
        yield from bps.declare_stream(*self.devices, name=STREAM)
        yield from bps.trigger_and_read(self.devices, name=STREAM)

    def _last(self, close: Msg) -> MsgGenerator[Any]:
        try:
            yield from _in_run(bps.trigger_and_read(self.devices, name=STREAM), close)
        except Exception as error:
            logger.warning("the baseline could not be read at the end of the run: %s", error)
        return (yield close)


def _in_run(plan: MsgGenerator[Any], msg: Msg) -> MsgGenerator[Any]:
    """Let the messages of a plan go to the run that `msg` belongs to."""
    return plan if msg.run is None else bpp.set_run_key_wrapper(plan, msg.run)
