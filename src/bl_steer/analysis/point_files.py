"""Measured points from files: CSV as laboratories write it, or ``.npz``.

`bl_steer.analysis.segmentation.reading` reads images, `bl_steer.analysis.structure.files` volumes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Inputs

__all__ = ["map_inputs", "point_inputs", "read_table"]

MAX_COLUMNS = 20_000
MAX_VALUES = 100_000_000
ENCODINGS = ("utf-8-sig", "cp932")
"""UTF-8 with or without a byte order mark; else what a Japanese Excel writes."""
VALUE_NAMES = ("value", "objective", "intensity", "counts", "total")
PEEK = 1 << 20
PEEK_ROWS = 20


def read_table(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a CSV file by name, in their order; without a header 1, 2, 3, …

    Parameters
    ----------
    path : UTF-8 or CP932; columns parted by comma, semicolon or tab, and then decimals may have a
        comma; lines from ``#`` are left out

    Raises
    ------
    ValueError
        When it is no such table, has too many columns or values, or names one column twice.
    """
    place = Path(path)
    text = _text(place)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ValueError(f"a table must have rows, got none in {place.name}; check the file")
    delimiter = _delimiter(lines)
    if delimiter != ",":
        lines = [lines[0], *(_with_points(line, place) for line in lines[1:])]
        if _is_numbers(bare := lines[0].replace(",", "."), delimiter):
            lines[0] = bare
    n_columns = lines[0].count(delimiter) + 1
    if n_columns > MAX_COLUMNS or n_columns * len(lines) > MAX_VALUES:
        raise ValueError(
            f"a table must have at most {MAX_COLUMNS} columns and {MAX_VALUES} values, got "
            f"{n_columns} columns and {len(lines)} rows in {place.name}; give less"
        )
    first = next(csv.reader([lines[0]], delimiter=delimiter))
    named = not _is_numbers(lines[0], delimiter)
    names = [cell.strip() for cell in first] if named else [str(n + 1) for n in range(n_columns)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"columns must have names of their own, got {twice!r} twice in {place.name}; rename one"
        )
    values = _values(lines[named:], delimiter, place)
    if values.shape[1] != len(names):
        raise ValueError(
            f"rows must be as long as the first, got {values.shape[1]} values under {len(names)} "
            f"names in {place.name}; check the delimiter"
        )
    return dict(zip(names, values.T, strict=True))


def point_inputs(path: str | Path) -> Inputs:
    """Return measured points: the arrays ``x``, ``y`` and ``value``.

    The columns of these names (``value`` may also be called objective, intensity, counts or total;
    units may follow, as in ``x (um)``), or else the first three.
    """
    columns = _columns(path)
    names = _found(columns, ("x", "y", "value"))
    if names is None:
        if len(columns) < 3:
            raise ValueError(
                f"points must have columns x, y and value, got {', '.join(columns)} in "
                f"{Path(path).name}; name them so"
            )
        names = list(columns)[:3]
    arrays = dict(zip(("x", "y", "value"), (columns[name] for name in names), strict=True))
    return Inputs(arrays, _units(names), {"files": [str(path)]})


def map_inputs(path: str | Path) -> Inputs:
    """Return a map: ``x``, ``y`` and ``patterns`` (n_points, n_channels).

    From CSV: the columns x and y, or the first two; all others are the channels. From ``.npz``:
    the arrays of these names, ``qx`` and ``qz`` as well where they are there; patterns may be
    (n_points, H, W).
    """
    if Path(path).suffix.lower() == ".npz":
        return _map_from_npz(Path(path))
    columns = _columns(path)
    names = _found(columns, ("x", "y")) or list(columns)[:2]
    channels = [column for name, column in columns.items() if name not in names]
    if not channels:
        raise ValueError(
            f"a map must have channels beside x and y, got {', '.join(columns)} in "
            f"{Path(path).name}; give one column for each channel"
        )
    arrays = {"patterns": np.column_stack(channels)}
    arrays |= dict(zip(("x", "y"), (columns[name] for name in names), strict=True))
    metadata = {**_units(names), "frame_shape": [1, len(channels)]}
    return Inputs(arrays, metadata, {"files": [str(path)]})


