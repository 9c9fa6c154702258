"""Random textures of simulated samples: one field each for space, for a surface and for an image.

`GaussianField` fills boxes of three dimensions, plane by plane, and `WaveTexture` answers single
points of a surface; both are sums of plane waves, defined everywhere. `smooth_noise` is made for
one image alone, and fast. The order in which each draws its numbers is part of every specimen that
a seed stands for: it must not change.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from bl_steer.protocols import Array

__all__ = ["GaussianField", "WaveTexture", "smooth_noise"]

N_WAVES = 96


class GaussianField:
    """A stationary, isotropic random field of mean 0 and variance 1: a sum of plane waves.

    It is defined at every place, so the same field can be cut at any origin and pixel size.

    Parameters
    ----------
    rng : draws the waves
    wavelength : the waves' median length, in the unit of the positions
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
            np.exp(1j * np.outer(positions, k))
            for positions, k in zip((z, y, x), self._k.T, strict=True)
        )
        planes *= np.sqrt(2.0 / len(self._phase)) * np.exp(1j * self._phase)
        right = np.concatenate([columns.real, -columns.imag], axis=1).T
        field = np.empty((len(z), len(y), len(x)))
        for plane, out in zip(planes, field, strict=True):
            left = rows * plane
            np.matmul(np.concatenate([left.real, left.imag], axis=1), right, out=out)
        return field


class WaveTexture:
    """A random field over a surface, of mean 0 and variance 1: a sum of plane waves.

    Parameters
    ----------
    wavelengths_um : shortest and longest wave, µm; drawn evenly on a log scale
    rng : draws the waves
    n_waves : number of waves
    """

    def __init__(
        self, wavelengths_um: tuple[float, float], rng: np.random.Generator, n_waves: int = 32
    ) -> None:
        low, high = np.log(wavelengths_um)
        k = 2.0 * np.pi / np.exp(rng.uniform(low, high, n_waves))
        angle = rng.uniform(0.0, 2.0 * np.pi, n_waves)
        self._waves = np.stack([k * np.cos(angle), k * np.sin(angle)])
        self._phases = rng.uniform(0.0, 2.0 * np.pi, n_waves)

    def __call__(self, x: Array, y: Array) -> Array:
        """Return the field, shape (n,), at the points x, y of shape (n,) each, µm."""
        waves = np.cos(np.stack([x, y], axis=-1) @ self._waves + self._phases)
        return np.asarray(waves.sum(axis=1) * np.sqrt(2.0 / len(self._phases)))


def smooth_noise(shape: tuple[int, ...], size_px: float, rng: np.random.Generator) -> Array:
    """Return smooth noise of mean 0 and variance 1 whose spots have some `size_px` pixels."""
    step = max(size_px / 3.0, 1.0)
    coarse = [int(np.ceil(n / step)) + 8 for n in shape]
    sigma = 0.5 * size_px / step
    smooth = gaussian_filter(rng.standard_normal(coarse), sigma, mode="wrap")
    smooth *= np.sqrt(4.0 * np.pi) * max(sigma, 0.3)
    if step > 1.0:
        smooth = zoom(smooth, step, order=2, mode="nearest")
    rows, columns = shape
    return np.asarray(smooth[2 : 2 + rows, 2 : 2 + columns])
