"""From the exposures of a point to its pattern, and whether it can be used.

A plan asks while it measures, `bl_steer.runs.Run` asks of the stored run: both get the same
answers, bit for bit, as these depend on nothing but the events in their order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, Reduction, SummedFrames
from bl_steer.protocols import Array

__all__ = ["Exposure", "PointResult", "Points", "Readout", "judge_points"]

BLOCK = 64
"""Points whose frames are in memory at a time."""
LOW_BEAM = 0.1
"""Share of the run's median monitor count below which there was no beam to speak of."""
STEADY_BEAM = 0.1
"""Relative change of the monitor count that leaves a point's noise as it is."""


@dataclass(frozen=True)
class Exposure:
    """What one event of a point holds of the measurement.

    Parameters
    ----------
    frames : shape (n_frames, H, W), counts; a number is a frame of one pixel
    monitor : monitor counts during the exposure; None without a monitor
    sound : False where the detector itself says that its frames are not
    angles : shape (n_frames,), angle of the circle that turns, degrees; None where none does
    """

    frames: Array
    monitor: float | None = None
    sound: bool = True
    angles: Array | None = None


@dataclass(frozen=True)
class PointResult:
    """What a point gave.

    Parameters
    ----------
    pattern : shape (n_pixels,), counts at the nominal beam; None where the point cannot be used
    problem : why it cannot: "frames" (the detector says so, or they are not finite), "beam" (none
        on the monitor) or "empty" (no counts at all, the first time); "" where it can
    noise_ratio : variance of the outcome's noise, in units of that at the run's usual beam
    withdrawn : earlier points, by their number, that turn out to have been measured without beam
    n_empty : points in a row without any count, up to this one, the one measured again included
    """

    pattern: Array | None
    problem: str = ""
    noise_ratio: float = 1.0
    withdrawn: tuple[int, ...] = ()
    n_empty: int = 0


@dataclass(frozen=True)
class Readout:
    """Which data keys of an event hold what; a run's start document says it.

    Parameters
    ----------
    field : key of the number that is steered on; None for frames
    monitor : key of the monitor's counts; None without a monitor
    valid : key of the detector's own verdict on its frames, where it gives one
    angles : key of the angle of the circle that turns; None where none does
    """

    field: str | None = None
    monitor: str | None = None
    valid: str | None = None
    angles: str | None = None

    @classmethod
    def from_start(cls, start: Mapping[str, Any]) -> Self:
        """Read it from a start document, of earlier versions too."""
        settings = start.get("steering", {})
        detector = (start.get("detectors") or ["det"])[0]
        source = settings.get("source", {"kind": "frames", "detector": detector})
        monitor = settings.get("monitor")
        return cls(
            field=source.get("key") if source["kind"] == "field" else None,
            monitor=settings.get("monitor_key", f"{monitor}_counts" if monitor else None),
            valid=f"{source.get('detector', detector)}_valid",
            angles=settings.get("angle_key"),
        )

    def exposure(self, data: Mapping[str, Any], frames: Callable[[], Any]) -> Exposure:
        """Return what an event holds.

        Parameters
        ----------
        data : of the event, by key
        frames : called for the frames, shape (n_frames, H, W), where no field is steered on

        Raises
        ------
        ValueError
            When a key is missing, or what it holds is no number.
        """
        if self.field is not None:
            return Exposure(np.full((1, 1, 1), self._number(data, self.field)), self._monitor(data))
        stack = np.asarray(frames())
        return Exposure(
            stack.reshape(-1, *stack.shape[-2:]),
            self._monitor(data),
            bool(data.get(self.valid, 1) > 0) if self.valid is not None else True,
            self._angles(data, len(stack)),
        )

    def _monitor(self, data: Mapping[str, Any]) -> float | None:
        return None if self.monitor is None else self._number(data, self.monitor)

    def _angles(self, data: Mapping[str, Any], n_frames: int) -> Array | None:
        if self.angles is None or self.angles not in data:
            return None
        value = data[self.angles]
        return np.resize(json.loads(value) if isinstance(value, str) else value, n_frames)

    def _number(self, data: Mapping[str, Any], key: str) -> float:
        if key not in data:
            raise ValueError(
                f"an event must have the data key {key!r}, got {', '.join(map(repr, data))}; name "
                "one of these"
            )
        value = np.asarray(data[key])
        if value.size != 1 or value.dtype.kind not in "biuf":
            raise ValueError(
                f"{key!r} must be a number, got {data[key]!r}; name another data key, or steer on "
                "frames with total, roi:, ref: or nmf:"
            )
        return float(value.reshape(()))


