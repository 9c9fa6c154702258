"""The frame's pixels as a lattice: columns and rows to q_par and q_perp, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

Reals = NDArray[np.floating[Any]]
"""In single precision where many patterns are gone through, else in double."""

__all__ = ["PixelLattice", "Reals"]


@dataclass(frozen=True)
class PixelLattice:
    """Equally spaced pixels.

    Parameters
    ----------
    shape : (H, W)
    origin, steps : q_par and q_perp of the first pixel, and from one to the next, 1/Å
    """

    shape: tuple[int, int]
    origin: tuple[float, float]
    steps: tuple[float, float]

    @classmethod
    def of(cls, axes: FrameAxes) -> PixelLattice:
        """Return the lattice of axes that are equally spaced."""
        steps = [float(axis[-1] - axis[0]) / (len(axis) - 1) for axis in (axes.qx, axes.qz)]
        return cls(axes.shape, (float(axes.qx[0]), float(axes.qz[0])), (steps[0], steps[1]))

    @property
    def n(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def area(self) -> float:
        """Of a pixel, 1/Å²."""
        return abs(self.steps[0] * self.steps[1])

    @property
    def last(self) -> Array:
        """The last column and row."""
        return np.array(self.shape[::-1]) - 1.0

    def to_q(self, places: Array) -> Array:
        """Return q_par and q_perp (…, 2) of columns and rows (…, 2)."""
        return np.asarray(np.array(self.origin) + places * np.array(self.steps))

    def to_pixels(self, q: Array) -> Array:
        """Return columns and rows (…, 2) of q_par and q_perp (…, 2)."""
        return np.asarray((q - np.array(self.origin)) / np.array(self.steps))

    def mesh(self) -> Array:
        """Return q_par and q_perp of every pixel, row by row, (n, 2)."""
        rows, columns = np.divmod(np.arange(self.n), self.shape[1])
        return self.to_q(np.stack([columns, rows], axis=-1).astype(float))
