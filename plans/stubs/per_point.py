"""How a point is measured: the plan stubs that `find_hotspot` and `map_sample` take as `per_point`.

As Bluesky's ``per_step``, a stub ``per_point(detectors, {axis: position})`` moves the axes, does
whatever a point needs, and records one event or several in the stream ``primary``::

    def twice(detectors, position):
        yield from bps.mv(*itertools.chain(*position.items()))
        for _ in range(2):
            yield from bps.trigger_and_read([*detectors, *position])

`expose_at` is one exposure, `rocking_scan` and `rocking_sweep` turn a circle meanwhile, in steps
and while the detector takes a series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.preprocessors import finalize_wrapper
from bluesky.protocols import NamedMovable, Readable, Triggerable
from bluesky.utils import FailedStatus, MsgGenerator, separate_devices

from bl_steer.protocols import Array
from plans.stubs.axes import StageError, check_limits, check_place, readback_key
from plans.stubs.messages import record
from plans.stubs.options import is_whole_number
from plans.stubs.series import Encoder, FrameAngles, exposed_in_motion, frames_signal
from plans.stubs.timeouts import exposure_s_of

__all__ = [
    "PerPoint",
    "angle_key_of",
    "circles_of",
    "described",
    "expose_at",
    "rocking_scan",
    "rocking_sweep",
]

STANDS_STILL = 0.1
"""Share of a sweep within which a circle has not turned; of one that is slow, angles are known."""
MAX_FRAMES = 100_000
"""Of a rocking scan: a detector's series has no more, and a point of more would not end."""
Position = Mapping[Any, float]
"""Where each axis, a movable device, is sent, in its units."""
At = Mapping[Any, float] | Sequence[Any]
"""Where circles stand, in their units."""
PerPoint = Callable[[Sequence[Readable[Any]], Position], MsgGenerator[Any]]


def expose_at(
    detectors: Sequence[Readable[Any]], position: Position
) -> MsgGenerator[dict[str, Any]]:
    """Move the axes, expose once, and record one event in the stream ``primary``.

    Parameters
    ----------
    detectors : what is triggered and read
    position : of each axis, in its units

    Returns
    -------
    readings : of the event, by data key

    Raises
    ------
    StageError
        When an axis does not arrive.
    Exception
        The device's own, when an exposure fails.
    """
    yield from bps.checkpoint()
    yield from move_to(position)
    return (yield from expose(detectors, [*detectors, *position]))


def move_to(position: Position) -> MsgGenerator[None]:
    """Move the axes at the same time, and wait until all have arrived."""
    try:
        yield from bps.mv(*(item for pair in position.items() for item in pair))
    except FailedStatus as failure:
        spot = ", ".join(f"{axis.name} = {value:g}" for axis, value in position.items())
        reason = str(failure.__cause__ or failure)
        remedy = "" if "; " in reason else "; check limit switches and alarms"  # the axis has said
        raise StageError(f"the axes must arrive at {spot}, got {reason}{remedy}") from failure


def expose(
    detectors: Sequence[Readable[Any]], devices: Sequence[Readable[Any]]
) -> MsgGenerator[dict[str, Any]]:
    """Trigger the detectors, and read all devices into one event of the stream ``primary``."""
    try:
        for device in detectors:
            if isinstance(device, Triggerable):
                yield from bps.trigger(device, group="expose")
        yield from bps.wait("expose")
    except FailedStatus as failure:
        raise failure.__cause__ or failure from None
    return (yield from record(separate_devices(devices), "primary"))


