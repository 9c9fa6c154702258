"""Measure the cells of a row while the stage moves along it: the stub behind `plans.fly_map`.

Its events are those of cells that were measured one by one, each with its own frame and place. A
circle that turns at each point is in `plans.stubs.per_point`, a flyer in `.by_flyer`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.preprocessors import finalize_wrapper
from bluesky.utils import Msg, MsgGenerator

from bl_steer.agents import Space
from bl_steer.canonical import told_apart
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from plans.stubs.axes import check_limits, readback_key
from plans.stubs.detectors import monitor_key
from plans.stubs.flights.collected import FlightError
from plans.stubs.messages import describe, record
from plans.stubs.per_point import Position, expose_at, move_to
from plans.stubs.rows import Row
from plans.stubs.series import Encoder, exposed_in_motion, frames_signal
from plans.stubs.timeouts import exposure_s_of

__all__ = ["FlownCell", "FlownDevice", "flown_rows", "kept_exposures", "row_from"]

MOST_FLIGHTS = 3
"""Over a row whose frames do not lie in their cells."""
CENTRED = 0.1
"""Steps off the middle of a cell that need no other beginning."""
MOST_LATE = 2.0

logger = logging.getLogger(__name__)


class flown_rows:
    """Fly along each row at constant speed, with one frame a cell, and one event for each.

    Parameters
    ----------
    positions : shape (n, d), the cells in the order in which they are asked for; those that follow
        each other along the first axis, evenly, are flown over in one go
    space : its forbidden zones are not entered, and end a flight
    axes : movable devices; the first has a ``velocity``
    monitor : of which each frame gets an equal share of the counts of its flight

    Notes
    -----
    The detector takes a series, as many frames as cells, which its ``frames()`` gives afterwards,
    shape (n_frames, H, W), and stores frame by frame (`devices.AreaDetector`). The place of each
    frame, in the middle of its exposure, comes from the encoder's time stamps or, where these do
    not cover the flight, from the speed: ``flight_place`` in the events says which. A flight begins
    and ends half a step beyond its cells. Where a frame lies in another cell, or frames are missing
    or too many, that is named in a warning and the row flown again, three times in all; where the
    detector begins late the axis begins that much farther ahead, by two steps at most, unless a
    limit or a zone is there. A pause repeats the row, and no event.
    """

    several_events: ClassVar[bool] = False
    is_flown: ClassVar[bool] = True

    def __init__(
        self, positions: Array, space: Space, axes: Sequence[Any], *, monitor: Any = None
    ) -> None:
        self.positions = np.asarray(positions, dtype=float)
        self.space = space
        self.axes = list(axes)
        self.monitor = monitor
        self.results: dict[tuple[float, ...], PointResult] = {}
        """What each cell gave, by its place."""
        self._cells: dict[tuple[float, ...], dict[str, dict[str, Any]]] = {}
        self._flown: list[FlownDevice] = []
        self._label, self._source = Row("flight"), ""
        self._misfit = ""
        self._late = 0.0  # steps that the axis has gone when the first frame begins
        self._number_of = {tuple(p): i for i, p in enumerate(self.positions.tolist())}

    @property
    def beyond(self) -> Array:
        """How far the stage goes at most beyond the cells on each axis, shape (d,)."""
        return self._beyond(0.5 + MOST_LATE)

    def _beyond(self, steps: float) -> Array:
        beyond = np.zeros(len(self.axes))
        beyond[0] = steps * self.space.steps[0] * (1.0 + 1e-9)
        return beyond

    def check(self) -> None:
        """Refuse flights beyond the axes' limits, and devices that cannot fly."""
        if not hasattr(self.axes[0], "velocity"):
            raise ValueError(
                f"the axis to fly along must have a velocity to set, got {self.axes[0].name} "
                "without one; use map_sample"
            )
        check_limits(self.axes, self.space.bounds + np.outer([-1.0, 1.0], self._beyond(0.5)))

    def describe(self) -> dict[str, Any]:
        """Return what the start document says of the flights."""
        return {"name": type(self).__name__, "axis": self.axes[0].name}

    def prepare(self, detectors: Sequence[Any], run: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Run with a detector that stores single frames, and set its number of frames back."""
        if not hasattr(detectors[0], "frames"):
            raise ValueError(
                f"the detector of a flight must give its series by frames(), got "
                f"{detectors[0].name} without; use map_sample"
            )
        number = frames_signal(detectors[0])
        usual = int(number.get())
        yield from bps.mv(number, 1)
        return (yield from finalize_wrapper(run, lambda: bps.mv(number, usual)))

    def keep(self, position: Sequence[float], result: PointResult) -> None:
        """Take what a cell gave."""
        self.results[tuple(map(float, position))] = result

    def __call__(self, detectors: Sequence[Any], position: Position) -> MsgGenerator[None]:
        """Measure one cell: fly along its row, unless that was done for the cell before."""
        cell = tuple(position.values())
        row = row_from(self.positions, self.space, self._number_of[cell])
        for _ in range(MOST_FLIGHTS):
            if cell in self._cells:
                break
            self._misfit = ""
            yield from self._fly(detectors, row)
        if cell not in self._cells:
            raise FlightError(
                f"a flight along {self.axes[0].name} must give one frame a cell, got "
                f"{self._misfit} in the last of {MOST_FLIGHTS} flights; check the detector's "
                "trigger and exposure time and the axis' velocity, or fly more slowly"
            )
        readings = self._cells.pop(cell)
        for device in self._flown:
            device.overridden = readings
        self._label.value = FlownCell(self._source, self.space.index_of(*cell))
        yield from record([*self._flown, self._label], "primary")
        yield from bps.checkpoint()

    def _fly(self, devices: Sequence[Any], row: Array) -> MsgGenerator[None]:
        axis, detector = self.axes[0], devices[0]
        number, usual_speed = frames_signal(detector), float(axis.velocity.get())
        along = row[:, 0]
        # A cell alone, next to a zone, is measured standing still.
        half = 0.5 * (along[1] - along[0]) if len(row) > 1 else 0.0
        encoder = Encoder(axis, detector)
        exposure_s = math.nan

        def measure() -> MsgGenerator[None]:
            nonlocal exposure_s
            yield from bps.checkpoint()
            start = dict(zip(self.axes, row[0].tolist(), strict=True))
            lead = self._lead_of(row, half)
            yield from move_to({**start, axis: float(along[0] - half - lead)})
            yield from bps.mv(number, len(row))
            exposure_s = exposure_s_of(detector) / len(row)
            if half:
                yield from bps.mv(axis.velocity, abs(2.0 * half) / exposure_s)
            end = float(along[-1] + half) if half else None
            yield from exposed_in_motion(encoder, devices, axis, end)

        def restore() -> MsgGenerator[None]:
            yield from bps.mv(axis.velocity, usual_speed)

        yield from finalize_wrapper(measure(), restore)
        yield from bps.checkpoint()  # what was flown is not flown again
        yield from self._share(devices, row, encoder, exposure_s)

    def _lead_of(self, row: Array, half: float) -> float:
        """Return how far ahead the axis begins, as the detector begins that much later."""
        first, lead = row[0].copy(), 2.0 * half * self._late
        first[0] -= half + lead
        low, high = getattr(self.axes[0], "limits", None) or (0.0, 0.0)
        beyond_limits = low < high and not low <= first[0] <= high
        blocked = self.space.zone_within(first.tolist(), row[0].tolist()) is not None
        return 0.0 if beyond_limits or blocked else lead

    def _fits(self, row: Array, frames: Any, measured: Array | None) -> bool:
        """Return whether each frame was taken in its cell; else say which were not, and learn."""
        where = "".join(
            f", {axis.name} = {value:g}"
            for axis, value in zip(self.axes[1:], row[0, 1:].tolist(), strict=True)
        )
        if len(frames) != len(row):
            self._misfit = f"{len(frames)} frames of {len(row)} cells{where}"
        elif measured is not None and len(row) > 1:
            steps = (measured - row[:, 0]) / (row[1, 0] - row[0, 0])
            middle = float(np.median(steps))
            if abs(middle) > CENTRED:
                self._late = float(np.clip(self._late + middle, 0.0, MOST_LATE))
            off = np.flatnonzero(~(np.abs(steps) <= 0.5 * (1.0 + 1e-6)))  # of NaN, too
            if len(off):
                apart = [told_apart(float(measured[i]), float(row[i, 0])) for i in off[:8]]
                places = ", ".join(" for ".join(pair) for pair in apart)
                self._misfit = f"frames at {places}{' …' if len(off) > 8 else ''}{where}"
        if self._misfit:
            logger.warning(
                "a flight along %s must give one frame a cell, got %s: the row is flown again",
                self.axes[0].name,
                self._misfit,
            )
        return not self._misfit

    def _share(
        self, devices: Sequence[Any], row: Array, encoder: Encoder, exposure_s: float
    ) -> MsgGenerator[None]:
        """Give each cell its part of what the devices read after a flight."""
        if not self._flown:
            self._flown = [FlownDevice(device) for device in devices]
        for flown in self._flown:
            flown.reading = (yield Msg("read", flown.device)) or {}
        frames = np.asarray(devices[0].frames())
        middle = np.arange(0.5, len(row)) * exposure_s
        stamps: Array = encoder.begun + middle
        measured = encoder.at(stamps, rests=True) if len(row) > 1 else row[:, 0]
        if not self._fits(row, frames, measured):
            return
        self._source = "speed" if measured is None else "encoder"
        along = row[:, 0] if measured is None else measured
        keys: list[str] = []
        for axis in self.axes:
            key = readback_key(axis, (yield from describe(axis)))
            keys.append(key)
        counted = None
        if self.monitor is not None:
            counted = monitor_key(self.monitor, (yield from describe(self.monitor)))
        name = devices[0].name
        for i, place in enumerate(row):
            values = {f"{name}_total": float(frames[i].sum())}
            values[f"{name}_valid"] = int(np.isfinite(frames[i]).all())
            values[keys[0]] = float(along[i])  # the other axes do not move: as they were read
            for key, wanted in zip(keys, place, strict=True):
                values[f"{key}_user_setpoint"] = float(wanted)
            if counted is not None:
                values[counted] = _of(self._flown, counted) / len(row)
            self._cells[tuple(place.tolist())] = {
                key: {"value": value, "timestamp": float(stamps[i])}
                for key, value in values.items()
            }


def row_from(positions: Array, space: Space, first: int) -> Array:
    """Return the cells to fly over in one go, from one on, shape (n, d).

    Parameters
    ----------
    positions : shape (m, d), in the order in which they are asked for
    space : whose forbidden zones end a row
    first : index of the first cell
    """
    last, here = first, positions[first]
    while last + 1 < len(positions):
        step = positions[last + 1] - positions[last]
        before = step if last == first else positions[last] - positions[last - 1]
        even = step[0] != 0.0 and not step[1:].any() and np.allclose(step, before)
        ends = here - 0.5 * step, positions[last + 1] + 0.5 * step
        if not even or space.zone_within(ends[0].tolist(), ends[1].tolist()):
            break
        last += 1
    return positions[first : last + 1]


class kept_exposures:
    """`expose_at`, which keeps what each point gave in `results`."""

    several_events: ClassVar[bool] = False

    def __init__(self) -> None:
        self.results: dict[tuple[float, ...], PointResult] = {}

    def describe(self) -> dict[str, Any]:
        """Return what the start document says: no more than of `expose_at`."""
        return {"name": "expose_at"}

    def keep(self, position: Sequence[float], result: PointResult) -> None:
        """Take what a point gave."""
        self.results[tuple(map(float, position))] = result

    def __call__(self, detectors: Sequence[Any], position: Position) -> MsgGenerator[Any]:
        """Measure one point."""
        return (yield from expose_at(detectors, position))


@dataclass(frozen=True)
class FlownCell:
    """What says where a frame was taken, and the cell of the grid that it is counted for."""

    flight_place: str
    flight_cell: int


class FlownDevice:
    """A device as it was when a frame of a flight was taken: its reading, with parts overridden."""

    parent: ClassVar[None] = None

    def __init__(self, device: Any) -> None:
        self.device = device
        self.name = device.name
        self.hints = getattr(device, "hints", {})
        self.reading: Mapping[str, dict[str, Any]] = {}
        self.overridden: Mapping[str, dict[str, Any]] = {}
        if hasattr(device, "collect_asset_docs"):
            self.collect_asset_docs = self._asset_docs

    def read(self) -> dict[str, Any]:
        """Return the reading of the frame."""
        return {key: self.overridden.get(key, value) for key, value in self.reading.items()}

    def describe(self) -> Any:
        """Describe as the device does."""
        return self.device.describe()

    def read_configuration(self) -> Any:
        """Return the device's configuration, of one frame."""
        configuration = self.device.read_configuration()
        number = f"{self.name}_n_frames"
        if isinstance(configuration, dict) and number in configuration:
            configuration[number] = {**configuration[number], "value": 1}
        return configuration

    def describe_configuration(self) -> Any:
        """Describe it as the device does."""
        return self.device.describe_configuration()

    def _asset_docs(self, index: int | None = None) -> Iterator[Any]:
        return iter(self.device.collect_asset_docs(index))


def _of(flown: Sequence[FlownDevice], key: str) -> float:
    return next(float(d.reading[key]["value"]) for d in flown if key in d.reading)
