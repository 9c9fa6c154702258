"""Take zingers and hot pixels out of frames before a peak's shape is learned or looked for.

A zinger (a cosmic ray, or a hit in the detector's electronics) puts hundreds of counts into one
pixel of one frame. One of them is enough to become a component of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["without_spikes"]

RATIO = 3.0
"""A pixel is suspect above this multiple of its brightest neighbour: a Gaussian peak of the
nominal width falls by less than a factor 2 from pixel to pixel."""
FLOOR_COUNTS = 15.0
"""Allowed on top, in counts: Poisson fluctuation over dark neighbours."""


def without_spikes(patterns: Array, shape: tuple[int, int]) -> Array:
    """Replace lone bright pixels by the median of their neighbours.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), counts
    shape : frame shape (H, W)

    Returns
    -------
    patterns : the same shape; the same array where nothing was replaced

    Notes
    -----
    A pixel with x > 3·max(neighbours) + 15 counts is replaced by the median of its 8 neighbours,
    so a true peak must be wider than a pixel. Two adjacent hit pixels stay. Frames of fewer than
    3 rows or columns are returned as they are: on a spectrum a line one channel wide is real.
    """
    height, width = shape
    if height < 3 or width < 3 or not patterns.size or patterns.max() <= FLOOR_COUNTS:
        return patterns
    frames = patterns.reshape(-1, height, width)
    suspects = np.argwhere(_stands_out(frames))
    if not len(suspects):
        return patterns
    padded = np.pad(frames, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    offsets = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    frame, row, column = suspects.T
    around = np.stack([padded[frame, row + i, column + j] for i, j in offsets])
    spikes = frames[frame, row, column] > RATIO * np.nanmax(around, axis=0) + FLOOR_COUNTS
    if not spikes.any():
        return patterns
    cleaned = frames.copy()
    cleaned[frame[spikes], row[spikes], column[spikes]] = np.nanmedian(around[:, spikes], axis=0)
    return cleaned.reshape(patterns.shape)


def _stands_out(frames: Array) -> NDArray[np.bool_]:
    """Compare with the left and right neighbours only: cheap, and few pixels are left over."""
    stands_out = frames > FLOOR_COUNTS
    limit = RATIO * frames + FLOOR_COUNTS
    stands_out[:, :, 1:] &= frames[:, :, 1:] > limit[:, :, :-1]
    stands_out[:, :, :-1] &= frames[:, :, :-1] > limit[:, :, 1:]
    return stands_out
