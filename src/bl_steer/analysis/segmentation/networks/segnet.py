"""SegNet: the decoder puts each value back to where the encoder's pooling found its maximum."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from bl_steer.analysis.segmentation.networks.layers import (
    SegmentationNetwork,
    convolutions,
    rounded_up,
)

__all__ = ["SegNet"]


class SegNet(SegmentationNetwork):
    """An encoder whose pooling indices guide the decoder.

    Parameters
    ----------
    n_phases : channels of the output
    widths : channels of each level, the finest first
    convolutions : of each level; VGG-16 has (2, 2, 3, 3, 3) with widths 64, 128, 256, 512, 512

    References
    ----------
    V. Badrinarayanan, A. Kendall, R. Cipolla (2017), "SegNet: a deep convolutional
    encoder-decoder architecture for image segmentation", doi:10.1109/TPAMI.2016.2644615.
    """

    def __init__(
        self, n_phases: int, widths: Sequence[int], *, convolutions: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        depth = [2] * len(widths) if convolutions is None else list(convolutions)
        self.stride = 2 ** len(widths)
        self.halo = rounded_up(_radius(depth), self.stride)
        self.encoder = nn.ModuleList(_encoder(widths, depth))
        self.decoder = nn.ModuleList(_decoder(widths, depth))
        self.head = nn.Conv2d(widths[0], n_phases, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (B, n_phases, H, W)."""
        indices = []
        for block in self.encoder:
            x, maxima = functional.max_pool2d(block(x), 2, return_indices=True)
            indices.append(maxima)
        for block in self.decoder:
            x = block(functional.max_unpool2d(x, indices.pop(), [2, 2]))
        logits: Tensor = self.head(x)
        return logits


def _encoder(widths: Sequence[int], depth: Sequence[int]) -> list[nn.Module]:
    before = [1, *widths[:-1]]
    return [convolutions(a, b, n) for a, b, n in zip(before, widths, depth, strict=True)]


def _decoder(widths: Sequence[int], depth: Sequence[int]) -> list[nn.Module]:
    """Mirror the encoder: each level hands over as many channels as the next finer one has."""
    after = [widths[0], *widths[:-1]]
    levels = list(zip(widths, after, depth, strict=True))[::-1]
    return [
        nn.Sequential(*convolutions(wide, wide, n - 1), *convolutions(wide, narrow, 1))
        for wide, narrow, n in levels
    ]


def _radius(depth: Sequence[int]) -> int:
    """Return how far a pixel sees: 3×3 convolutions on the way down and up, and the pooling."""
    return sum((2 * n + 2) * 2**level for level, n in enumerate(depth))
