"""The shape of a peak, shared by all points of a map: a Gaussian, its corrections, and a halo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bl_steer.analysis.film.pixels import PixelLattice, Reals
from bl_steer.protocols import Array

__all__ = ["N_CORRECTIONS", "PeakShape", "ShapeTable"]

PHASES = 8
"""Places within a pixel, along each axis, at which a shape is tabulated."""
HALO = 2.5
"""Widths of the halo over those of the Gaussian."""
N_CORRECTIONS = 13
"""Of second order (3, which change the widths), third (4) and fourth order (5), and the halo."""
REACH, FINE = 2, 50
"""Standard deviations within which a peak has its maximum, and steps in each of them."""
LARGEST_STEP = 2.0
"""Factor by which one correction may change a variance."""


@dataclass(frozen=True)
class PeakShape:
    """How one count of a peak is spread over the pixels around its centre.

    Parameters
    ----------
    covariance : shape (2, 2), of the Gaussian along q_par and q_perp, 1/Å²
    coefficients : of the corrections from third order on, shape (10,)

    Notes
    -----
    ``G (1 + Σ c_h He_h(u, v)) + c_halo (G_halo - G)``, with u and v whitened coordinates and He_h
    products of Hermite polynomials of third and fourth order (a Gram-Charlier series, Blinnikov &
    Moessner 1998, doi 10.1051/aas:1998221). The corrections change neither sum nor centroid: a
    peak's position is its centroid, whatever its shape.
    """

    covariance: Array
    coefficients: Array

    @classmethod
    def gaussian(cls, covariance: Array) -> PeakShape:
        """Return a shape without corrections."""
        return cls(np.asarray(covariance, dtype=float), np.zeros(N_CORRECTIONS - 3))

    def corrected(self, change: Array) -> PeakShape:
        """Return the shape with its coefficients changed, shape (13,); the first three widen it."""
        a, b, c = change[:3]
        values, vectors = np.linalg.eigh(np.array([[1.0 + 2.0 * a, b], [b, 1.0 + 2.0 * c]]))
        values = np.clip(values, 1.0 / LARGEST_STEP, LARGEST_STEP)
        root = np.linalg.cholesky(self.covariance)
        covariance = root @ (vectors * values) @ vectors.T @ root.T
        return replace(self, covariance=covariance, coefficients=self.coefficients + change[3:])

    def terms(self, along: Reals, normal: Reals) -> tuple[Reals, list[Reals]]:
        """Return the Gaussian of one count, 1/Å², and its 13 corrections relative to it.

        Parameters
        ----------
        along, normal : offsets from the centre along q_par and q_perp, 1/Å, of one shape
        """
        inverse = np.linalg.inv(np.linalg.cholesky(self.covariance)).astype(along.dtype)
        u = inverse[0, 0] * along
        v = inverse[1, 0] * along + inverse[1, 1] * normal
        uu, vv = u * u, v * v
        square = uu + vv
        core = np.exp(-0.5 * square)
        core /= 2.0 * np.pi * float(np.sqrt(np.linalg.det(self.covariance)))
        u2, v2, u3, v3 = uu - 1.0, vv - 1.0, u * (uu - 3.0), v * (vv - 3.0)
        u4, v4 = uu * (uu - 6.0) + 3.0, vv * (vv - 6.0) + 3.0
        halo = np.exp(np.minimum(0.5 * square * (1.0 - HALO**-2), 80.0)) / HALO**2 - 1.0
        series = [u2, u * v, v2, u3, u2 * v, u * v2, v3, u4, u3 * v, u2 * v2, u * v3, v4]
        return core, [*series, halo]

    def density(self, along: Reals, normal: Reals) -> Reals:
        """Return counts a 1/Å² of a peak of one count, at offsets from its centre, 1/Å."""
        core, corrections = self.terms(along, normal)
        factor = np.ones_like(core)
        for coefficient, correction in zip(self.coefficients, corrections[3:], strict=True):
            if coefficient:
                factor += core.dtype.type(coefficient) * correction
        return np.asarray(core * factor)

    @property
    def to_maximum(self) -> Array:
        """Return the way from the centroid to the maximum, (2,), 1/Å: 0 for an even shape."""
        root = np.linalg.cholesky(self.covariance)
        steps = np.linspace(-REACH, REACH, 2 * REACH * FINE + 1)
        at = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) @ root.T
        return np.asarray(at[np.argmax(self.density(at[:, 0], at[:, 1]))])

    def image(self, pixels: PixelLattice, place: Array) -> Array:
        """Return a peak of one count, and its slopes along columns and rows, (3, n_pixels).

        Parameters
        ----------
        place : shape (2,), its column and row
        """

        def at(column: float, row: float) -> Reals:
            offset = pixels.mesh() - pixels.to_q(place + np.array([column, row]))
            return pixels.area * self.density(offset[:, 0], offset[:, 1])

        step = 0.5 / PHASES
        right = (at(-step, 0.0) - at(step, 0.0)) / (2.0 * step)
        down = (at(0.0, -step) - at(0.0, step)) / (2.0 * step)
        return np.stack([at(0.0, 0.0), right, down])


class ShapeTable:
    """A shape at any place of a frame, from a table of `PHASES` places within a pixel.

    Parameters
    ----------
    shape : of the peak
    pixels : of the frame
    """

    def __init__(self, shape: PeakShape, pixels: PixelLattice) -> None:
        self._shape = pixels.shape
        offsets = [
            np.arange((1 - n) * PHASES - PHASES + 1, (n - 1) * PHASES + 1) / PHASES * step
            for n, step in zip(pixels.shape, pixels.steps[::-1], strict=True)
        ]
        along, normal = np.meshgrid(*(q.astype(np.float32) for q in reversed(offsets)))
        fine = shape.density(along, normal) * pixels.area
        down, right = np.gradient(fine, 1.0 / PHASES)
        self._windows = [_windows(table, pixels.shape) for table in (fine, right, down)]

    def at(self, centres: Array) -> tuple[NDArray[np.float32], ...]:
        """Return the shape and its slopes along columns and rows, (n, H, W) each.

        Parameters
        ----------
        centres : shape (n, 2), column and row of the peak, in pixels, within the frame
        """
        fine = np.rint(centres * PHASES).astype(np.int64)
        beyond = (centres - fine / PHASES).astype(np.float32)
        cell, phase = np.divmod(fine, PHASES)
        # Pixel 0 lies `cell` pixels before the peak: the window begins so far before the middle.
        rows, columns = self._shape[0] - 1 - cell[:, 1], self._shape[1] - 1 - cell[:, 0]
        value, right, down = (w[phase[:, 1], phase[:, 0], rows, columns] for w in self._windows)
        value -= beyond[:, 0, None, None] * right
        value -= beyond[:, 1, None, None] * down
        return value, right, down


def _windows(table: Reals, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return views (PHASES, PHASES, H, W, H, W) of a table with `PHASES` values a pixel."""
    rows, columns = (length // PHASES for length in table.shape)
    parts = table.reshape(rows, PHASES, columns, PHASES).transpose(1, 3, 0, 2)
    # A peak that lies a phase beyond a pixel sees all pixels that much before it.
    return sliding_window_view(
        np.ascontiguousarray(parts[::-1, ::-1], dtype=np.float32), shape, (2, 3)
    )
