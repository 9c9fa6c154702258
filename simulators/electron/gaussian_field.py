"""Smooth random fields in space, the stuff that microstructures are cut from."""

from __future__ import annotations

import numpy as np

from bl_steer.protocols import Array

__all__ = ["GaussianField"]

N_WAVES = 96


class GaussianField:
    """A stationary, isotropic random field of mean 0 and variance 1: a sum of plane waves.

    It is defined at every place, so the same field can be cut at any origin and pixel size.

    Parameters
    ----------
    rng : draws the waves
    wavelength : the waves' median length, in the unit of the places
    spread : standard deviation of the logarithm of the lengths; 0 gives one length
    n_waves : number of waves; the field is Gaussian in the limit of many

    Notes
    -----
    g(r) = √(2/n) Σ cos(k_i · r + φ_i), with isotropic k_i and uniform φ_i (Cahn, 1965,
    DOI 10.1063/1.1695731, for |k_i| of one length).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        wavelength: float,
        *,
        spread: float = 0.15,
        n_waves: int = N_WAVES,
    ) -> None:
        directions = rng.standard_normal((n_waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = wavelength * np.exp(spread * rng.standard_normal((n_waves, 1)))
        self._k = 2.0 * np.pi / lengths * directions
        self._phase = rng.uniform(0.0, 2.0 * np.pi, n_waves)

    def __call__(self, z: Array, y: Array, x: Array) -> Array:
        """Return the field, shape (len(z), len(y), len(x)), on the grid of the three axes."""
        planes, rows, columns = (
            np.exp(1j * np.outer(places, k)) for places, k in zip((z, y, x), self._k.T, strict=True)
        )
        planes *= np.sqrt(2.0 / len(self._phase)) * np.exp(1j * self._phase)
        right = np.concatenate([columns.real, -columns.imag], axis=1).T
        field = np.empty((len(z), len(y), len(x)))
        for plane, out in zip(planes, field, strict=True):
            left = rows * plane
            np.matmul(np.concatenate([left.real, left.imag], axis=1), right, out=out)
        return field
