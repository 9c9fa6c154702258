"""Where the fit of a map begins: each peak is looked for along its circle about the origin of q."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.film.pattern_model import FLOOR, PatternModel, Patterns
from bl_steer.protocols import Array

__all__ = ["TURNS_DEG", "start_params"]

TURNS_DEG = np.linspace(-0.75, 0.75, 11)
"""Tilts that are tried."""
STRETCHES = np.array([1.0, 0.998, 1.002])
"""Lengths of q that are tried, relative to the expected one."""
SWEEPS = 2


def start_params(model: PatternModel, patterns: Patterns, expected: Array) -> Array:
    """Return parameters (n, n_params) to begin with.

    Parameters
    ----------
    expected : shape (K, 2), q_par and q_perp of the peaks without a tilt, 1/Å

    Notes
    -----
    One peak after the other takes the tilt and length that leave the least, the counts of all
    being the weighted least squares. The weights are one over the mean pattern, alike for all
    points, so that the products of all images are formed once.
    """
    places = [_candidates(centre, model) for centre in expected]
    images = [
        table.at(place)[0].reshape(len(place), -1)
        for table, place in zip(model.tables, places, strict=False)
    ]
    if model.substrate is not None:
        images.append(model.still[:1])
    images.append(np.ones((1, model.pixels.n), dtype=np.float32))
    first = np.cumsum([0, *map(len, images)])
    every = np.concatenate(images)
    mean = patterns.values.sum(axis=0) / np.maximum(patterns.inside.sum(axis=0), 1.0)
    weighted = every / np.maximum(mean, FLOOR * max(float(mean.mean()), 1e-6))
    gram = np.matmul(weighted, every.T).astype(float)
    gram += 1e-6 * np.diag(np.diag(gram))
    overlap = np.matmul(patterns.values * patterns.inside, weighted.T).astype(float)
    chosen = np.tile(first[:-1], (len(patterns), 1))  # the first candidate is the expected place
    chosen[:, : len(places)] += len(TURNS_DEG) // 2
    counts = np.zeros(chosen.shape)
    for _ in range(SWEEPS if len(places) > 1 else 1):
        for k in range(len(places)):
            best = np.full(len(patterns), -np.inf)
            pick = chosen[:, k].copy()
            for candidate in range(first[k], first[k + 1]):
                chosen[:, k] = candidate
                gain, amounts = _gain(gram, overlap, chosen)
                better = gain > best
                best[better], pick[better] = gain[better], candidate
                counts[better] = amounts[better]
            chosen[:, k] = pick
    params = np.empty((len(patterns), model.n_params))
    for k, place in enumerate(places):
        params[:, 3 * k] = np.maximum(counts[:, k], 1.0)
        params[:, 3 * k + 1 : 3 * k + 3] = place[chosen[:, k] - first[k]]
    params[:, 3 * len(places) :] = np.maximum(counts[:, len(places) :], 1e-3)
    return params


def _candidates(centre: Array, model: PatternModel) -> Array:
    """Return columns and rows (n, 2), turned and stretched about the origin, in the frame."""
    turn = np.radians(TURNS_DEG)
    turned = np.stack(
        [
            centre[0] * np.cos(turn) + centre[1] * np.sin(turn),
            centre[1] * np.cos(turn) - centre[0] * np.sin(turn),
        ],
        axis=-1,
    )
    places = model.pixels.to_pixels((STRETCHES[:, None, None] * turned).reshape(-1, 2))
    return np.clip(places, 0.0, model.pixels.last)


def _gain(gram: Array, overlap: Array, chosen: NDArray[np.int_]) -> tuple[Array, Array]:
    """Return how much a choice of images explains of each pattern, and the counts of each."""
    a = gram[chosen[:, :, None], chosen[:, None, :]]
    b = np.take_along_axis(overlap, chosen, axis=1)
    counts = np.maximum(np.linalg.solve(a, b[:, :, None])[:, :, 0], 0.0)
    explained = np.einsum("ni,nij,nj->n", counts, a, counts)
    return np.asarray(2.0 * (counts * b).sum(axis=1) - explained), counts
