"""NRRD, which ParaView, 3D Slicer and napari open.

References
----------
G. Kindlmann, Definition of NRRD file format, teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import check_expansion
from bl_steer.files.errors import FileFormatError
from bl_steer.files.image_metadata import NM

__all__ = ["read_nrrd", "write_nrrd"]


def write_nrrd(
    path: Path,
    values: NDArray[Any],
    voxel_nm: Sequence[float | None],
    phases: Sequence[str],
) -> None:
    """Write a volume (Z, Y, X); raw, since ParaView reads no other encoding.

    Parameters
    ----------
    voxel_nm : edges z, y, x; None where one is not known
    """
    # The file counts its axes from the fastest one.
    edges = [math.nan if edge is None else float(edge) for edge in voxel_nm[::-1]]
    header: dict[str, Any] = {
        "encoding": "raw",
        "kinds": ["domain"] * 3,
        "spacings": edges,
        "units": ["nm"] * 3,
    }
    if phases:
        header["phases"] = json.dumps(list(phases))
    nrrd.write(str(path), values, header, index_order="C")


def read_nrrd(path: Path, max_bytes: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return a volume (Z, Y, X), and what the file says of voxel and phases.

    Raises
    ------
    FileFormatError
        If it is larger than allowed, or its axes are turned against each other.
    """
    with path.open("rb") as file:
        header = nrrd.read_header(file)
        if "data file" in header or "datafile" in header:
            raise FileFormatError("must hold its data itself, got a header alone; save one file")
        n_bytes = math.prod(int(n) for n in header["sizes"])
        if n_bytes > max_bytes:
            raise FileFormatError(f"must hold at most {max_bytes >> 30} GiB; cut it")
        check_expansion(n_bytes, path.stat().st_size)
        values = nrrd.read_data(header, file, str(path), index_order="C")
    known: dict[str, Any] = {}
    edges = _edges_nm(header)
    if edges is not None and len(edges) == 3:
        known["voxel_size_nm"] = edges
    if "phases" in header:
        known["phases"] = json.loads(header["phases"])
    return values, known


def _edges_nm(header: Any) -> list[float] | None:
    """Return the edges z, y, x of a voxel; None where one is not told, or has no unit."""
    edges = header.get("spacings")
    units = header.get("units")
    if "space directions" in header:
        directions = np.asarray(header["space directions"], dtype=float)
        edges = np.linalg.norm(directions, axis=-1)
        if np.count_nonzero(np.abs(directions) > 1e-6 * np.nanmax(edges)) != len(directions):
            raise FileFormatError("must have axes along x, y and z, got turned ones; resample it")
        units = header.get("space units")
    if edges is None or units is None or len(edges) != len(units):
        return None
    factors = [NM.get(str(unit).strip('"').lower()) for unit in units]
    if any(factor is None for factor in factors) or not np.isfinite(edges).all():
        return None
    told = zip(edges, factors, strict=True)
    return [float(f"{edge * (factor or 0.0):.9g}") for edge, factor in told][::-1]