@dataclass(frozen=True)
class rocking_scan:
    """Turn a circle in steps, with one exposure and one event for each.

    A pause repeats the step that it interrupts, and no other.

    Parameters
    ----------
    axis : the circle that turns
    start, stop : first and last angle, in its units
    n : number of exposures
    at : where other circles stand meanwhile, ``{circle: angle}`` or pairs of both; a list of scans
        that differ in it makes several at each point (`plans.stubs.several_scans`)

    Examples
    --------
    ``find_hotspot(det, stage, per_point=rocking_scan(diffractometer.eta, -1, 1, 41))``
    """

    axis: NamedMovable[float]
    start: float
    stop: float
    n: int
    at: At = ()
    several_events: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_angles(self)
        object.__setattr__(self, "at", _standing(self.at, self.axis))

    def check(self) -> None:
        """Refuse angles beyond the circles' limits."""
        _check_circles(self)

    def describe(self) -> dict[str, Any]:
        """Return what the start document says of the scan."""
        return _described(self)

    def __call__(
        self, detectors: Sequence[Readable[Any]], position: Position
    ) -> MsgGenerator[None]:
        """Measure one point."""
        devices: list[Any] = [*detectors, *position, *(c for c, _ in self.at), self.axis]
        angles = np.linspace(self.start, self.stop, self.n).tolist()
        yield from bps.checkpoint()
        yield from move_to({**position, **dict(self.at), self.axis: angles[0]})
        key = readback_key(self.axis, {})
        for angle in angles:
            yield from bps.checkpoint()
            yield from move_to({self.axis: angle})
            readings = yield from expose(detectors, devices)
            if key in readings:
                here = {name: reading["value"] for name, reading in readings.items()}
                check_place(self.axis, key, here, angle, 0.5 * abs(angles[1] - angles[0]))


@dataclass(frozen=True)
class rocking_sweep:
    """Turn a circle at constant speed while the detector takes its series: one event.

    The angle of each frame, in the middle of its exposure, comes from the encoder's time stamps,
    or, where these do not cover the series, from the speed; the event says which.

    Parameters
    ----------
    axis : the circle that turns; has a ``velocity``
    start, stop : angles at the begin of the first and the end of the last frame, in its units
    n : number of frames
    detector : takes the series; the first of the plan's detectors by default. Its number of frames
        is ``n_frames`` or, in EPICS areaDetector, ``cam.num_images``
    at : where other circles stand meanwhile, as for `rocking_scan`
    """

    axis: NamedMovable[float]
    start: float
    stop: float
    n: int
    detector: Any = None
    at: At = ()
    several_events: ClassVar[bool] = False
    _row: FrameAngles = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_angles(self)
        object.__setattr__(self, "at", _standing(self.at, self.axis))
        # One object for all events: a stream has one of a name.
        object.__setattr__(self, "_row", FrameAngles(self.angle_key))

    def check(self) -> None:
        """Refuse angles beyond the circles' limits, and a circle without a velocity."""
        _check_circles(self)
        if not hasattr(self.axis, "velocity"):
            raise ValueError(
                f"the circle of a sweep must have a velocity to set, got {self.axis.name} without "
                "one; use rocking_scan, which turns it in steps"
            )

    def describe(self) -> dict[str, Any]:
        """Return what the start document says of the sweep."""
        return _described(self)

    @property
    def angle_key(self) -> str:
        """Data key of the angles in an event, as JSON text."""
        return f"{self.axis.name}_angles"

    def __call__(
        self, detectors: Sequence[Readable[Any]], position: Position
    ) -> MsgGenerator[None]:
        """Measure one point."""
        detector, axis = self._detector(detectors), _any(self.axis)
        exposure_s = exposure_s_of(detector) / self.n
        usual_speed = float(axis.velocity.get())
        encoder = Encoder(axis, detector)
        row = self._row

        def measure() -> MsgGenerator[None]:
            yield from bps.checkpoint()
            yield from move_to({**position, **dict(self.at), self.axis: self.start})
            speed = abs(self.stop - self.start) / (self.n * exposure_s)
            yield from bps.mv(axis.velocity, speed)
            yield from exposed_in_motion(encoder, detectors, self.axis, self.stop)
            row.angles, row.source = self._angles(encoder, detector, exposure_s)
            devices: list[Any] = [*detectors, *position, *(circle for circle, _ in self.at)]
            yield from record([*separate_devices(devices), row], "primary")

        def restore() -> MsgGenerator[None]:
            yield from bps.mv(axis.velocity, usual_speed)

        yield from finalize_wrapper(measure(), restore)

    def prepare(
        self, detectors: Sequence[Readable[Any]], run: MsgGenerator[Any]
    ) -> MsgGenerator[Any]:
        """Run with the detector set to take the series, and set it back."""
        number = frames_signal(self._detector(detectors))
        usual = int(number.get())
        yield from bps.mv(number, self.n)
        return (yield from finalize_wrapper(run, lambda: bps.mv(number, usual)))

    def _detector(self, detectors: Sequence[Readable[Any]]) -> Any:
        return detectors[0] if self.detector is None else self.detector

    def _angles(self, encoder: Encoder, detector: Any, exposure_s: float) -> tuple[Array, str]:
        """Return the angle of each frame, shape (n,), and where it is from."""
        frame = np.arange(0.5, self.n)
        measured = encoder.at(encoder.begun + frame * exposure_s)
        if measured is not None:
            if not abs(measured[-1] - measured[0]) >= STANDS_STILL * abs(self.stop - self.start):
                raise StageError(
                    f"{self.axis.name} must turn from {self.start:g} to {self.stop:g} while the "
                    f"detector takes its series, got {measured[0]:g} to {measured[-1]:g} by its "
                    "encoder; check the motor, its velocity, and the detector's exposure time"
                )
            return measured, "encoder"
        return self.start + frame / self.n * (self.stop - self.start), "speed"