class Points:
    """The points of one run, judged one after the other.

    Parameters
    ----------
    reduction : frames to a pattern; by default the sum of the frames
    nominal_counts : monitor counts of an exposure at the nominal beam, to which patterns are
        scaled; by default those of the first exposure that can be used
    min_monitor : least monitor counts of an exposure that can be used; by default a tenth of the
        median over the run so far

    Notes
    -----
    An ion chamber keeps a dark current when the beam is lost, so that a count above zero is no
    sign of beam. The median of the points that passed says what is usual; points that passed
    before the beam came are withdrawn when it has.

    A point whose frames hold no count at all is measured once more, and then taken at its word;
    so are those without a count that follow it at once.
    """

    def __init__(
        self,
        reduction: Reduction | None = None,
        *,
        nominal_counts: float | None = None,
        min_monitor: float | None = None,
    ) -> None:
        self.reduction = reduction
        self.nominal_counts = nominal_counts
        self.min_monitor = min_monitor
        self._n_empty = 0
        self._nominal_is_own = nominal_counts is None
        self._n = 0
        self._monitor_of: dict[int, float] = {}

    @classmethod
    def from_start(cls, start: Mapping[str, Any], reduction: Reduction | None = None) -> Self:
        """Judge as the plan did that wrote this start document."""
        settings = start.get("steering", {})
        # Earlier versions took any count above 0 for beam.
        least = settings.get("min_monitor") if "source" in settings else 0.0
        return cls(reduction, nominal_counts=settings.get("nominal_counts"), min_monitor=least)

    def take(self, exposures: Sequence[Exposure]) -> PointResult:
        """Judge the next point by all its exposures, one at least."""
        number, self._n = self._n, self._n + 1
        if not all(e.sound and np.isfinite(e.frames).all() for e in exposures):
            return PointResult(None, "frames")
        if not all(self._has_beam(e.monitor) for e in exposures):
            return PointResult(None, "beam")
        if exposures[0].frames[0].size > 1 and not any(e.frames.any() for e in exposures):
            self._n_empty += 1
            if self._n_empty == 1:
                return PointResult(None, "empty", n_empty=1)
        else:
            self._n_empty = 0
        monitors = [e.monitor for e in exposures if e.monitor is not None]
        noise_ratio, withdrawn = self._beam(number, min(monitors)) if monitors else (1.0, ())
        return PointResult(self._pattern(exposures), "", noise_ratio, withdrawn, self._n_empty)

    def _has_beam(self, monitor: float | None) -> bool:
        if monitor is None:
            return True
        return math.isfinite(monitor) and monitor > 0 and monitor >= self._floor()

    def _floor(self) -> float:
        if self.min_monitor is not None:
            return self.min_monitor
        return LOW_BEAM * self._usual() if self._monitor_of else 0.0

    def _usual(self) -> float:
        return float(np.median(list(self._monitor_of.values())))

    def _beam(self, number: int, monitor: float) -> tuple[float, tuple[int, ...]]:
        """Note a point's monitor counts; return its noise ratio and which points are withdrawn."""
        self._monitor_of[number] = monitor
        floor = self._floor()
        withdrawn = tuple(n for n, counts in self._monitor_of.items() if counts < floor)
        for n in withdrawn:
            del self._monitor_of[n]
        if withdrawn and len(self._monitor_of) == 1 and self._nominal_is_own:
            self.nominal_counts = monitor  # until now there was no beam that could be nominal
        usual = self._usual()
        steady = abs(monitor - usual) <= STEADY_BEAM * usual
        return 1.0 if steady else usual / monitor, withdrawn

    def _pattern(self, exposures: Sequence[Exposure]) -> Array:
        if self.nominal_counts is None:
            self.nominal_counts = exposures[0].monitor
        scales = np.concatenate([np.full(len(e.frames), self._scale(e)) for e in exposures])
        frames = np.concatenate([np.asarray(e.frames, dtype=float) for e in exposures])
        angles = [e.angles for e in exposures if e.angles is not None]
        if self.reduction is None:
            self.reduction = SummedFrames(FrameAxes.channels((frames.shape[1], frames.shape[2])))
        return self.reduction.reduce(
            frames,
            scales=scales,
            angles=np.concatenate(angles) if len(angles) == len(exposures) else None,
        )

    def _scale(self, exposure: Exposure) -> float:
        if exposure.monitor is None or self.nominal_counts is None:
            return 1.0
        return self.nominal_counts / exposure.monitor


def judge_points(
    points: Points,
    readout: Readout,
    table: Mapping[str, NDArray[Any]],
    events_of: Sequence[NDArray[np.int_]],
    frames: Any,
) -> list[PointResult]:
    """Judge points of a stored run.

    Parameters
    ----------
    points : judges them
    readout : which columns of the table hold what
    table : the run's stream ``primary``, by column
    events_of : rows of the table that belong to each point
    frames : of the events, shape (n_events, n_frames, H, W), read block by block; None where a
        number is steered on
    """
    results = []
    for first in range(0, len(events_of), BLOCK):
        block = events_of[first : first + BLOCK]
        rows = np.concatenate(block)
        stacks = {} if frames is None else dict(zip(rows, frames[rows], strict=True))
        for events in block:
            exposures = [
                readout.exposure(
                    {k: column[row] for k, column in table.items()}, partial(stacks.get, row)
                )
                for row in events
            ]
            results.append(points.take(exposures))
    return results
