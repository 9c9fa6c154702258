"""Measured points from files: CSV as laboratories write it, or ``.npz``.

`bl_steer.files.maps` reads recorded maps, `bl_steer.files.images` images, `bl_steer.files.stacks`
volumes.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.archives import read_archive
from bl_steer.files.errors import listed
from bl_steer.files.maps import check_real, read_map
from bl_steer.protocols import Inputs

__all__ = [
    "INDEX_NAMES",
    "VALUE_NAMES",
    "map_inputs",
    "plain_name",
    "point_inputs",
    "read_table",
    "recognized",
    "unit_of_name",
]

MAX_COLUMNS = 20_000
MAX_VALUES = 100_000_000
ENCODINGS = ("utf-8-sig", "cp932")
"""UTF-8 with or without a byte order mark; else what a Japanese Excel writes."""
VALUE_NAMES = ("value", "objective", "intensity", "counts", "total", "map")
NAMES = {
    "x": ("x", "横", "横位置", "横座標", "x座標", "x位置"),
    "y": ("y", "縦", "縦位置", "縦座標", "y座標", "y位置"),
    "value": (*VALUE_NAMES, "値", "測定値", "強度", "カウント", "カウント数", "計数"),
}
"""What the columns may be called, the most certain first."""
INDEX_NAMES = ("", "#", "no", "no.", "index", "id", "番号", "測定番号", "点番号")
"""Columns that only count the rows."""
SEPARATOR = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)
"""What Excel takes from a first line, and may have written there."""
PEEK, PEEK_ROWS = 1 << 20, 20


def read_table(path: str | Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a CSV file by name, in their order; without a header 1, 2, 3, …

    Parameters
    ----------
    path : UTF-8 or CP932; columns parted by comma, semicolon or tab, and then decimals may have a
        comma, or by blanks; lines from ``#`` are left out, but for names above columns parted by
        blanks; a first line ``sep=;``, as for Excel, is heeded

    Raises
    ------
    ValueError
        When it is no such table, has too many columns or values, or names one column twice.
    """
    path = Path(path)
    text = _text(path)
    every = text.splitlines()
    said = SEPARATOR.fullmatch(every[0]) if every else None
    numbers, lines = [], []  # as an editor counts the lines
    for number, line in enumerate(every, start=1):
        if line.strip() and not line.startswith("#") and not (said and number == 1):
            numbers.append(number)
            lines.append(line)
    if not lines:
        raise ValueError(f"a table must have rows, got none in {path.name}; check the file")
    if not said and not any(mark in line for line in lines[-2:] for mark in ",;\t"):
        numbers, lines = _parted_by_blanks(every, numbers, lines)
    delimiter = said[1] if said else _delimiter(lines)
    if delimiter != ",":
        rows = zip(numbers[1:], lines[1:], strict=True)
        lines = [lines[0], *(_with_points(line, f"line {n} of {path.name}") for n, line in rows)]
        if _is_numbers(bare := lines[0].replace(",", "."), delimiter):
            lines[0] = bare
    n_columns = lines[0].count(delimiter) + 1
    if n_columns > MAX_COLUMNS or n_columns * len(lines) > MAX_VALUES:
        raise ValueError(
            f"a table must have at most {MAX_COLUMNS} columns and {MAX_VALUES} values, got "
            f"{n_columns} columns and {len(lines)} rows in {path.name}; give less"
        )
    first = next(csv.reader([lines[0]], delimiter=delimiter))
    named = not _is_numbers(lines[0], delimiter)
    names = [cell.strip() for cell in first] if named else [str(n + 1) for n in range(n_columns)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"columns must have names of their own, got {twice!r} twice in {path.name}; rename one"
        )
    values = _values(lines[named:], numbers[named:], delimiter, len(names), path)
    if values.shape[1] != len(names):
        raise ValueError(
            f"rows must be as long as the first, got {values.shape[1]} values under {len(names)} "
            f"names in {path.name}; check the delimiter"
        )
    return dict(zip(names, values.T, strict=True))


def _parted_by_blanks(
    text: list[str], numbers: list[int], lines: list[str]
) -> tuple[list[int], list[str]]:
    """Return lines whose values are parted by blanks with commas, and the names above them."""
    parted = [",".join(line.split()) for line in lines]
    above = text[numbers[0] - 2].lstrip("#").split() if numbers[0] > 1 else []
    if _is_numbers(parted[0], ",") and len(above) == parted[0].count(",") + 1:
        return [numbers[0] - 1, *numbers], [",".join(above), *parted]
    return numbers, parted


def point_inputs(path: str | Path) -> Inputs:
    """Return measured points: the arrays ``x``, ``y`` and ``value``, (n_points,).

    The columns of these names or of those in `NAMES`; units may follow, as in ``x (um)``. Columns
    that only number the rows are skipped. Columns of other names are taken, in their order, only
    where there are as many as are still needed. The source says which were taken (``columns``).

    Raises
    ------
    ValueError
        When it is open which columns are meant, or they do not belong together.
    """
    columns, texts = _columns(path)
    column_names = _columns_of(columns, Path(path).name)
    arrays = _flat(
        {key: columns[name] for key, name in column_names.items()}, column_names, Path(path).name
    )
    unit = {"unit": texts["unit_xy"]} if "unit_xy" in texts else _units(column_names["x"])
    return Inputs(arrays, unit, {"files": [str(path)], "columns": column_names})


