"""What slices must be to be aligned, and what a user must know of the aligned stack."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["check_common_part", "drift_warnings", "missing_warnings"]

LEAST_PX = 8
"""Edge of the part that all slices show, at least."""


def check_common_part(
    rows: slice, columns: slice, *, displacement_px: Array, shape: tuple[int, int]
) -> None:
    """Refuse slices that have drifted so far that they show nothing in common.

    Parameters
    ----------
    rows, columns : that all slices show
    displacement_px : of each slice (y, x), shape (n, 2)
    shape : of an image
    """
    if rows.stop - rows.start < LEAST_PX or columns.stop - columns.start < LEAST_PX:
        raise ValueError(
            f"slices must have a part in common, got drifts of up to "
            f"{np.abs(displacement_px).max():.0f} pixels in images of {shape}; take out the slices "
            "that do not belong"
        )


def drift_warnings(*, by_marks: bool) -> Iterator[str]:
    """Say what cannot be known of the drift without tracking marks."""
    if not by_marks:
        yield (
            "without tracking marks, drift cannot be told from features of the specimen that lie "
            "aslant: expect errors of several pixels that grow along the stack, and depths that "
            "are nominal"
        )


def missing_warnings(numbers: NDArray[np.int_], n_slices: int) -> Iterator[str]:
    """Name the slices that are missing, between others or at the end.

    Parameters
    ----------
    numbers : of the slices, ascending; empty where they have none
    n_slices : that were to be taken; 0 where that is not known
    """
    if not len(numbers):
        return
    expected = np.arange(int(numbers[0]), max(n_slices, int(numbers[-1]) + 1))
    missing = np.setdiff1d(expected, numbers)
    if len(missing):
        yield f"slices are missing: {', '.join(map(str, missing))}"
