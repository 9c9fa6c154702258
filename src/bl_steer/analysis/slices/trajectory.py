"""Where each slice of a stack lies, in the plane and in depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from bl_steer.protocols import Array, Progress
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.registration import drift_by_marks, specimen_displacement
from bl_steer.slicing.spacing import compare

__all__ = ["Trajectory", "believed_steps", "expected_error", "track"]

SMALLEST_QUARTER_PX = 64
"""Edge of a quarter of an image that has features enough to be registered by itself."""
OUTLIER_SD = 3.0
UNSEEN = 0.5
"""Of the power of chance, that a drift may have without being believed."""
_MAD = 1.4826
"""From the median of absolute values to a standard deviation, of a Gaussian."""


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


def track(
    images: Sequence[NDArray[Any]],
    *,
    pixel_size_nm: float,
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
        seen = np.array(steps) - jumps, np.array(parts), apart
        moved[1:] = np.cumsum(believed_steps(*seen) + jumps, axis=0)
        return Trajectory(moved, spacing, correlation, False, expected_error(*seen))
    return Trajectory(moved, spacing, correlation, marks is not None)


def believed_steps(steps: Array, parts: Array, pitches: Array) -> Array:
    """Return by how far the specimen drifted between slices, (m, 2) pixels, less what is chance.

    A measured step is the drift and, by chance, the change of the specimen, whose features lean one
    way for many slices. Chance differs from part to part of an image, and drift does not: that
    tells its power at each frequency along the stack. In octaves of frequency, the steady drift by
    itself, steps are believed by the share of their power that is no chance (Wiener's filter with
    measured powers, the rule of James and Stein).

    A single step far from those around it counts as it is where the parts agree on it, as the
    specimen was moved, and no further than three standard deviations where they do not.

    Parameters
    ----------
    steps : displacement from slice to slice, (m, 2), pixels
    parts : the same of each part of the image, (m, n_parts, 2); none where there are no parts
    pitches : between the slices of each step, (m,)

    References
    ----------
    Efron, Morris, "Stein's estimation rule and its competitors: an empirical Bayes approach",
    J. Am. Stat. Assoc. 68 (1973) 117, DOI 10.1080/01621459.1973.10481350.
    """
    n_parts = parts.shape[1]
    if n_parts < 2:
        return steps
    spread = _MAD * np.median(np.abs(parts - np.median(parts, axis=1, keepdims=True)))
    departures = steps - np.median(steps / pitches[:, None], axis=0) * pitches[:, None]
    limit = OUTLIER_SD * max(spread, _MAD * float(np.median(np.abs(departures))))
    beyond = departures - np.clip(departures, -limit, limit)
    unlike = np.median(np.abs(parts - steps[:, None]), axis=1)
    moved = np.where(unlike <= OUTLIER_SD * spread, beyond, 0.0)
    # Steps over missing slices vary more: brought to one variance, as white as the others.
    scale = np.sqrt(pitches)[:, None]
    spectrum = dct((steps - beyond) / scale, axis=0, norm="ortho")
    of_parts = dct((parts - beyond[:, None]) / scale[:, None], axis=0, norm="ortho")
    chance = of_parts.var(axis=1, ddof=1).mean(axis=1) / n_parts
    for first, end in _octaves(len(steps)):
        power = (spectrum[first:end] ** 2).mean(axis=0)
        no_chance = 1.0 - chance[first:end].mean() / np.maximum(power, 1e-12)
        spectrum[first:end] *= np.maximum(no_chance, 0.0)
    return np.asarray(idct(spectrum, axis=0, norm="ortho") * scale + moved)


def expected_error(steps: Array, parts: Array, pitches: Array) -> float:
    """Return the rms error of displacements that `believed_steps` adds up to, px; NaN if unknown.

    Parameters
    ----------
    steps, parts, pitches : as there

    Notes
    -----
    What is believed of a frequency errs by that share of its chance (the posterior variance of
    Wiener's filter). Where nothing is believed, a drift half as strong as chance may be there all
    the same. Displacements count from their mean; a lean that all parts share stays unseen.
    """
    n_parts, n = parts.shape[1], len(steps)
    if n_parts < 2:
        return math.nan
    scale = np.sqrt(pitches)[:, None]
    spectrum = dct((steps - np.median(steps, axis=0)) / scale, axis=0, norm="ortho")
    of_parts = dct(parts / scale[:, None], axis=0, norm="ortho")
    chance = of_parts.var(axis=1, ddof=1).mean(axis=1) / n_parts
    variance = np.empty(n)
    for first, end in _octaves(n):
        power = max(float((spectrum[first:end] ** 2).mean()), 1e-12)
        of_octave = float(chance[first:end].mean())
        variance[first:end] = of_octave * max(1.0 - of_octave / power, UNSEEN)
    added = np.cumsum(scale * idct(np.eye(n), axis=0, norm="ortho"), axis=0)
    added = np.vstack([np.zeros(n), added])
    added -= added.mean(axis=0)
    return float(np.sqrt((added**2 @ variance).mean()))


def _octaves(n: int) -> Iterator[tuple[int, int]]:
    """Yield first and end of the frequencies 0, 1, 2 … 3, 4 … 7, … below n."""
    first, end = 0, 1
    while first < n:
        yield first, min(end, n)
        first, end = end, 2 * end


def _parts(before: NDArray[Any], after: NDArray[Any]) -> Array:
    """Return the displacements of the quarters of an image, (4, 2), or none, (0, 2)."""
    height, width = (edge // 2 for edge in before.shape)
    if min(height, width) < SMALLEST_QUARTER_PX:
        return np.empty((0, 2))
    quarters = [
        (slice(y, y + height), slice(x, x + width)) for y in (0, height) for x in (0, width)
    ]
    return np.array([specimen_displacement(before[q], after[q]) for q in quarters])