def _map_from_npz(path: Path) -> Inputs:
    arrays = _archive(path)
    if missing := [name for name in ("patterns", "x", "y") if name not in arrays]:
        raise ValueError(
            f"a map must hold patterns, x and y, got {', '.join(arrays) or 'nothing'} in "
            f"{path.name}; {', '.join(missing)} is missing"
        )
    patterns = arrays["patterns"]
    metadata = {"frame_shape": list(patterns.shape[1:]) if patterns.ndim == 3 else None}
    arrays["patterns"] = patterns.reshape(len(patterns), -1)
    known = {key: value for key, value in metadata.items() if value is not None}
    wanted = ("patterns", "x", "y", "qx", "qz")
    return Inputs({k: arrays[k] for k in wanted if k in arrays}, known, {"files": [str(path)]})


def _columns(path: str | Path) -> Mapping[str, NDArray[Any]]:
    if Path(path).suffix.lower() != ".npz":
        return read_table(path)
    arrays = _archive(Path(path))
    if any(array.ndim != 1 for array in arrays.values()):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"columns must have one axis, got {shapes} in {Path(path).name}")
    return arrays


def _archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name], dtype=float) for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, AttributeError) as error:
        raise ValueError(
            f"an .npz must hold plain arrays of numbers, got {path.name} ({error}); save it with "
            "numpy.savez"
        ) from error


def _text(path: Path) -> str:
    content = path.read_bytes()
    if b"\0" in content[:PEEK]:
        raise ValueError(f"a table must be text, got {path.name}; save it as CSV")
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(
        f"a table must be UTF-8 or CP932, got neither in {path.name}; save it as UTF-8"
    )


def _values(lines: list[str], delimiter: str, place: Path) -> NDArray[np.float64]:
    if not lines:
        raise ValueError(f"a table must have rows, got a header alone in {place.name}")
    try:
        return np.loadtxt(lines, delimiter=delimiter, ndmin=2, comments=None, quotechar='"')
    except ValueError as error:
        raise ValueError(
            f"a table must hold numbers, as many in each row, got {error} in {place.name}; correct "
            "that row"
        ) from error


def _found(columns: Mapping[str, Any], wanted: tuple[str, ...]) -> list[str] | None:
    """Return the columns that are called so, units aside; None unless all are there."""
    plain = {_plain(name): name for name in reversed(list(columns))}
    names = []
    for one in wanted:
        choices = VALUE_NAMES if one == "value" else (one,)
        found = next((plain[choice] for choice in choices if choice in plain), None)
        if found is None:
            return None
        names.append(found)
    return names


def _plain(name: str) -> str:
    return re.split(r"[\s_(\[/]", name.strip().lower(), maxsplit=1)[0]


def _units(names: list[str]) -> dict[str, str]:
    """Return the axes' unit where a header has it: ``x (um)``, ``x_um``, ``x [mm]``."""
    found = re.search(r"[\s_(\[/]+([^\s)\]]+)", names[0].strip())
    return {"unit": found[1]} if found else {}


def _delimiter(lines: list[str]) -> str:
    """Return what parts the columns: a semicolon or tab that is in every row, else the comma."""
    rows = lines[1:PEEK_ROWS] or lines
    for one in "\t;":
        if one in rows[0] and all(row.count(one) == rows[0].count(one) for row in rows):
            return one
    return max(",;\t", key=lines[0].count)


def _with_points(line: str, place: Path) -> str:
    """Return a row with points for decimal commas."""
    if "," in line and "." in line:
        raise ValueError(
            f"numbers must have a decimal comma or a decimal point, got both in {place.name} "
            f"({line.strip()[:60]!r}); write 1234.5 or 1234,5, without marks for thousands"
        )
    return line.replace(",", ".")


def _is_numbers(line: str, delimiter: str) -> bool:
    return all(_is_number(cell) for cell in next(csv.reader([line], delimiter=delimiter)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
