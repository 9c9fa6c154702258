"""Non-negative factorisation of counts: noise weights, and cells where nothing was measured.

Both the feature that learns while a map is measured (`bl_steer.features.nmf`) and the look back
over a finished one (`bl_steer.analysis.components`) factorise with it.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils.extmath import randomized_svd

from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.protocols import Array

__all__ = ["REFERENCE_WEIGHT", "count_weights", "factorise_nonnegative", "weighted_factors"]

REFERENCE_WEIGHT = 0.2
"""Squared norm of the reference's own row, as a share of that of all patterns. Without that row a
rare phase has no component of its own in most fits; at .05 in one of five on simulated films with
small hills, at .1 in one of fifty, at .2 in all (10 films, 10 to 100 patterns each)."""

MAX_ITERATIONS = 500
CHECKED = 10
TOLERANCE = 1e-4
"""Relative fall of the misfit over `CHECKED` iterations at which they end."""
INNER = 3
"""Times that each factor is gone through before the other: what they share is computed once."""
DIM = 1e-3
"""Rows and columns below this share of the mean one have its weight: what is empty says little."""


def count_weights(patterns: Array, prior: Array | float = 0.0) -> tuple[Array, Array]:
    """Return what rows and columns are divided by, so that each cell has about the same noise.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), in any unit; NaN where nothing was measured
    prior : added to the sum of each column: one count keeps cells that a few patterns left empty
        from weighing most

    Returns
    -------
    rows, columns : shapes (n_points,) and (n_pixels,), the roots of the means, of mean square 1

    Notes
    -----
    The variance of counts is their mean, and the best rank-one account of it is the product of
    the means of row and column (Keenan & Kotula 2004, Surf. Interface Anal. 36, 203,
    doi 10.1002/sia.1657).
    """
    filled = np.nan_to_num(patterns)
    measured = np.isfinite(patterns)
    weights = []
    for axis in (1, 0):
        added = prior if axis == 0 else 0.0
        mean = (filled.sum(axis=axis) + added) / np.maximum(measured.sum(axis=axis), 1)
        overall = float(mean.mean())
        relative = mean / overall if overall > 0 else np.ones_like(mean)
        weights.append(np.sqrt(np.maximum(relative, DIM)))
    return weights[0], weights[1]


def weighted_factors(
    patterns: Array,
    n_components: int,
    *,
    reference: Array | None = None,
    count: Array | float = 1.0,
    prior: float = 0.0,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Factorise patterns with each cell weighted by its noise.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), not negative; NaN where nothing was measured
    n_components : K
    reference : shape (n_pixels,), drawn to a component of its own by one more row; or several,
        (n_references, n_pixels)
    count : value of a single count, of all pixels or each, where these differ
    prior : counts added to the sum of each pixel for its weight
    seed : of the start

    Returns
    -------
    coefficients, components : shapes (n_points, K) and (K, n_pixels), components with highest
        value 1
    """
    rows, columns = count_weights(patterns * count, prior * np.square(count))
    weighted = patterns / rows[:, None] / columns
    data = weighted
    if reference is not None:
        # One more pattern: it draws a component to itself without fixing it.
        norm = float(np.sqrt(np.nansum(weighted**2)))
        drawing = [
            np.sqrt(REFERENCE_WEIGHT) * norm * row / max(float(np.linalg.norm(row)), 1e-300)
            for row in np.atleast_2d(reference) / columns
        ]
        data = np.vstack([weighted, *drawing])
    fitted, components = factorise_nonnegative(data, n_components, seed=seed)
    filled = np.where(np.isfinite(weighted), weighted, (fitted @ components)[: len(weighted)])
    coefficients = nonnegative_coefficients(filled, components) * rows[:, None]
    components = components * columns
    heights = components.max(axis=1)
    heights = np.where(heights > 0, heights, 1.0)
    return coefficients * heights, components / heights[:, None]


def factorise_nonnegative(
    patterns: Array, n_components: int, *, seed: int = 0
) -> tuple[Array, Array]:
    """Minimise ||X - W H||² with W, H >= 0, over the cells that were measured.

    Parameters
    ----------
    patterns : X, shape (n_points, n_pixels), not negative; NaN where nothing was measured
    n_components : K
    seed : of the randomised singular vectors that it begins with

    Returns
    -------
    coefficients, components : W, shape (n_points, K), and H, shape (K, n_pixels)

    Notes
    -----
    Hierarchical alternating least squares (Cichocki & Phan 2009, IEICE Trans. Fundam. E92-A, 708,
    doi 10.1587/transfun.E92.A.708) from the singular vectors' positive parts (Boutsidis &
    Gallopoulos 2008, doi 10.1016/j.patcog.2007.09.010). Cells without a measurement take the value
    of the fit before each iteration (expectation maximisation).
    """
    absent = ~np.isfinite(patterns)
    filled = np.where(absent, 0.0, patterns)
    has_gaps = bool(absent.any())
    if has_gaps:
        mean = filled.sum(axis=0) / np.maximum((~absent).sum(axis=0), 1)
        filled = np.where(absent, mean, filled)
    across, components = _start(filled, n_components, seed)  # the coefficients, a row a component
    before = float(np.einsum("np,np->", filled, filled))
    for iteration in range(MAX_ITERATIONS):
        if has_gaps:
            filled[absent] = (across.T @ components)[absent]
        _update(components, across @ across.T, across @ filled)
        _update(across, components @ components.T, components @ filled.T)
        if iteration % CHECKED == CHECKED - 1:
            left = np.where(absent, 0.0, filled - across.T @ components)
            misfit = float(np.einsum("np,np->", left, left))
            if before - misfit <= TOLERANCE * before:
                break
            before = misfit
    return across.T.copy(), components


def _update(rows: Array, gram: Array, projections: Array) -> None:
    """Set each row, in turn, to its least-squares value, 0 at least."""
    for _ in range(INNER):
        for k in range(len(rows)):
            if gram[k, k] > 0:
                rows[k] = np.maximum(rows[k] + (projections[k] - gram[k] @ rows) / gram[k, k], 0.0)


def _start(patterns: Array, n_components: int, seed: int) -> tuple[Array, Array]:
    """Return non-negative factors from the leading singular vectors; zeros become the mean."""
    left, values, right = randomized_svd(patterns, n_components, random_state=seed)
    across = np.empty((n_components, len(patterns)))
    components = np.empty((n_components, patterns.shape[1]))
    mean = float(patterns.mean())
    for k in range(n_components):
        u, v = left[:, k], right[k]
        sides = [(np.maximum(sign * u, 0.0), np.maximum(sign * v, 0.0)) for sign in (1.0, -1.0)]
        norms = [float(np.linalg.norm(a) * np.linalg.norm(b)) for a, b in sides]
        (u, v), norm = max(zip(sides, norms, strict=True), key=lambda side: side[1])
        scale = np.sqrt(values[k] * norm)
        across[k] = scale * u / max(float(np.linalg.norm(u)), 1e-300)
        components[k] = scale * v / max(float(np.linalg.norm(v)), 1e-300)
    across[across == 0] = mean
    components[components == 0] = mean
    return across, components
