"""Labels and segmentations that ilastik has exported as HDF5.

An export holds one dataset, ``exported_data``, whose attribute ``axistags`` names its axes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import check_expansion
from bl_steer.files.errors import SHOWN, FileFormatError, listed
from bl_steer.files.image_geometry import voxel_of_dataset
from bl_steer.files.probabilities import INSTEAD, are_probabilities

__all__ = ["EXPORTS", "read_export", "read_numbers", "whole_file"]

EXPORTS = (".h5", ".hdf5", ".dream3d", ".ilp")
"""Endings of the names of such files; the last one is refused with what to export."""

NAME = "exported_data"


def read_export(path: Path) -> tuple[NDArray[Any], bool]:
    """Return the numbers of an export, (H, W) or (Z, H, W), and whether ilastik wrote it.

    Raises
    ------
    ValueError
        If the file is damaged, holds no one dataset, or no label a pixel.
    """
    try:
        return read_numbers(path)[:2]
    except FileFormatError as error:
        raise ValueError(f"{path.name} {error}") from None
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"{path.name} must be a whole HDF5 file of ilastik, got a fault ({reason}); export it "
            "anew"
        ) from error


def whole_file(path: Path) -> Path:
    """Return the HDF5 file of a path that goes on to one of its datasets, as in a Zarr.

    Any other path is returned as it is.
    """
    inside = (p for p in path.parents if p.suffix.lower() in EXPORTS and p.is_file())
    return next(inside, path)


def read_numbers(path: Path) -> tuple[NDArray[Any], bool, dict[str, Any]]:
    """Return what `read_export` does, for a reader that names the file in its errors.

    And what a geometry in the file says of the voxel: `image_geometry.voxel_of_dataset`.
    """
    whole = whole_file(path)
    with h5py.File(whole, "r") as file:
        dataset = _dataset(file, path.relative_to(whole).as_posix())
        axes = _axes(dataset)
        is_ilastik = "axistags" in dataset.attrs or dataset.name == f"/{NAME}"
        return _numbers(dataset, axes), is_ilastik, voxel_of_dataset(dataset)


def _dataset(file: h5py.File, chosen: str) -> Any:
    found: dict[str, Any] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(keep)
    if chosen != ".":
        if chosen not in found:
            raise FileFormatError(f"must name one of the datasets {', '.join(found)}; check it")
        return found[chosen]
    if NAME in found:
        return found[NAME]
    if "PixelClassification" in file:
        raise FileFormatError(
            "must be an export of ilastik, got its project; export the labels or the simple "
            "segmentation as HDF5"
        )
    # Beside labels there may be voxels and names (DREAM.3D): lists, not planes.
    planes = [name for name, one in found.items() if sum(n > 1 for n in one.shape) > 1]
    if len(planes) != 1:
        shown = ", ".join(planes[:SHOWN]) + f" and {len(planes) - SHOWN} more" * (
            len(planes) > SHOWN
        )
        raise FileFormatError(
            f"must hold one dataset of planes, or {NAME}, got {shown or listed(found)}; for a "
            "volume, give the one that holds the labels as FILE.h5/NAME; for a mask, save it alone"
        )
    return found[planes[0]]


def _axes(dataset: Any) -> str | None:
    """Return a letter for each axis, None where the file does not say."""
    if (tags := dataset.attrs.get("axistags")) is not None:
        return "".join(str(axis["key"]) for axis in json.loads(tags)["axes"])
    # Scales, or labels, of HDF5's own, as xarray writes them.
    names = [str(next(iter(axis.keys()), axis.label)).lower() for axis in dataset.dims]
    return "".join(names) if sorted(names) in (["x", "y"], ["x", "y", "z"]) else None


def _numbers(dataset: Any, axes: str | None) -> NDArray[Any]:
    """Return the numbers in the order z, y, x, without axes of length 1 beside rows and columns."""
    if dataset.dtype.kind not in "uibf":
        raise FileFormatError(
            f"must hold the number of a label for each pixel, got {dataset.dtype}; {INSTEAD}"
        )
    check_expansion(dataset.nbytes, dataset.id.get_storage_size())
    numbers = np.asarray(dataset[()])
    if are_probabilities(numbers, channels=False):
        raise FileFormatError(
            f"must hold the number of a label for each pixel, got fractions of 0 to 1 as "
            f"probabilities are ({dataset.dtype}); {INSTEAD}"
        )
    if axes is None:
        long = [n for n in numbers.shape if n > 1]
        return numbers.reshape(long) if len(long) > 1 else numbers
    if len(axes) != numbers.ndim or not {"y", "x"} <= set(axes):
        raise FileFormatError(f"must have axes y and x, got {axes!r}; export it anew")
    extra = [f"{key} ({n})" for key, n in zip(axes, numbers.shape, strict=True)
             if key not in "zyx" and n > 1]  # fmt: skip
    if extra:
        raise FileFormatError(
            f"must hold one label for each pixel, got {', '.join(extra)} beside rows and columns, "
            "as probabilities or channels have; export the simple segmentation of one time"
        )
    order = [axes.index(key) for key in "zyx" if key in axes]
    kept = numbers.transpose([*order, *(k for k in range(numbers.ndim) if k not in order)])
    kept = kept.reshape(kept.shape[: len(order)])
    return kept[0] if kept.ndim == 3 and len(kept) == 1 else kept
