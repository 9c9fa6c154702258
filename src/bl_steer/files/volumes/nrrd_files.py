"""NRRD, which ParaView, 3D Slicer and napari open.

References
----------
G. Kindlmann, Definition of NRRD file format, teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import check_expansion
from bl_steer.files.errors import FileFormatError
from bl_steer.files.images.image_metadata import NM
from bl_steer.files.pixel_size import unread_edges

__all__ = ["nrrd_bytes", "read_nrrd", "write_nrrd"]

MAX_HEADER = 2**20
"""Bytes of a header."""
REQUIRED = ("type", "dimension", "sizes", "encoding")
TYPES = {
    1: r"u?int8(_t)?|uchar|(un)?signed char",
    2: r"u?int16(_t)?|u?short|((un)?signed )?short( int)?",
    4: r"u?int32(_t)?|u?int|(un)?signed int|float",
    8: r"u?int64(_t)?|u?longlong|((un)?signed )?long long( int)?|double",
}
"""Bytes of a value, by the names that the format gives its types."""


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


def nrrd_bytes(path: Path) -> int:
    """Return how many bytes the values of a file take in memory, as its header says.

    Raises
    ------
    FileFormatError
        If the header is none, or keeps the values in another file.
    """
    with path.open("rb") as file:
        return _n_bytes(_header(file))


def read_nrrd(path: Path, max_bytes: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return a volume (Z, Y, X), and what the file says of voxel and phases.

    An axis of one value without a place in space, as of one channel, is left out.

    Returns
    -------
    values, known : the latter with ``voxel_size_nm`` and ``phases``, or with ``stated_voxel``, the
        words of a file that states edges without a known unit of length

    Raises
    ------
    FileFormatError
        If it is larger than allowed, or its axes are turned against each other.
    """
    with path.open("rb") as file:
        header = _header(file)
        sizes = [int(n) for n in header["sizes"]]
        n_bytes = _n_bytes(header)
        if n_bytes > max_bytes:
            raise FileFormatError(f"must hold at most {max_bytes >> 30} GiB; cut it")
        check_expansion(n_bytes, path.stat().st_size)
        values = nrrd.read_data(header, file, str(path), index_order="C")
    edges, units = _edges(header)
    placed = [axis for axis, n in enumerate(sizes) if n > 1 or _is_placed(edges, axis)]
    if len(placed) == 3 < len(sizes):
        values = values.reshape([sizes[axis] for axis in placed][::-1])
        edges, units = [edges[axis] for axis in placed], [units[axis] for axis in placed]
    known: dict[str, Any] = {}
    factors = [NM.get(unit.lower()) for unit in units]
    if len(edges) == 3 and np.isfinite(edges).all():
        if None in factors:
            named = ", ".join(dict.fromkeys(u for u in units if u and u.lower() not in NM))
            known["stated_voxel"] = unread_edges(edges[::-1], named)
        else:
            told = zip(edges, factors, strict=True)
            known["voxel_size_nm"] = [float(f"{e * (f or 0.0):.9g}") for e, f in told][::-1]
    if phases := _phases(header.get("phases")):
        known["phases"] = phases
    return values, known


def _header(file: IO[bytes]) -> Any:
    try:
        header = nrrd.read_header(_header_lines(file))
        if missing := [field for field in REQUIRED if field not in header]:
            raise ValueError(f"no {', '.join(missing)}")
        sizes = [int(n) for n in header["sizes"]]
        if len(sizes) != header["dimension"] or min(sizes, default=0) < 1:
            raise ValueError(f"sizes {sizes} along {header['dimension']} axes")
    except (nrrd.NRRDError, ValueError) as error:
        raise FileFormatError(f"must have a sound header, got {error}; save it anew") from error
    if "data file" in header or "datafile" in header:
        raise FileFormatError("must hold its data itself, got a header alone; save one file")
    return header


def _n_bytes(header: Any) -> int:
    name = str(header["type"])
    of_one = next((size for size, names in TYPES.items() if re.fullmatch(names, name)), None)
    if of_one is None:
        raise FileFormatError(f"must hold numbers, got {name}; save them as uint8 or float")
    return of_one * math.prod(int(n) for n in header["sizes"])


def _phases(text: Any) -> list[str]:
    """Return the names that a header gives to labels 0, 1, …; none where it means another thing."""
    try:
        names = json.loads(text)
    except (TypeError, ValueError):
        return []
    told = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    return names if told else []


def _header_lines(file: IO[bytes]) -> list[str]:
    """Return the lines up to the empty one; those of pynrrd lose what is not ASCII, µ and Å."""
    lines: list[bytes] = []
    while line := file.readline(MAX_HEADER - file.tell()).rstrip():
        lines.append(line)
        if file.tell() >= MAX_HEADER:
            raise FileFormatError("must have a header of less than 1 MiB, got more; save it anew")
    text = b"\n".join(lines)
    try:
        return text.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return text.decode("latin-1").split("\n")


def _is_placed(edges: Sequence[float], axis: int) -> bool:
    return axis >= len(edges) or math.isfinite(edges[axis])


def _edges(header: Any) -> tuple[list[float], list[str]]:
    """Return edge and unit of each axis, from the fastest one on: NaN and "" where not told."""
    edges, units = header.get("spacings", ()), header.get("units", ())
    if "space directions" in header:
        directions = np.asarray(header["space directions"], dtype=float)
        edges = np.linalg.norm(directions, axis=-1)
        along = np.abs(directions) > 1e-6 * edges[:, None]
        in_space = np.isfinite(edges)
        if (along[in_space].sum(1) != 1).any() or (along[in_space].sum(0) > 1).any():
            raise FileFormatError("must have axes along x, y and z, got turned ones; resample it")
        # The units are those of the axes of space.
        of_space = [*header.get("space units", ()), *[""] * directions.shape[1]]
        units = [of_space[int(row.argmax())] if row.any() else "" for row in along]
    named = [str(unit).strip().strip('"').strip() for unit in units]
    return [float(edge) for edge in edges], [*named, *[""] * len(edges)][: len(edges)]
