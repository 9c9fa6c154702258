"""A network's probabilities corrected where it is unsure, by how the expert drew the edges.

Most errors of a trained network lie on single pixels along the edges, where the paint depends on
habits of the expert that a few training pairs do not settle: how far out an edge is drawn, and
whether it follows every noisy pixel. A handful of weights, fitted to the validation pairs, learn
these habits, and take most of the bias from the phase fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.segmentation.networks import SegmentationNetwork
from bl_steer.analysis.segmentation.networks.calibrated import (
    LEAST_LOG,
    CalibratedNetwork,
    doubt,
    features,
)
from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise

__all__ = ["calibrated"]

PRIOR_PRECISION = 10.0
"""Of the weights: few labelled pixels leave the network as it is."""
LEAST_DOUBT = 0.1
MOST_PIXELS = 200_000
"""To fit to, drawn evenly: bounds memory and time."""
MAX_ITERATIONS = 60


def calibrated(
    network: SegmentationNetwork,
    pairs: Sequence[tuple[NDArray[Any], NDArray[np.uint8]]],
    n_phases: int,
) -> CalibratedNetwork:
    """Return a trained network with the correction that fits labelled micrographs best.

    Parameters
    ----------
    network : in evaluation
    pairs : micrographs (H, W) with labels (H, W) that it was not trained on
    """
    corrected = CalibratedNetwork(network, n_phases)
    sets = [_uncertain_pixels(network, image, labels) for image, labels in pairs]
    inputs, offsets, labels = (torch.cat(parts) for parts in zip(*sets, strict=True))
    if not len(labels):
        return corrected
    if len(labels) > MOST_PIXELS:
        drawn = np.random.default_rng(0).permutation(len(labels))[:MOST_PIXELS]
        inputs, offsets, labels = inputs[drawn], offsets[drawn], labels[drawn]
    with torch.no_grad():
        corrected.weight.copy_(_fit(inputs, offsets, labels))
    return corrected


def _uncertain_pixels(
    network: SegmentationNetwork, image: NDArray[Any], labels: NDArray[np.uint8]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features times doubt (n, n_features), log p (n, n_phases) and labels (n,)."""
    grey = standardise(image)
    tiles = [
        (window, torch.from_numpy(p)[None].clamp(min=np.exp(LEAST_LOG)).log())
        for window, p in iterate_tiles(network, grey)
    ]
    log_p = torch.empty(1, tiles[0][1].shape[1], *grey.shape)
    for window, tile in tiles:
        log_p[:, :, *window] = tile
    unsure = doubt(log_p)
    known = torch.from_numpy(labels != UNLABELLED) & (unsure[0, 0] > LEAST_DOUBT)
    scaled = unsure * features(torch.from_numpy(grey)[None, None], log_p)
    return (
        scaled[0][:, known].T,
        log_p[0][:, known].T,
        torch.from_numpy(labels.astype(np.int64))[known],
    )


def _fit(inputs: Tensor, offsets: Tensor, labels: Tensor) -> Tensor:
    """Return the weights of the largest posterior: a convex problem."""
    weight = torch.zeros(offsets.shape[1], inputs.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe")
    strength = PRIOR_PRECISION / len(labels)

    def loss() -> Tensor:
        optimiser.zero_grad()
        entropy = functional.cross_entropy(offsets + inputs @ weight.T, labels)
        value = entropy + 0.5 * strength * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach()
