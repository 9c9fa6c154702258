"""Scale bars, arrows and text that were drawn in colour over a grey image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt

__all__ = ["less_marks", "marked_pixels"]

COLOURED, TINTED = 1 / 32, 1 / 100
"""Of the range of an image, by which the channels of a coloured pixel differ at least, and those of
one that is not grey: compression leaves small differences around marks."""
MOST_MARKED = 0.25
"""Share of pixels that are not grey up to which an image is a grey one with marks."""
VIVID = 0.3
"""Of the range of an image, by which channels differ in marks at least, where they differ most: a
tinted image has less, in its bright places too; lines of one pixel that JPEG smears have 0.35."""
MOST_SPREAD, BLOCKS = 1 / 3, 16
"""Share of the blocks of an image, so many along an edge, that have marks at most: a colour that
stands for a phase or an element lies everywhere."""
EDGE_PX = 2
"""Around a mark, where its colour is blended with the image."""


def marked_pixels(page: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which pixels (…, H, W) of a grey image or stack (…, H, W, 3) have a colour.

    None where none has, or where the image is in colours, or was scanned or photographed as such:
    also in colours that mean something, as of a map of elements, alone or over a micrograph.
    """
    values = page.astype(np.float64) if page.dtype.kind == "i" else page
    with np.errstate(invalid="ignore"):  # the difference of infinities is no number
        spread = values.max(axis=-1) - values.min(axis=-1)
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not known.size:
        return None
    extent = float(known.max()) - float(known.min())
    coloured = np.asarray(spread > COLOURED * extent)
    if not coloured.any() or (spread > TINTED * extent).mean() > MOST_MARKED:
        return None
    is_drawn = np.percentile(spread[coloured], 99) > VIVID * extent
    # A map of elements or orientations is black where it has no colour.
    rest = values[..., 0][~coloured & np.isfinite(spread)]
    rest = np.percentile(rest, (5, 95)) if rest.size else np.zeros(2)
    if is_drawn and np.ptp(rest) > COLOURED * extent and _share_of_blocks(coloured) <= MOST_SPREAD:
        return coloured
    return None


def _share_of_blocks(coloured: NDArray[np.bool_]) -> float:
    """Return in what share of the blocks of images a pixel has a colour."""
    number = min(BLOCKS, *coloured.shape[-2:])
    return float(
        np.mean(
            [
                block.any(axis=(-2, -1)).mean()
                for rows in np.array_split(coloured, number, axis=-2)
                for block in np.array_split(rows, number, axis=-1)
            ]
        )
    )


def less_marks(grey: NDArray[Any], coloured: NDArray[np.bool_]) -> tuple[NDArray[Any], str]:
    """Return an image whose marks hold the grey levels beside them, and a sentence that says so.

    Parameters
    ----------
    grey : (H, W)
    coloured : of `marked_pixels`
    """
    marks = binary_dilation(coloured, np.ones((3, 3), bool), EDGE_PX)
    if marks.all():
        marks = coloured
    beside = distance_transform_edt(marks, return_distances=False, return_indices=True)
    rows, columns = (np.flatnonzero(coloured.any(axis=axis)) for axis in (1, 0))
    return grey[tuple(beside)], (
        f"The image is grey but for {coloured.mean():.2%} of its pixels, within rows {rows[0]} "
        f"to {rows[-1]} and columns {columns[0]} to {columns[-1]}, which have colours, as "
        "a scale bar, an arrow or text that was drawn over it has: what lies beneath is not known, "
        "and they are taken for what is beside them; give the image without marks where there is "
        "one."
    )
