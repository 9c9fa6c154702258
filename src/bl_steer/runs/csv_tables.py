"""The tables of a run as CSV (RFC 4180): names in the first line, units in the second."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.files.atomic import draft_of
from bl_steer.files.maps.column_names import with_unit
from bl_steer.runs.run import Run
from bl_steer.runs.signal import Signal, is_readable, map_of, signal_of, units_of
from bl_steer.runs.tables import PRIMARY, Table, read_outcomes

__all__ = ["check_new", "write_csv"]

AXES = ("x", "y", "z")
OF_ARRAYS = {"predicted": ("mean", "sd", "above"), "seen": ("outcomes", "noise_ratios")}
"""Streams whose latest row holds arrays, with an element for each cell, or point."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula, and carry it out."""


def write_csv(run: Run, path: Path, *, force: bool = False) -> list[Path]:
    """Write the table of each stream, and the map of a run on a grid; return the files.

    Parameters
    ----------
    path : of the table of the points; that of a stream ``decisions`` is ``NAME_decisions.csv``
    force : write over files that are there

    Notes
    -----
    A text that a spreadsheet would take for a formula begins with an apostrophe; numbers are as
    they are. NaN is an empty cell. A list has a column for each element (``outcomes_0``, …; of
    several targets ``outcomes_0_0``). Of a predicted map each cell is a row, of its outline
    (``NAME_outline.csv``) and of what was seen each point. ``pandas.read_csv(path, skiprows=[1])``
    reads the numbers.
    """
    tables = {path: _rows(run, PRIMARY, run.primary)}
    for stream, table in run.streams.items():
        if stream in OF_ARRAYS and table:
            for name, rows in _unrolled(run, stream, table):
                tables[path.with_name(f"{path.stem}_{name}.csv")] = rows
        elif stream != PRIMARY and table:
            tables[path.with_name(f"{path.stem}_{stream}.csv")] = _rows(run, stream, table)
    signal = signal_of(run)
    grid = None if signal is None else map_of(run, signal)
    if signal is not None and grid is not None:
        for name, image in _maps(grid.axes.get("z"), grid.values):
            rows = _map_rows(_corner(run, signal), grid.axes["x"], grid.axes["y"], image)
            tables[path.with_name(f"{path.stem}_map{name}.csv")] = rows
    for file in tables:
        check_new(file, force=force)
    for file, rows in tables.items():
        with draft_of(file) as draft, draft.open("w", encoding="utf-8", newline="") as stream_:
            csv.writer(stream_).writerows([_cell(value) for value in row] for row in rows)
    return list(tables)


def check_new(path: Path, *, force: bool) -> None:
    """Refuse to write over a file.

    Raises
    ------
    FileExistsError
        When it is there and `force` is not given.
    """
    if path.exists() and not force:
        raise FileExistsError(
            f"an export must not write over a file, got {path}, which is there; give another "
            "name, or force=True (--force)"
        )


def _rows(run: Run, stream: str, table: Table) -> Iterable[Sequence[Any]]:
    columns: dict[str, list[Any]] = {}
    units: list[str] = []
    for key in table:
        if not (is_readable(key) and _is_plain(table[key])):
            continue
        new = _listed(key, table[key]) or {key: table[key].tolist()}
        columns |= new
        units += [units_of(run, key, stream)] * len(new)
    return chain([list(columns), units], zip(*columns.values(), strict=True))


def _listed(key: str, column: Any) -> dict[str, list[Any]]:
    """Return the columns of a column whose cells are lists, one for each element; empty without.

    Of numbers, also in lists of lists; shorter ones are padded, and what is NaN to the end of all
    is left out.
    """
    try:
        rows = [np.asarray(read_outcomes(text), dtype=float) for text in column]
    except (TypeError, ValueError):
        return {}
    if not rows or {row.ndim for row in rows} - {1, 2} or len({row.ndim for row in rows}) > 1:
        return {}
    shape = [max(row.shape[axis] for row in rows) for axis in range(rows[0].ndim)]
    padded = np.full((len(rows), *shape), np.nan)
    for cells, row in zip(padded, rows, strict=True):
        cells[tuple(slice(n) for n in row.shape)] = row
    known = np.flatnonzero(np.isfinite(padded).any(axis=tuple(range(padded.ndim - 1))))
    padded = padded[..., : known[-1] + 1 if len(known) else 0]
    numbers = np.ndindex(padded.shape[1:])
    return {f"{key}_{'_'.join(map(str, n))}": padded[(slice(None), *n)].tolist() for n in numbers}


def _unrolled(run: Run, stream: str, table: Table) -> Iterable[tuple[str, Iterable[Sequence[Any]]]]:
    """Give the latest row of a stream of arrays with a line for each element, and the outline."""
    grid = run.steering["grid"]
    names = [name for name in AXES if name in grid]
    units = [units_of(run, key) for key in run.axis_keys] or [""] * len(names)
    unit = units_of(run, str((run.steering.get("source") or {}).get("key", "")))
    latest = {key: read_outcomes(column[-1]) for key, column in table.items() if _is_text(column)}
    places = [latest[name] for name in names if name in latest]
    if stream == "predicted":
        places = [np.asarray(grid[name], dtype=float) for name in names]
        if not grid.get("scattered"):  # x runs fastest
            places = [c.ravel() for c in np.meshgrid(*places[::-1], indexing="ij")][::-1]
    keys = [key for key in OF_ARRAYS[stream] if key in latest]
    own = ["" if key in ("above", "noise_ratios") else unit for key in keys]
    columns = [column.tolist() for column in (*places, *(latest[key] for key in keys))]
    yield stream, [[*names, *keys], [*units, *own], *zip(*columns, strict=True)]
    if "outline_x" in latest:
        outline = [latest[f"outline_{name}"].tolist() for name in names]
        yield "outline", [names, units, *zip(*outline, strict=True)]


def _is_text(column: Any) -> bool:
    return isinstance(column[-1], str)


def _is_plain(column: Any) -> bool:
    """Return whether a column holds one value in each row, and no array."""
    return np.ndim(column) == 1 and not any(map(np.ndim, column[:1]))


def _maps(z: Any, values: Any) -> list[tuple[str, Any]]:
    if z is None:
        return [("", values)]
    return [(f"_z{i}", image) for i, image in enumerate(values)]


def _corner(run: Run, signal: Signal) -> str:
    """Return the first cell of a map: its axes with their units, and what its values are.

    As `bl_steer.files.maps.any_map` reads it: ``y (um) / x (um): det_total``.
    """
    named = zip("xy", [units_of(run, key) for key in signal.positions][:2], strict=True)
    x, y = (with_unit(*pair) for pair in named)
    return f"{y} / {x}: {with_unit(signal.key, units_of(run, signal.key))}"


def _map_rows(corner: str, x: Any, y: Any, image: Any) -> Iterable[Sequence[Any]]:
    """Return the rows of a map: x in the first line, y in the first column."""
    return [
        [corner, *x.tolist()],
        *([y_, *row] for y_, row in zip(y, image.tolist(), strict=True)),
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return "" if value is None or value != value else value
