"""Stacks from files, and volumes back into them: TIFF, NumPy, Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.stacks import open_stack
from bl_steer.analysis.slice_folder import read_slice_folder
from bl_steer.drafts import draft_of

__all__ = ["even_subset", "is_zarr", "parse_voxel", "read_stack", "write_volume"]

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
            f"a voxel must be Z,Y,X in nm, with Y equal to X, got {text!r}; try 100,10,10"
        )
    return z, y, x


def is_zarr(path: Path) -> bool:
    """Whether a path names a Zarr array."""
    return path.suffix == ".zarr"


def read_stack(path: Path) -> NDArray[Any]:
    """Return a stack (n, H, W) from a TIFF of several pages, a folder of TIFFs, .npy, .npz or Zarr.

    A folder's files are taken in natural order: ``s2.tif`` before ``s10.tif``.

    Raises
    ------
    ValueError
        When there is no stack of that form; pickles are refused.
    """
    if not path.exists():
        raise FileNotFoundError(f"a stack must be a file or a folder, got {path}; check the path")
    if is_zarr(path):
        return np.asarray(open_stack(path)[:])
    stack = _read(path)
    if stack.ndim != 3:
        raise ValueError(
            f"a stack must have the axes z, y, x, got shape {stack.shape} in {path}; give one stack"
        )
    return stack


def _read(path: Path) -> NDArray[Any]:
    import tifffile

    if path.is_dir():
        return read_slice_folder(path)
    if path.suffix == ".npy":
        return np.asarray(np.load(path))
    if path.suffix == ".npz":
        with np.load(path) as archive:
            stacks = [name for name in archive.files if archive[name].ndim == 3]
            if len(stacks) != 1:
                raise ValueError(
                    f"an .npz must hold one array of three axes, got {stacks} in {path}; save one"
                )
            return np.asarray(archive[stacks[0]])
    try:
        return np.asarray(tifffile.imread(path))
    except tifffile.TiffFileError as error:
        raise ValueError(
            f"a stack must be TIFF, .npy, .npz or .zarr, got {path}: {error}; convert it"
        ) from error


def even_subset(stack: Any) -> NDArray[Any]:
    """Return slices spread evenly over a stack in memory or in Zarr, as many as teach enough."""
    n = stack.shape[0]
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_TRAINING_SLICES)).round().astype(int))
    return np.stack([np.asarray(stack[int(z)]) for z in chosen])


def write_volume(path: Path, volume: NDArray[Any], voxel_nm: tuple[float, float, float]) -> Path:
    """Write a volume as a TIFF of pages, with the voxel in its description; whole or not at all."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
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
