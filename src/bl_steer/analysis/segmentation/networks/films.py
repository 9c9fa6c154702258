"""A network that finds thin films: a phase is more probable where two others meet.

In each of the pixels of a film that is hardly wider than one, either side is often more probable
than the film. Pixel by pixel the film is then missed, and in its place stands a boundary of the
two phases that it parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork, rounded_up

__all__ = ["FilmNetwork"]


class FilmNetwork(SegmentationNetwork):
    """A trained network whose logits grow where a phase can be a film between two others.

    Parameters
    ----------
    network : from micrographs (B, 1, H, W) to logits (B, n_phases, H, W)
    log_odds : what is added to the logit of each phase where two others meet

    Notes
    -----
    How much two phases i and j meet in a pixel is m_i m_j, where m is the largest probability of a
    phase in the 3×3 pixels around. So logit_k' = log p_k + w_k Σ m_i m_j over the pairs without k:
    w_k in full where two others surely touch, nothing in the midst of a phase or where k lies
    beside one other alone.
    """

    def __init__(self, network: SegmentationNetwork, log_odds: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.stride = network.stride
        self.halo = rounded_up(network.halo + 1, network.stride)
        # A buffer: a part of the weights, and chosen, not trained.
        self.register_buffer("log_odds", torch.tensor(log_odds, dtype=torch.float32))
        self.log_odds: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (B, n_phases, H, W)."""
        logits = self.network(x)
        # Small differences of logarithms need single precision, also where the network does not.
        with torch.autocast(x.device.type, enabled=False):
            log_p = functional.log_softmax(logits.float(), dim=1)
            return log_p + self.log_odds[:, None, None] * _meeting(log_p.exp())


def _meeting(probability: Tensor) -> Tensor:
    """Return how much two phases other than each meet in a pixel, (B, n_phases, H, W)."""
    near = functional.max_pool2d(probability, 3, stride=1, padding=1)
    others = near.sum(dim=1, keepdim=True) - near
    squares = near.square().sum(dim=1, keepdim=True) - near.square()
    return (others.square() - squares) / 2
