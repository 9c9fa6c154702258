"""The data bar that a microscope writes below its image, found by its looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["rows_above", "rows_of_bar"]

BAR_SHARES = (0.02, 0.25)
"""Of the image's height, for a data bar."""
LEAST_ROWS = 8
"""Of an image above its data bar."""
BAR_ROW, BAR_WHOLE = 0.6, 0.75
"""Least share of one grey level in each row of a data bar, and of two in the whole of it."""


def rows_above(height: int, bar_px: int, stated: int = 0) -> tuple[int, list[str]]:
    """Return how many rows of an image are left without its data bar, and what to say of it.

    Parameters
    ----------
    height : rows that were read
    bar_px : rows of the bar, as somebody told them
    stated : rows of the bar that the file states: they were left out as it was read

    Raises
    ------
    ValueError
        When next to nothing is left.
    """
    left = height + min(0, stated - bar_px)
    if left < LEAST_ROWS:
        raise ValueError(
            f"bar_px must leave rows of the images of {height + stated}, got {bar_px}; give less"
        )
    if stated <= bar_px:
        return left, []
    return left, [
        f"the file states a data bar of {stated} rows, which is left out; bar_px={bar_px} was "
        "given: where it is no bar, save the image without that header"
    ]


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
