"""The building blocks of the networks, and the class that all of them are."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

__all__ = ["SegmentationNetwork", "convolutions", "rounded_up"]


class SegmentationNetwork(nn.Module):
    """A network from micrographs (B, 1, H, W) to logits (B, n_phases, H, W).

    In evaluation, the logits of a pixel depend on nothing farther away than `halo` pixels, and
    shift with the micrograph by multiples of `stride` pixels.
    """

    stride: int
    """H and W must be multiples of it."""
    halo: int
    """A multiple of `stride`; pixels."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, shape (B, n_phases, H, W)."""


def convolutions(n_in: int, n_out: int, n: int = 2, *, dilation: int = 1) -> nn.Sequential:
    """Return n times 3×3 convolution, batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for i in range(n):
        first = n_in if i == 0 else n_out
        layers += [
            nn.Conv2d(first, n_out, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def rounded_up(pixels: int, stride: int) -> int:
    """Return the next multiple of the stride."""
    return -(-pixels // stride) * stride
