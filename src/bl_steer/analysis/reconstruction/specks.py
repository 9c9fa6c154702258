"""Specks of a segmentation: parts of a phase too small to be told from the network's noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from bl_steer.files.large_arrays import let_go

__all__ = ["take_out_specks", "without_specks"]

PLANES = 16
"""Of a volume on the disk, between which its memory is given back."""


def without_specks(labels: NDArray[np.uint8], smallest_px: int) -> NDArray[np.uint8]:
    """Return a label map (H, W) whose parts of fewer pixels have taken the phase beside them.

    Parameters
    ----------
    labels : (H, W)
    smallest_px : pixels of the smallest part that stays; pixels that touch at corners only are
        two parts

    Returns
    -------
    labels : (H, W); each pixel of a speck has the phase of the nearest pixel that is in none

    Notes
    -----
    Where a blurred edge runs from oxide to void, its greys pass through that of carbon: a
    segmentation sprinkles specks of the third phase along it. They are little area, but each
    closes a triple line around itself and is a part of its own.

    Examples
    --------
    >>> one = np.zeros((4, 5), np.uint8)
    >>> one[1, 2] = 2
    >>> bool(without_specks(one, 2).any()), bool(without_specks(one, 1).any())
    (False, True)
    """
    speck = np.zeros(labels.shape, np.bool_)
    for phase in np.unique(labels):
        parts, _ = label(labels == phase)
        small = np.bincount(parts.ravel()) < smallest_px
        small[0] = False
        speck |= small[parts]
    if not speck.any() or speck.all():
        return labels
    nearest = distance_transform_edt(speck, return_distances=False, return_indices=True)
    return np.asarray(labels[tuple(nearest)])


def take_out_specks(volume: NDArray[np.uint8], smallest_px: int) -> None:
    """Take the specks out of each plane of a volume (N, H, W), in its place.

    Notes
    -----
    Planes that are inserted between slices without specks have some again, mostly where a film has
    holes: slices are planes like any other, and show none.
    """
    for number, plane in enumerate(volume):
        cleaned = without_specks(plane, smallest_px)
        if cleaned is not plane:
            volume[number] = cleaned
        if number % PLANES == PLANES - 1:
            let_go(volume)
