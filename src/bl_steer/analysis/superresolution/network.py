"""SRRAM: the network that doubles the slices of a stack, stage by stage.

Kim, Choi, Cheon and Lee (2018), "RAM: Residual Attention Module for Single Image
Super-Resolution", arXiv:1811.12043. As published it doubles both axes of an image; here it doubles
the rows alone, C to 2C channels in the upscaler instead of 4C, and answers only the rows that are
inserted. `sections` runs it on sections of any size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SIZES", "SRRAM", "RAMBlock", "make_network"]

SIZES: dict[str, tuple[int, int]] = {
    "small": (4, 24),
    "medium": (8, 32),
    "large": (16, 64),
}
"""Blocks and channels. The published text fixes neither, so no size is called the published one."""
REDUCTION = 16
"""Channels are squeezed by it in the channel attention."""
BRANCH_SCALE = 0.1
"""Of the last weights of all residual branches together at the start: deep stacks then train."""


class RAMBlock(nn.Module):
    """A residual block whose branch is weighted by channel and spatial attention together.

    Parameters
    ----------
    channels : of input and output
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        squeezed = max(1, channels // REDUCTION)
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of `x`, (B, C, H, W); the variance is that of all of `x`."""
        branch = self.branch(x)
        variance = branch.float().var(dim=(2, 3), correction=0).to(branch.dtype)
        return x + self.weighted(branch, self.channel_attention(variance))

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual R before attention; a pixel sees its neighbours 2 away."""
        residual: Tensor = self.second(torch.relu(self.first(x)))
        return residual

    def channel_attention(self, variance: Tensor) -> Tensor:
        """Return the logit of each channel, (B, C, 1, 1), from the variance of R, (B, C)."""
        logit: Tensor = self.excite(torch.relu(self.squeeze(variance)))
        return logit[:, :, None, None]

    def weighted(self, branch: Tensor, channel: Tensor) -> Tensor:
        """Return R times its attention; a pixel sees its neighbours 1 away."""
        return branch * torch.sigmoid(channel + self.spatial(branch))


class SRRAM(nn.Module):
    """Rows between rows: sections (B, n_values, N, W) to what lies halfway, (B, n_values, N-1, W).

    Parameters
    ----------
    n_values : 1 for grey levels; the number of phases for labels, as shares of each phase
    blocks, channels : depth and width
    """

    def __init__(self, n_values: int, blocks: int, channels: int) -> None:
        super().__init__()
        self.n_values, self.n_blocks, self.channels = n_values, blocks, channels
        self.head = nn.Conv2d(n_values, channels, 3, padding=1)
        self.blocks = nn.ModuleList(RAMBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, channels, 3, padding=1)
        self.widen = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        # At every second row, no row added above: the inserted rows of the doubled section alone.
        self.answer = nn.Conv2d(channels, n_values, 3, stride=(2, 1), padding=(0, 1))
        with torch.no_grad():
            for block in self.ram_blocks():
                block.second.weight.mul_(BRANCH_SCALE / blocks)
                _bias(block.second).zero_()
            self.answer.weight.mul_(BRANCH_SCALE)
            _bias(self.answer).zero_()

    def ram_blocks(self) -> list[RAMBlock]:
        """Return the blocks in their order."""
        return [block for block in self.blocks if isinstance(block, RAMBlock)]

    @property
    def halo(self) -> int:
        """How many pixels away a pixel reaches, the variances apart."""
        return 1 + 3 * self.n_blocks + 3

    def forward(self, x: Tensor) -> Tensor:
        """Return the inserted rows: grey levels, or the logits of the phases."""
        first = self.head(x)
        features = first
        for block in self.blocks:
            features = block(features)
        return self.between(x) + self.finish(features, first)

    def between(self, x: Tensor) -> Tensor:
        """Return what the network starts from: the mean of the two rows around.

        For labels, the logarithm of the mean of the shares, kept off zero: a logit.
        """
        mean = 0.5 * (x[:, :, :-1] + x[:, :, 1:])
        return mean if self.n_values == 1 else torch.log(mean + 0.02)

    def finish(self, features: Tensor, first: Tensor) -> Tensor:
        """Return what is added to `between`: global skip, sub-pixel upscaler, last layer."""
        wide = self.widen(self.tail(features) + first)
        batch, _, rows, columns = wide.shape
        # Depth to space along the rows: two rows from one.
        pairs = wide.reshape(batch, self.channels, 2, rows, columns).transpose(2, 3)
        doubled = pairs.reshape(batch, self.channels, 2 * rows, columns)
        added: Tensor = self.answer(doubled)
        return added

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weights and bias of one convolution that does what `widen` and `answer` do.

        Nothing bends between the two, so their kernels convolve: (n_values, C, 4, 5), for rows one
        above to two below and columns two to each side. It differs from `finish` in the first and
        last column alone, where `answer` sees zeros beyond the section.
        """
        weight = self.widen.weight.new_zeros(self.n_values, self.channels, 4, 5)
        bias = _bias(self.answer).clone()
        for row in range(3):
            # Of the doubled rows 2i, 2i+1, 2i+2: of which of the pair, and how far below row i.
            of_pair, below = row % 2, row // 2
            wide = self.widen.weight[of_pair::2].transpose(0, 1)
            over = self.answer.weight[:, :, row : row + 1]
            both = functional.conv2d(wide, over.flip(3), padding=(0, 2))
            weight[:, :, below : below + 3] += both.transpose(0, 1)
            bias += over.sum(dim=(2, 3)) @ _bias(self.widen)[of_pair::2]
        return weight, bias


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise TypeError("every convolution here has a bias")
    return layer.bias


def make_network(n_values: int, blocks: int, channels: int, *, seed: int) -> SRRAM:
    """Return an untrained network whose weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SRRAM(n_values, blocks, channels)
    # torch's stubs have no overload of `to` with a memory format alone.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
