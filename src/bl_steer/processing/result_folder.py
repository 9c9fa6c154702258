"""A result as files for people: tables as CSV, label maps as TIFF, figures as PNG.

`bl_steer.processing.result_files` keeps a result exactly, in one file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from bl_steer import plotting
from bl_steer.files.atomic import draft_of
from bl_steer.files.maps.column_names import with_unit
from bl_steer.files.volumes import write_result_volume
from bl_steer.protocols import AnalysisResult, Progress, Table

__all__ = ["guarded", "write_result", "write_table"]

DPI = 130

_FORMULA = re.compile(r"[=@\t\r]|[-+](?![\d\s.,]*$)")


def write_result(
    result: AnalysisResult, folder: str | Path, progress: Progress | None = None
) -> list[Path]:
    """Write a result into a folder: tables as CSV, label maps as TIFF, the rest as .npy, figures.

    Parameters
    ----------
    progress : called after each file

    Returns
    -------
    paths of the files

    Raises
    ------
    UnwritableError
        Naming the file that cannot be written; no file is left cut short.
    """
    total = len(result.tables) + len(result.arrays) + len(result.figures)
    written: list[Path] = []
    for path in _written(result, Path(folder)):
        written.append(path)
        if progress is not None:
            progress(len(written), total)
    return written


def _written(result: AnalysisResult, folder: Path) -> Iterator[Path]:
    """Write the files of a result, and yield the path of each once it is there."""
    for name, table in result.tables.items():
        yield write_table(table, folder / f"{name}.csv", result.provenance.get("units"))
    for name, array in result.arrays.items():
        if _is_map(array) and name in result.provenance.get("voxels_nm", {}):
            yield write_result_volume(folder / name, result, name)
        else:
            yield _write_array(array, folder / name)
    for name, draw in result.figures.items():
        path = folder / f"{name}.png"
        with draft_of(path) as draft, plotting.with_japanese():
            draw().savefig(draft, dpi=DPI)
        yield path


def write_table(table: Table, path: Path, units: Mapping[str, str] | None = None) -> Path:
    """Write a table as CSV and return its path.

    Parameters
    ----------
    units : of columns whose names do not tell them; they follow these in the first line

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = [with_unit(name, (units or {}).get(name, "")) for name in table]
        writer.writerow([guarded(name) for name in names])
        columns = ([guarded(cell) for cell in _plain(column)] for column in table.values())
        writer.writerows(zip(*columns, strict=True))
    return path


def _plain(column: NDArray[Any]) -> list[Any]:
    """Return the cells of a column, 0 without a sign."""
    cells: list[Any] = (column + 0.0 if column.dtype.kind == "f" else column).tolist()
    return cells


def guarded(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; numbers as they are.

    >>> [guarded(cell) for cell in ("=A1", "-cmd|' /C calc'!A0", "-4 2 0", -1.5)]
    ["'=A1", "'-cmd|' /C calc'!A0", '-4 2 0', -1.5]
    """
    is_formula = isinstance(cell, str) and _FORMULA.match(cell)
    return f"'{cell}" if is_formula else cell


def _is_map(array: NDArray[Any]) -> bool:
    return array.dtype == np.uint8 and array.ndim == 2


def _write_array(array: NDArray[Any], stem: Path) -> Path:
    if _is_map(array):
        path = stem.with_suffix(".tif")
        with draft_of(path) as draft:
            tifffile.imwrite(draft, array, compression="zlib")
    else:
        path = stem.with_suffix(".npy")
        with draft_of(path) as draft:
            np.save(draft, array)
    return path
