"""Where each slice of a stack lies, in the plane and in depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix, vstack

from bl_steer.protocols import Array, Progress
from bl_steer.slicing.marks import TrackingMarks
from bl_steer.slicing.registration import displacement, drift_by_marks
from bl_steer.slicing.spacing import compare

__all__ = ["Trajectory", "smooth_trajectory", "track"]

LAGS = (1, 2)
"""How far apart slices are that are registered with each other, without marks. Pairs two apart
check the two steps between them: a wrong registration then stands against two that agree."""


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


def track(
    images: Sequence[NDArray[Any]],
    *,
    pixel_size_nm: float,
    marks: TrackingMarks | None = None,
    corrections_px: Array | None = None,
    smoothness_px: float = 1.0,
    missing_nm: Array | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Find where the slices of a stack lie.

    Parameters
    ----------
    images : each of shape (H, W), in the order of the depth; read one at a time
    pixel_size_nm : edge of a pixel, nm
    marks : tracking marks, if the specimen has some
    corrections_px : displacements (y, x) that the microscope itself made by shifting its beam,
        shape (n, 2); without marks they are what may jump from slice to slice
    smoothness_px : without marks: by how much the drift may change from slice to slice
    missing_nm : depth of the slices that are missing before each, (n,); none by default
    progress : called after each slice

    Notes
    -----
    With marks, every slice is registered against the first, so that errors do not add up. Without
    marks, what the specimen does cannot be told from drift: features that lie aslant seem to
    drift, and a steady shear of the stack is the same as a steady drift. See
    `smooth_trajectory`.
    """
    n = len(images)
    spacing, correlation = np.full((2, n), np.nan)
    moved = np.zeros((n, 2))
    pairs: list[tuple[int, int]] = []
    steps: list[Array] = []
    recent: list[NDArray[Any]] = []
    first = None
    for number in range(n):
        image = np.asarray(images[number])
        first = image if first is None else first
        if recent:
            step = compare(
                recent[-1],
                image,
                pixel_size_nm=pixel_size_nm,
                marks=marks,
                missing_nm=0.0 if missing_nm is None else float(missing_nm[number]),
            )
            spacing[number], correlation[number] = step.spacing_nm, step.correlation
            if marks is not None:
                moved[number] = drift_by_marks(first, image, marks)
            else:
                for lag, earlier in zip(LAGS, reversed(recent), strict=False):
                    pairs.append((number - lag, number))
                    steps.append(step.drift_px if lag == 1 else displacement(earlier, image))
        recent = [*recent, image][-max(LAGS) :]
        if progress is not None:
            progress(number + 1, n)
    if marks is None and n > 1:
        moved = smooth_trajectory(
            np.array(pairs), np.array(steps), corrections_px, smoothness_px=smoothness_px
        )
    return Trajectory(moved, spacing, correlation, marks is not None)


def smooth_trajectory(
    pairs: NDArray[np.int_],
    steps: Array,
    corrections_px: Array | None = None,
    *,
    smoothness_px: float = 1.0,
) -> Array:
    """Return the displacement of each slice, (n, 2) pixels, from those between some pairs.

    Robust least squares: a pair of slices weighs less the farther apart it is and the worse it
    fits (soft L1), and the drift, that is the displacement less the corrections, may change its
    speed by some `smoothness_px` only.

    Parameters
    ----------
    pairs : numbers of the slices, shape (m, 2); they connect 0 … n - 1
    steps : displacement of the second against the first, (m, 2), pixels
    corrections_px : jumps that the microscope made itself, shape (n, 2)
    """
    # One sparse system A p = b for each of y and x, with the positions p of the n slices unknown:
    #   a row for each pair (i, j):         w (p_j - p_i) = w · measured step, w = 1 / (j - i)
    #   a row for each slice but the ends:  second difference of (p - jumps) / smoothness = 0
    #   a row for the origin, p_0 = 0:      the others fix the positions but for a common shift
    n, m = int(pairs.max()) + 1, len(pairs)
    rows = np.repeat(np.arange(m), 2)
    weights = 1.0 / (pairs[:, 1] - pairs[:, 0])
    signs = np.stack([-weights, weights], axis=1).ravel()
    measured = csr_matrix((signs, (rows, pairs.ravel())), shape=(m, n))
    bend = csr_matrix(
        (
            np.tile([1.0, -2.0, 1.0], max(n - 2, 0)) / smoothness_px,
            (np.repeat(np.arange(max(n - 2, 0)), 3), _triples(n)),
        ),
        shape=(max(n - 2, 0), n),
    )
    origin = csr_matrix(([1.0], ([0], [0])), shape=(1, n))
    matrix = vstack([measured, bend, origin]).tocsr()
    jumps = np.zeros((n, 2)) if corrections_px is None else corrections_px - corrections_px[0]
    positions = np.empty((n, 2))
    for axis in range(2):
        target = np.concatenate([weights * steps[:, axis], bend @ jumps[:, axis], [0.0]])
        # Soft L1 counts residuals of more than a pixel by their size, not by their square, so that
        # a pair that was registered wrongly bends the trajectory little. The Jacobian is the
        # matrix, which LSMR uses as it is, sparse; a dense solver would need n² numbers.
        solution = least_squares(
            lambda p, target=target: matrix @ p - target,
            jumps[:, axis],
            jac=lambda p: matrix,
            loss="soft_l1",
            tr_solver="lsmr",
        )
        positions[:, axis] = solution.x - solution.x[0]
    return positions


def _triples(n: int) -> NDArray[np.int_]:
    """Return 0, 1, 2, 1, 2, 3, … up to n - 1: the three slices of each second difference."""
    starts = np.arange(max(n - 2, 0))
    return np.asarray((starts[:, None] + np.arange(3)).ravel())
