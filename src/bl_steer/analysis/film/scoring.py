"""Fisher's scoring of many patterns at once: counts, places and background of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.film.pattern_model import PatternModel, Patterns
from bl_steer.protocols import Array

__all__ = ["batches", "fitted"]

BATCH = 48
"""Patterns fitted together: their slopes stay in the processor's cache."""
CONVERGED = 0.05
"""Last step, in standard deviations."""
LONGEST_STEP = 1.5
"""Pixels that a peak may move in one step."""
PLACE_PRIOR = 1e-3
"""Added to the information of a place, 1/pixel², so that a peak without counts stays."""
GIVE_UP = 1e6
"""Damping at which no step is better."""


def batches(n: int) -> Iterator[slice]:
    """Yield slices that cover n patterns."""
    for start in range(0, n, BATCH):
        yield slice(start, min(start + BATCH, n))


def fitted(model: PatternModel, patterns: Patterns, params: Array, *, iterations: int) -> Array:
    """Return the parameters (n, n_params) that are most likely, from those to begin with.

    Notes
    -----
    Each step solves ``(J' W J + damping) step = J' W (pattern - expected)``, W one over the
    expected counts: the maximum of Poisson's likelihood, not the least squares of counts, which
    are biased where they are few (Humphrey, Liu & Buote 2009, doi 10.1088/0004-637X/693/1/822). A
    step that makes it worse is taken back and damped (Levenberg-Marquardt). What has converged is
    left alone.
    """
    parts = [
        _fit_batch(model, patterns.part(rows), params[rows], iterations)
        for rows in batches(len(patterns))
    ]
    return np.concatenate(parts)


def _fit_batch(model: PatternModel, patterns: Patterns, start: Array, iterations: int) -> Array:
    n, p = start.shape
    place = model.is_place
    highest = np.where(place, np.tile(model.pixels.last, p)[:p], np.inf)
    highest[place] = np.tile(model.pixels.last, model.n_peaks)
    trial, best = start.copy(), start.copy()
    before, damping = np.full(n, np.inf), np.full(n, 1e-3)
    matrix, gradient = np.zeros((n, p, p)), np.zeros((n, p))
    active = np.arange(n)
    for _ in range(iterations):
        own = patterns if len(active) == n else patterns.part(active)
        expected, slopes = model.evaluate(trial[active])
        loss = own.loss(expected)
        better = loss <= before[active] + 1e-3
        good = active[better]
        weights = own.weights(expected)
        weighted = slopes * weights[:, None]
        left = (own.values - expected)[:, :, None]
        matrix[good] = np.matmul(weighted, slopes.transpose(0, 2, 1))[better]
        gradient[good] = np.matmul(weighted, left)[better, :, 0]
        best[good], before[good] = trial[good], loss[better]
        damping[good] = np.maximum(damping[good] / 5.0, 1e-6)
        damping[active[~better]] *= 20.0
        step = _step(matrix[active], gradient[active], damping[active, None], place)
        trial[active] = np.clip(best[active] + step, 0.0, highest)
        moved = np.einsum("ni,nij,nj->n", step, matrix[active], step)
        ended = ((moved < CONVERGED**2) & better) | (damping[active] > GIVE_UP)
        active = active[~ended]
        if not len(active):
            break
    return best


def _step(matrix: Array, gradient: Array, damping: Array, place: NDArray[np.bool_]) -> Array:
    diagonal = np.einsum("nii->ni", matrix)
    ridge = damping * diagonal + 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-12
    ridge[:, place] += PLACE_PRIOR + damping
    damped = matrix + ridge[:, :, None] * np.eye(matrix.shape[1])
    step = np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
    step[:, place] = np.clip(step[:, place], -LONGEST_STEP, LONGEST_STEP)
    return np.asarray(step)
