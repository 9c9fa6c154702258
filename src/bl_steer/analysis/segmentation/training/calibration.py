"""A network's probabilities corrected where it is unsure, by how the expert drew the edges.

Most errors of a trained network lie on single pixels along the edges, where the paint depends on
habits of the expert that a few training pairs do not settle: how far out an edge is drawn, and
whether it follows every noisy pixel. A handful of weights, fitted to the validation pairs, learn
these habits, and take most of the bias from the phase fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from bl_steer.analysis.segmentation.scores import confusion, iou
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise

__all__ = ["calibrated", "calibrated_if_better"]

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
    return _corrected(network, [_pixels_of(network, *pair) for pair in pairs], n_phases)


def calibrated_if_better(
    network: SegmentationNetwork,
    pairs: Sequence[tuple[NDArray[Any], NDArray[np.uint8]]],
    n_phases: int,
) -> SegmentationNetwork:
    """Return `calibrated` where that helps on pairs left out of its fit, else the network itself.

    Judged by the mean intersection over union: each pair is predicted with the correction that
    fits the others, the lower half of a single one with that of its upper half, and so on.
    """
    sets = [_pixels_of(network, *pair) for pair in pairs]
    parts = sets if len(sets) > 1 else _halves(sets[0])
    counts = np.zeros((2, n_phases, n_phases))
    for number, part in enumerate(parts):
        others = [other for k, other in enumerate(parts) if k != number]
        weight = _corrected(network, others, n_phases).weight.detach()
        for k, logits in enumerate((part.log_p, part.log_p + part.inputs @ weight.T)):
            predicted = logits.argmax(dim=1).numpy().astype(np.uint8)
            counts[k] += confusion(part.labels.numpy().astype(np.uint8), predicted, n_phases)
    counts += sum(one.sure for one in sets)
    before, after = (float(np.nanmean(iou(count))) for count in counts)
    return _corrected(network, sets, n_phases) if after > before else network


@dataclass(frozen=True)
class _Pixels:
    """The labelled pixels of a micrograph: those of which the network is unsure, and the others.

    Parameters
    ----------
    inputs, log_p, labels : features times doubt (n, n_features), log p (n, n_phases) and labels
        (n,) of the unsure ones, row by row
    sure : (n_phases, n_phases), the others by true and predicted phase
    """

    inputs: Tensor
    log_p: Tensor
    labels: Tensor
    sure: NDArray[np.float64]


def _halves(pixels: _Pixels) -> list[_Pixels]:
    middle = len(pixels.labels) // 2
    return [
        _Pixels(pixels.inputs[half], pixels.log_p[half], pixels.labels[half], pixels.sure)
        for half in (slice(middle), slice(middle, None))
    ]


def _corrected(
    network: SegmentationNetwork, sets: Sequence[_Pixels], n_phases: int
) -> CalibratedNetwork:
    corrected = CalibratedNetwork(network, n_phases)
    inputs = torch.cat([one.inputs for one in sets])
    offsets = torch.cat([one.log_p for one in sets])
    labels = torch.cat([one.labels for one in sets])
    if not len(labels):
        return corrected
    if len(labels) > MOST_PIXELS:
        drawn = np.random.default_rng(0).permutation(len(labels))[:MOST_PIXELS]
        inputs, offsets, labels = inputs[drawn], offsets[drawn], labels[drawn]
    with torch.no_grad():
        corrected.weight.copy_(_fit(inputs, offsets, labels))
    return corrected


def _pixels_of(
    network: SegmentationNetwork, image: NDArray[Any], labels: NDArray[np.uint8]
) -> _Pixels:
    grey = standardise(image)
    tiles = [
        (window, torch.from_numpy(p)[None].clamp(min=np.exp(LEAST_LOG)).log())
        for window, p in iterate_tiles(network, grey)
    ]
    log_p = torch.empty(1, tiles[0][1].shape[1], *grey.shape)
    for window, tile in tiles:
        log_p[:, :, *window] = tile
    unsure = doubt(log_p)
    doubted = unsure[0, 0] > LEAST_DOUBT
    known = torch.from_numpy(labels != UNLABELLED) & doubted
    scaled = unsure * features(torch.from_numpy(grey)[None, None], log_p)
    others = np.where(doubted.numpy(), np.uint8(UNLABELLED), labels)
    predicted = log_p[0].argmax(dim=0).numpy().astype(np.uint8)
    return _Pixels(
        scaled[0][:, known].T,
        log_p[0][:, known].T,
        torch.from_numpy(labels.astype(np.int64))[known],
        confusion(others, predicted, log_p.shape[1]),
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
