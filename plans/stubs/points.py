"""What a plan knows about its points: the grid, the start document, and a point's pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from bl_steer.diffraction.patterns import normalise
from bluesky.protocols import Readable

from bl_steer.agents import Space
from bl_steer.protocols import Array
from bl_steer.steering import Steering
from plans.stubs.messages import FrameDetector, Monitor, Stage

__all__ = ["PointReader", "default_grid", "start_document"]

PACKAGES = ("bl-steer", "botorch", "gpytorch", "torch", "scikit-learn", "numpy")


def default_grid() -> Space:
    """Return the paper's grid: 31×31 points, 5 µm apart, over 150 × 150 µm."""
    coordinates = np.linspace(0.0, 150.0, 31)
    return Space.grid(coordinates, coordinates)


class PointReader:
    """Turn a point's readings and frames into its pattern, and its timestamps into durations.

    Parameters
    ----------
    detector, monitor : the devices that the plan reads at each point

    Attributes
    ----------
    pattern : shape (n_pixels,), normalised counts of the latest point; None if it was invalid
    move_s, expose_s : seconds that the latest point took, from its readings' timestamps
    """

    def __init__(self, detector: FrameDetector, monitor: Monitor | None, stage: Stage) -> None:
        self.detector = detector
        self.monitor = monitor
        self.stage = stage
        self.axis_names = (stage.x.name, stage.y.name)
        self.nominal_counts: float | None = None
        self.pattern: Array | None = None
        self.n_invalid = 0
        self.move_s = self.expose_s = float("nan")
        self._last_exposed = float("nan")
        self._waiting = False

    def devices(self, also_read: Sequence[Readable[Any]]) -> list[Readable[Any]]:
        """Return what to read at each point."""
        stage = [self.stage] if isinstance(self.stage, Readable) else [self.stage.x, self.stage.y]
        return [self.detector, *stage, *([self.monitor] if self.monitor else []), *also_read]

    def start(self) -> None:
        """Note what the nominal beam gives in one point, once the exposure time is set."""
        rate = getattr(self.monitor, "nominal_rate", None)
        if rate is not None:
            exposure_s = float(self.detector.exposure_time.get())
            self.nominal_counts = float(rate.get()) * exposure_s * int(self.detector.n_frames.get())

    def take(self, readings: Mapping[str, Any]) -> None:
        """Take the readings of a point that was just measured; none leave no pattern."""
        if not readings:  # nobody answers in bluesky.simulators
            self.pattern = None
            return
        self._take_times(readings)
        self._waiting = True
        frames = self.detector.frames()
        counts = None
        if self.monitor is not None:
            counts = float(readings[f"{self.monitor.name}_counts"]["value"])
        valid = readings.get(f"{self.detector.name}_valid", {"value": frames.any()})["value"]
        if not valid or (counts is not None and not counts > 0):
            self.pattern = None
            self.n_invalid += 1
            return
        if self.nominal_counts is None:
            self.nominal_counts = counts
        self.pattern = normalise(frames, counts, self.nominal_counts)

    def hand_over(self, steering: Steering) -> None:
        """Give the latest pattern to `steering`, once."""
        if self._waiting:
            self._waiting = False
            steering.observe(self.pattern)

    def _take_times(self, readings: Mapping[str, Any]) -> None:
        arrived = max(readings[axis]["timestamp"] for axis in self.axis_names if axis in readings)
        exposed = readings[f"{self.detector.name}_total"]["timestamp"]
        self.move_s = float(np.maximum(arrived - self._last_exposed, 0.0))
        self.expose_s = float(exposed - np.fmax(arrived, self._last_exposed))
        self._last_exposed = exposed


def start_document(
    plan_name: str,
    settings: Mapping[str, Any],
    reader: PointReader,
    md: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the run's start metadata: what a later reader needs to repeat every decision."""
    reader.start()
    return {
        "plan_name": plan_name,
        "detectors": [reader.detector.name],
        "motors": list(reader.axis_names),
        "num_points": settings["budget"],
        "hints": {"dimensions": [([axis], "primary") for axis in reader.axis_names]},
        "steering": {
            **settings,
            "monitor": reader.monitor.name if reader.monitor else None,
            "nominal_counts": reader.nominal_counts,
        },
        "versions": {"bl_steer": _version("bl-steer")}
        | {package: _version(package) for package in PACKAGES[1:]},
        **dict(md or {}),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
