"""Which pixels of a detector are not to be used, as an array or a file of a user has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.files.archives import archive_arrays
from bl_steer.files.errors import FileFormatError
from bl_steer.files.images import read_colours
from bl_steer.files.scans.edf import is_edf, read_edf

__all__ = ["bad_pixels_of", "read_pixel_mask"]

REJECTED = 0xFFFF
"""Bits of ``NXdetector/pixel_mask`` for which a pixel is left out (gap, dead, hot, noisy, masked by
the user, …); those above tell what does not forbid its use, such as a virtual pixel."""


def bad_pixels_of(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels are not to be used, of a mask of any type: bits of NeXus, or 0 and 1."""
    if values.dtype.kind in "iu":
        return np.asarray(values.astype(np.int64) & REJECTED != 0)
    return np.asarray(values != 0)


def read_pixel_mask(source: ArrayLike | str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Return a mask, (H, W), True where a pixel is not to be used: where it is True or not 0.

    Parameters
    ----------
    source : an array, or a file: .npy, .npz with one array or one that is called ``mask``, NeXus or
        HDF5 with a ``pixel_mask``, .edf (as pyFAI and Fit2D write it), or an image

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it holds no mask of an area, or leaves no pixel.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        name, values = f" in {path.name}", _read(path)
    else:
        name, values = "", np.asarray(source)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise ValueError(
            f"a mask must be an array (rows, columns), True where a pixel is not to be used, got "
            f"{values.dtype} of shape {values.shape}{name}; give one of the frames' shape"
        )
    mask = bad_pixels_of(values)
    if mask.all():
        raise ValueError(
            f"a mask must leave pixels, got all {mask.size} masked{name}; True or 1 is for pixels "
            "that are not to be used: turn it round"
        )
    return mask


def _read(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"the file of a mask must exist, got {str(path)!r}; check the path")
    if h5py.is_hdf5(path):
        return _read_hdf5(path)
    try:
        if is_edf(path):
            return read_edf(path)
        if path.suffix.lower() == ".npz":
            return _only(archive_arrays(path), path)
    except FileFormatError as error:
        raise ValueError(f"the file of a mask {error}, in {path.name}") from error.__cause__
    if path.suffix.lower() != ".npy":
        return np.asarray(read_colours(path))
    try:
        # A header that promises more than the file holds is refused before memory is taken.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(
            f"a mask must be an array in a file of numpy, got {path.name} ({error}); save it with "
            "numpy.save"
        ) from error


def _only(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """Return the only array of an archive, or the one that is called mask."""
    name = "mask" if "mask" in arrays else next(iter(arrays)) if len(arrays) == 1 else None
    if name is not None:
        return arrays[name]
    raise ValueError(
        f"a mask must be the only array of its file, or called mask, got {', '.join(arrays)} in "
        f"{path.name}; save it with numpy.save"
    )


def _read_hdf5(path: Path) -> NDArray[Any]:
    """Return the only dataset of a file that is called ``pixel_mask`` or ``mask``."""
    masks: dict[str, h5py.Dataset] = {}

    def keep(name: str, item: Any) -> None:
        if name.rpartition("/")[2] in ("pixel_mask", "mask") and isinstance(item, h5py.Dataset):
            masks[name] = item

    try:
        with h5py.File(path, "r") as file:
            file.visititems(keep)
            arrays = {str(item.name): np.asarray(item[()]) for item in masks.values()}
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"a mask must be readable, got a fault in {path.name} ({error}); save it "
            "with numpy.save"
        ) from error
    if len(arrays) != 1:
        raise ValueError(
            f"a mask must be the only pixel_mask of its file, got {len(arrays)} in {path.name}; "
            "save it with numpy.save"
        )
    (values,) = arrays.values()
    return values[0] if values.ndim == 3 and len(values) == 1 else values
