"""Where each slice of a stack lies, in the plane and in depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.slices.believed_drift import believed_steps
from bl_steer.analysis.slices.checks import MARKS_ALIKE
from bl_steer.protocols import Array, Progress
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.registration import followed_drift, likeness, specimen_displacement
from bl_steer.slicing.spacing import compare

__all__ = ["Trajectory", "track"]

SMALLEST_QUARTER_PX = 64
"""Edge of a quarter of an image that has features enough to be registered by itself."""
FOLLOWED_PX = 8
"""Displacement from which on quarters are taken where the whole image has moved to: a quarter that
stays in its place loses what moves out of it, and is matched wrongly."""


class Trajectory(NamedTuple):
    """Where the slices lie; the first one is the origin."""

    displacement_px: Array
    """Of the specimen in each image (y, x), shape (n, 2)."""
    spacing_nm: Array
    """From the slice before, shape (n,); NaN for the first."""
    correlation: Array
    """With the slice before, shape (n,); NaN for the first."""
    by_marks: bool
    """Whether marks tell drift from the specimen's own change."""
    error_px: float = math.nan
    """Expected of the displacements along an axis, rms, where no marks tell; NaN where unknown."""
    wander_px: float = math.nan
    """The same apart from a steady drift, which looks like a lean of the specimen."""
    lean_px: float = math.nan
    """Such a lean from slice to slice: its standard deviation; NaN where unknown."""
    likeness: Array | None = None
    """Of the marks with those of the first slice, shape (n,), 1 for the first; None without."""
    leans_px: Array | None = None
    """By which the specimen moves against the marks (y, x) in each pitch, shape (n - 1, 2); None
    without."""


def track(
    images: Sequence[NDArray[Any]],
    *,
    pixel_size_nm: float,
    pitch_nm: float = 0.0,
    marks: TrackingMarks | None = None,
    specimen_from: int = 0,
    corrections_px: Array | None = None,
    missing_nm: Array | None = None,
    pitches: Array | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Find where the slices of a stack lie.

    Parameters
    ----------
    images : each of shape (H, W), in the order of the depth; read one at a time
    pixel_size_nm : edge of a pixel, nm
    pitch_nm : distance of the slices; it tells how far a lean of the specimen carries its features
    marks : tracking marks, if the specimen has some
    specimen_from : first row that shows the specimen, where there are no marks
    corrections_px : displacements (y, x) that the microscope itself made by shifting its beam,
        shape (n, 2); without marks they are no drift
    missing_nm : depth of the slices that are missing before each, (n,); none by default
    pitches : from the slice before to each, (n,), more than 1 where slices are missing; 1 by
        default
    progress : called after each slice

    Notes
    -----
    With marks, every slice is registered against the first, so that errors do not add up. Without
    marks, what the specimen does cannot be told from drift: features that lie aslant seem to
    drift, and a steady shear of the stack is the same as a steady drift. See `believed_steps`.
    """
    n = len(images)
    spacing, correlation = np.full((2, n), np.nan)
    moved, alike = np.zeros((n, 2)), np.ones(n)
    steps: list[Array] = []
    parts: list[Array] = []
    first = before = None
    last: tuple[NDArray[Any], Array] | None = None  # slice whose marks were found, and its drift
    for number in range(n):
        image = np.asarray(images[number])[0 if marks else specimen_from :]
        first = image if first is None else first
        last = (first, moved[0]) if last is None else last
        if before is not None:
            step = compare(
                before,
                image,
                pixel_size_nm=pixel_size_nm,
                marks=marks,
                missing_nm=0.0 if missing_nm is None else float(missing_nm[number]),
            )
            spacing[number], correlation[number] = step.spacing_nm, step.correlation
            if marks is not None:
                found, place = last
                moved[number] = followed_drift(first, image, marks, before=found, before_px=place)
                alike[number] = likeness(first, image, marks, moved[number])
                if alike[number] >= MARKS_ALIKE:
                    last = image, moved[number]
                else:
                    moved[number] = place
                steps.append(step.specimen_px - moved[number] + moved[number - 1])
            else:
                steps.append(step.drift_px)
                parts.append(_parts(before, image, step.drift_px))
        before = image
        if progress is not None:
            progress(number + 1, n)
    if n < 2:
        return Trajectory(moved, spacing, correlation, marks is not None)
    apart = np.ones(n - 1) if pitches is None else pitches[1:]
    if marks is None:
        jumps = np.zeros((n - 1, 2)) if corrections_px is None else np.diff(corrections_px, axis=0)
        seen = np.array(steps) - jumps, np.array(parts) - jumps[:, None], apart
        drift = believed_steps(
            *seen, pitch_px=pitch_nm / pixel_size_nm, edge_px=math.sqrt(np.asarray(before).size)
        )
        moved[1:] = np.cumsum(drift.steps + jumps, axis=0)
        return Trajectory(moved, spacing, correlation, False, *drift[1:])
    leans = np.array(steps) / apart[:, None]
    return Trajectory(moved, spacing, correlation, True, likeness=alike, leans_px=leans)


def _parts(before: NDArray[Any], after: NDArray[Any], moved: Array) -> Array:
    """Return the displacements of the quarters of an image, (4, 2), or none, (0, 2).

    Parameters
    ----------
    moved : displacement (y, x) of the whole
    """
    by = np.rint(moved).astype(int)
    left = np.subtract(before.shape, np.abs(by)) // 2
    if np.abs(by).max() < FOLLOWED_PX or left.min() < SMALLEST_QUARTER_PX:
        by = np.zeros_like(by)
    if by.any():
        before, after = (
            image[max(0, s * by[0]) :, max(0, s * by[1]) :][
                : image.shape[0] - abs(by[0]), : image.shape[1] - abs(by[1])
            ]
            for s, image in ((-1, before), (1, after))
        )
    height, width = (edge // 2 for edge in before.shape)
    if min(height, width) < SMALLEST_QUARTER_PX:
        return np.empty((0, 2))
    quarters = [
        (slice(y, y + height), slice(x, x + width)) for y in (0, height) for x in (0, width)
    ]
    return np.array([specimen_displacement(before[q], after[q]) + by for q in quarters])
