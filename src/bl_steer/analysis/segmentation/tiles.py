"""Run a network over an image of any size, tile by tile, as if it had been run on it at once.

`bl_steer.analysis.segmentation.passes` says how; `segmentation` makes labels of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bl_steer.analysis.grey_levels import less_mean, mean_and_deviation
from bl_steer.analysis.segmentation.networks import SegmentationNetwork
from bl_steer.analysis.segmentation.passes import ONE_PASS, TILE_PX, Passes
from bl_steer.analysis.torch_device import computing_device

__all__ = ["count_tiles", "iterate_tiles", "padded", "resample", "standardise"]

CLIP = (0.5, 99.5)
"""Percentiles between which the mean and deviation are taken: charging must not set the scale."""
MAX_SAMPLE = 1 << 20


def standardise(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return grey levels (H, W) less their mean, in units of their deviation.

    The percentiles of large images are taken from an even subset of about a million pixels.
    """
    step = max(1, int(np.sqrt(image.size / MAX_SAMPLE)))
    some = np.asarray(image[::step, ::step], dtype=np.float64)
    mean, deviation = mean_and_deviation(np.clip(some, *np.percentile(some, CLIP)))
    return less_mean(image, mean, deviation or 1.0)


def padded(image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Return an image mirrored at its lower and right edge up to multiples of the stride."""
    extra = [(0, -edge % stride) for edge in image.shape]
    # numpy's stubs want the mode as a literal, not as a choice of two.
    mode = "symmetric" if min(image.shape) >= stride else "edge"
    return np.pad(image, extra, mode=mode) if any(e for _, e in extra) else image  # type: ignore[call-overload]


def resample(image: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an image (H, W) of another shape, smoothed first where it shrinks."""
    x = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    out = functional.interpolate(x, size=tuple(shape), mode="bilinear", antialias=True)
    return np.asarray(out[0, 0].numpy())


def iterate_tiles(
    network: SegmentationNetwork, image: NDArray[np.float32], passes: Passes = ONE_PASS
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.float32]]]:
    """Yield windows of the image, (rows, columns), and their probabilities, (n_phases, h, w).

    Parameters
    ----------
    image : standardised, any size

    Notes
    -----
    Each tile overlaps its neighbours by the network's halo and lies on the grid of its pooling, so
    that every pixel has the value that it would have in one pass over the whole image.
    """
    device = computing_device()
    network.to(device)
    full = padded(image, network.stride)
    core = _core(network, image.shape, passes.tile_px)
    for top in range(0, image.shape[0], core):
        for left in range(0, image.shape[1], core):
            rows, row = _span(top, core, network.halo, full.shape[0])
            columns, column = _span(left, core, network.halo, full.shape[1])
            out = _probability(network, full[rows, columns], passes, device)
            height = min(core, image.shape[0] - top)
            width = min(core, image.shape[1] - left)
            window = (slice(top, top + height), slice(left, left + width))
            yield window, out[:, row : row + height, column : column + width]


def count_tiles(
    network: SegmentationNetwork, shape: tuple[int, ...], passes: Passes = ONE_PASS
) -> int:
    """Return how many tiles `iterate_tiles` cuts an image of this shape, (H, W), into."""
    core = _core(network, shape, passes.tile_px)
    return int(np.prod([-(-edge // core) for edge in shape]))


def _core(network: SegmentationNetwork, shape: tuple[int, ...], tile_px: int) -> int:
    """Return the edge of a tile without its margins; that of the image where one tile holds it."""
    core = (tile_px - 2 * network.halo) // network.stride * network.stride
    if core <= 0:
        raise ValueError(
            f"tile_px must be at least {2 * network.halo + network.stride} px for this network, "
            f"got {tile_px}; try {TILE_PX}"
        )
    single = max(edge + -edge % network.stride for edge in shape)
    return single if single <= tile_px else core


def _span(start: int, core: int, halo: int, edge: int) -> tuple[slice, int]:
    """Return a tile's pixels with its margins, and where its own begin in them."""
    first = max(0, start - halo)
    return slice(first, min(edge, start + core + halo)), start - first


def _probability(
    network: SegmentationNetwork,
    tile: NDArray[np.float32],
    passes: Passes,
    device: torch.device,
) -> NDArray[np.float32]:
    """Return the probabilities of a tile, the mean over the test-time augmentation."""
    x = torch.from_numpy(np.ascontiguousarray(tile))[None, None].to(device)
    half = passes.precision == "bf16"
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        probabilities = [
            _restored(network(_augmented(x, view)).float().softmax(dim=1), view)
            for view in range(passes.views)
        ]
        return np.asarray(torch.stack(probabilities).mean(dim=0)[0].cpu().numpy())


def _augmented(x: Tensor, view: int) -> Tensor:
    """Return view 0 … 7 of an image (…, H, W): bits 0 and 1 mirror its axes, bit 2 transposes."""
    x = x.flip(-1) if view & 1 else x
    x = x.flip(-2) if view & 2 else x
    x = x.transpose(-1, -2) if view & 4 else x
    return x.contiguous(memory_format=torch.channels_last)


def _restored(x: Tensor, view: int) -> Tensor:
    """Undo `_augmented` on probabilities (…, H, W): the same steps in reverse order."""
    x = x.transpose(-1, -2) if view & 4 else x
    x = x.flip(-2) if view & 2 else x
    return x.flip(-1) if view & 1 else x
