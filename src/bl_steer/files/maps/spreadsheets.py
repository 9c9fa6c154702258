"""The rows of a workbook as Excel and LibreOffice save it, for the reader of tables."""

from __future__ import annotations

import csv
import datetime
import io
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, ZipError

__all__ = ["BOOK_ENDINGS", "PARTED_BY", "lines_of_book"]

BOOK_ENDINGS = (".xlsx", ".ods")
PARTED_BY = "\t"
LONGEST = 1e15
"""Whole numbers up to here are written without a point."""


def lines_of_book(path: Path) -> tuple[list[str], list[str]]:
    """Return the rows of the first sheet that has any as lines with tabs, and notes.

    The line of a row is the row's number, so that an error names the row that the user sees.

    Raises
    ------
    ValueError
        When it is no workbook, or has no rows.
    """
    try:
        with CalamineWorkbook.from_path(path) as book:
            filled = {}
            for name in book.sheet_names:
                if rows := book.get_sheet_by_name(name).to_python(skip_empty_area=False):
                    filled[name] = rows
    except (CalamineError, ZipError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(
            f"a workbook must be a sound .xlsx or .ods, got {path.name} ({reason}); save it anew, "
            "or as CSV (UTF-8)"
        ) from error
    if not filled:
        raise ValueError(f"a workbook must have rows, got none in {path.name}; check the file")
    (name, rows), *others = filled.items()
    notes = []
    if others:
        left = ", ".join(repr(other) for other, _ in others)
        notes.append(f"sheet {name!r} is read; left out: {left}")
    width = max(len(row) for row in rows)
    return [_line([*row, *[""] * (width - len(row))]) for row in rows], notes


def _line(row: list[Any]) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=PARTED_BY, lineterminator="").writerow(map(_cell, row))
    return file.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < LONGEST else repr(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return " ".join(str(value).split())
