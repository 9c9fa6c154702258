"""Tiles of a plane for a zoomable viewer: grey, one phase of a label map, or uncertainty.

A tile holds `TILE_PX` × `TILE_PX` pixels of the plane thinned by a step of 1, 2, 4, …
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bl_steer.server.errors import Refused
from bl_steer.server.viewing.planes import Info

__all__ = ["TILE_PX", "VALUES_PX", "grey_tile", "phase_tile", "uncertainty_tile", "values_of"]

TILE_PX = 512
VALUES_PX = 256
MEAN_PX = 4
"""Pixels along each edge that the mean of a thinned pixel is of, at most."""
MAX_STEP = 2**20
UNSURE = (197, 17, 98)
"""Colour of uncertainty, which no phase that comes with us has."""


def grey_tile(plane: NDArray[Any], info: Info, step: int, x: int, y: int) -> bytes:
    """Return a tile of an image as PNG, stretched between `Info.low` and `Info.high`."""
    values = _mean(plane, step, x, y)
    scaled = (values - info.low) / max(info.high - info.low, 1e-12)
    grey = np.rint(255 * np.clip(np.nan_to_num(scaled), 0.0, 1.0)).astype(np.uint8)
    return _png(Image.fromarray(grey))


def phase_tile(
    plane: NDArray[Any], label: int, colour: tuple[int, int, int], step: int, x: int, y: int
) -> bytes:
    """Return where a label map has a label, in its colour, transparent elsewhere, as PNG."""
    mask = (_thinned(plane, step, x, y) == label).astype(np.uint8)
    image = Image.fromarray(mask).convert("P")
    image.putpalette([255, 255, 255, *colour])
    return _png(image, transparency=0, bits=1)


def uncertainty_tile(plane: NDArray[Any], info: Info, step: int, x: int, y: int) -> bytes:
    """Return uncertainty as PNG: the less sure, the less transparent; 1, or more, is opaque."""
    values = np.nan_to_num(_mean(plane, step, x, y)) / max(1.0, info.high)
    values = np.clip(values, 0.0, 1.0)
    tile = np.empty((*values.shape, 4), np.uint8)
    tile[..., :3] = UNSURE
    tile[..., 3] = np.rint(255 * values)
    return _png(Image.fromarray(tile))


def values_of(plane: NDArray[Any], x: int, y: int) -> bytes:
    """Return the values of `VALUES_PX` × `VALUES_PX` pixels, little-endian, row by row."""
    block = plane[_span(y, VALUES_PX, plane.shape[0]), _span(x, VALUES_PX, plane.shape[1])]
    return np.ascontiguousarray(block).tobytes()


def _span(number: int, size: int, length: int) -> slice:
    if not 0 <= number * size < length:
        raise Refused(404, "refused.no_plane")
    return slice(number * size, min((number + 1) * size, length))


def _thinned(plane: NDArray[Any], step: int, x: int, y: int) -> NDArray[Any]:
    rows, columns = _region(plane, step, x, y)
    return np.asarray(plane[rows, columns][::step, ::step])


def _region(plane: NDArray[Any], step: int, x: int, y: int) -> tuple[slice, slice]:
    if not 1 <= step <= MAX_STEP or step & (step - 1):
        raise Refused(404, "refused.no_plane")
    size = TILE_PX * step
    return _span(y, size, plane.shape[0]), _span(x, size, plane.shape[1])


def _mean(plane: NDArray[Any], step: int, x: int, y: int) -> NDArray[np.float32]:
    """Return a region thinned by a step, each pixel the mean of some that it stands for."""
    rows, columns = _region(plane, step, x, y)
    part = plane[rows, columns]
    fine = max(1, step // MEAN_PX)
    part = np.asarray(part[::fine, ::fine], np.float32)
    each = step // fine
    short = [(0, -length % each) for length in part.shape]
    part = np.pad(part, short, mode="edge")
    height, width = part.shape
    blocks = part.reshape(height // each, each, width // each, each)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", compress_level=1, **options)
    return file.getvalue()
