"""Fly over rows with a flying scan of the beamline's own: Bluesky's kickoff, complete and collect.

What the flyer collects becomes an event for each cell, by where or when each frame was taken. For
a detector that takes a series by itself, while the plan moves the axis, use
`plans.stubs.flights.by_series.flown_rows`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.preprocessors import finalize_wrapper, stage_wrapper
from bluesky.protocols import Flyable, Preparable, Stageable
from bluesky.utils import Msg, MsgGenerator

from bl_steer.agents import Space
from bl_steer.protocols import Array
from bl_steer.runs import PointResult
from plans.stubs.axes import check_limits, readback_key
from plans.stubs.detectors import monitor_key
from plans.stubs.flights.by_series import FlownCell, FlownDevice, row_from
from plans.stubs.flights.collected import FlightError, collected_frames, events_of
from plans.stubs.messages import describe, record
from plans.stubs.per_point import Position, move_to
from plans.stubs.rows import Row
from plans.stubs.series import Encoder

__all__ = ["FlightRow", "collected_rows"]

MOST_FLIGHTS = 3
"""Over a cell of which no frame comes."""
POLL_S = 0.05

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FlightRow:
    """A row to fly over: what a flyer is prepared with, or made of.

    Parameters
    ----------
    start, stop : middle of the first and the last cell along the axis, in its units
    num : cells
    exposure_s : of a frame; None where the plan was given none
    place : where the other axes stand, by name
    """

    start: float
    stop: float
    num: int
    exposure_s: float | None
    place: Mapping[str, float]


class collected_rows:
    """Fly along each row with a flyer, and record one event for each cell.

    Parameters
    ----------
    positions, space, axes, monitor : as for `plans.stubs.flights.by_series.flown_rows`; the axis
        needs no velocity, as the flyer moves it
    flyer : a flyer, which is given a `FlightRow` by ``prepare`` where it has that, and flies its
        own way where it has not; or a function of the row, which returns a flyer
    exposure_s : for the rows

    Notes
    -----
    A frame is an event of the flyer with the detector's data keys. Its place is the axis' readback
    in it or, where other events have that, or the axis itself tells while it moves, what they say
    at the time stamp of the frame. It belongs to the cell within half a step; of several in one
    cell the nearest to its middle counts. What is left over is named in a warning; a cell without
    a frame is flown over again, three times in all. The flyer's own events stay in the run, in the
    flyer's stream. A pause waits for the end of the flight.
    """

    several_events: ClassVar[bool] = False
    is_flown: ClassVar[bool] = True

    def __init__(
        self,
        positions: Array,
        space: Space,
        axes: Sequence[Any],
        flyer: Any,
        *,
        monitor: Any = None,
        exposure_s: float | None = None,
    ) -> None:
        self.positions = np.asarray(positions, dtype=float)
        self.space, self.axes, self.flyer = space, list(axes), flyer
        self.monitor, self.exposure_s = monitor, exposure_s
        self.results: dict[tuple[float, ...], PointResult] = {}
        """What each cell gave, by its place."""
        self._cells: dict[tuple[float, ...], dict[str, dict[str, Any]]] = {}
        self._flown: list[FlownDevice] = []
        self._label, self._source = Row("flight"), ""
        self._number_of = {tuple(p): i for i, p in enumerate(self.positions.tolist())}
        self._is_late = False

    @property
    def is_device(self) -> bool:
        """Whether the flyer is one device for all rows."""
        return isinstance(self.flyer, Flyable)

    @property
    def beyond(self) -> Array:
        """How far the stage goes beyond the cells on each axis, shape (d,)."""
        steps = np.zeros(len(self.axes))
        steps[0] = 0.5 * self.space.steps[0] * (1.0 + 1e-9)
        return steps

    def check(self) -> None:
        """Refuse what is no flyer, what collects nothing of use, and zones it does not know of."""
        if not self.is_device and not callable(self.flyer):
            raise TypeError(
                f"flyer must have kickoff and complete, or be a function of a row, got "
                f"{self.flyer!r}; see plans.stubs.flights.by_flyer"
            )
        if self.is_device:
            _check_collects(self.flyer)
            if self.space.forbidden and not isinstance(self.flyer, Preparable):
                raise ValueError(
                    f"a flyer that flies its own way knows no forbidden zones, got "
                    f"{self.flyer.name} with {len(self.space.forbidden)}; give a function that "
                    "makes a flyer of each row"
                )
        check_limits(self.axes, self.space.bounds)

    def describe(self) -> dict[str, Any]:
        """Return what the start document says of the flights."""
        name = getattr(self.flyer, "name", getattr(self.flyer, "__name__", ""))
        return {"name": type(self).__name__, "axis": self.axes[0].name, "flyer": str(name)}

    def prepare(self, detectors: Sequence[Any], run: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """Run with the flyer staged, where it can be."""
        staged = self.is_device and isinstance(self.flyer, Stageable)
        return (yield from stage_wrapper(run, [self.flyer]) if staged else run)

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
            answered = yield from self._fly(detectors, row)
            if not answered:  # nobody answers, as in bluesky.simulators
                return
        if cell not in self._cells:
            lacking = [f"{p[0]:g}" for p in row.tolist() if tuple(p) not in self._cells]
            raise FlightError(
                f"a flight along {self.axes[0].name} must give a frame in each cell, got none at "
                f"{', '.join(lacking)} of {len(row)} cells{self._where(row)} in {MOST_FLIGHTS} "
                "flights; check where the flyer flies, and when the detector is triggered"
            )
        readings = self._cells.pop(cell)
        for device in self._flown:
            device.overridden = readings
        self._label.value = FlownCell(self._source, self.space.index_of(*cell))
        yield from record([*self._flown, self._label], "primary")
        yield from bps.checkpoint()

    def _where(self, row: Array) -> str:
        others = zip(self.axes[1:], row[0, 1:].tolist(), strict=True)
        return "".join(f", {axis.name} = {value:g}" for axis, value in others)

    def _fly(self, devices: Sequence[Any], row: Array) -> MsgGenerator[bool]:
        """Fly over a row once; return whether anybody answers."""
        yield from bps.checkpoint()
        others = dict(zip(self.axes[1:], row[0, 1:].tolist(), strict=True))
        if self.space.forbidden:  # the way to the row is that of the checks
            others = {self.axes[0]: float(row[0, 0]), **others}
        if others:
            yield from move_to(others)
        place = {axis.name: value for axis, value in others.items() if axis is not self.axes[0]}
        along = float(row[0, 0]), float(row[-1, 0])
        asked = FlightRow(*along, len(row), self.exposure_s, place)
        flyer = self.flyer
        if not self.is_device:
            flyer = self.flyer(asked)
            if inspect.isgenerator(flyer):
                flyer = yield from flyer
            _check_collects(flyer)
        elif isinstance(flyer, Preparable):
            yield from bps.prepare(flyer, asked, wait=True)
        encoder = Encoder(self.axes[0], devices[0])
        collected = yield from _flight(flyer, encoder)
        if collected is None:
            return False
        if not self._flown:
            self._flown = [FlownDevice(device) for device in devices]
        for flown in self._flown:
            flown.reading = (yield Msg("read", flown.device)) or {}
        keys: list[str] = []
        for axis in self.axes:
            keys += [readback_key(axis, (yield from describe(axis)))]
        own = dict((yield from describe(devices[0])))
        counted = None
        if self.monitor is not None:
            counted = monitor_key(self.monitor, (yield from describe(self.monitor)))
        self._share(flyer, row, events_of(collected), keys, own, counted, encoder)
        return True

    def _share(
        self,
        flyer: Any,
        row: Array,
        events: list[Mapping[str, Any]],
        keys: Sequence[str],
        own: Mapping[str, Any],
        counted: str | None,
        encoder: Encoder,
    ) -> None:
        """Give each cell the frame that was taken there."""
        flown = collected_frames(events, keys[0], own, flyer=flyer, encoder=encoder)
        frames, places = flown.frames, flown.places
        if flown.late and not self._is_late:
            self._is_late = True
            logger.warning(
                "frames of %s are stamped %.1f frames %s than the places beside them: they may "
                "lie that many cells off; check how the detector is triggered",
                flyer.name,
                abs(flown.late),
                "later" if flown.late > 0 else "earlier",
            )
        self._source = flown.source
        nearest = flown.nearest(row[:, 0], 0.5 * float(self.space.steps[0]))
        left = sorted(set(range(len(frames))) - set(nearest.values()))
        if left:
            logger.warning(
                "%d of %d frames of a flight along %s%s lie in no cell, or beside a nearer one, "
                "and do not count: at %s",
                len(left),
                len(frames),
                self.axes[0].name,
                self._where(row),
                ", ".join(f"{places[i]:.6g}" for i in left[:20]) + (" …" if len(left) > 20 else ""),
            )
        for cell, i in nearest.items():
            if counted is not None and counted not in frames[i]["data"]:
                raise FlightError(
                    f"a flyer must collect the monitor's counts of each frame, got "
                    f"{', '.join(map(repr, frames[i]['data']))} of {flyer.name} without "
                    f"{counted!r}; let it collect these, or leave monitor out"
                )
            self._cells[tuple(row[cell].tolist())] = self._readings(
                frames[i], float(places[i]), float(flown.stamps[i]), row[cell], keys
            )

    def _readings(
        self, frame: Mapping[str, Any], place: float, stamp: float, cell: Array, keys: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        values = dict(frame["data"])
        values[keys[0]] = place  # the other axes do not move: as they were read
        for key, wanted in zip(keys, cell, strict=True):
            values[f"{key}_user_setpoint"] = values[f"{key}_setpoint"] = float(wanted)
        return {key: {"value": value, "timestamp": stamp} for key, value in values.items()}


def _check_collects(flyer: Any) -> None:
    """Refuse what cannot be flown, or collects nothing."""
    lacks = [
        name
        for name in ("kickoff", "complete", "collect", "describe_collect")
        if not callable(getattr(flyer, name, None))
    ]
    if lacks:
        raise TypeError(
            f"a flyer must be one of Bluesky's that collects events, got {flyer!r} without "
            f"{', '.join(lacks)}; see plans.stubs.flights.by_flyer"
        )
    if inspect.iscoroutinefunction(flyer.describe_collect):
        return
    described = flyer.describe_collect()
    keys = [key for entry in described.values() if isinstance(entry, Mapping) for key in entry]
    if "primary" in described:
        raise ValueError(
            f"a flyer must collect into a stream of its own, got 'primary' of {flyer.name}, which "
            "holds the cells; let it name its stream otherwise"
        )
    if not keys:
        raise ValueError(
            f"a flyer must collect the detector and the place of each frame, got no data keys of "
            f"{flyer.name}; give another flyer"
        )


def _flight(flyer: Any, encoder: Encoder) -> MsgGenerator[list[Any] | None]:
    """Kick off, wait, complete and collect: never replayed, as a flight under way goes on."""
    rewindable = yield Msg("rewindable", None, None)

    def fly() -> MsgGenerator[list[Any] | None]:
        yield Msg("rewindable", None, False)
        yield from _ended((yield from bps.kickoff(flyer, group="kickoff")), "kickoff")
        yield from _ended((yield from bps.complete(flyer, group="complete")), "complete")
        collected: list[Any] | None = yield Msg("collect", flyer, stream=False, return_payload=True)
        return collected

    def restore() -> MsgGenerator[None]:
        encoder.end()
        yield Msg("rewindable", None, rewindable)

    encoder.begin()
    collected: Any = yield from finalize_wrapper(fly(), restore)
    return None if rewindable is None else list(collected or ())


def _ended(status: Any, group: str) -> MsgGenerator[None]:
    """Wait for a status; a pause takes away the wait, not what is waited for."""
    yield from bps.wait(group)
    while status is not None and not status.done:
        yield from bps.sleep(POLL_S)
