"""Tell when a pattern holds something that the basis has not seen.

A phase that no earlier pattern held, or a peak that has walked away from where the components
have it, leaves a residual that counting statistics do not account for.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from bl_steer.protocols import Array

__all__ = ["ResidualAlarm", "unexplained_share"]


def unexplained_share(patterns: Array, fitted: Array) -> Array:
    """Return how much of each pattern is neither fitted nor counting noise.

    Parameters
    ----------
    patterns : x, shape (n_points, n_pixels), counts
    fitted : y, the same shape

    Returns
    -------
    share : shape (n_points,), in 0 … 1

    Notes
    -----
    sqrt(max(0, |x - y|² - Σx)) / |x|: Σx is the expected square of Poisson noise. Values that are
    no counts (a normalised spectrum) are treated as if they were; where they are much below 1 the
    share comes out too small, and an alarm too seldom.
    """
    norm = np.einsum("np,np->n", patterns, patterns)
    excess = ((patterns - fitted) ** 2).sum(axis=1) - patterns.sum(axis=1)
    share = np.sqrt(np.maximum(excess, 0.0) / np.where(norm > 0, norm, 1.0))
    return np.asarray(np.minimum(share, 1.0), dtype=float)


class ResidualAlarm:
    """A threshold on the unexplained share, set by what new patterns usually leave.

    Notes
    -----
    Each new pattern's share is observed before the basis has learned from it. The threshold is
    1.5 times the 90th percentile of the latest 50 shares, within .25 … .9; until ten have been
    observed it is .5.
    """

    def __init__(self) -> None:
        self._shares: deque[float] = deque(maxlen=50)

    def observe(self, shares: Array) -> None:
        """Take the shares of new patterns, (n_new,)."""
        self._shares.extend(float(share) for share in shares)

    @property
    def threshold(self) -> float:
        """The share above which a pattern raises the alarm."""
        if len(self._shares) < 10:
            return 0.5
        return float(np.clip(1.5 * np.quantile(list(self._shares), 0.9), 0.25, 0.9))
