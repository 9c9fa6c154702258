"""PSPNet: averages over wide windows tell each pixel what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import (
    SegmentationNetwork,
    convolutions,
    rounded_up,
)

__all__ = ["PSPNet"]

WINDOWS = (3, 7, 15)
"""Pixels of the coarsest level that each average covers."""


class PSPNet(SegmentationNetwork):
    """An encoder, a pyramid of averages, and one step back to full resolution.

    Parameters
    ----------
    n_phases : channels of the output
    widths : channels of each level, the finest first

    Notes
    -----
    The published pyramid averages over fixed shares of the image, so that the result would depend
    on the size of the tile. Here the windows have fixed sizes in pixels and slide.

    References
    ----------
    H. Zhao, J. Shi, X. Qi, X. Wang, J. Jia (2017), "Pyramid scene parsing network",
    doi:10.1109/CVPR.2017.660.
    """

    def __init__(self, n_phases: int, widths: Sequence[int]) -> None:
        super().__init__()
        levels = len(widths) - 1
        self.stride = 2**levels
        radius = sum(3 * 2**level for level in range(levels)) + 2**levels * (
            2 * 2 + max(WINDOWS) // 2 + 2
        )
        self.halo = rounded_up(radius, self.stride)
        before = [1, *widths[:-1]]
        self.encoder = nn.ModuleList(
            convolutions(a, b, dilation=2 if level == levels else 1)
            for level, (a, b) in enumerate(zip(before, widths, strict=True))
        )
        share = max(1, widths[-1] // len(WINDOWS))
        self.pyramid = nn.ModuleList(nn.Conv2d(widths[-1], share, 1) for _ in WINDOWS)
        self.fuse = convolutions(widths[-1] + share * len(WINDOWS), widths[-1], 1)
        # The published network upsamples eight times at once; the finest level sharpens edges.
        self.refine = convolutions(widths[-1] + widths[0], widths[0], 1)
        self.head = nn.Conv2d(widths[0], n_phases, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (B, n_phases, H, W)."""
        fine = x = self.encoder[0](x)
        for block in list(self.encoder)[1:]:
            x = block(functional.max_pool2d(x, 2))
        averages = [
            layer(_average(x, window)) for layer, window in zip(self.pyramid, WINDOWS, strict=True)
        ]
        x = self.fuse(torch.cat([x, *averages], dim=1))
        x = functional.interpolate(x, scale_factor=self.stride, mode="bilinear")
        logits: Tensor = self.head(self.refine(torch.cat([x, fine], dim=1)))
        return logits


def _average(x: Tensor, window: int) -> Tensor:
    """Return the mean over a sliding window, rows first and then columns: far fewer sums."""
    half = window // 2
    for size, margin in (((window, 1), (half, 0)), ((1, window), (0, half))):
        x = functional.avg_pool2d(x, size, stride=1, padding=margin, count_include_pad=False)
    return x
