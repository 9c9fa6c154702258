"""Which data keys of a run's events hold what is steered on, and an event as an exposure.

`bl_steer.runs.points` judges the exposures of a point.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bl_steer.protocols import Array

__all__ = ["UNSOUND", "Exposure", "NoNumberError", "Readout", "as_number", "sum_key"]

FULL = frozenset(
    float(limit)
    for bits in (32, 64)
    for limit in (2**bits - 1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)))
)
"""The ends of what integers of 32 and 64 bits hold: a counter that shows one has overflowed."""


class NoNumberError(ValueError):
    """What should be a number is text, or an array."""


SATURATED_PIXELS = 5
SATURATED_COUNTS = 50.0
"""Counts of a pixel above which it is unlikely that five have exactly the same, and no more."""
GAP = 2**32 - 1


@dataclass(frozen=True)
class Exposure:
    """What one event of a point holds of the measurement.

    Parameters
    ----------
    frames : shape (n_frames, H, W), counts; a number is a frame of one pixel
    monitor : monitor counts during the exposure; None without a monitor
    sound : False where the detector itself says that its frames are not
    angles : shape (n_frames,), angle of the circle that turns, degrees; None where none does
    setting : number of the scan that it belongs to, where a point has several
    share : of the full exposure time, where points have their own
    """

    frames: Array
    monitor: float | None = None
    sound: bool = True
    angles: Array | None = None
    setting: int = 0
    share: float = 1.0

    @property
    def beam(self) -> float | None:
        """Monitor counts that the full exposure time would have had; None without a monitor."""
        return None if self.monitor is None else self.monitor / self.share

    @property
    def is_image(self) -> bool:
        """Whether a frame has more than one pixel."""
        return bool(self.frames[0].size > 1)

    def scale_to(self, nominal_counts: float | None) -> float:
        """Return what brings counts to the nominal beam, or to the full time without a monitor."""
        if self.monitor is None or nominal_counts is None:
            return 1.0 / self.share
        return nominal_counts / self.monitor


UNSOUND = Exposure(np.full((1, 1, 1), np.nan), sound=False)
"""Of an event that holds no number, at which its run ended."""


@dataclass(frozen=True)
class Readout:
    """Which data keys of an event hold what; a run's start document says it.

    Parameters
    ----------
    field : key of the number that is steered on; None for frames
    monitor : key of the monitor's counts; None without a monitor
    valid : key of the detector's own verdict on its frames, where it gives one
    angles : key of the angle of the circle that turns; None where none does
    setting : key of the number of the scan; None where a point has one
    time : key of the exposure time of a frame, s; None where it is the same at all points
    full_s : the full exposure time of a frame, s
    """

    field: str | None = None
    monitor: str | None = None
    valid: str | None = None
    angles: str | None = None
    setting: str | None = None
    time: str | None = None
    full_s: float = 1.0

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
            setting=settings.get("setting_key"),
            time=settings.get("exposure_key"),
            full_s=float(settings.get("exposure_s") or 1.0),
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
            When a key is missing, or what it holds is no number (`NoNumberError`).
        """
        share = 1.0 if self.time is None else self._number(data, self.time) / self.full_s
        if self.field is not None:
            number = self._number(data, self.field)
            return Exposure(
                np.full((1, 1, 1), number),
                self._monitor(data),
                sound=number not in FULL,
                share=share,
            )
        stack = np.asarray(frames())
        stack = stack.reshape(-1, *stack.shape[-2:])
        angles = self._angles(data)
        is_whole = angles is None or len(angles) in (1, len(stack))  # else which are missing?
        is_valid = self.valid is None or bool(data.get(self.valid, 1) > 0)
        return Exposure(
            stack,
            self._monitor(data),
            is_valid and is_whole,
            None if angles is None else np.resize(angles, len(stack)),
            0 if self.setting is None else int(self._number(data, self.setting)),
            share,
        )

    def _monitor(self, data: Mapping[str, Any]) -> float | None:
        return None if self.monitor is None else self._number(data, self.monitor)

    def _angles(self, data: Mapping[str, Any]) -> Array | None:
        """Return the angle of each frame, or one for all, of an event."""
        if self.angles is None or self.angles not in data:
            return None
        value = data[self.angles]
        return np.atleast_1d(json.loads(value) if isinstance(value, str) else value)

    def _number(self, data: Mapping[str, Any], key: str) -> float:
        if key not in data:
            raise ValueError(
                f"an event must have the data key {key!r}, got {', '.join(map(repr, data))}; name "
                "one of these"
            )
        number = as_number(data[key])
        if math.isnan(number) and not _is_nan(data[key]):
            shape = np.shape(data[key])
            what = f"an array of shape {shape}" if shape else repr(data[key])
            raise NoNumberError(
                f"{key!r} must be a number, got {what}; name another data key, or steer on frames "
                "with total, roi:, ref: or nmf:"
            )
        return number


def sum_key(detector: str, described: Mapping[str, Any]) -> str:
    """Return the data key of a detector's sum of its frames; "" where it is another device's.

    Parameters
    ----------
    described : data keys of the events, as their descriptor has them
    """
    key = f"{detector}_total"
    owner = (described.get(key) or {}).get("object_name")
    return key if owner in (None, detector) else ""


def as_number(value: Any) -> float:
    """Return a value as a number, of any size or an array of one; NaN where it is none."""
    if isinstance(value, int):
        return float(value)
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        return math.nan
    return float(array.reshape(()))


def _is_nan(value: Any) -> bool:
    """Return whether there is no number where there might be one: NaN, or None."""
    return value is None or (np.size(value) == 1 and np.asarray(value).dtype.kind == "f")


def is_saturated(frame: Array) -> bool:
    """Return whether pixels stop at one value: `SATURATED_PIXELS` share the largest by no chance.

    Frames whose pixels are mostly equal are those of a simulation without noise. Pixels at
    2³² - 1 are a gap of the detector, or masked.
    """
    top = frame.max(where=frame != GAP, initial=0)
    n = int((frame == top).sum())
    return bool(top >= SATURATED_COUNTS and SATURATED_PIXELS <= n <= frame.size // 2)
