"""Learn what all points of a map share, the shapes of the peaks, from their patterns."""

from __future__ import annotations

import numpy as np

from bl_steer.analysis.film.pattern_model import PatternModel, Patterns
from bl_steer.analysis.film.pixels import Reals
from bl_steer.analysis.film.scoring import batches
from bl_steer.analysis.film.shapes import N_CORRECTIONS
from bl_steer.protocols import Array

__all__ = ["learn_shapes"]

EXPECTED_SIZE = np.array([*[0.5] * 3, *[0.1] * 4, *[0.05] * 5, 0.2])
"""Standard deviations of the corrections before anything is known: a peak is nearly Gaussian."""
NEGLIGIBLE = 1e-6
"""Of the largest information: added to what a point does not tell."""


def learn_shapes(model: PatternModel, patterns: Patterns, params: Array) -> PatternModel:
    """Return the model whose shapes, and place of the substrate, fit all patterns better.

    Parameters
    ----------
    params : of the patterns, fitted with `model`

    Notes
    -----
    One Gauss-Newton step for what all points share, with what each has of its own projected out.
    """
    n_shared = N_CORRECTIONS * len(model.shapes) + 2 * (model.substrate is not None)
    information, gradient = np.zeros((n_shared, n_shared)), np.zeros(n_shared)
    for rows in batches(len(patterns)):
        own = patterns.part(rows)
        expected, slopes = model.evaluate(params[rows])
        weights = own.weights(expected)[:, None]
        left = (own.values - expected)[:, :, None]
        shared = _shared_slopes(model, params[rows])
        weighted = slopes * weights
        a = np.matmul(weighted, slopes.transpose(0, 2, 1)).astype(float)
        a += NEGLIGIBLE * np.einsum("nii->ni", a).max(axis=1)[:, None, None] * np.eye(a.shape[1])
        b = np.matmul(weighted, shared.transpose(1, 2, 0)).astype(float)
        solved = np.linalg.solve(a, np.concatenate([b, np.matmul(weighted, left)], axis=2))
        crossed = np.tensordot(b, solved, ([0, 1], [0, 1]))
        flat = shared.reshape(n_shared, -1)
        weighted = (shared * weights[:, 0]).reshape(n_shared, -1)
        information += weighted @ flat.T - crossed[:, :-1]
        gradient += weighted @ left.ravel() - crossed[:, -1]
    return _changed(model, information, gradient)


def _shared_slopes(model: PatternModel, params: Array) -> Reals:
    """Return the change of patterns with what they share, (n_shared, n, n_pixels)."""
    q = model.pixels.mesh().astype(np.float32)
    blocks: list[Reals] = []
    for k, shape in enumerate(model.shapes):
        places = params[:, 3 * k + 1 : 3 * k + 3] if k < model.n_peaks else _places(model, params)
        centres = model.pixels.to_q(places)[:, None].astype(np.float32)
        core, corrections = shape.terms(*np.moveaxis(q - centres, -1, 0))
        core *= (model.pixels.area * params[:, 3 * k, None]).astype(np.float32)
        blocks += [core * correction for correction in corrections]
    if model.substrate is not None:
        blocks += [-params[:, -2:-1].astype(np.float32) * slope for slope in model.still[1:]]
    return np.stack(blocks)


def _places(model: PatternModel, params: Array) -> Array:
    return np.broadcast_to(np.asarray(model.substrate), (len(params), 2))


def _changed(model: PatternModel, information: Array, gradient: Array) -> PatternModel:
    n = len(model.shapes)
    now = np.concatenate([[0.0, 0.0, 0.0, *shape.coefficients] for shape in model.shapes])
    now = np.append(now, np.zeros(len(gradient) - len(now)))
    prior = np.append(np.tile(EXPECTED_SIZE, n), np.ones(len(gradient) - N_CORRECTIONS * n)) ** -2.0
    change = np.linalg.solve(information + np.diag(prior), gradient - prior * now)
    parts = change[: N_CORRECTIONS * n].reshape(n, N_CORRECTIONS)
    shapes = [shape.corrected(part) for shape, part in zip(model.shapes, parts, strict=True)]
    substrate = model.substrate
    if substrate is not None:
        substrate = np.clip(substrate + np.clip(change[-2:], -1.0, 1.0), 0.0, model.pixels.last)
    return PatternModel.of(shapes, substrate, model.pixels)
