"""What slices must be to be aligned, and what a user must know of the aligned stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.grey_levels import few_levels
from bl_steer.protocols import Array
from bl_steer.slicing.bad_slices import NOT_FINITE

__all__ = [
    "bad_warnings",
    "check_common_part",
    "check_enough",
    "drift_warnings",
    "label_warnings",
    "missing_warnings",
]

LISTED = 8
"""Slices that are named."""
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


def check_enough(n_slices: int, bad: Mapping[int, str]) -> None:
    """Refuse a stack of which nothing is left without its bad slices.

    Parameters
    ----------
    bad : as `bl_steer.slicing.find_bad_slices` returns them
    """
    if n_slices - len(bad) < 1:
        raise ValueError(
            f"there must be slices that show a face, got {n_slices} that are "
            f"{', '.join(sorted(set(bad.values())))}; check the files, or give keep_bad"
        )


def bad_warnings(
    numbers: NDArray[np.int_], bad: Mapping[int, str], files: Sequence[str] = ()
) -> Iterator[str]:
    """Name the slices that are taken as missing, by numbers and files, with the reason.

    Parameters
    ----------
    numbers : of all slices, in order
    bad : as `bl_steer.slicing.find_bad_slices` returns them
    files : names of all slices, in the same order; empty where they are not known
    """
    for reason in sorted(set(bad.values())):
        named = [
            f"{numbers[place]} ({files[place]})" if files else str(numbers[place])
            for place, other in bad.items()
            if other == reason
        ]
        more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
        one = len(named) == 1
        use = (
            "" if reason == NOT_FINITE else f"; with keep_bad {'it is' if one else 'they are'} used"
        )
        yield (
            f"slice{'' if one else 's'} {', '.join(named[:LISTED])}{more} "
            f"{'is' if one else 'are'} {reason} and taken as missing{use}"
        )


def drift_warnings(*, by_marks: bool, error_px: float, wander_px: float) -> Iterator[str]:
    """Say what cannot be known of the drift without tracking marks.

    Parameters
    ----------
    error_px : expected, rms; NaN where the images are too small to tell
    wander_px : of that, what is no steady drift
    """
    if not by_marks:
        about = (
            f"about {error_px:.1f} px rms, {wander_px:.1f} px apart from a steady drift"
            if error_px == error_px
            else "several pixels"
        )
        yield (
            "without tracking marks, drift cannot be told from features of the specimen that lie "
            f"aslant: expect errors of {about}, more where the features lean one way throughout, "
            "that grow along the stack, and depths that are nominal"
        )


def label_warnings(images: Any) -> Iterator[str]:
    """Say that slices look like label maps.

    Parameters
    ----------
    images : (n, H, W)
    """
    n = len(images)
    levels = few_levels(np.asarray(images[number]) for number in sorted({0, n // 2, n - 1}))
    if len(levels) > 1:
        yield (
            f"the slices hold the {len(levels)} values {', '.join(f'{v:g}' for v in levels)} "
            "alone, as labels do, and are aligned as grey levels, which makes values in between; "
            "give label maps to bl-steer superres or structure"
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
