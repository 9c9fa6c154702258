"""What goes wrong while a FIB-SEM cuts slices, drawn cut by cut from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.seeds import seed_problems

__all__ = ["PRESETS", "Cut", "SliceFaults"]

PRESETS = ("none", "usual", "severe")


class Cut(NamedTuple):
    """What one run of the ion beam does, beyond what was asked for."""

    removes: bool
    """Whether it removes anything."""
    twice: bool
    """Whether it removes a second slice as well."""
    offset_nm: float
    """By how much more than asked for it removes."""
    drift_nm: tuple[float, float]
    """How far the specimen moves in the image (y, x) until the next cut."""
    defocus_um: float
    """How far the focus wanders until the next cut."""
    blank_images: int
    """Exposures of the new face that come out blank."""


@dataclass(frozen=True)
class SliceFaults:
    """How often and how strongly a cut goes wrong.

    Parameters
    ----------
    pitch_jitter : standard deviation of a slice's thickness, as a share of the pitch; 0.1 to 0.3
        is usual
    drift_nm : standard deviation of the drift from slice to slice, along each direction, nm
    drift_rate_nm : steady drift (y, x) from slice to slice, nm
    focus_drift_um : standard deviation of the change of focus from slice to slice, µm
    failed, twice, lost : probability that a cut removes nothing; that it removes two slices; that
        no image can be taken of its face
    failed_cuts, double_cuts, lost_images : numbers of cuts, from 1, that certainly go wrong so
    seed : of what is drawn

    Raises
    ------
    ValueError
        For a strength below 0 or a probability that is none.
    """

    pitch_jitter: float = 0.2
    drift_nm: float = 8.0
    drift_rate_nm: tuple[float, float] = (3.0, -4.0)
    focus_drift_um: float = 0.4
    failed: float = 0.03
    twice: float = 0.02
    lost: float = 0.01
    failed_cuts: tuple[int, ...] = ()
    double_cuts: tuple[int, ...] = ()
    lost_images: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be 0 or above and finite, got {getattr(self, name)}"
            for name in ("pitch_jitter", "drift_nm", "focus_drift_um")
            if not 0.0 <= getattr(self, name) < np.inf
        ]
        problems += [
            f"{name} must lie within 0 … 1, got {getattr(self, name)}"
            for name in ("failed", "twice", "lost")
            if not 0.0 <= getattr(self, name) <= 1.0
        ]
        problems += seed_problems(self.seed)
        if problems:
            raise ValueError("; ".join(problems) + "; the defaults are SliceFaults()")

    @classmethod
    def none(cls) -> SliceFaults:
        """Return an instrument without faults."""
        return cls(0.0, 0.0, (0.0, 0.0), 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def preset(cls, name: str, seed: int = 0) -> SliceFaults:
        """Return faults by name: "none", "usual", "severe"; `ValueError` for any other."""
        if name not in PRESETS:
            raise ValueError(f"faults must be one of {', '.join(PRESETS)}, got {name!r}; try usual")
        if name == "severe":
            return cls(0.3, 20.0, (6.0, -8.0), 0.8, 0.1, 0.05, 0.06, seed=seed)
        return cls(seed=seed) if name == "usual" else cls.none()

    def cut(self, number: int, pitch_nm: float) -> Cut:
        """Return what goes wrong at a cut, counted from 1; the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, 31, number])
        fate = rng.uniform(size=3)
        jitter, dy, dx, focus = rng.standard_normal(4)
        # A slice is never thinner than a tenth of the pitch: the beam takes something away.
        offset = max(self.pitch_jitter * jitter, -0.9) * pitch_nm
        return Cut(
            removes=bool(fate[0] >= self.failed) and number not in self.failed_cuts,
            twice=bool(fate[1] < self.twice) or number in self.double_cuts,
            offset_nm=float(offset),
            drift_nm=(
                self.drift_rate_nm[0] + self.drift_nm * float(dy),
                self.drift_rate_nm[1] + self.drift_nm * float(dx),
            ),
            defocus_um=self.focus_drift_um * float(focus),
            blank_images=10**9 if fate[2] < self.lost or number in self.lost_images else 0,
        )
