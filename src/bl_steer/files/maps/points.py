"""Measured points and maps from files, as the inputs of an analysis.

`bl_steer.files.maps.any_map` reads a map to be replayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import read_archive
from bl_steer.files.errors import listed
from bl_steer.files.maps.column_names import (
    NAMES,
    is_bookkeeping,
    is_index,
    plain_name,
    recognized,
    told_names,
    unit_of_name,
)
from bl_steer.files.maps.map_file import check_real, read_map
from bl_steer.files.maps.marks import like_marks
from bl_steer.files.maps.places import places_of
from bl_steer.files.maps.tables import Columns, read_columns
from bl_steer.protocols import Inputs

__all__ = ["map_inputs", "point_inputs"]

NUMBER_NAME = re.compile(r"([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)(?:[ _]*[(\[]?([A-Za-zµ°Å/]+)[)\]]?)?")
"""A channel's place on the axis, and its unit: ``6.39``, ``6.39 keV``, ``6.39 (keV)``."""
REMEDY = "leave these cells empty or write nan"


def point_inputs(path: str | Path) -> Inputs:
    """Return measured points: the arrays ``x``, ``y`` and ``value``, (n_points,).

    The columns of these names or of those in `NAMES`, or with these as a word (``stage_x``,
    ``det_total``); units may follow, as in ``x (um)``. Columns that only number the rows are
    skipped. Columns of other names are taken, in their order, only where there are as many as are
    still needed. The source says which were taken (``columns``), the notes what was left out and
    which values may mark what was not measured.

    Raises
    ------
    ValueError
        When it is open which columns are meant, or they do not belong together.
    """
    table, texts = _columns(path)
    columns = table.by_name
    column_names = _columns_of(columns, Path(path).name)
    arrays = _flat(
        {key: columns[name] for key, name in column_names.items()}, column_names, Path(path).name
    )
    unit = {"unit": texts["unit_xy"]} if "unit_xy" in texts else _units(column_names)
    value_unit = unit_of_name(column_names["value"])
    metadata = unit if value_unit is None else {**unit, "value_unit": value_unit}
    notes = [*table.notes, *_unlike_units(column_names), *like_marks(arrays["value"], REMEDY)]
    unused = [n for n in columns if n not in column_names.values() and not is_bookkeeping(n)]
    if unused := [name for name in unused if not is_index(name)]:
        notes.append(f"columns that are not used: {listed(unused)}")
    source = {"files": [str(path)], "columns": column_names}
    return Inputs(arrays, metadata, source, _sentences(notes))


def map_inputs(path: str | Path) -> Inputs:
    """Return a map: ``x``, ``y`` and ``patterns`` (n_points, n_channels).

    From CSV: the columns x and y, or the first two; all others are the channels, but for those
    that number the rows; where their names are numbers that rise or fall, such as energies
    (``6.39`` or ``6.39 keV``), these are the axis of the patterns. From ``.npz``: the arrays of
    these names, on a grid or not, each pattern (C,) or (H, W); where they are there, the pixels'
    ``axis`` or ``qx`` and ``qz``, and the texts ``unit_xy`` and ``axis_unit``, as in the recorded
    maps that ``bl-steer replay`` takes.
    """
    if Path(path).suffix.lower() == ".npz":
        return _map_from_npz(Path(path))
    table = read_columns(path)
    columns = {name: column for name, column in table.by_name.items() if not is_index(name)}
    by_key = recognized(columns)
    names = [by_key[key] for key in ("x", "y") if key in by_key]
    if len(names) < 2:
        names = list(columns)[:2]
    others = [name for name in columns if name not in names]
    channels = [name for name in others if not is_bookkeeping(name)]
    numbered = [name for name in channels if NUMBER_NAME.fullmatch(name.strip())]
    if len(numbered) > max(2, len(channels) // 2):
        channels = numbered  # a sum or a live time beside the channels of a spectrum is none
    if not channels:
        raise ValueError(
            f"a map must have channels beside x and y, got {', '.join(columns)} in "
            f"{Path(path).name}; give one column for each channel"
        )
    column_names = dict(zip(("x", "y"), names, strict=True))
    patterns = np.column_stack([columns[name] for name in channels])
    arrays = {"patterns": patterns}
    arrays |= {key: columns[name] for key, name in column_names.items()}
    metadata: dict[str, Any] = {**_units(column_names), "frame_shape": [1, len(channels)]}
    axis = _axis_of(channels)
    if axis is not None:
        arrays |= {"qx": axis[0], "qz": np.zeros(1)}
        metadata["axis_unit"] = axis[1]
    elif (value_unit := _one({unit_of_name(name) for name in channels})) is not None:
        metadata["value_unit"] = value_unit
    notes = [*table.notes, *told_names(column_names), *_unlike_units(column_names)]
    notes += like_marks(patterns, REMEDY)
    if axis is None and len(numbered) == len(channels) and not _count(channels):
        notes.append(
            f"the names of the channels, {listed(channels)}, are no axis: they neither rise nor "
            "fall, or their units differ; the channels are counted instead"
        )
    if left_out := [name for name in others if name not in channels]:
        notes.append(f"columns that are no channels left out: {listed(left_out)}")
    if n_empty := int(np.isnan(patterns).sum()):
        notes.append(f"{n_empty} of {patterns.size} cells have no value")
    source = {"files": [str(path)], "columns": column_names}
    return Inputs(arrays, metadata, source, _sentences(notes))


def _axis_of(names: Sequence[str]) -> tuple[NDArray[Any], str] | None:
    """Return the axis and its unit that the names of channels give; None where they give none.

    Whole numbers from 0 or 1 on without a unit count the channels.
    """
    parts = [NUMBER_NAME.fullmatch(name.strip()) for name in names]
    numbers = [part for part in parts if part]
    units = {part[2] or "" for part in numbers}
    if len(numbers) < max(2, len(parts)) or len(units) > 1:
        return None
    axis = np.array([float(part[1]) for part in numbers])
    steps, unit = np.diff(axis), units.pop()
    if _count(names) or not ((steps > 0).all() or (steps < 0).all()):
        return None
    return axis, unit or "no unit"


def _count(names: Sequence[str]) -> bool:
    """Whether names are the whole numbers from 0 or 1 on."""
    plain = [name.strip() for name in names]
    return any(plain == [str(first + k) for k in range(len(plain))] for first in (0, 1))


def _map_from_npz(path: Path) -> Inputs:
    recorded = read_map(path)
    pixels = recorded.values.shape[recorded.x.ndim :]
    if len(pixels) not in (1, 2) or 0 in pixels:
        raise ValueError(
            f"a map must have a pattern, (C,) or (H, W), at each point, got patterns of shape "
            f"{pixels} in {str(path)!r}; save one for each x and y"
        )
    arrays = {
        "patterns": recorded.values.reshape(recorded.x.size, -1).astype(float),
        "x": recorded.x.ravel().astype(float),
        "y": recorded.y.ravel().astype(float),
    }
    metadata: dict[str, Any] = {"frame_shape": list(pixels) if len(pixels) == 2 else [1, *pixels]}
    metadata |= _units_of(recorded.unit, recorded.unit_y)
    if recorded.axes is not None:
        arrays |= {"qx": recorded.axes.qx, "qz": recorded.axes.qz}
        metadata["axis_unit"] = recorded.axes.unit
    marks = like_marks(recorded.values, REMEDY) if len(pixels) == 1 else []
    return Inputs(arrays, metadata, {"files": [str(path)]}, _sentences(marks))


def _columns(path: str | Path) -> tuple[Columns, dict[str, str]]:
    if Path(path).suffix.lower() == ".npz":
        arrays, texts = _archive(Path(path))
        return Columns(arrays), texts
    return read_columns(path), {}


def _flat(
    arrays: dict[str, NDArray[Any]], names: Mapping[str, str], file: str
) -> dict[str, NDArray[Any]]:
    """Return columns of grids, with their axes or all positions, as columns of points."""
    x, y, value = (arrays[key] for key in ("x", "y", "value"))
    if x.ndim == y.ndim == 1 and value.ndim == 2:
        placed = places_of(x, y, value, Path(file), source=names["value"])
        arrays = arrays | {"x": placed.x, "y": placed.y}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or not arrays["x"].ndim:
        got = ", ".join(f"{names[key]} {array.shape}" for key, array in arrays.items())
        raise ValueError(
            f"x, y and value must have one shape, got {got} in {file}; give one of each for every "
            "point"
        )
    return {key: array.ravel() for key, array in arrays.items()}


def _archive(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays of numbers, and the texts of one element, such as units."""
    members = read_archive(path)
    texts = {k: str(a.item()) for k, a in members.items() if a.dtype.kind == "U" and a.size == 1}
    for name, array in members.items():
        if name not in texts and any(plain_name(name) in choices for choices in NAMES.values()):
            check_real(name, array, path)
    arrays = {k: array.astype(float) for k, array in members.items() if array.dtype.kind in "fiub"}
    return arrays, texts


def _columns_of(columns: Mapping[str, Any], file: str) -> dict[str, str]:
    """Return the names of the columns to take for x, y and value."""
    by_key = recognized(columns)
    missing = [key for key in NAMES if key not in by_key]
    rest = [name for name in columns if name not in by_key.values() and not is_index(name)]
    if missing and len(rest) != len(missing):
        raise ValueError(
            f"points must have columns x, y and value, got {listed(columns)} in {file}, which "
            f"does not tell {' and '.join(missing)}; name the columns x, y and value in the "
            "first line, or leave out the others"
        )
    by_key |= zip(missing, rest, strict=False)
    return {key: by_key[key] for key in NAMES}


def _units(names: Mapping[str, str]) -> dict[str, str]:
    return _units_of(*(unit_of_name(names[key]) for key in ("x", "y")))


def _units_of(x: str | None, y: str | None) -> dict[str, str]:
    """Return the unit of both axes, or of each, as `bl_steer.runs.unit_of_axes` has them."""
    if x == y:
        return {} if x is None else {"unit": x}
    return {"unit": f"{x or ''},{y or ''}"}


def _one(units: set[str | None]) -> str | None:
    return units.pop() if len(units) == 1 else None


def _unlike_units(names: Mapping[str, str]) -> list[str]:
    x, y = (unit_of_name(names[key]) for key in ("x", "y"))
    return [] if x == y else [f"x is in {x or 'no unit'}, y in {y or 'no unit'}"]


def _sentences(notes: Iterable[str]) -> list[str]:
    return [f"{note[:1].upper()}{note[1:]}." for note in notes]