def _check_angles(scan: rocking_scan | rocking_sweep) -> None:
    if not (np.isfinite([scan.start, scan.stop]).all() and scan.start != scan.stop):
        raise ValueError(
            f"start and stop of a rocking scan must be two angles, got {scan.start} and "
            f"{scan.stop}; try start=-1, stop=1"
        )
    n: Any = scan.n
    if not is_whole_number(n) or not 2 <= n <= MAX_FRAMES:
        raise ValueError(
            f"n must be a whole number of frames in 2 … {MAX_FRAMES}, got {n!r}; try n=41"
        )


def _check_circles(scan: rocking_scan | rocking_sweep) -> None:
    for axis, *angles in ((scan.axis, scan.start, scan.stop), *scan.at):
        check_limits(axis, np.array([[min(angles)], [max(angles)]]))


def _standing(at: Any, turned: Any) -> tuple[tuple[Any, float], ...]:
    """Return where circles stand as pairs, of a mapping or pairs, as JSON has them, too."""
    pairs = tuple(at.items() if isinstance(at, Mapping) else at or ())
    for pair in pairs:
        circle, angle = pair if isinstance(pair, list | tuple) and len(pair) == 2 else (pair, None)
        is_angle = isinstance(angle, int | float) and np.isfinite(angle)
        if not isinstance(circle, NamedMovable) or circle is turned or not is_angle:
            raise ValueError(
                f"at must say where circles other than {turned.name} stand, got {circle!r} at "
                f"{angle!r}; try at={{diffractometer.phi: 180}}"
            )
    return tuple((circle, float(angle)) for circle, angle in pairs)


def _any(device: Any) -> Any:
    """Return a device as one whose signals are known by their names alone."""
    return device


def _described(scan: rocking_scan | rocking_sweep) -> dict[str, Any]:
    return {
        "name": type(scan).__name__,
        "axis": scan.axis.name,
        "start": float(scan.start),
        "stop": float(scan.stop),
        "n": int(scan.n),
    } | ({"at": {circle.name: angle for circle, angle in scan.at}} if scan.at else {})


def described(per_point: Any) -> dict[str, Any]:
    """Return what the start document says of a stub: what it says itself, or its name."""
    describe = getattr(per_point, "describe", None)
    name = getattr(per_point, "__name__", type(per_point).__name__)
    return {"name": name} if describe is None else dict(describe())


def angle_key_of(per_point: Any) -> str | None:
    """Return the data key of the angle that a stub turns a circle to; None where none turns."""
    key, axis = getattr(per_point, "angle_key", None), getattr(per_point, "axis", None)
    return str(key or readback_key(axis, {})) if key or axis is not None else None


def circles_of(per_point: Any) -> list[Any]:
    """Return what a stub moves beside the axes, as far as it says so: each circle once."""
    circles: dict[Any, None] = {}
    for scan in getattr(per_point, "scans", (per_point,)):
        axis = getattr(scan, "axis", None)
        circles |= dict.fromkeys([] if axis is None else [axis])
        circles |= dict.fromkeys(circle for circle, _ in getattr(scan, "at", ()))
    return list(circles)
