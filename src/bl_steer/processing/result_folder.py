"""A result as files for people: tables as CSV, label maps as TIFF, figures as PNG.

`bl_steer.processing.result_files` keeps a result exactly, in one file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from bl_steer import plotting
from bl_steer.files.atomic import draft_of
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
        yield write_table(table, folder / f"{name}.csv")
    for name, array in result.arrays.items():
        yield _write_array(array, folder / name)
    for name, draw in result.figures.items():
        path = folder / f"{name}.png"
        with draft_of(path) as draft, plotting.with_japanese():
            draw().savefig(draft, dpi=DPI)
        yield path


def write_table(table: Table, path: Path) -> Path:
    """Write a table as CSV and return its path.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([guarded(name) for name in table])
        columns = ([guarded(cell) for cell in column.tolist()] for column in table.values())
        writer.writerows(zip(*columns, strict=True))
    return path


def guarded(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula; numbers as they are.

    >>> [guarded(cell) for cell in ("=A1", "-cmd|' /C calc'!A0", "-4 2 0", -1.5)]
    ["'=A1", "'-cmd|' /C calc'!A0", '-4 2 0', -1.5]
    """
    is_formula = isinstance(cell, str) and _FORMULA.match(cell)
    return f"'{cell}" if is_formula else cell


def _write_array(array: NDArray[Any], stem: Path) -> Path:
    if array.dtype == np.uint8 and array.ndim == 2:
        path = stem.with_suffix(".tif")
        with draft_of(path) as draft:
            tifffile.imwrite(draft, array, compression="zlib")
    else:
        path = stem.with_suffix(".npy")
        with draft_of(path) as draft:
            np.save(draft, array)
    return path
