"""Remove slow changes of brightness from a micrograph, with a first pass at half the resolution.

Charging and shading move the grey levels of a phase by as much as phases differ, over distances
that a network does not overlook. The first pass costs a quarter of a full one and tells which level
each pixel should have; the residual, smoothed, is shading.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation.networks import SegmentationNetwork
from bl_steer.analysis.segmentation.passes import Passes
from bl_steer.analysis.segmentation.tiles import (
    count_tiles,
    iterate_tiles,
    resample,
    standardise,
)

__all__ = ["even_levels", "quick_tiles"]

SMOOTHING_PX = 32.0
"""Standard deviation of the Gaussian that separates shading from structure."""
SURE = 0.9
"""Pixels that are at least so probable tell the level of their phase."""
FEWEST = 50
LEAST_WEIGHT = 1e-3


def even_levels(
    network: SegmentationNetwork,
    grey: NDArray[np.float32],
    n_phases: int,
    passes: Passes,
    on_tile: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Return grey levels (H, W) without their shading, standardised anew.

    Parameters
    ----------
    grey : standardised, any size
    on_tile : called after each tile of the first pass

    Notes
    -----
    As in the correction of bias fields in magnetic resonance images (Wells et al. 1996,
    DOI 10.1109/42.511747), the residual is the grey level less the one expected from the
    probabilities, ``Σ p_c level_c``; here it is additive, and weighted by how sure the network is.
    """
    half = _halved(grey)
    probability = np.empty((n_phases, *half.shape), np.float32)
    for window, p in iterate_tiles(network, half, _quick(passes)):
        probability[:, *window] = p
        on_tile()
    shading = resample(_shading(half, probability), _even(grey.shape))
    return standardise(grey - shading[: grey.shape[0], : grey.shape[1]])


def quick_tiles(network: SegmentationNetwork, shape: tuple[int, ...], passes: Passes) -> int:
    """Return how many tiles the first pass over an image of this shape, (H, W), takes."""
    return count_tiles(network, tuple(edge // 2 for edge in _even(shape)), _quick(passes))


def _shading(grey: NDArray[np.float32], probability: NDArray[np.float32]) -> NDArray[np.float32]:
    best = probability.max(axis=0)
    label = probability.argmax(axis=0)
    expected = np.zeros_like(grey)
    # The level of a phase is the median over its surest pixels: shading moves both ways.
    for phase, p in enumerate(probability):
        pixels = label == phase
        sure = pixels & (best > SURE)
        chosen = sure if np.count_nonzero(sure) >= FEWEST else pixels
        if chosen.any():
            expected += p * np.float32(np.median(grey[chosen]))
    weight = np.clip(2 * best - 1, 0, 1) ** 2
    sigma = SMOOTHING_PX / 2
    total = gaussian_filter(weight, sigma, mode="nearest")
    residual = gaussian_filter((grey - expected) * weight, sigma, mode="nearest")
    return np.asarray(residual / np.maximum(total, LEAST_WEIGHT), np.float32)


def _halved(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = _even(grey.shape)
    even = np.pad(grey, ((0, height - grey.shape[0]), (0, width - grey.shape[1])), mode="edge")
    return np.asarray(even.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)), np.float32)


def _even(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(edge + edge % 2 for edge in shape)


def _quick(passes: Passes) -> Passes:
    return Passes(passes.tile_px, 1, passes.precision)
