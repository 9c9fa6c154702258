"""Run the stages over sections across a stack: rows are inserted, measured rows stay as they are.

The channel attention pools over a whole section. So a block is run in two passes: the residual of
the whole section, strip by strip; then its variance, and with it the weighting, strip by strip.
The strips overlap by what a layer reaches, and leave no trace in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.superresolution.network import SRRAM, RAMBlock
from bl_steer.analysis.torch_device import computing_device, processes_for_networks

__all__ = ["ONE_RUN", "Running", "insert_rows", "interleaved", "rows_between"]

Values = NDArray[np.float32]
PIXELS = {"cpu": 1 << 16, "cuda": 1 << 21}
"""Of a section that are worked on at a time, by device."""


@dataclass(frozen=True)
class Running:
    """How the networks are run; none of it changes what they find beyond rounding.

    Parameters
    ----------
    strip_px : pixels of a section that are worked on at a time, over all its rows; by default 2^16,
        which fit into a processor's cache, and 2^21 on a GPU
    precision : ``"bf16"`` pays on processors with matrix units for it; variances are always taken
        in f32
    processes : in which the sections are worked on beside one another; by default as many as
        `bl_steer.processing.executors.part_processes.each_result` takes. The result is the same
        bit for bit
    """

    strip_px: int | None = None
    precision: Literal["f32", "bf16"] = "f32"
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.strip_px is not None and self.strip_px < 1024:
            raise ValueError(f"strip_px must be at least 1024 px, got {self.strip_px}; try 65536")

    @property
    def pixels(self) -> int:
        """Pixels that are worked on at a time."""
        return self.strip_px or PIXELS[computing_device().type]

    @property
    def n_processes(self) -> int | None:
        """Processes as told, or one for a GPU."""
        return self.processes or processes_for_networks()


ONE_RUN = Running()


def insert_rows(
    stages: Sequence[SRRAM],
    measured: Values,
    running: Running = ONE_RUN,
    *,
    factor: int | None = None,
) -> Values:
    """Return sections with the rows that the stages insert.

    Parameters
    ----------
    stages : each doubles the number of intervals between rows, the coarsest first
    measured : (B, n_values, N, W)
    factor : rows for each interval, 2^n_stages by default. Others lie between those of the stages,
        and are interpolated linearly: where there are as many or fewer, over less than the distance
        of two

    Returns
    -------
    fine : (B, n_values, (N-1)·factor + 1, W); every factor-th row is a measured one, bit for bit
    """
    x = torch.from_numpy(np.ascontiguousarray(measured)).to(computing_device())
    with torch.inference_mode():
        for stage in stages:
            x = interleaved(x, rows_between(_beside(x, stage), x, running))
    fine: Values = x.cpu().numpy()
    doubled = 2 ** len(stages)
    if factor is None or factor == doubled:
        return fine
    rows = np.arange((measured.shape[2] - 1) * factor + 1) * doubled
    below, beyond = np.divmod(rows, factor)
    above = np.minimum(below + 1, fine.shape[2] - 1)
    share = (beyond / np.float32(factor))[:, None].astype(np.float32)
    return np.asarray(fine[:, :, below] * (1 - share) + fine[:, :, above] * share)


def interleaved(rows: Tensor, between: Tensor) -> Tensor:
    """Return N rows and the N-1 between them as 2N-1, shape (B, n_values, 2N-1, W)."""
    batch, n_values, n, width = rows.shape
    out = rows.new_empty(batch, n_values, 2 * n - 1, width)
    out[:, :, ::2], out[:, :, 1::2] = rows, between
    return out


def rows_between(network: SRRAM, x: Tensor, running: Running = ONE_RUN) -> Tensor:
    """Return what lies halfway between the rows: grey levels, or shares of the phases.

    Parameters
    ----------
    x : sections (B, n_values, N, W), f32
    """
    half = torch.autocast(x.device.type, torch.bfloat16) if running.precision == "bf16" else None
    width = max(8, running.pixels // (x.shape[0] * x.shape[2]))
    with half or nullcontext():
        seen = x.contiguous(memory_format=torch.channels_last)
        first = _stripwise(network.head, width, 1, seen)
        features = first.clone()
        for block in network.ram_blocks():
            branch = _stripwise(block.branch, width, 2, features)
            channel = block.channel_attention(_variance(branch))
            features += _stripwise(partial(_weighted, block, channel), width, 1, branch)
        added = _finished(network, features, first, width)
    out = network.between(x) + added
    return out if network.n_values == 1 else out.softmax(dim=1)


def _beside(x: Tensor, stage: SRRAM) -> SRRAM:
    """Return a stage on the device of its input; a model's own stages stay on the processor."""
    return stage if x.device.type == "cpu" else deepcopy(stage).to(x.device)


def _weighted(block: RAMBlock, channel: Tensor, branch: Tensor) -> Tensor:
    """Return what `RAMBlock.weighted` does, in one piece of memory."""
    attention: Tensor = block.spatial(branch)
    return attention.add_(channel).sigmoid_().mul_(branch)


def _variance(branch: Tensor) -> Tensor:
    """Return the variance of each channel over the whole section, in f32; shape (B, C).

    A product with a row of 1 / n averages many channels at once, several times as fast as `var`.
    """
    batch, channels, rows, columns = branch.shape
    pixels = branch.float().permute(0, 2, 3, 1).reshape(batch, rows * columns, channels)
    mean = pixels.new_full((batch, 1, rows * columns), 1.0 / (rows * columns))
    apart = pixels - mean @ pixels
    return (mean @ apart.square_())[:, 0]


def _finished(network: SRRAM, features: Tensor, first: Tensor, width: int) -> Tensor:
    """Return what `SRRAM.finish` does, its last two layers as one."""
    weight, bias = network.folded()

    def folded(features: Tensor, first: Tensor) -> Tensor:
        skipped = network.tail(features).add_(first)
        return functional.conv2d(skipped, weight, bias, padding=(1, 2))

    added = _stripwise(folded, width, 3, features, first).float()
    for edge, near in ((slice(0, 1), slice(0, 5)), (slice(-1, None), slice(-5, None))):
        exact = network.finish(features[..., near], first[..., near]).float()
        added[..., edge] = exact[..., edge]
    return added


def _stripwise(layer: Callable[..., Tensor], width: int, halo: int, *inputs: Tensor) -> Tensor:
    """Return a layer's answer over whole sections, computed strip by strip of columns.

    Parameters
    ----------
    width : columns of a strip without its margins
    halo : columns to each side that the layer's answer depends on
    inputs : (B, C, N, W)
    """
    columns = inputs[0].shape[3]
    if width + 2 * halo >= columns:
        return layer(*inputs)
    strips = []
    for left in range(0, columns, width):
        first, last = max(0, left - halo), min(columns, left + width + halo)
        out = layer(*(features[..., first:last] for features in inputs))
        strips.append(out[..., left - first : left - first + min(width, columns - left)])
    return torch.cat(strips, dim=3)
