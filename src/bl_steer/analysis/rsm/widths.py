"""Place and widths of a peak in a map: of the profile that fits its upper part best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from bl_steer.protocols import Array

__all__ = ["Shape", "shape_of"]

WINDOW = 1.8
"""Half widths around the centre that count: down to a tenth of a Gaussian's height. Tails, rods and
streaks do not."""
ROUNDS = 6
BINS = 64
"""Along either axis, into which samples are gathered for the fit: a peak has some eight."""


class Shape(NamedTuple):
    """Where a peak is, and its full widths at half maximum, 1/Å.

    Parameters
    ----------
    q_par, q_perp : its centre
    width : of the circle that has the area of the ellipse at half height
    width_par, width_perp : of the peak's projections on q_par and q_perp
    width_major, width_minor : of the longest and shortest axis of the ellipse
    tilt_deg : of the longest axis, from q_par towards q_perp, -90 … 90
    """

    q_par: float
    q_perp: float
    width: float
    width_par: float
    width_perp: float
    width_major: float
    width_minor: float
    tilt_deg: float


def shape_of(par: Array, perp: Array, intensity: Array, *, background: float) -> Shape:
    """Return place and widths of a peak by samples around it.

    Parameters
    ----------
    par, perp, intensity : shape (n,); where several samples lie at one place, as the pixels across
        the scattering plane do, their mean counts
    background : under the peak

    Notes
    -----
    Least squares of a pseudo-Voigt profile with elliptical contours over the samples within
    `WINDOW` half widths, repeated until that window stays:
    ``b + A (m / (1 + r²) + (1 - m) 2^(-r²))``, ``r² = (q - q₀)ᵀ M (q - q₀)``, ``0 ≤ m ≤ 1``. The
    half widths are the square roots of M⁻¹. Where a sharp peak lies between the steps of a scan, no
    width can be told below that of a step.
    """
    origin = np.array([par.mean(), perp.mean()])
    unit = np.array([max(np.ptp(par), 1e-12), max(np.ptp(perp), 1e-12)])
    q = (np.stack([par, perp]) - origin[:, None]) / unit[:, None]
    q, mean, n = _gathered(q, intensity - background)
    half, centre = _moments(q, mean, n)
    for _ in range(ROUNDS):
        inside = _distance2(q, centre, np.linalg.cholesky(np.linalg.inv(half)).T) < WINDOW**2
        if np.count_nonzero(inside) < 8:
            break
        fitted = _fitted(q[:, inside], mean[inside], n[inside], centre, half)
        if fitted is None:
            break
        settled = np.allclose(fitted[0], half, rtol=1e-3)
        half, centre = fitted
        if settled:
            break
    return _shape(origin + centre * unit, half * np.outer(unit, unit))


def _shape(centre: Array, half: Array) -> Shape:
    values, vectors = np.linalg.eigh(half)
    minor, major = 2.0 * np.sqrt(np.maximum(values, 0.0))
    along = vectors[:, 1] * (1.0 if vectors[0, 1] >= 0 else -1.0)
    par, perp = 2.0 * np.sqrt(np.diag(half))
    return Shape(
        float(centre[0]),
        float(centre[1]),
        float(np.sqrt(major * minor)),
        float(par),
        float(perp),
        float(major),
        float(minor),
        float(np.degrees(np.arctan2(along[1], along[0]))),
    )


def _gathered(q: Array, values: Array) -> tuple[Array, Array, Array]:
    """Return the mean place and value of the samples in each of even bins, and their number."""
    edges = q.min(axis=1, keepdims=True)
    span = np.maximum(np.ptp(q, axis=1), 1e-12)[:, None]
    row, column = np.minimum((q - edges) / span * BINS, BINS - 1).astype(int)
    cell = row * BINS + column
    n = np.bincount(cell, minlength=BINS * BINS).astype(float)
    sums = [np.bincount(cell, v, BINS * BINS)[n > 0] for v in (*q, values)]
    n = n[n > 0]
    return np.stack(sums[:2]) / n, sums[2] / n, n


def _moments(q: Array, mean: Array, n: Array) -> tuple[Array, Array]:
    """Return squared half widths and centre by what is above half height: where to begin."""
    weights = np.where(mean >= 0.5 * mean.max(), np.maximum(mean, 0.0), 0.0) * n
    centre = q @ weights / weights.sum()
    away = q - centre[:, None]
    # At least a bin, as a row of samples has no second moment across. A disc's is r² / 4.
    half = (away * weights) @ away.T / weights.sum() + np.eye(2) / BINS**2
    return np.asarray(4.0 * half), np.asarray(centre)


def _distance2(q: Array, centre: Array, root: Array) -> Array:
    return np.asarray(((root @ (q - centre[:, None])) ** 2).sum(axis=0))


def _fitted(
    q: Array, mean: Array, n: Array, centre: Array, half: Array
) -> tuple[Array, Array] | None:
    """Return squared half widths and centre of the profile that fits best; None without one."""
    root = np.linalg.cholesky(np.linalg.inv(half)).T
    height = float(mean.max())
    start = np.array([1.0, *centre, root[0, 0], root[0, 1], root[1, 1], 0.3])
    weights = np.sqrt(n / n.mean())

    def residual(p: Array) -> Array:
        r2 = _distance2(q, p[1:3], np.array([[p[3], p[4]], [0.0, p[5]]]))
        profile = p[6] / (1.0 + r2) + (1.0 - p[6]) * np.exp2(-r2)
        return np.asarray(weights * (p[0] * profile - mean / height))

    low = [0.0, -np.inf, -np.inf, 0.0, -np.inf, 0.0, 0.0]
    result = least_squares(residual, start, bounds=(low, [np.inf] * 6 + [1.0]), max_nfev=60)
    root = np.array([[result.x[3], result.x[4]], [0.0, result.x[5]]])
    precision = root.T @ root
    if not result.success or not np.linalg.cond(precision) < 1e8:
        return None
    moved = result.x[1:3] - centre
    if moved @ np.linalg.inv(half) @ moved > 1.0:  # to a higher peak beside this one
        return None
    return np.asarray(np.linalg.inv(precision)), np.asarray(result.x[1:3])
