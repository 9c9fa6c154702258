"""Columns of a table that hold nothing: margins that a spreadsheet writes, and formulas."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bl_steer.files.errors import listed
from bl_steer.files.maps.column_names import NAMES, plain_name
from bl_steer.protocols import Array

__all__ = ["note_on_empty", "without_empty"]

FORMULAS = (b"<f>", b"<f ", b"<f/>", b"table:formula")
"""How the sheets of .xlsx and .ods begin one."""
PIECE = 2**20
LONGEST_MARK = max(map(len, FORMULAS))


def without_empty(
    rows: Callable[[], Iterator[list[str]]], delimiter: str, *, by_letter: bool
) -> tuple[list[str], list[str]] | None:
    """Return lines without the columns that have neither a name nor any cell, and a note on them.

    None where there are no such columns.

    Parameters
    ----------
    rows : begins the rows anew; the first has the names
    by_letter : call columns A, B, … as a spreadsheet does, and not 1, 2, …
    """
    first = next(rows())
    empty = {number for number, name in enumerate(first) if not name.strip()}
    for row in islice(rows(), 1, None):
        empty -= {number for number in empty if len(row) > number and row[number].strip()}
        if not empty:
            return None
    if len(empty) == len(first):
        return None
    lines = [
        _line([cell for number, cell in enumerate(row) if number not in empty], delimiter)
        for row in rows()
    ]
    if not by_letter and empty == {len(first) - 1}:
        return lines, []  # each line ends with the mark that parts the columns
    names = [_letters(number) if by_letter else str(number + 1) for number in sorted(empty)]
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return lines, [f"empty columns without a name left out: {shown}"]


def note_on_empty(columns: Mapping[str, Array], path: Path) -> list[str]:
    """Return a note on columns of a workbook that have a name and no value.

    Raises
    ------
    ValueError
        When x, y or the value is such a column.
    """
    empty = [name for name, column in columns.items() if np.isnan(column).all()]
    if not empty:
        return []
    why = "write numbers there, or leave it out"
    if _has_formulas(path):
        why = (
            "formulas whose results are not stored read as empty cells: open the workbook in "
            "Excel or LibreOffice and save it"
        )
    for name in empty:
        if any(plain_name(name) in choices for choices in NAMES.values()):
            raise ValueError(
                f"column {name!r} must hold numbers, got empty cells alone in {path.name}; {why}"
            )
    told = f"columns without a value: {listed(empty)}"
    return [f"{told}; {why}" if _has_formulas(path) else told]


def _has_formulas(path: Path) -> bool:
    """Return whether a sheet of a workbook has a formula."""
    with zipfile.ZipFile(path) as book:
        sheets = [n for n in book.namelist() if "worksheets/" in n or n.endswith("content.xml")]
        for name in sheets:
            with book.open(name) as sheet:
                last = b""
                while piece := sheet.read(PIECE):
                    if any(mark in last + piece for mark in FORMULAS):
                        return True
                    last = piece[-LONGEST_MARK:]
    return False


def _letters(number: int) -> str:
    """Return what a spreadsheet calls a column, by its number from 0.

    >>> [_letters(number) for number in (0, 25, 26, 701, 702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    letters = ""
    number += 1
    while number:
        number, last = divmod(number - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters


def _line(cells: Sequence[str], delimiter: str) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="").writerow(cells)
    return file.getvalue()
