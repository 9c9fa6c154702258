"""OME-Zarr: a Zarr group that says what the axes of its arrays are, and how long a voxel is.

References
----------
J. Moore et al., OME-NGFF: a next-generation file format for expanding bioimaging data-access
strategies, Nat. Methods 18, 1496 (2021), doi:10.1038/s41592-021-01326-w; versions 0.4 (Zarr 2) and
0.5 (Zarr 3), ngff.openmicroscopy.org.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.atomic import UnwritableError
from bl_steer.files.errors import FileFormatError
from bl_steer.files.images.image_metadata import NM
from bl_steer.files.pixel_size import unread_edges
from bl_steer.files.planes import some_planes

__all__ = ["described", "of_group", "write_ome_zarr"]

VERSION = "0.5"
CHUNK = 256
"""Edge of a chunk in the plane, and planes of one at most, in bytes below 2**24."""


class _Spatial:
    """The axes z, y, x of an array with channels and times of length 1 before them."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(array.shape[-3:])
        self.ndim, self.dtype = 3, array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        key = key if isinstance(key, tuple) else (key,)
        return np.asarray(self._array[(0,) * (self._array.ndim - 3) + key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


def described(
    dataset: str, voxel_nm: Sequence[float | None], phases: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the attributes of a group whose array (Z, Y, X) is an image, or labels of phases.

    Parameters
    ----------
    dataset : name of the array
    voxel_nm : edges z, y, x; None where one is not known
    """
    axes: list[dict[str, str]] = [
        {"name": name, "type": "space"} | ({} if edge is None else {"unit": "nanometer"})
        for name, edge in zip("zyx", voxel_nm, strict=True)
    ]
    scale = [1.0 if edge is None else float(edge) for edge in voxel_nm]
    ome: dict[str, Any] = {
        "version": VERSION,
        "multiscales": [
            {
                "name": dataset,
                "axes": axes,
                "datasets": [
                    {
                        "path": dataset,
                        "coordinateTransformations": [{"type": "scale", "scale": scale}],
                    }
                ],
            }
        ],
    }
    if phases:
        named = [{"label-value": label, "name": name} for label, name in enumerate(phases)]
        ome["image-label"] = {"properties": named}
    return {"ome": ome}


def write_ome_zarr(
    path: Path, volume: Any, voxel_nm: Sequence[float | None], phases: Sequence[str] = ()
) -> Path:
    """Write a volume (Z, Y, X) as the array ``0`` of a group; over an older group, none other.

    Raises
    ------
    ValueError
        When something else is there.
    UnwritableError
        When it cannot be written.
    """
    import zarr  # here: it takes half a second, and most volumes are of another kind

    if path.exists() and not (path / "zarr.json").is_file():
        raise ValueError(
            f"an OME-Zarr must be written over nothing but another, got {path}; give another place"
        )
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        group: Any = zarr.open_group(str(draft), mode="w", zarr_format=3)
        plane = [min(CHUNK, n) for n in volume.shape[1:]]
        depth = max(1, 2**24 // (math.prod(plane) * volume.dtype.itemsize))
        array = group.create_array(
            "0",
            shape=volume.shape,
            chunks=(min(depth, volume.shape[0]), *plane),
            dtype=volume.dtype,
            dimension_names=list("zyx"),
        )
        first = 0
        for planes in some_planes(volume):
            array[first : first + len(planes)] = planes
            first += len(planes)
        group.attrs.update(described("0", voxel_nm, phases))
        if path.exists():
            shutil.rmtree(path)
        draft.rename(path)
    except OSError as error:
        raise UnwritableError.at(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return path


def of_group(group: Any, name: str) -> tuple[Any, dict[str, Any]] | None:
    """Return the finest array (Z, Y, X) of a group, and what it says; None where it is no OME-Zarr.

    Parameters
    ----------
    name : of the array that is wanted: another one of that name in the group is no image of it

    Raises
    ------
    FileFormatError
        If it holds several channels or times, or other axes.
    """
    attributes: Mapping[str, Any] = group.attrs.get("ome", group.attrs)
    if "bioformats2raw.layout" in attributes and "0" in group:
        group = group["0"]
        attributes = group.attrs.get("ome", group.attrs)
    if not attributes.get("multiscales"):
        return None
    scales = attributes["multiscales"][0]
    finest = _finest(group, scales["datasets"])
    if name in group and name != finest["path"]:
        return None
    array = group[finest["path"]]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales.get("axes", ())]
    names = "".join(str(axis["name"]) for axis in axes)
    others = [f"{n} in {name}" for name, n in zip(names, array.shape, strict=False)
              if name not in "zyx" and n > 1]  # fmt: skip
    if others or not names.endswith("zyx"):
        what = ", ".join(others) or f"axes {names!r}"
        raise FileFormatError(
            f"must hold one channel and time with the axes z, y, x, got {what}; save one of them"
        )
    known: dict[str, Any] = {}
    factors = [NM.get(str(axis.get("unit", "")).lower()) for axis in axes[-3:]]
    scale = np.ones(len(axes))
    for transform in (
        *finest.get("coordinateTransformations", ()),
        *scales.get("coordinateTransformations", ()),
    ):
        if transform.get("type") == "scale":
            scale = scale * np.asarray(transform["scale"], dtype=float)
    if None not in factors:
        edges = scale[-3:] * np.array(factors, dtype=float)
        known["voxel_size_nm"] = [float(f"{edge:.9g}") for edge in edges]
    elif (scale[-3:] != 1).any():  # 1 is what is written where nothing is known
        units = dict.fromkeys(str(axis.get("unit", "")) for axis in axes[-3:])
        unread = ", ".join(unit for unit in units if unit and unit.lower() not in NM)
        known["stated_voxel"] = unread_edges(scale[-3:].tolist(), unread)
    properties = (attributes.get("image-label") or {}).get("properties") or ()
    named = {row.get("label-value"): row.get("name") for row in properties}
    if named and all(isinstance(named.get(label), str) for label in range(len(named))):
        known["phases"] = [named[label] for label in range(len(named))]
    return array if array.ndim == 3 else _Spatial(array), known


def _finest(group: Any, datasets: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the level of most voxels, the first of several: not all programs list it first."""

    def voxels(dataset: Mapping[str, Any]) -> int:
        return math.prod(group[dataset["path"]].shape) if dataset["path"] in group else -1

    return max(datasets, key=voxels)