def map_inputs(path: str | Path) -> Inputs:
    """Return a map: ``x``, ``y`` and ``patterns`` (n_points, n_channels).

    From CSV: the columns x and y, or the first two; all others are the channels, but for those
    that number the rows. From ``.npz``: the arrays of these names, on a grid or not, each pattern
    (C,) or (H, W); where they are there, the pixels' ``axis`` or ``qx`` and ``qz``, and the texts
    ``unit_xy`` and ``axis_unit``, as in the recorded maps that ``bl-steer replay`` takes.
    """
    if Path(path).suffix.lower() == ".npz":
        return _map_from_npz(Path(path))
    columns = {
        name: column
        for name, column in read_table(path).items()
        if plain_name(name) not in INDEX_NAMES
    }
    by_key = recognized(columns)
    names = [by_key[key] for key in ("x", "y") if key in by_key]
    if len(names) < 2:
        names = list(columns)[:2]
    channels = [column for name, column in columns.items() if name not in names]
    if not channels:
        raise ValueError(
            f"a map must have channels beside x and y, got {', '.join(columns)} in "
            f"{Path(path).name}; give one column for each channel"
        )
    column_names = dict(zip(("x", "y"), names, strict=True))
    arrays = {"patterns": np.column_stack(channels)}
    arrays |= {key: columns[name] for key, name in column_names.items()}
    metadata = {**_units(column_names["x"]), "frame_shape": [1, len(channels)]}
    return Inputs(arrays, metadata, {"files": [str(path)], "columns": column_names})


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
    if recorded.unit is not None:
        metadata["unit"] = recorded.unit
    if recorded.axes is not None:
        arrays |= {"qx": recorded.axes.qx, "qz": recorded.axes.qz}
        metadata["axis_unit"] = recorded.axes.unit
    return Inputs(arrays, metadata, {"files": [str(path)]})


def _columns(path: str | Path) -> tuple[Mapping[str, NDArray[Any]], dict[str, str]]:
    if Path(path).suffix.lower() == ".npz":
        return _archive(Path(path))
    return read_table(path), {}


def _flat(
    arrays: dict[str, NDArray[Any]], names: Mapping[str, str], file: str
) -> dict[str, NDArray[Any]]:
    """Return columns of grids as columns of points."""
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


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"a table must exist, got {str(path)!r}; check the path") from error
    except OSError as error:  # a folder, or no permission
        raise ValueError(
            f"a table must be a readable file, got {str(path)!r} ({error.strerror}); give a CSV "
            "file that you may read"
        ) from error
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


def _values(
    lines: list[str], numbers: list[int], delimiter: str, n_columns: int, path: Path
) -> NDArray[np.float64]:
    if not lines:
        raise ValueError(f"a table must have rows, got a header alone in {path.name}")
    try:
        return np.loadtxt(lines, delimiter=delimiter, ndmin=2, comments=None, quotechar='"')
    except ValueError as error:
        fault = _fault(lines, numbers, delimiter, n_columns) or f"{str(error).rstrip('.')} in a row"
        raise ValueError(
            f"a table must hold numbers, as many in each row, got {fault} of {path.name}; correct "
            "that line"
        ) from error


def _fault(lines: list[str], numbers: list[int], delimiter: str, n_columns: int) -> str:
    """Return what is wrong in the first row that is no row of numbers; empty if none is found."""
    for number, line in zip(numbers, lines, strict=True):
        cells = next(csv.reader([line], delimiter=delimiter))
        if len(cells) != n_columns:
            return f"{len(cells)} values instead of {n_columns} in line {number}"
        for column, cell in enumerate(cells, start=1):
            if not _is_number(cell):
                return f"{cell.strip()[:60]!r} in line {number}, column {column}"
    return ""


def recognized(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that are called x, y and value, as many as there are, units aside."""
    plain = {plain_name(name): name for name in reversed(list(columns))}
    by_key = {}
    for key, choices in NAMES.items():
        names = [plain[choice] for choice in choices if choice in plain]
        if names:
            by_key[key] = names[0]
    return by_key


def _columns_of(columns: Mapping[str, Any], file: str) -> dict[str, str]:
    """Return the names of the columns to take for x, y and value."""
    by_key = recognized(columns)
    missing = [key for key in NAMES if key not in by_key]
    rest = [
        name
        for name in columns
        if name not in by_key.values() and plain_name(name) not in INDEX_NAMES
    ]
    if missing and len(rest) != len(missing):
        raise ValueError(
            f"points must have columns x, y and value, got {listed(columns)} in {file}, which "
            f"does not tell {' and '.join(missing)}; name the columns x, y and value in the "
            "first line, or leave out the others"
        )
    by_key |= zip(missing, rest, strict=False)
    return {key: by_key[key] for key in NAMES}


def plain_name(name: str) -> str:
    """Return a name without its unit; full-width letters and brackets count as plain ones."""
    plain = unicodedata.normalize("NFKC", name).strip().lower()
    return re.split(r"[\s_(\[/]", plain, maxsplit=1)[0]


def unit_of_name(name: str) -> str | None:
    """Return an axis' unit where a header has it: ``x (um)``, ``x_um``, ``x [mm]``."""
    unit = re.search(r"[\s_(（\[/]+([^\s)）\]]+)", name.strip())
    return unit[1] if unit else None


def _units(name: str) -> dict[str, str]:
    unit = unit_of_name(name)
    return {} if unit is None else {"unit": unit}


def _delimiter(lines: list[str]) -> str:
    """Return what parts the columns: a semicolon or tab that is in every row, else the comma."""
    rows = lines[1:PEEK_ROWS] or lines
    for mark in "\t;":
        if mark in rows[0] and all(row.count(mark) == rows[0].count(mark) for row in rows):
            return mark
    return max(",;\t", key=lines[0].count)


def _with_points(line: str, where: str) -> str:
    """Return a row with points for decimal commas."""
    if "," in line and "." in line:
        raise ValueError(
            f"numbers must have a decimal comma or a decimal point, got both in {where} "
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
