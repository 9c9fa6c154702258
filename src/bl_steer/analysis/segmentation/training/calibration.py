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
from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork, rounded_up
from bl_steer.analysis.segmentation.phases import UNLABELLED
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise

__all__ = ["CalibratedNetwork", "calibrated"]

BANDS_PX = ((0.0, 1.2), (0.5, 1.2), (0.8, 2.0), (1.2, 2.0), (2.0, 4.0))
"""Sigmas of the Gaussians whose differences make the details of grey, pixels."""
RADIUS_PX = 16
"""Four times the largest sigma."""
LEAST_LOG = -9.0
"""Of a probability: below it the network is sure."""
SHARPNESS = 6.0
PRIOR_PRECISION = 10.0
"""Of the weights: few labelled pixels leave the network as it is."""
LEAST_DOUBT = 0.1
MOST_PIXELS = 200_000
"""To fit to, drawn evenly: bounds memory and time."""
MAX_ITERATIONS = 60


class CalibratedNetwork(SegmentationNetwork):
    """A trained network and the correction of its logits.

    Parameters
    ----------
    network : from micrographs (B, 1, H, W) to logits (B, n_phases, H, W)
    n_phases : channels of the logits

    Notes
    -----
    log p' = log p + d(p) (W f + b) up to a constant, where f are the log p themselves and the
    differences of Gaussians of the micrograph, and d = tanh(6 (1 − Σ p²)) is the network's doubt:
    pixels of which it is sure stay as they are. With weights of zero nothing changes. It is the
    matrix scaling of Guo et al. with the grey levels around a pixel beside its logits.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), "On calibration of modern neural networks",
    arXiv:1706.04599.
    """

    def __init__(self, network: SegmentationNetwork, n_phases: int) -> None:
        super().__init__()
        self.network = network
        self.stride = network.stride
        self.halo = rounded_up(max(network.halo, RADIUS_PX), network.stride)
        self.weight = nn.Parameter(torch.zeros(n_phases, n_phases + len(BANDS_PX) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the corrected logits, shape (B, n_phases, H, W)."""
        logits = self.network(x)
        # Differences of grey levels need single precision, also where the network does without.
        with torch.autocast(x.device.type, enabled=False):
            log_p = functional.log_softmax(logits.float(), dim=1)
            correction = torch.einsum("pf,bfhw->bphw", self.weight, features(x.float(), log_p))
            corrected: Tensor = log_p + doubt(log_p) * correction
        return corrected


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
    found = CalibratedNetwork(network, n_phases)
    sets = [_uncertain_pixels(network, image, labels) for image, labels in pairs]
    inputs, offsets, labels = (torch.cat(parts) for parts in zip(*sets, strict=True))
    if not len(labels):
        return found
    if len(labels) > MOST_PIXELS:
        some = np.random.default_rng(0).permutation(len(labels))[:MOST_PIXELS]
        inputs, offsets, labels = (one[some] for one in (inputs, offsets, labels))
    with torch.no_grad():
        found.weight.copy_(_fit(inputs, offsets, labels))
    return found


def features(x: Tensor, log_p: Tensor) -> Tensor:
    """Return what the correction is made from, shape (B, n_phases + n_bands + 1, H, W)."""
    blurred = {sigma: _blurred(x, sigma) for band in BANDS_PX for sigma in band}
    bands = [blurred[fine] - blurred[coarse] for fine, coarse in BANDS_PX]
    return torch.cat([log_p.clamp(min=LEAST_LOG), *bands, torch.ones_like(x)], dim=1)


def doubt(log_p: Tensor) -> Tensor:
    """Return how unsure a network is, 0 … 1, shape (B, 1, H, W)."""
    return torch.tanh(SHARPNESS * (1.0 - log_p.exp().square().sum(dim=1, keepdim=True)))


def _blurred(x: Tensor, sigma: float) -> Tensor:
    if sigma == 0.0:
        return x
    place = torch.arange(-RADIUS_PX, RADIUS_PX + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = kernel / kernel.sum()
    margin = (RADIUS_PX,) * 4
    x = functional.pad(x, margin, mode="replicate")
    x = functional.conv2d(x, kernel.view(1, 1, -1, 1))
    return functional.conv2d(x, kernel.view(1, 1, 1, -1))


def _uncertain_pixels(
    network: SegmentationNetwork, image: NDArray[Any], labels: NDArray[np.uint8]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features times doubt (n, n_features), log p (n, n_phases) and labels (n,)."""
    grey = standardise(image)
    parts = []
    for place, p in iterate_tiles(network, grey):
        log_p = torch.from_numpy(p)[None].clamp(min=np.exp(LEAST_LOG)).log()
        parts.append((place, log_p))
    whole = torch.empty(1, parts[0][1].shape[1], *grey.shape)
    for place, log_p in parts:
        whole[:, :, *place] = log_p
    unsure = doubt(whole)
    known = torch.from_numpy(labels != UNLABELLED) & (unsure[0, 0] > LEAST_DOUBT)
    scaled = unsure * features(torch.from_numpy(grey)[None, None], whole)
    return (
        scaled[0][:, known].T,
        whole[0][:, known].T,
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
