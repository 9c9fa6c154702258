"""Where each slice of a stack lies, in the plane and in depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.slices.believed_drift import believed_steps
from bl_steer.protocols import Array, Progress
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.registration import drift_by_marks, specimen_displacement
from bl_steer.slicing.spacing import compare

__all__ = ["Trajectory", "track"]

SMALLEST_QUARTER_PX = 64
"""Edge of a quarter of an image that has features enough to be registered by itself."""


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


def track(
    images: Sequence[NDArray[Any]],
    *,
    pixel_size_nm: float,
    pitch_nm: float = 0.0,
    marks: TrackingMarks | None = None,
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
    pitch_nm : distance of the slices; without marks it tells how far a lean of the specimen carries
        its features
    marks : tracking marks, if the specimen has some
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
    moved = np.zeros((n, 2))
    steps: list[Array] = []
    parts: list[Array] = []
    first = before = None
    for number in range(n):
        image = np.asarray(images[number])
        first = image if first is None else first
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
                moved[number] = drift_by_marks(first, image, marks)
            else:
                steps.append(step.drift_px)
                parts.append(_parts(before, image))
        before = image
        if progress is not None:
            progress(number + 1, n)
    if marks is None and n > 1:
        jumps = np.zeros((n - 1, 2)) if corrections_px is None else np.diff(corrections_px, axis=0)
        apart = np.ones(n - 1) if pitches is None else pitches[1:]
        seen = np.array(steps) - jumps, np.array(parts) - jumps[:, None], apart
        drift = believed_steps(*seen, pitch_px=pitch_nm / pixel_size_nm)
        moved[1:] = np.cumsum(drift.steps + jumps, axis=0)
        return Trajectory(moved, spacing, correlation, False, drift.error_px, drift.wander_px)
    return Trajectory(moved, spacing, correlation, marks is not None)


def _parts(before: NDArray[Any], after: NDArray[Any]) -> Array:
    """Return the displacements of the quarters of an image, (4, 2), or none, (0, 2)."""
    height, width = (edge // 2 for edge in before.shape)
    if min(height, width) < SMALLEST_QUARTER_PX:
        return np.empty((0, 2))
    quarters = [
        (slice(y, y + height), slice(x, x + width)) for y in (0, height) for x in (0, width)
    ]
    return np.array([specimen_displacement(before[q], after[q]) for q in quarters])
