"""A network whose probabilities are corrected where it is unsure.

`bl_steer.analysis.segmentation.training.calibration` fits the correction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork, rounded_up

__all__ = ["LEAST_LOG", "CalibratedNetwork", "doubt", "features"]

BANDS_PX = ((0.0, 1.2), (0.5, 1.2), (0.8, 2.0), (1.2, 2.0), (2.0, 4.0))
"""Sigmas of the Gaussians whose differences make the details of grey, pixels."""
RADIUS_PX = 16
"""Four times the largest sigma."""
LEAST_LOG = -9.0
"""Of a probability: below it the network is sure."""
SHARPNESS = 6.0


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


def features(x: Tensor, log_p: Tensor) -> Tensor:
    """Return what the correction is linear in, shape (B, n_phases + n_bands + 1, H, W)."""
    blurred = {sigma: _blurred(x, sigma) for band in BANDS_PX for sigma in band}
    bands = [blurred[fine] - blurred[coarse] for fine, coarse in BANDS_PX]
    return torch.cat([log_p.clamp(min=LEAST_LOG), *bands, torch.ones_like(x)], dim=1)


def doubt(log_p: Tensor) -> Tensor:
    """Return how unsure a network is, 0 … 1, shape (B, 1, H, W)."""
    return torch.tanh(SHARPNESS * (1.0 - log_p.exp().square().sum(dim=1, keepdim=True)))


def _blurred(x: Tensor, sigma: float) -> Tensor:
    if sigma == 0.0:
        return x
    offset = torch.arange(-RADIUS_PX, RADIUS_PX + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = kernel / kernel.sum()
    margin = (RADIUS_PX,) * 4
    x = functional.pad(x, margin, mode="replicate")
    x = functional.conv2d(x, kernel.view(1, 1, -1, 1))
    return functional.conv2d(x, kernel.view(1, 1, 1, -1))
