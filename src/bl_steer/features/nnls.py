"""Exact non-negative least squares of many patterns on a few fixed components, all at once.

scikit-learn's ``NMF.transform`` stops at a tolerance and depends on its start;
`scipy.optimize.nnls` is exact but takes one pattern at a time. With K components everything
happens in K dimensions, so that relabelling all earlier points costs well under a millisecond.
"""

from __future__ import annotations

import numpy as np

from bl_steer.protocols import Array

__all__ = ["nonnegative_coefficients"]

FULL_EXCHANGES = 3
"""Exchanges without progress before the backup rule, as in the reference (p = 3)."""


def nonnegative_coefficients(patterns: Array, components: Array) -> Array:
    """Solve min ||x - w H||² with w >= 0 for each pattern x.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels)
    components : H, shape (n_components, n_pixels), non-negative

    Returns
    -------
    coefficients : w, shape (n_points, n_components)

    Notes
    -----
    Block principal pivoting: guess which coefficients are positive, solve the normal equations
    for these, exchange all that are infeasible, and fall back to exchanging the last infeasible
    one only (Murty's rule, which always ends) where that does not make progress. Patterns that
    share a guess share a factorisation.

    References
    ----------
    Kim & Park (2011), SIAM J. Sci. Comput. 33, 3261, doi 10.1137/110821172, algorithm 2.
    """
    scale = np.sqrt(np.einsum("kp,kp->k", components, components))
    scale[scale == 0] = 1.0
    unit = components / scale[:, None]
    # The ridge, far below any noise, keeps equal components solvable.
    gram = unit @ unit.T + 1e-12 * np.eye(len(unit))
    projections = patterns @ unit.T
    coefficients: Array = _pivot(gram, projections) / scale
    return coefficients


def _pivot(gram: Array, projections: Array) -> Array:
    n_points, n_components = projections.shape
    passive = projections > 0
    coefficients, gradient = _solve(gram, projections, passive)
    tolerance = 1e-10 * max(1.0, float(np.abs(projections).max(initial=0.0)))
    patience = np.full(n_points, FULL_EXCHANGES)
    fewest = np.full(n_points, n_components + 1)
    while True:
        # The Kuhn-Tucker conditions: w ≥ 0 where positive, gradient ≥ 0 where held at zero.
        wrong = (passive & (coefficients < -tolerance)) | (~passive & (gradient < -tolerance))
        rows = np.flatnonzero(wrong.any(axis=1))
        if len(rows) == 0:
            return np.maximum(coefficients, 0.0)
        wrong, n_wrong = wrong[rows], wrong[rows].sum(axis=1)
        progress = n_wrong < fewest[rows]
        fewest[rows] = np.where(progress, n_wrong, fewest[rows])
        patience[rows] = np.where(progress, FULL_EXCHANGES, patience[rows] - 1)
        # Full exchanges may cycle; Murty's rule, one index at a time, cannot.
        last_only = patience[rows] < 0
        last = n_components - 1 - np.argmax(wrong[:, ::-1], axis=1)
        wrong[last_only] = np.eye(n_components, dtype=bool)[last[last_only]]
        passive[rows] ^= wrong
        coefficients[rows], gradient[rows] = _solve(gram, projections[rows], passive[rows])


def _solve(gram: Array, projections: Array, passive: np.ndarray) -> tuple[Array, Array]:
    """Solve the normal equations on each pattern's passive set; return w and the gradient."""
    coefficients = np.zeros_like(projections)
    sets, which = np.unique(passive, axis=0, return_inverse=True)
    for index, chosen in enumerate(sets):
        rows = np.flatnonzero(which.ravel() == index)
        if chosen.any():
            solution = np.linalg.solve(gram[np.ix_(chosen, chosen)], projections[rows][:, chosen].T)
            coefficients[np.ix_(rows, np.flatnonzero(chosen))] = solution.T
    return coefficients, coefficients @ gram - projections
