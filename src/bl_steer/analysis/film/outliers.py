"""Pixels that a fit tells from a peak: hot ones on its flanks, and zingers that it hid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bl_steer.analysis.film.pattern_model import PatternModel, Patterns
from bl_steer.analysis.film.pixels import Reals
from bl_steer.analysis.film.scoring import batches
from bl_steer.protocols import Array

__all__ = ["hot_pixels", "spikes"]

DEVIATIONS = 7.0
"""Standard deviations by which a pixel must stand out."""
ALONE = 3.0
"""Factor by which it must stand out more than each of its neighbours: a wrong shape does not."""
ONE_COUNT = np.float32(1.0)
"""Added to the variance: two counts where none is expected are no spike."""
NEIGHBOURS = np.ones((1, 3, 3), dtype=bool)
NEIGHBOURS[0, 1, 1] = False


def hot_pixels(model: PatternModel, patterns: Patterns, params: Array) -> NDArray[np.bool_]:
    """Return the pixels that are too bright at all points together, (n_pixels,)."""
    excess, variance = np.zeros((2, model.pixels.n))
    for rows in batches(len(patterns)):
        own = patterns.part(rows)
        expected = model.evaluate(params[rows])[0]
        weights = own.weights(expected)
        excess += ((own.values - expected) * own.inside).sum(axis=0)
        variance += np.divide(1.0, weights, out=np.zeros_like(weights), where=weights > 0).sum(0)
    return _alone((excess / np.sqrt(variance + ONE_COUNT))[None], model).ravel()


def spikes(model: PatternModel, patterns: Patterns, params: Array) -> NDArray[np.bool_]:
    """Return the pixels that are too bright at one point, (n, n_pixels)."""
    marked = np.zeros(patterns.values.shape, dtype=bool)
    for rows in batches(len(patterns)):
        own = patterns.part(rows)
        expected = model.evaluate(params[rows])[0]
        weights = own.weights(expected)
        deviations = (own.values - expected) * np.sqrt(weights / (1.0 + ONE_COUNT * weights))
        marked[rows] = _alone(deviations, model)
    return marked


def _alone(deviations: Reals, model: PatternModel) -> NDArray[np.bool_]:
    """Return what stands out of the noise, and of its neighbours, in the shape of `deviations`.

    Parameters
    ----------
    deviations : shape (n, n_pixels), in units of the noise; 0 where nothing was measured
    """
    marked = deviations > DEVIATIONS
    frames = np.flatnonzero(marked.any(axis=1))
    own = deviations[frames]
    images = np.abs(own).reshape(len(frames), *model.pixels.shape)
    beside = ndimage.maximum_filter(images, footprint=NEIGHBOURS, mode="constant")
    marked[frames] &= own > ALONE * beside.reshape(own.shape)
    return marked
