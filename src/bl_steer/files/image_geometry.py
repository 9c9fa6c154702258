"""The voxel of a dataset in HDF5, where an image geometry beside it tells its spacing (DREAM.3D).

Version 6 has the datasets DIMENSIONS, SPACING and ORIGIN (x, y, z) in a group ``_SIMPL_GEOMETRY``
beside the cells' arrays, version 5 RESOLUTION for SPACING, and DREAM3D-NX the attributes
``_DIMENSIONS`` and ``_SPACING`` of the geometry itself. A length unit is told by few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from bl_steer.files.images.image_metadata import NM
from bl_steer.files.pixel_size import unread_edges

__all__ = ["voxel_of_dataset"]

SPACINGS = ("SPACING", "RESOLUTION", "_SPACING")
DIMENSIONS = ("DIMENSIONS", "_DIMENSIONS")


def voxel_of_dataset(dataset: Any) -> dict[str, Any]:
    """Return ``voxel_size_nm`` of a dataset (Z, Y, X, …) of h5py, as a geometry around it tells it.

    ``stated_voxel`` has its words where no unit is told; nothing where there is no such geometry,
    or it is of other voxels. Fiji and ilastik put ``element_size_um`` (z, y, x) at the dataset.
    """
    if len(size := _three(dataset, ("element_size_um",))) == 3:
        return _voxel(size[::-1], ["µm"])
    node = dataset.parent
    while True:
        for holder in [node, *(one for one in node.values() if isinstance(one, h5py.Group))]:
            spacing, counts = _three(holder, SPACINGS), _three(holder, DIMENSIONS)
            if spacing and counts and tuple(map(int, counts[::-1])) == dataset.shape[:3]:
                return _voxel(spacing, [*_units(holder), *_units(node)])
        if node.name == "/":
            return {}
        node = node.parent


def _three(holder: Any, names: tuple[str, ...]) -> list[float]:
    """Return three positive numbers that a group has as a dataset or attribute; else none."""
    places = (holder, holder.attrs) if isinstance(holder, h5py.Group) else (holder.attrs,)
    for place in places:
        for name in names:
            found = place.get(name)
            if found is None or isinstance(found, h5py.Group):
                continue
            values = np.asarray(found[()] if isinstance(found, h5py.Dataset) else found).ravel()
            if values.size == 3 and values.dtype.kind in "iuf" and (values > 0).all():
                return [float(f"{value:.7g}") for value in values.tolist()]
    return []


def _units(holder: Any) -> Iterator[str]:
    """Yield what a group says of units of length, as text in attributes."""
    for key, value in holder.attrs.items():
        if "unit" in key.lower() and isinstance(value, (str, bytes)):
            yield (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).strip()


def _voxel(spacing: list[float], units: list[str]) -> dict[str, Any]:
    known = [unit for unit in units if unit.lower() in NM]
    if known:
        factor = NM[known[0].lower()]
        return {"voxel_size_nm": [float(f"{edge * factor:.9g}") for edge in spacing[::-1]]}
    return {"stated_voxel": unread_edges(spacing[::-1], next(iter(units), ""))}
