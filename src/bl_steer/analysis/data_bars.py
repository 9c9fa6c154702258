"""The data bar that a microscope writes below its image, found by its looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEGINS_HIGHER", "bar_below", "rows_above"]

BAR_SHARES = (0.02, 0.25)
"""Of the image's height, for a data bar."""
LEAST_ROWS = 8
"""Of an image above its data bar."""
BAR_ROW, BAR_WHOLE = 0.6, 0.75
"""Least share of one grey level in each row of a data bar, and of two in the whole of it."""
PAPER = 0.2
"""Least share of the paper in a row of a data bar where text and scale bar stand side by side."""
EDGE_ROWS, EDGE_STEP = 4, 0.3
"""Rows at either side of the upper edge of a data bar, and by how much the share of its paper falls
from the one to the other."""
LEFT_ABOVE = 0.15
"""How much more paper than the image has elsewhere may be in the rows above the edge."""
BEGINS_HIGHER = (
    "the bar may begin higher, or be none, for the rows above it are much the same: look at them, "
    "and count the rows from the first that is no specimen to the last"
)
"""What to say of a bar without a sharp edge."""


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


def bar_below(image: NDArray[Any]) -> tuple[int, bool]:
    """Return how many of the last rows of an image (H, W) are a data bar, and whether all of it is.

    Most rows of a bar have nearly one grey level; where text and scale bar share rows, these have
    its paper and its ink. Above its edge the paper is rarer at once.

    Returns
    -------
    rows : 0 for none
    sharp : whether the image above differs at once; else the bar may begin higher, or be none
    """
    low, high = float(np.min(image)), float(np.max(image))
    least, most = (round(share * len(image)) for share in BAR_SHARES)
    if not high > low or least < 1:
        return 0, True
    width = image.shape[1]
    start = max(0, len(image) - most - EDGE_ROWS)
    levels = np.rint((image[start:] - low) * (255.0 / (high - low))).astype(np.intp)
    counts = np.stack([np.bincount(row, minlength=256) for row in levels[::-1]])
    flat = counts.max(axis=1) >= BAR_ROW * width
    if not flat[0]:
        return 0, True
    paper = int(counts[: max(1, int(flat.argmin()))].sum(axis=0).argmax())
    share = counts[:, paper] / width
    two = (counts[:, paper] + np.delete(counts, paper, axis=1).max(axis=1)) / width
    in_bar = flat | ((share >= PAPER) & (two >= BAR_WHOLE))
    rows = len(in_bar) if in_bar.all() else int(in_bar.argmin())
    whole = np.sort(counts[:rows].sum(axis=0))[-2:].sum()
    if not (least <= flat[:rows].sum() and rows <= most and whole >= BAR_WHOLE * rows * width):
        return 0, True
    step = low + (high - low) * np.array([paper - 0.5, paper + 0.5]) / 255.0
    elsewhere = np.mean((image[:start] >= step[0]) & (image[:start] <= step[1]))
    inside, above = share[max(0, rows - EDGE_ROWS) : rows].max(), share[rows:][:EDGE_ROWS].mean()
    return rows, bool(inside - above >= EDGE_STEP and above - elsewhere < LEFT_ABOVE)
