"""What a pattern is expected to be: peaks that move, the substrate's that stays, a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.film.pixels import PixelLattice, Reals
from bl_steer.analysis.film.shapes import PeakShape, ShapeTable
from bl_steer.protocols import Array

__all__ = ["PatternModel", "Patterns"]

FLOOR = 0.002
"""Least expected value of a pixel, of the pattern's mean: what is empty does not weigh most."""


@dataclass(frozen=True)
class Patterns:
    """Patterns (n, n_pixels), in single precision, with what is known of their noise.

    Parameters
    ----------
    values : 0 where nothing was measured
    inside : 1 where something was measured, else 0
    variance : where it is known; None for that of counts, the expected value
    scale : shape (n, 1) or (n, n_pixels), the variance over the expected value; 1 for counts
    """

    values: Reals
    inside: Reals
    variance: Reals | None = None
    scale: Reals | None = None

    def __len__(self) -> int:
        return len(self.values)

    def part(self, rows: slice | NDArray[np.int_]) -> Patterns:
        """Return some of the patterns."""
        variance = None if self.variance is None else self.variance[rows]
        scale = None if self.scale is None else self.scale[rows]
        return Patterns(self.values[rows], self.inside[rows], variance, scale)

    @property
    def floor(self) -> Reals:
        """Least expected value of a pixel of each pattern, (n, 1)."""
        mean = self.values.sum(axis=1) / np.maximum(self.inside.sum(axis=1), 1.0)
        least = np.maximum(np.float32(FLOOR) * mean, np.float32(1e-6))
        return np.asarray(least)[:, None]

    def without(self, marked: NDArray[np.bool_]) -> Patterns:
        """Return the patterns with pixels left out, (n_pixels,) or (n, n_pixels)."""
        inside = np.where(marked, np.float32(0.0), self.inside)
        return Patterns(self.values, inside, self.variance, self.scale)

    def weights(self, expected: Reals) -> Reals:
        """Return one over the variance, 0 where nothing was measured."""
        noise = np.maximum(expected, self.floor) if self.variance is None else self.variance
        return np.asarray(self.inside / (noise if self.scale is None else noise * self.scale))

    def loss(self, expected: Reals) -> Array:
        """Return the deviance of counts, or the weighted squares, (n,), but for a constant."""
        if self.variance is None:
            safe = np.maximum(expected, self.floor)
            each = 2.0 * self.inside * (safe - self.values * np.log(safe))
            each = each if self.scale is None else each / self.scale
        else:
            each = self.inside / self.variance * (self.values - expected) ** 2
        return np.asarray(each.sum(axis=1, dtype=float))


@dataclass(frozen=True)
class PatternModel:
    """Parameters of a pattern, (3 K + 1 or 2,): counts, column and row of each peak that moves;
    the substrate's counts; the background of a pixel.

    Parameters
    ----------
    shapes : of the peaks, the substrate's last
    substrate : its column and row; None where there is none
    pixels : of the frame
    """

    shapes: tuple[PeakShape, ...]
    substrate: Array | None
    pixels: PixelLattice
    tables: tuple[ShapeTable, ...]
    still: Reals
    """The substrate's peak of one count, and its slopes along columns and rows, (3, n_pixels)."""

    @classmethod
    def of(cls, shapes: Sequence[PeakShape], substrate: Array | None, pixels: PixelLattice) -> Self:
        """Return the model with its tables."""
        moving = shapes if substrate is None else shapes[:-1]
        tables = tuple(ShapeTable(shape, pixels) for shape in moving)
        still = np.zeros((3, pixels.n), dtype=np.float32)
        if substrate is not None:
            still[:] = shapes[-1].image(pixels, substrate)
        return cls(tuple(shapes), substrate, pixels, tables, still)

    @property
    def n_peaks(self) -> int:
        """Peaks that move."""
        return len(self.shapes) - (self.substrate is not None)

    @property
    def n_params(self) -> int:
        """Parameters of a pattern."""
        return 3 * self.n_peaks + (self.substrate is not None) + 1

    @property
    def is_place(self) -> NDArray[np.bool_]:
        """Which parameters are columns and rows; the others are counts, 0 or above."""
        places = np.arange(self.n_params) % 3 > 0
        places[3 * self.n_peaks :] = False
        return places

    def evaluate(self, params: Array) -> tuple[Reals, Reals]:
        """Return expected values (n, n_pixels) and slopes (n, n_params, n_pixels)."""
        n = len(params)
        slopes = np.empty((n, self.n_params, *self.pixels.shape), dtype=np.float32)
        single = params.astype(np.float32)[:, :, None, None]
        expected = np.broadcast_to(single[:, -1], (n, *self.pixels.shape)).copy()
        for k in range(self.n_peaks):
            counts = single[:, 3 * k]
            value, right, down = self.tables[k].at(params[:, 3 * k + 1 : 3 * k + 3])
            slopes[:, 3 * k] = value
            np.multiply(right, -counts, out=slopes[:, 3 * k + 1])
            np.multiply(down, -counts, out=slopes[:, 3 * k + 2])
            value *= counts
            expected += value
        if self.substrate is not None:
            still = self.still[0].reshape(self.pixels.shape)
            slopes[:, -2] = still
            expected += single[:, -2] * still
        slopes[:, -1] = 1.0
        return expected.reshape(n, -1), slopes.reshape(n, self.n_params, -1)
