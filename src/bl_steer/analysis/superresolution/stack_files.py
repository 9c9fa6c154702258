"""The voxel and the slices of a stack, and a volume into a file.

`bl_steer.files.stacks` opens stacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.atomic import draft_of

__all__ = ["even_subset", "parse_voxel", "write_volume"]

MAX_TRAINING_SLICES = 32
"""Neighbouring slices teach much the same; evenly spread ones bound the memory."""


def parse_voxel(text: str) -> tuple[float, float, float]:
    """Return the edges of a voxel, nm, from ``Z,Y,X``.

    Raises
    ------
    ValueError
        Unless there are three positive numbers, equal along y and x.

    Examples
    --------
    >>> parse_voxel("100,10,10")
    (100.0, 10.0, 10.0)
    """
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        z = y = x = float("nan")
    if not (0 < z < np.inf and 0 < y < np.inf and abs(y - x) <= 1e-3 * y):
        raise ValueError(
            "a voxel must be three positive numbers Z,Y,X in nm, with Y equal to X, got "
            f"{text!r}; try 100,10,10"
        )
    return z, y, x


def even_subset(stack: Any) -> NDArray[Any]:
    """Return slices spread evenly over a stack in memory or in Zarr, as many as teach enough."""
    n = stack.shape[0]
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_TRAINING_SLICES)).round().astype(int))
    return np.stack([np.asarray(stack[int(z)]) for z in chosen])


def write_volume(path: Path, volume: NDArray[Any], voxel_nm: tuple[float, float, float]) -> Path:
    """Write a volume as a TIFF of pages, with the voxel in its description; whole or not at all."""
    import tifffile

    z, y, x = voxel_nm
    with draft_of(path) as draft:
        tifffile.imwrite(
            draft,
            volume,
            compression="zlib",
            photometric="minisblack",
            metadata={"axes": "ZYX", "voxel_nm": f"{z:g},{y:g},{x:g}"},
        )
    return path
