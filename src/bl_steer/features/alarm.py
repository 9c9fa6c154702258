"""Tell when a pattern holds something that the basis has not seen.

A few components never follow every tilt and composition of a real film, so that ordinary patterns
leave residuals too: beside the peaks that move. A phase that no earlier pattern held, or a peak
that has walked away, leaves one where there was none before. `unexplained_share` is the plain
measure for records and plots; `ResidualAlarm` looks at where the residual lies.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from bl_steer.protocols import Array

__all__ = ["ResidualAlarm", "unexplained_share"]


def unexplained_share(patterns: Array, fitted: Array, count: Array | float = 1.0) -> Array:
    """Return how much of each pattern is neither fitted nor counting noise.

    Parameters
    ----------
    patterns : x, shape (n_points, n_pixels)
    fitted : y, the same shape
    count : c, the value of one count, of all pixels or each

    Returns
    -------
    share : shape (n_points,), in 0 … 1

    Notes
    -----
    sqrt(max(0, |x - y|² - Σcx)) / |x|: Σcx is the expected square of Poisson noise. Of values that
    are no counts, c is next to 0.
    """
    norm = np.einsum("np,np->n", patterns, patterns)
    excess = ((patterns - fitted) ** 2).sum(axis=1) - (patterns * count).sum(axis=1)
    share = np.sqrt(np.maximum(excess, 0.0) / np.where(norm > 0, norm, 1.0))
    return np.asarray(np.minimum(share, 1.0), dtype=float)


class ResidualAlarm:
    """Compare a pattern's residual, pixel by pixel, with what the patterns seen so far leave.

    Parameters
    ----------
    shape : frame shape (H, W)

    Notes
    -----
    With s the smoothing by (1, 2, 1)/4 along both axes, twice, and u = rms s(x - y) over the
    patterns of the latest fit, the surprise of a pattern is

        max over pixels of s(x - y) / (u + mean(u)/2 + sqrt(max(c s(y), c²))),

    c being the value of one count.

    The alarm is raised above 1.5 times the 90th percentile of the latest 50 new patterns, taken
    before the basis has learned from them, within 5 … 20; 10 until ten have been observed.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._usual = np.zeros(shape[0] * shape[1])
        self._observed: deque[float] = deque(maxlen=50)

    def learn(self, patterns: Array, fitted: Array) -> None:
        """Take what a new fit leaves of its own patterns, both of shape (n_points, n_pixels)."""
        left = _smooth(patterns - fitted, self._shape)
        usual = np.sqrt((left**2).mean(axis=0))
        self._usual = usual + 0.5 * usual.mean()

    def observe(self, surprises: Array) -> None:
        """Take the surprises of new patterns, (n_new,): they set the threshold."""
        self._observed.extend(float(surprise) for surprise in surprises)

    def surprise(self, patterns: Array, fitted: Array, count: Array | float = 1.0) -> Array:
        """Return the surprise of each pattern: (n_points, n_pixels) twice to (n_points,)."""
        noise = np.sqrt(np.maximum(_smooth(fitted, self._shape) * count, np.square(count)))
        noise = np.maximum(noise, np.finfo(float).tiny)
        surprises = _smooth(patterns - fitted, self._shape) / (self._usual + noise)
        return np.asarray(surprises.max(axis=1), dtype=float)

    @property
    def threshold(self) -> float:
        """The surprise above which a pattern raises the alarm."""
        if len(self._observed) < 10:
            return 10.0
        return float(np.clip(1.5 * np.quantile(list(self._observed), 0.9), 5.0, 20.0))


def _smooth(patterns: Array, shape: tuple[int, int]) -> Array:
    frames = patterns.reshape(-1, *shape)
    for axis in (1, 2) * 2:
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        padded = np.moveaxis(np.pad(frames, padding, mode="edge"), axis, 0)
        smoothed = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
        frames = np.moveaxis(smoothed, 0, axis)
    return np.asarray(frames.reshape(patterns.shape), dtype=float)
