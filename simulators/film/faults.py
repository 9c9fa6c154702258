"""What a beamline does wrong, on demand: a schedule of faults by the number of the measurement.

The beamline in this process (`simulators.film.beamline`) and the soft IOC (`simulators.epics.ioc`)
misbehave by the same schedule, so that a plan can be tried on both::

    beamline.misbehave("stall@5:y", "dark@8-9")

FAULT@N strikes at measurement N, FAULT@N-M at N … M; :DEVICE says which motor or device, =SIZE how
much. Measurements are the detector's exposures, from 0 on; a motor's faults strike on the way to
them. A fault of one measurement is over when the measurement is repeated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Fault", "Faults"]

MOTORS = ("x", "y", "mu", "eta", "chi", "phi", "nu", "delta")
SHARE, POSITIVE = (0.0, 1.0), (0.0, math.inf)
DARK_COUNTS = 0.2
"""Mean dark counts of a pixel and frame, without beam."""
DARK_CURRENT = 0.001
"""What the ion chamber shows without beam, of its counts at the beam."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault: what it strikes, and how much where nothing is said."""

    text: str
    devices: tuple[str, ...]
    size: float = 0.0
    sizes: tuple[float, float] = (-math.inf, math.inf)


KINDS = MappingProxyType(
    {
        "stall": Kind("a motor gets stuck half-way and never arrives", MOTORS),
        "lie": Kind("a motor's readback is off by SIZE of its unit", MOTORS, 0.5),
        "limit": Kind("a motor runs into a limit switch half-way", MOTORS),
        "hang": Kind("the detector never ends its exposure", ("det",)),
        "tear": Kind("the lower half of a frame is of what it showed before", ("det",)),
        "repeat": Kind("the detector shows again what it showed before", ("det",)),
        "drop": Kind("a frame of a series, the middle one, is lost", ("det",)),
        "dead-pixels": Kind("a share SIZE of the pixels counts nothing", ("det",), 0.05, SHARE),
        "saturate": Kind("pixels count up to SIZE", ("det",), 100.0, POSITIVE),
        "dump": Kind("no beam: monitor and detector count nothing", ("beam",)),
        "dark": Kind("no beam: dark current in the monitor, dark counts in the frames", ("beam",)),
        "mid-dump": Kind("the beam is lost in the midst of the exposure", ("beam",)),
        "top-up": Kind(
            "the flux, down by SIZE, is restored in the midst of it", ("beam",), 0.3, SHARE
        ),
        "clock": Kind("the clock of the control system jumps by SIZE s", ("clock",), 3600.0),
        "disconnect": Kind(
            "no process variable answers for SIZE s", ("det", *MOTORS), 1.0, POSITIVE
        ),
    }
)
"""The kinds of fault by name."""

WRITTEN = re.compile(
    r"(?P<kind>[a-z-]+)@(?P<first>\d+)(-(?P<last>\d+))?(:(?P<device>\w+))?(=(?P<size>-?\d*\.?\d+))?"
)


