"""Label volumes from files: a TIFF stack, a folder of TIFFs, .npy, .npz or Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bl_steer.analysis.slice_folder import read_slice_folder
from bl_steer.protocols import Inputs

__all__ = ["inputs_from_file"]

KNOWN = ("voxel_size_nm", "phases")
"""What a file may say besides the labels."""


def inputs_from_file(path: str | Path) -> Inputs:
    """Return a label volume and what its file says of voxel and phases; large ones stay on disk.

    Parameters
    ----------
    path : a TIFF stack; a folder of TIFF slices, ``s2.tif`` before ``s10.tif``; ``.npy``;
        ``.npz`` with one array, or ``labels`` and perhaps ``voxel_size_nm``; a Zarr array, or a
        group with ``labels``, with ``voxel_size_nm`` (z, y, x) and ``phases`` among its attributes

    Raises
    ------
    ValueError
        When there is no such file, or it holds no volume.
    """
    place = Path(path)
    readers = {".npy": _npy, ".npz": _npz, ".zarr": _zarr, ".tif": _tiff, ".tiff": _tiff}
    read = readers.get(place.suffix.lower(), _folder if place.is_dir() else None)
    if read is None or not place.exists():
        found = "which does not exist" if not place.exists() else "which is of another kind"
        raise ValueError(
            f"a volume must be a TIFF stack, a folder of TIFFs, .npy, .npz or .zarr, got "
            f"{str(path)!r}, {found}; save the labels with tifffile.imwrite or zarr.save_array"
        )
    try:
        labels, known = read(place)
    except (OSError, LookupError, TypeError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ValueError(
            f"a volume must be whole and readable, got {str(path)!r} ({reason}); save it anew"
        ) from error
    return Inputs({"labels": labels}, known, {"files": [str(path)]})


def _folder(path: Path) -> tuple[Any, dict[str, Any]]:
    return read_slice_folder(path), {}


def _npy(path: Path) -> tuple[Any, dict[str, Any]]:
    import numpy as np

    return np.load(path, mmap_mode="r", allow_pickle=False), {}


def _npz(path: Path) -> tuple[Any, dict[str, Any]]:
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    known = {key: arrays.pop(key).tolist() for key in KNOWN if key in arrays}
    if "labels" not in arrays and len(arrays) != 1:
        raise ValueError(f"it must hold one array, or labels; it has {sorted(arrays) or 'none'}")
    return arrays.get("labels", next(iter(arrays.values()))), known


def _zarr(path: Path) -> tuple[Any, dict[str, Any]]:
    import zarr

    node: Any = zarr.open(str(path), mode="r")
    labels = node["labels"] if isinstance(node, zarr.Group) else node
    attributes = {**node.attrs, **labels.attrs}
    return labels, {key: attributes[key] for key in KNOWN if key in attributes}


def _tiff(path: Path) -> tuple[Any, dict[str, Any]]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if "S" in series.axes:
            raise ValueError(f"it holds colours, axes {series.axes}; one label a voxel is needed")
        if len(file.pages) > 1 and len(series.shape) < 3:
            return file.asarray(key=slice(None)), {}
        return series.asarray(), {}
