"""Columns of a table that hold nothing: margins that a spreadsheet writes, and formulas."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bl_steer.files.errors import listed
from bl_steer.files.maps.column_names import NAMES, plain_name
from bl_steer.protocols import Array

__all__ = ["note_on_empty", "without_empty"]

CELL_OF_EXCEL = re.compile(
    rb"<c\b([^>]*)>\s*(?:<f[^>]*/>|<f[^>]*>[^<]*</f>)\s*(?:<v\s*/>|<v>(0?)</v>)?\s*</c>"
)
IS_TEXT = b't="str"'
"""In a cell whose result is an empty text."""
CELL_OF_ODS = re.compile(rb"<table:table-cell\b[^>]*\btable:formula=[^>]*>")
VALUE = b"value="
TO_CALCULATE = b'fullCalcOnLoad="1"'
"""In a workbook whose program has calculated nothing: XlsxWriter stores 0 as each result."""
UNSTORED = (
    "formulas whose results are not stored read as empty cells, or as 0: open the workbook in "
    "Excel or LibreOffice and save it"
)
PIECE, LONGEST_CELL = 2**20, 2**14
"""Bytes that are searched at once, and of a cell with its formula, which has 8192 letters."""


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
    """Return a note on columns of a workbook that have no value, and on results not stored.

    Raises
    ------
    ValueError
        When x, y or the value is such a column.
    """
    empty = [name for name, column in columns.items() if np.isnan(column).all()]
    unstored = _has_unstored_results(path)
    for name in empty:
        if any(plain_name(name) in choices for choices in NAMES.values()):
            why = UNSTORED if unstored else "write numbers there, or leave it out"
            raise ValueError(
                f"column {name!r} must hold numbers, got empty cells alone in {path.name}; {why}"
            )
    told = [f"columns without a value: {listed(empty)}"] if empty else []
    if unstored:
        return [f"{told[0]}; {UNSTORED}" if told else UNSTORED]
    return told


def _has_unstored_results(path: Path) -> bool:
    """Return whether a sheet of a workbook has a formula whose result is not stored."""

    def is_unstored(cell: re.Match[bytes]) -> bool:
        return IS_TEXT not in cell[1] and (not cell[2] or to_calculate)

    with zipfile.ZipFile(path) as book:
        to_calculate = any(
            TO_CALCULATE in book.read(name) for name in book.namelist() if name == "xl/workbook.xml"
        )
        sheets = [n for n in book.namelist() if "worksheets/" in n or n.endswith("content.xml")]
        for name in sheets:
            with book.open(name) as sheet:
                last = b""
                while piece := sheet.read(PIECE):
                    text = last + piece
                    if any(map(is_unstored, CELL_OF_EXCEL.finditer(text))):
                        return True
                    if any(VALUE not in cell[0] for cell in CELL_OF_ODS.finditer(text)):
                        return True
                    last = piece[-LONGEST_CELL:]
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
