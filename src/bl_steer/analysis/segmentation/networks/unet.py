"""U-Net: the decoder sees the encoder's features of each level beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import (
    SegmentationNetwork,
    convolutions,
    rounded_up,
)

__all__ = ["UNet"]


class UNet(SegmentationNetwork):
    """An encoder and a decoder, joined at every level.

    Parameters
    ----------
    n_phases : channels of the output
    widths : channels of each level, the finest first; the last is the bottom

    References
    ----------
    O. Ronneberger, P. Fischer, T. Brox (2015), "U-Net: convolutional networks for biomedical
    image segmentation", doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, n_phases: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.halo = rounded_up(sum(6 * 2**level for level in range(len(widths))), self.stride)
        before = [1, *widths[:-1]]
        finer = list(pairwise(widths))[::-1]
        self.encoder = nn.ModuleList(
            convolutions(a, b) for a, b in zip(before, widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in finer)
        self.decoder = nn.ModuleList(convolutions(2 * a, a) for a, _ in finer)
        self.head = nn.Conv2d(widths[0], n_phases, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (B, n_phases, H, W)."""
        levels: list[Tensor] = []
        for block in self.encoder:
            x = block(functional.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        levels.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([levels.pop(), up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits
