"""A map in the form that its owner has it in: a table, HDF5, NPY with axes, or an .npz.

All give a `MapFile`. What cannot be told is refused with what is there and what would tell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.files.errors import listed
from bl_steer.files.maps.column_names import (
    corner_of,
    is_bookkeeping,
    is_index,
    is_monitor,
    recognized,
    told_names,
    unit_of_name,
)
from bl_steer.files.maps.hdf5 import read_numbers, unit_of
from bl_steer.files.maps.map_file import MapFile, check_real, read_map
from bl_steer.files.maps.nexus_data import map_data
from bl_steer.files.maps.places import Order, Places, places_of
from bl_steer.files.maps.spreadsheets import BOOK_ENDINGS, OLD_ENDINGS
from bl_steer.files.maps.tables import read_columns

__all__ = ["MAP_ENDINGS", "read_any_map"]

TABLES = (".csv", ".tsv", ".txt", ".dat", *BOOK_ENDINGS)
HDF5 = (".h5", ".hdf5", ".hdf", ".nxs", ".he5", ".nc")
MAP_ENDINGS = (".npz", *TABLES, *HDF5, ".npy")
MAX_DATASETS = 2000


def read_any_map(path: str | Path) -> MapFile:
    """Read a map from a file of any of the endings in `MAP_ENDINGS`.

    Parameters
    ----------
    path : ``.npz`` as `read_map` takes it; a table with columns x, y and a value, or with x, y and
        a column for each channel of a spectrum, named by its position, or with the positions of x
        in its first row and those of y in its first column; HDF5 with a NeXus ``NXdata``, or a
        group of ``x``, ``y`` and ``map`` or ``patterns``; ``.npy`` with ``NAME_x.npy`` and
        ``NAME_y.npy`` beside it, or with fields x, y and value

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, or does not tell which numbers are which.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in (*TABLES, *OLD_ENDINGS):
        return _from_table(path)
    if ending in HDF5:
        return _from_hdf5(path)
    return _from_npy(path) if ending == ".npy" else read_map(path)


def _from_table(path: Path) -> MapFile:
    table = read_columns(path)
    every = table.by_name
    names = list(every)
    is_matrix = len(names) > 2 and _numbers(names[1:]) is not None
    if is_matrix and names == [str(n + 1) for n in range(len(names))]:  # as the table names them
        raise ValueError(
            f"a map must say what its columns are, got no names in {str(path)!r}; write "
            "x,y,value into the first line, or the x of a matrix after an empty cell"
        )
    if is_matrix:
        return _from_matrix(path, every, table.notes)
    columns = {name: column for name, column in every.items() if not is_index(name)}
    by_key = recognized(columns)
    if not {"x", "y"} <= set(by_key):
        rest = [name for name in columns if name not in by_key.values()]
        missing = [key for key in ("x", "y") if key not in by_key]
        by_key |= zip(missing, rest, strict=False)
    others = [name for name in columns if name not in (by_key.get("x"), by_key.get("y"))]
    if not others or not {"x", "y"} <= set(by_key):
        raise ValueError(
            f"a map must have columns x, y and its values, got {listed(columns)} in "
            f"{str(path)!r}; name them so in the first line"
        )
    axes, channels = None, _numbers(others)
    measured = [n for n in others if not is_bookkeeping(n) and not is_monitor(n)]
    if "value" not in by_key and channels is None and len(measured) == 1:
        by_key["value"] = measured[0]
    if "value" in by_key or len(others) == 1:
        by_key.setdefault("value", others[0])
        values = columns[by_key["value"]]
    elif channels is not None:
        values = np.column_stack([columns[name] for name in others])
        axes = FrameAxes(channels, np.zeros(1), "channel")
    else:
        raise ValueError(
            f"a map must tell which column holds its values, got {listed(others)} beside x and y "
            f"in {str(path)!r}; name it value, or name the channels of spectra by their positions"
        )
    x, y = by_key["x"], by_key["y"]
    notes = [*told_names({key: by_key[key] for key in ("x", "y", "value") if key in by_key})]
    return MapFile(
        path.stem,
        columns[x],
        columns[y],
        values,
        axes,
        unit_of_name(x),
        unit_of_name(y),
        (*table.notes, *notes),
    )


def _from_matrix(path: Path, columns: Mapping[str, NDArray[Any]], notes: Sequence[str]) -> MapFile:
    """Read a table whose first row is x and whose first column is y, or the other way round.

    The first cell may say which, as in ``y (um) / x (um): total``; see `corner_of`.
    """
    names = list(columns)
    across, down = np.meshgrid(np.array(_numbers(names[1:])), columns[names[0]])
    values = np.column_stack([columns[name] for name in names[1:]])
    (name, unit_down), unit_across, told = corner_of(names[0])
    notes = [*notes, *([f"values taken: {told!r}"] if told else [])]
    if name == "x":
        return MapFile(path.stem, down, across, values, None, unit_down, unit_across, tuple(notes))
    return MapFile(path.stem, across, down, values, None, unit_across, unit_down, tuple(notes))


def _from_npy(path: Path) -> MapFile:
    values = _load(path)
    if values.dtype.names:
        fields = recognized({name: values[name] for name in values.dtype.names})
        if len(fields) == 3:
            x, y, value = (values[fields[key]] for key in ("x", "y", "value"))
            return MapFile(path.stem, x, y, value, None, None)
        raise ValueError(
            f"an .npy of points must have fields x, y and value, got {listed(values.dtype.names)} "
            f"in {str(path)!r}; name them so"
        )
    beside = [path.with_name(f"{path.stem}_{axis}.npy") for axis in "xy"]
    if missing := [other.name for other in beside if not other.exists()]:
        raise ValueError(
            f"a map in .npy must have its axes beside it, got {path.name} of shape {values.shape} "
            f"without {' and '.join(missing)}; save these, or all three with "
            "numpy.savez(file, x=…, y=…, map=…)"
        )
    x, y = (_load(other) for other in beside)
    placed = _placed(path, x, y, values, path.stem)
    return MapFile(
        path.stem, placed.x, placed.y, values, None, None, None, placed.notes, placed.layout
    )


def _load(path: Path) -> NDArray[Any]:
    if not path.exists():
        raise FileNotFoundError(f"a map must exist, got {str(path)!r}; check the path")
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"a map in .npy must be a whole array of numbers, got {str(path)!r} "
            f"({str(error)[:60]}); save it anew with numpy.save"
        ) from error
    return array


def _from_hdf5(path: Path) -> MapFile:
    if not path.exists():
        raise FileNotFoundError(f"a map must exist, got {str(path)!r}; check the path")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
            f"a map must be whole HDF5, got {str(path)!r} ({str(error)[:60]}); copy it anew, or "
            "wait until its writer has closed it"
        ) from error
    with file:
        groups: list[h5py.Group] = [file]
        shapes: dict[str, tuple[int, ...]] = {}

        def note(name: str, member: Any) -> bool | None:
            if isinstance(member, h5py.Group):
                groups.append(member)
            else:
                shapes[name] = member.shape
            return True if len(shapes) > MAX_DATASETS else None

        file.visititems(note)
        found = [(g, keys) for g in groups if (keys := map_data(g)) is not None]
        if len(found) > 1 and (default := str(file.attrs.get("default", ""))):
            found = [f for f in found if default in f[0].name.split("/")] or found
        if len(found) != 1:
            there = listed(f"{name} {shape}" for name, shape in shapes.items())
            which = [group.name for group, _ in found]
            raise ValueError(
                f"a map in HDF5 must be one NXdata with axes, or one group of x, y and map or "
                f"patterns, got {listed(which)} in {str(path)!r} with {there}; name the datasets "
                "so, or keep one map in a file"
            )
        group, data = found[0]
        axes, n_channels = None, None
        if data.channels:
            unit = unit_of(group[data.channels]) or "channel"
            positions, _ = read_numbers(group, data.channels)
            axes = FrameAxes(np.asarray(positions, float), np.zeros(1), unit)
            n_channels = len(axes.qx)
        read = [read_numbers(group, name) for name in (data.x, data.y, data.signal)]
        (x, _), (y, _), (values, _) = read
        if data.spectral is not None:
            values = np.moveaxis(values, data.spectral, -1)
        source = data.signal
        placed = _placed(path, x, y, values, source, data.declared, n_channels)
        notes = [note for _, notes in read for note in notes]
        told = told_names({"x": data.x, "y": data.y})
        return MapFile(
            path.stem,
            placed.x,
            placed.y,
            values,
            axes,
            unit_of(group[data.x]),
            unit_of(group[data.y]),
            (*notes, *placed.notes, *told),
            placed.layout,
        )


def _placed(
    path: Path,
    x: NDArray[Any],
    y: NDArray[Any],
    values: NDArray[Any],
    source: str,
    declared: Order | None = None,
    n_channels: int | None = None,
) -> Places:
    for name, array in (("x", x), ("y", y), ("the values", values)):
        check_real(name, array, path)
    return places_of(x, y, values, path, source=source, declared=declared, n_channels=n_channels)


def _numbers(names: list[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(name) for name in names])
    except ValueError:
        return None
