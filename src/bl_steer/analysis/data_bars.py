"""The data bar that a microscope writes below its image, found by its looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["rows_of_bar"]

BAR_SHARES = (0.02, 0.25)
"""Of the image's height, for a data bar."""
BAR_ROW, BAR_WHOLE = 0.6, 0.75
"""Least share of one grey level in each row of a data bar, and of two in the whole of it."""


def rows_of_bar(image: NDArray[Any]) -> int:
    """Return how many of the last rows of an image (H, W) are a data bar; 0 for none.

    Each row of a bar with text has nearly one grey level.
    """
    low, high = float(np.min(image)), float(np.max(image))
    least, most = (round(share * len(image)) for share in BAR_SHARES)
    if not high > low or least < 1:
        return 0
    levels = np.rint((image[-most - 1 :] - low) * (255.0 / (high - low))).astype(np.intp)
    counts = np.stack([np.bincount(row, minlength=256) for row in levels[::-1]])
    flat = counts.max(axis=1) >= BAR_ROW * levels.shape[1]
    rows = len(flat) if flat.all() else int(flat.argmin())
    whole = np.sort(counts[:rows].sum(axis=0))[-2:].sum()
    is_bar = least <= rows <= most and whole >= BAR_WHOLE * rows * levels.shape[1]
    return rows if is_bar else 0
