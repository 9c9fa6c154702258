"""What slices must be to be aligned, and what a user must know of the aligned stack."""

from __future__ import annotations

import math
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
    "lean_warnings",
    "mark_warnings",
    "missing_warnings",
]

LISTED = 8
"""Slices that are named."""
MARKS_ALIKE = 0.4
"""Correlation of marks with those of the first slice, at least: on simulated electrodes notches had
.9 and more, what is no mark (metal, vacuum, the specimen, an edge along x) .3 at the most in the
median, in boxes of 26 × 60 pixels and more."""
LEANS = 0.25
"""Of the pitch, by which a specimen may move from slice to slice against the marks: features that
lean by 14° throughout; simulated networks lean by 4.5° of standard deviation, slanted notches by
27° and more."""
ASIDE_PX = 15.0
"""By which a specimen moves from slice to slice against the marks: by chance some 2 px."""
LEAST_PX = 8
"""Edge of the part that all slices show, at least."""


def check_common_part(
    rows: slice,
    columns: slice,
    *,
    displacement_px: Array,
    shape: tuple[int, int],
    first_row: int = 0,
) -> None:
    """Refuse slices that have drifted so far that they show nothing in common.

    Parameters
    ----------
    rows, columns : that all slices show
    displacement_px : of each slice (y, x), shape (n, 2)
    shape : of an image
    first_row : of the specimen, above which nothing counts
    """
    if rows.stop - rows.start < LEAST_PX or columns.stop - columns.start < LEAST_PX:
        below = f" below row {first_row}, where the specimen begins" if first_row else ""
        remedy = ", or give a smaller specimen_from" if first_row else ""
        raise ValueError(
            f"slices must have a part of {LEAST_PX} px and more in common{below}, got drifts of up "
            f"to {np.abs(displacement_px).max():.0f} pixels in images of {shape[0]} rows and "
            f"{shape[1]} columns; take out the slices that do not belong{remedy}"
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
        places = [place for place, other in bad.items() if other == reason]
        one = len(places) == 1
        use = (
            "" if reason == NOT_FINITE else f"; with keep_bad {'it is' if one else 'they are'} used"
        )
        yield (
            f"slice{'' if one else 's'} {_named(numbers, files, places)} "
            f"{'is' if one else 'are'} {reason} and taken as missing{use}"
        )


def drift_warnings(
    *, by_marks: bool, error_px: float, wander_px: float, lean_px: float
) -> Iterator[str]:
    """Say what cannot be known of the drift without tracking marks.

    Parameters
    ----------
    error_px : expected, rms; NaN where the images are too small to tell
    wander_px : of that, what is no steady drift
    lean_px : of features from slice to slice, standard deviation
    """
    if by_marks:
        return
    if math.isnan(error_px):
        yield (
            "without tracking marks, drift cannot be told from features of the specimen that lie "
            "aslant: expect errors of several pixels that grow along the stack, and depths that "
            "are nominal"
        )
        return
    yield (
        "without tracking marks, drift cannot be told from features of the specimen that lie "
        f"aslant: expect errors of about {error_px:.1f} px rms, {wander_px:.1f} px apart from a "
        f"steady drift, of which up to {2 * lean_px:.1f} px a slice may be taken for a lean, and "
        "left; they grow along the stack, and depths are nominal"
    )


def mark_warnings(
    numbers: NDArray[np.int_], likeness: Array | None, files: Sequence[str] = ()
) -> Iterator[str]:
    """Name the slices whose marks are unlike those of the first.

    Parameters
    ----------
    numbers, files : of the slices, in order
    likeness : of each, as `bl_steer.slicing.registration.likeness` tells it; None without marks

    Raises
    ------
    ValueError
        Where most are: the box holds no marks then.
    """
    if likeness is None or len(numbers) < 2:
        return
    unlike = np.flatnonzero(likeness < MARKS_ALIKE)
    others = len(numbers) - 1
    if 2 * len(unlike) >= others:
        raise ValueError(
            "the box of marks must hold straight notches that every slice shows, got one in which "
            f"{len(unlike)} of {others} slices are unlike the first, "
            f"{_named(numbers, files, [0])} (correlation {np.median(likeness[1:]):.2f} in the "
            "median); draw it anew around the notches, as the first slice shows them"
        )
    if len(unlike):
        yield (
            f"the marks are not found again in slices {_named(numbers, files, unlike.tolist())}: "
            "how far these have drifted is not known, and they are placed as the one before; look "
            "at the box of marks there"
        )


def lean_warnings(
    numbers: NDArray[np.int_], leans_px: Array | None, pitch_px: float, files: Sequence[str] = ()
) -> Iterator[str]:
    """Say that the specimen moves against the marks: one of the two is slanted, or mistaken.

    Parameters
    ----------
    numbers, files : of the slices, in order
    leans_px : in each pitch (y, x), shape (n - 1, 2); None without marks
    """
    if leans_px is None:
        return
    middle = np.median(leans_px, axis=0)
    aside = np.flatnonzero(np.abs(leans_px - middle).max(axis=1) > ASIDE_PX) + 1
    if len(aside):
        yield (
            f"against the marks the specimen jumps by more than {ASIDE_PX:.0f} px to slices "
            f"{_named(numbers, files, aside.tolist())}: a notch may be taken for another there, or "
            "the specimen shows little that neighbours share; look at these slices"
        )
    # The standard error of a median of normal deviates, twice.
    unsure = 2.0 * np.sqrt(np.pi / 2.0) * leans_px.std(axis=0) / np.sqrt(len(leans_px))
    for axis, by, error in zip("yx", middle, unsure, strict=True):
        if abs(by) - error > LEANS * pitch_px and len(leans_px) > 2:
            yield (
                f"against the marks the specimen moves by {by:+.1f} px from slice to slice along "
                f"{axis}, as it does where their notches are slanted: the box must hold straight "
                "ones alone"
            )


def _named(numbers: NDArray[np.int_], files: Sequence[str], places: Sequence[int]) -> str:
    """Return the numbers of some slices, with their files where these are known."""
    named = [f"{numbers[k]} ({files[k]})" if files else str(numbers[k]) for k in places]
    more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
    return f"{', '.join(named[:LISTED])}{more}"


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
        runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
        shown = [f"{run[0]}" if len(run) == 1 else f"{run[0]} … {run[-1]}" for run in runs[:LISTED]]
        more = f" and more, {len(missing)} in all" if len(runs) > LISTED else ""
        yield f"slices are missing: {', '.join(shown)}{more}"