@dataclass(frozen=True)
class Fault:
    """A fault of one kind, at measurements `first` … `last`."""

    kind: str
    first: int
    last: int
    device: str
    size: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a fault as it is written: ``stall@5``, ``dark@8-9``, ``lie@3:y=0.2``.

        Raises
        ------
        ValueError
            For what is no fault, and for a device that cannot have it.
        """
        parts = WRITTEN.fullmatch(text)
        if parts is None or parts["kind"] not in KINDS:
            raise ValueError(
                f"a fault must be written KIND@N, KIND@N-M, with :DEVICE and =SIZE where needed, "
                f"got {text!r}; kinds are {', '.join(KINDS)}"
            )
        kind = KINDS[parts["kind"]]
        first, last = int(parts["first"]), int(parts["last"] or parts["first"])
        if last < first:
            raise ValueError(
                f"a fault must strike from a measurement to the same or a later one, got {text!r}; "
                f"try {parts['kind']}@{last}-{first}"
            )
        device = parts["device"] or kind.devices[0]
        if device not in kind.devices:
            raise ValueError(
                f"{parts['kind']} must strike one of {', '.join(kind.devices)}, got {device!r} in "
                f"{text!r}; choose one of these"
            )
        size = kind.size if parts["size"] is None else float(parts["size"])
        low, high = kind.sizes
        if not low <= size <= high:
            raise ValueError(
                f"{parts['kind']} must have a size in {low:g} … {high:g}, got {text!r}; try "
                f"={kind.size:g}"
            )
        return cls(parts["kind"], first, last, device, size)


class Faults:
    """The faults to come, and the measurement at hand.

    Parameters
    ----------
    texts : faults as they are written
    seed : of dark counts, dead pixels and what is lost of a beam

    Examples
    --------
    >>> faults = Faults(["stall@1:y"])
    >>> faults.now("stall", "y") is None
    True
    >>> faults.next()
    >>> faults.now("stall", "y").first
    1
    """

    def __init__(self, texts: Iterable[str] = (), *, seed: int = 0) -> None:
        self._seed = seed
        self.unplug: Callable[[float], None] = lambda seconds: None
        """What loses all connections for some seconds, where there are any to lose."""
        self.set(texts)

    def set(self, texts: Iterable[str]) -> None:
        """Schedule other faults; measurements are counted from here on."""
        self.schedule = tuple(Fault.parse(text) for text in texts)
        self.number = 0
        self._previous: NDArray[np.float64] | None = None

    def next(self) -> None:
        """Go on to the next measurement."""
        self.number += 1

    def now(self, kind: str, device: str | None = None) -> Fault | None:
        """Return the fault of a kind that strikes at the measurement at hand, if any."""
        for fault in self.schedule:
            struck = fault.kind == kind and device in (None, fault.device)
            if struck and fault.first <= self.number <= fault.last:
                return fault
        return None

    def of_motor(self, name: str) -> Fault | None:
        """Return the fault of a motor on its way to the measurement at hand, if any."""
        kinds = ("stall", "lie", "limit", "disconnect")
        return next((fault for kind in kinds if (fault := self.now(kind, name))), None)

    def spoil(
        self, frames: NDArray[np.float64], monitor: Iterable[float]
    ) -> tuple[NDArray[np.float64], float]:
        """Return the frames and the monitor's counts that the measurement at hand shows.

        Parameters
        ----------
        frames : shape (n_frames, H, W), counts, as they would be
        monitor : counts during each frame
        """
        monitor = np.array(list(monitor))
        if self.schedule:
            rng = np.random.default_rng([self._seed, 3, self.number])
            frames, monitor = self._lose_beam(frames.copy(), monitor, rng)
            frames = self._read_wrongly(frames, self._previous)
            self._previous = frames.copy()
        # Python's sum: what was counted before there were faults, to the last bit.
        return frames, sum(monitor.tolist())

    def _lose_beam(
        self, frames: NDArray[np.float64], monitor: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return frames and monitor counts with what is left of the beam during each frame."""
        left = np.ones(len(frames))
        if fault := self.now("top-up"):
            left *= 1.0 - 0.5 * fault.size
        if self.now("mid-dump"):
            left *= np.clip(0.5 * len(frames) - np.arange(len(frames)), 0.0, 1.0)
        if self.now("dump") or self.now("dark"):
            left[:] = 0.0
        for i in np.flatnonzero(left < 1.0):
            # Each count is there with the probability that the beam was.
            counts = np.maximum(frames[i], 0.0).astype(np.int64)
            frames[i] = rng.binomial(counts, left[i])
        dark = self.now("dark") is not None
        if dark:
            frames = rng.poisson(DARK_COUNTS, frames.shape).astype(float)
        return frames, np.round(monitor * (DARK_CURRENT if dark else left))

    def _read_wrongly(
        self, frames: NDArray[np.float64], previous: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return frames as a detector shows them that is out of order."""
        if previous is not None and previous.shape == frames.shape:
            if self.now("repeat"):
                return previous
            if self.now("tear"):
                half = frames.shape[1] // 2
                frames[:, half:] = previous[:, half:]
        if self.now("drop"):
            frames[len(frames) // 2] = 0.0
        if fault := self.now("dead-pixels"):
            pixels = np.random.default_rng(self._seed).random(frames.shape[1:])
            frames[:, pixels < fault.size] = 0.0
        if fault := self.now("saturate"):
            frames = np.minimum(frames, fault.size)
        return frames
