"""A series of frames that a detector takes while a circle turns: how many, and at which angles."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.protocols import Triggerable
from bluesky.utils import FailedStatus, MsgGenerator

from bl_steer.protocols import Array

__all__ = ["Encoder", "FrameAngles", "frames_signal"]


def frames_signal(detector: Any) -> Any:
    """Return the signal that holds how many frames a trigger takes."""
    signal = getattr(detector, "n_frames", None)
    if signal is None:
        signal = getattr(getattr(detector, "cam", None), "num_images", None)
    if signal is None:
        raise ValueError(
            f"the detector of a sweep must have a number of frames, n_frames or cam.num_images, "
            f"got {detector.name} without; use rocking_scan, which takes one after the other"
        )
    return signal


class Encoder:
    """The readback of an axis while it moves, with its time stamps, and when the series began."""

    def __init__(self, axis: Any, detector: Any) -> None:
        self._readback = getattr(axis, "user_readback", None)
        self._busy = getattr(detector, "busy", None)
        self._samples: list[tuple[float, float]] = []
        self._tokens: list[tuple[Any, int]] = []
        self.begun = math.nan
        """When the detector was busy last, s since 1970; when it was told to, where it is mute."""

    def begin(self) -> None:
        """Follow the axis from now on."""
        self._samples.clear()
        self.begun = math.nan if self._busy is not None else time.time()
        for signal, take in ((self._readback, self._sample), (self._busy, self._start)):
            if signal is not None:
                self._tokens.append((signal, signal.subscribe(take, run=False)))

    def end(self) -> None:
        """Follow it no longer."""
        while self._tokens:
            signal, token = self._tokens.pop()
            signal.unsubscribe(token)

    def _sample(self, *, value: float, timestamp: float, **_: object) -> None:
        self._samples.append((timestamp, value))

    def _start(self, *, value: float, timestamp: float, **_: object) -> None:
        if value:  # the latest: a pause repeats the series
            self.begun = timestamp

    def at(self, times: Array, *, rests: bool = False) -> Array | None:
        """Return the angles at some times; None where the samples do not cover them.

        Parameters
        ----------
        rests : the axis has arrived: where its readback is the last sample's, it stayed there
        """
        if len(self._samples) < 2 or math.isnan(self.begun):
            return None
        stamps, values = np.array(sorted(self._samples)).T
        since = max(int(np.searchsorted(stamps, self.begun, side="right")) - 1, 0)
        stamps, values = stamps[since:], values[since:]  # of the latest series
        if len(stamps) < 2:
            return None
        spacing = float(np.max(np.diff(stamps)))
        readback: Any = self._readback
        stays = rests and bool(readback.get() == values[-1])
        if stamps[0] > times[0] + spacing or (stamps[-1] < times[-1] - spacing and not stays):
            return None
        return np.asarray(np.interp(times, stamps, values))


def exposed_in_motion(
    encoder: Encoder, devices: Sequence[Any], axis: Any, stop: float | None
) -> MsgGenerator[None]:
    """Trigger devices while an axis goes to `stop`, or stays where that is None, and follow it."""
    encoder.begin()
    try:
        if stop is not None:
            yield from bps.abs_set(axis, stop, group="expose")
        for device in devices:
            if isinstance(device, Triggerable):
                yield from bps.trigger(device, group="expose")
        yield from bps.wait("expose")
    except FailedStatus as failure:
        raise failure.__cause__ or failure from None
    finally:
        encoder.end()


class FrameAngles:
    """The angles of a series, as a readable: JSON text, as a table holds no arrays."""

    parent: ClassVar[None] = None
    hints: ClassVar[dict[str, Any]] = {"fields": []}

    def __init__(self, key: str) -> None:
        self.name = key
        self.angles: Array | None = None
        self.source = ""

    def read(self) -> dict[str, Any]:
        """Return the angles of the latest series, and where they are from."""
        now = time.time()
        text = json.dumps([] if self.angles is None else self.angles.tolist())
        return {
            self.name: {"value": text, "timestamp": now},
            f"{self.name}_source": {"value": self.source, "timestamp": now},
        }

    def describe(self) -> dict[str, Any]:
        """Describe both."""
        entry = {"source": "bl_steer:rocking_sweep", "dtype": "string", "shape": []}
        return {self.name: dict(entry), f"{self.name}_source": dict(entry)}

    def read_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Return no configuration."""
        return {}
