"""Where the fit of a map begins: each peak is looked for along its circle about the origin of q."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bl_steer.analysis.film.pattern_model import FLOOR, PatternModel, Patterns
from bl_steer.analysis.film.pixels import PixelLattice
from bl_steer.protocols import Array

__all__ = ["TURNS_DEG", "start_params", "turn_of_substrate", "turned"]

TURNS_DEG = np.linspace(-0.75, 0.75, 11)
"""Tilts that are tried."""
STRETCHES = np.array([1.0, 0.998, 1.002])
"""Lengths of q that are tried, relative to the expected one."""
SWEEPS = 2
FURTHEST_DEG = 1.5
"""Zero of the angles that is looked for."""
NEAR = 2.0
"""Pixels within which the substrate's peak needs not be looked for."""
FAR_FROM_CIRCLE = 0.0025
"""Of the length of q."""
OUTSHINES = 1.5
"""Factor by which a peak elsewhere must be brighter than where it is expected."""
MUCH = 0.1
"""Of the brightness of a peak elsewhere: one that is where it is expected stays."""


def turned(q: Array, angle: Array | float) -> Array:
    """Return q_par and q_perp (…, 2) turned about the origin, as a tilt leans by `angle`, radians;
    one q may have many angles."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([q[..., 0] * c + q[..., 1] * s, q[..., 1] * c - q[..., 0] * s], axis=-1)


def turn_of_substrate(mean: Array, pixels: PixelLattice, still: Array) -> float:
    """Return by which angle, in radians, the substrate's peak is off, as a tilt leans; 0 if it is
    about where it is expected, or nowhere.

    Parameters
    ----------
    mean : shape (n_pixels,), the mean pattern
    still : shape (2,), q_par and q_perp of the peak, 1/Å

    Notes
    -----
    A wrong zero of the angles turns all peaks about the origin: the brightest local maximum on the
    substrate's circle is it, unless there is one where it is expected.
    """
    image = ndimage.gaussian_filter(np.nan_to_num(mean).reshape(pixels.shape), 1.0)
    tops = (image == ndimage.maximum_filter(image, 3)).ravel()
    q = pixels.mesh()
    length = float(np.linalg.norm(still))
    turns = np.arctan2(q[:, 0], q[:, 1]) - np.arctan2(still[0], still[1])
    on_circle = np.abs(np.linalg.norm(q, axis=1) / length - 1.0) < FAR_FROM_CIRCLE
    tops &= on_circle & (np.abs(np.degrees(turns)) < FURTHEST_DEG)
    if not tops.any():
        return 0.0
    above = image.ravel() - np.percentile(image, 20)
    best = int(np.where(tops, above, 0.0).argmax())
    away = np.linalg.norm(pixels.to_pixels(q) - pixels.to_pixels(still), axis=1)
    if above[tops & (away <= NEAR)].max(initial=0.0) > MUCH * above[best]:
        return 0.0
    ordinary = max(float(above[away.argmin()]), 0.0) + float(np.median(np.abs(above)))
    return float(turns[best]) if above[best] > OUTSHINES * ordinary else 0.0


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
    places = turned(centre, np.radians(TURNS_DEG))
    places = model.pixels.to_pixels((STRETCHES[:, None, None] * places).reshape(-1, 2))
    return np.clip(places, 0.0, model.pixels.last)


def _gain(gram: Array, overlap: Array, chosen: NDArray[np.int_]) -> tuple[Array, Array]:
    """Return how much a choice of images explains of each pattern, and the counts of each."""
    a = gram[chosen[:, :, None], chosen[:, None, :]]
    b = np.take_along_axis(overlap, chosen, axis=1)
    counts = np.maximum(np.linalg.solve(a, b[:, :, None])[:, :, 0], 0.0)
    explained = np.einsum("ni,nij,nj->n", counts, a, counts)
    return np.asarray(2.0 * (counts * b).sum(axis=1) - explained), counts
