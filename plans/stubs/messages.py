"""Pieces of a run that the plans share; none of them opens one.

The RunEngine answers a pause by replaying the messages since the last checkpoint. A motion and an
exposure may be repeated; an event may not. `record` therefore saves an event in a section that is
never replayed, and `think` keeps its result, so that thinking again costs nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from numbers import Integral
from typing import Any, Protocol, TypeVar

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import NamedMovable, Readable, Triggerable
from bluesky.utils import FailedStatus, Msg, MsgGenerator
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = [
    "FrameDetector",
    "Monitor",
    "Stage",
    "StageError",
    "check_exposure",
    "check_limits",
    "expose_at",
    "is_whole_number",
    "record",
    "think",
]

T = TypeVar("T")
MAX_READS = 100
"""How often a read that a pause interrupted is asked for again."""


class StageError(RuntimeError):
    """The stage did not arrive."""


class Stage(Protocol):
    """Anything with two axes to move: a `devices.SampleStage`, ophyd-async's simulated stage, …"""

    x: NamedMovable[float]
    y: NamedMovable[float]


class FrameDetector(Readable[Any], Triggerable, Protocol):
    """A detector that stores its frames and can show the latest ones."""

    exposure_time: Any
    n_frames: Any

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the frame's pixels."""
        ...

    def frames(self) -> NDArray[Any]:
        """Return the latest point's frames, shape (n_frames, H, W)."""
        ...


class Monitor(Readable[Any], Protocol):
    """A beam monitor: ``{name}_counts`` in the latest exposure, and what the nominal beam gives."""

    nominal_rate: Any


def record(devices: Iterable[Readable[Any]], stream: str) -> MsgGenerator[dict[str, Any]]:
    """Read `devices` into one event of `stream`, exactly once, whenever the run is paused.

    Returns
    -------
    readings : the event's readings, by data key; none where nobody answers, as in
        `bluesky.simulators`
    """
    rewindable = yield Msg("rewindable", None, None)
    answered = rewindable is not None  # a RunEngine says True or False

    def event() -> MsgGenerator[dict[str, Any]]:
        yield Msg("rewindable", None, False)
        return (yield from _event(devices, stream, answered=answered))

    def restore() -> MsgGenerator[None]:
        yield Msg("rewindable", None, rewindable)

    readings: dict[str, Any] = yield from bpp.finalize_wrapper(event(), restore)
    return readings


def _event(
    devices: Iterable[Readable[Any]], stream: str, *, answered: bool
) -> MsgGenerator[dict[str, Any]]:
    readings: dict[str, Any] = {}
    try:
        yield Msg("create", None, name=stream)
        for device in devices:
            reading = yield Msg("read", device)
            for _ in range(MAX_READS if answered else 0):
                if reading is not None:
                    break
                reading = yield Msg("read", device)  # a pause interrupted an asynchronous device
            if reading is None and answered:
                raise RuntimeError(
                    f"{device.name} must answer a read, got nothing {1 + MAX_READS} times; check "
                    "the device, or give the simulator a handler for read"
                )
            readings.update(reading or {})
    except Exception:
        yield Msg("drop")  # else the run's last row, its result, could not be recorded
        raise
    yield Msg("save")
    return readings


def expose_at(
    stage: Stage, x: float, y: float, devices: Sequence[Readable[Any]]
) -> MsgGenerator[dict[str, Any]]:
    """Move the stage, expose, and record one event in the stream ``primary``.

    Raises
    ------
    StageError
        When an axis does not arrive.
    Exception
        The device's own, when an exposure fails.
    """
    yield from bps.checkpoint()
    try:
        yield from bps.mv(stage.x, x, stage.y, y)
    except FailedStatus as failure:
        raise StageError(
            f"the stage must arrive at x = {x:g}, y = {y:g}, got {failure.args[0]}; "
            "check its limit switches and alarms"
        ) from failure
    try:
        yield from _expose([device for device in devices if isinstance(device, Triggerable)])
    except FailedStatus as failure:
        raise failure.__cause__ or failure from None
    return (yield from record(devices, "primary"))


def _expose(devices: Sequence[Triggerable]) -> MsgGenerator[None]:
    for device in devices:
        yield from bps.trigger(device, group="expose")
    if devices:
        yield from bps.wait("expose")


def think(executor: Executor, thought: Callable[[], T]) -> MsgGenerator[T]:
    """Run `thought` off the RunEngine's loop, once, and return its result.

    A pause takes effect at once; the thought goes on, and a resumed run picks up its result.
    """
    future: Future[T] = executor.submit(thought)

    def in_the_loop() -> asyncio.Future[T]:
        # No coroutine: of that the RunEngine makes a task, which an interrupted run leaves behind.
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(asyncio.Future.exception)  # raised below: else asyncio logs it
        return waiting

    while not future.done():
        yield from bps.wait_for([in_the_loop])
    return future.result()


def is_whole_number(value: Any) -> bool:
    """Return whether `value` is a whole number, Python's or NumPy's; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_exposure(exposure_s: float | None) -> None:
    """Refuse an exposure time that no detector can take; None leaves the detector's own."""
    if exposure_s is not None and not 0.0 < exposure_s < math.inf:
        raise ValueError(
            f"exposure_s must be positive and finite, got {exposure_s:g} s; try exposure_s=10"
        )


def check_limits(stage: Stage, bounds: Array) -> None:
    """Refuse bounds outside the axes' own limits.

    Parameters
    ----------
    bounds : shape (2, 2), lower and upper corner, in the axes' units

    Raises
    ------
    ValueError
        Naming every axis whose limits would be violated.
    """
    problems = []
    for axis, (low, high) in zip((stage.x, stage.y), bounds.T, strict=True):
        limits = getattr(axis, "limits", None)
        if not limits or limits[0] >= limits[1]:
            continue
        if low < limits[0] or high > limits[1]:
            problems.append(
                f"{axis.name} must stay within its limits {limits[0]:g} … {limits[1]:g}, "
                f"got {low:g} … {high:g}"
            )
    if problems:
        raise ValueError("; ".join(problems) + "; choose a smaller grid or move the limits")
