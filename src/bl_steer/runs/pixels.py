"""What the pixels of a run's points tell together: which of them died, and whether points differ.

`bl_steer.runs.points` asks at each point, in a run under way and in a stored one alike.
"""

from __future__ import annotations

import math

import numpy as np

from bl_steer.protocols import Array

__all__ = ["Contrast", "DeadPixels"]

FEW = 8
"""Points among which there must be something to tell apart, or there may be no beam."""

EXPECTED = 40.0
"""Counts of which a pixel in order shows none by chance once in e⁴⁰, 10¹⁷ times."""
BRIGHT = 10.0
"""Counts that two exposures share by chance once in 11 times, √(4π · 10), at the most."""
FROZEN = 17
"""Points in a row with one number of such counts: by chance once in 11¹⁶, 10¹⁶ times."""


class DeadPixels:
    """Follow the pixels of a detector from point to point.

    Notes
    -----
    A pixel is taken for dead where it counts nothing more, though it should have counted
    `EXPECTED` since it last did: the lesser of its neighbours on both sides, times its own share of
    these until then. It is also dead where it shows one number of counts at `FROZEN` points in a
    row while its neighbours go on. What never counted, or never changed, is a mask and no fault.
    """

    def __init__(self) -> None:
        self._before: Array | None = None

    def take(self, counts: Array) -> int:
        """Return how many pixels are dead, by the next point too.

        Parameters
        ----------
        counts : shape (H, W), of the point, as the detector gave them
        """
        if self._before is None or self._before.shape != counts.shape:
            self._before = None
            self._counted, self._beside, self._missed = np.zeros((3, *counts.shape))
            self._frozen = np.zeros(counts.shape, dtype=np.int64)
            self._varied = np.zeros(counts.shape, dtype=bool)
        beside = _beside(np.maximum(counts, 0.0))
        lit = counts > 0
        self._missed += beside
        self._counted += np.where(lit, counts, 0.0)
        self._beside += np.where(lit, self._missed, 0.0)
        self._missed[lit] = 0.0
        if self._before is not None:
            changed = counts != self._before
            self._varied |= changed
            goes_on = _beside(changed.astype(float)) > 0
            self._frozen[changed] = 0
            self._frozen += ~changed & goes_on & self._varied & (counts >= BRIGHT)
        self._before = counts
        known = (self._counted >= EXPECTED) & (self._beside >= EXPECTED)
        share = np.minimum(self._counted, self._beside) / np.maximum(self._beside, 1.0)
        dark = known & (share * self._missed >= EXPECTED)
        return int((dark | (self._frozen >= FROZEN)).sum())


class Contrast:
    """Tell whether the patterns of a run's points differ by more than chance.

    Notes
    -----
    Poisson's counts have, over n points and k pixels, the sum of (n - 1) variance/mean around
    k (n - 1), with the variance 2 k (n - 1): the index of dispersion, Fisher 1925, Statistical
    Methods for Research Workers, §16. What is no number of counts is no chance.
    """

    def __init__(self) -> None:
        self._n = 0
        self._sums = np.zeros((2, 0, 0))
        self._are_counts = True

    def is_chance(self, counts: Array) -> bool:
        """Take a point's counts, shape (H, W); return whether all of `FEW` or more are alike."""
        if self._n == 0 or self._sums.shape[1:] != counts.shape:
            self._n, self._sums = 0, np.zeros((2, *counts.shape))
        self._n += 1
        self._are_counts &= bool((counts == np.round(counts)).all() and counts.min() >= 0)
        self._sums += counts, counts**2
        lit = self._sums[0] > 0
        if self._n < FEW or not self._are_counts or not lit.any():
            return False
        first, second = self._sums[:, lit]
        free = first.size * (self._n - 1)
        dispersion = float((self._n * second / first - first).sum())
        return bool(dispersion < free + 3.0 * math.sqrt(2.0 * free))


def _beside(values: Array) -> Array:
    """Return, for each pixel, the lesser of the two beside it, or of those above and below."""
    result = np.zeros(values.shape)
    if values.shape[1] > 2:
        result[:, 1:-1] = np.minimum(values[:, :-2], values[:, 2:])
    if values.shape[0] > 2:
        lesser = np.minimum(values[:-2], values[2:])
        result[1:-1] = np.maximum(result[1:-1], lesser)
    return result
