"""What a pixel detector makes of the photons: gaps, hot and dead pixels, and counts as integers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["SENTINEL", "PixelDetector"]

SENTINEL = -1
"""What a pixel shows that is none, in a gap between modules."""
HOT_RATES = (1.0, 1000.0)
"""Counts/s of hot pixels, which are drawn evenly in the logarithm. On a real one there were four
with 2 to 900 counts a frame, where the median pixel had .002."""


class PixelDetector:
    """An area detector of several modules, and its pixels that are out of order.

    Parameters
    ----------
    shape : rows and columns
    seed : of the pixels that are out of order
    modules : along rows and columns
    gap_px : width of the gaps between modules; by default a 128th of the rows, and 1 at least
    hot_share, dead_share : of the pixels; two of each at least, and none for 0

    Attributes
    ----------
    gaps, hot, dead : shape (H, W), True where a pixel is so
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        seed: int = 0,
        modules: tuple[int, int] = (3, 3),
        gap_px: int | None = None,
        hot_share: float = 1e-4,
        dead_share: float = 2e-4,
    ) -> None:
        rng = np.random.default_rng([seed, 4])
        n = shape[0] * shape[1]
        width = max(1, shape[0] // 128) if gap_px is None else gap_px
        rows, columns = (_gaps(size, m, width) for size, m in zip(shape, modules, strict=True))
        self.gaps: NDArray[np.bool_] = rows[:, None] | columns
        n_hot, n_dead = (max(2, round(s * n)) if s else 0 for s in (hot_share, dead_share))
        chosen = rng.choice(np.flatnonzero(~self.gaps), n_hot + n_dead, replace=False)
        self.hot, self.dead = np.zeros((2, *shape), dtype=bool)
        self.hot.flat[chosen[:n_hot]] = True
        self.dead.flat[chosen[n_hot:]] = True
        self._dark = np.zeros(shape)
        low, high = np.log(HOT_RATES)
        self._dark[self.hot] = np.exp(rng.uniform(low, high, n_hot))

    def count(self, rates: Array, exposure_s: float, rng: np.random.Generator) -> NDArray[np.int32]:
        """Return a frame (H, W) of counts, for the rates (H, W) of photons in counts/s."""
        frame = rng.poisson((rates + self._dark) * exposure_s).astype(np.int32)
        frame[self.dead] = 0
        frame[self.gaps] = SENTINEL
        return frame


def _gaps(size: int, modules: int, width: int) -> NDArray[np.bool_]:
    gaps = np.zeros(size, dtype=bool)
    for _, edge in pairwise(np.linspace(0, size, modules + 1)[:-1]):
        first = round(edge - 0.5 * width)
        gaps[first : first + width] = True
    return gaps
