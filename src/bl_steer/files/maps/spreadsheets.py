"""The rows of a workbook as Excel and LibreOffice save it, for the reader of tables."""

from __future__ import annotations

import csv
import datetime
import io
import re
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum, ZipError

from bl_steer.files.maps.thousands import COMMA_FOR_THOUSANDS, note_on_points

__all__ = [
    "BOOK_ENDINGS",
    "OLD_ENDINGS",
    "PARTED_BY",
    "check_new_book",
    "is_old_book",
    "lines_of_book",
]

BOOK_ENDINGS = (".xlsx", ".ods")
OLD_ENDINGS = (".xls", ".xlt")
OLD_HEADS = (
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",  # CFB: of Excel 97 to 2003, or with a password
    *(b"\x09\0\x04\0", b"\x09\x02\x06\0", b"\x09\x04\x06\0"),  # BIFF 2, 3 and 4
    *(b"\x09\x08\x08\0", b"\x09\x08\x10\0"),  # BIFF 5 and 8
)
PARTED_BY = "\t"
DECIMAL = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
NUMBER = re.compile(r"[+-]?\d*[.,]?\d+([eE][+-]?\d+)?")
LONGEST = 1e15
"""Whole numbers up to here are written without a point."""


def is_old_book(head: bytes) -> bool:
    """Return whether a file begins as a workbook of Excel before 2007, or one with a password."""
    return head.startswith(OLD_HEADS)


def check_new_book(head: bytes, name: str) -> None:
    """Refuse a workbook that is not read, by its first bytes.

    Raises
    ------
    ValueError
        When it is of Excel before 2007, or has a password.
    """
    if is_old_book(head):
        raise ValueError(
            f"a workbook must be an .xlsx or .ods without a password, got {name}, which is of "
            "Excel before 2007 or has one; save it as Excel Workbook (.xlsx) without a password"
        )


def lines_of_book(path: Path) -> tuple[list[str], list[str]]:
    """Return the rows of the sheet with the table as lines with tabs, and notes.

    A hidden sheet, which the user does not see, is read where no other has a table.

    The line of a row is the row's number, so that an error names the row that the user sees.

    Raises
    ------
    ValueError
        When it is no workbook, or has no rows.
    """
    try:
        with CalamineWorkbook.from_path(path) as book:
            seen = {
                sheet.name: sheet.visible == SheetVisibleEnum.Visible
                for sheet in book.sheets_metadata
            }
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
    shown = {name: rows for name, rows in filled.items() if seen.get(name, True)}
    name = _sheet_of_table(shown if any(map(_is_table, shown.values())) else filled, path)
    rows = filled.pop(name)
    notes = []
    if filled:
        left = ", ".join(f"{one!r}{'' if one in shown else ' (hidden)'}" for one in filled)
        notes.append(f"sheet {name!r} is read; left out: {left}")
    width = max(len(row) for row in rows)
    texts = [cell for row in rows for cell in row if isinstance(cell, str)]
    if comma := next((text for text in texts if _is_decimal(text.strip())), ""):
        notes.append(f"decimal commas: {comma} is read as {comma.replace(',', '.')}")
    names = next(([str(cell) for cell in row] for row in rows if any(row)), [])
    notes += note_on_points((map(_text_or_whole, row) for row in rows), names, path.name)
    lines = []
    for number, row in enumerate(rows, start=1):
        cells = [_number_of(cell, number, path) for cell in row]
        lines.append(_line([*cells, *[""] * (width - len(row))]))
    return lines, notes


def _sheet_of_table(sheets: dict[str, list[list[Any]]], path: Path) -> str:
    """Return the first sheet with rows, or the only one with a table where that has none.

    Raises
    ------
    ValueError
        When the first has no table, and none or several of the others have.
    """
    first, *others = sheets
    filled = [name for name, rows in sheets.items() if _is_table(rows)]
    if not others or first in filled:
        return first
    if len(filled) == 1:
        return filled[0]
    held = f"tables on {', '.join(map(repr, filled))}" if filled else "no rows of numbers"
    raise ValueError(
        f"a workbook must have its table on the first sheet, got {first!r} with less than two rows "
        f"or no number, and {held} among the others ({', '.join(map(repr, others))}) in "
        f"{path.name}; move the table's sheet to the front"
    )


def _is_table(rows: list[list[Any]]) -> bool:
    """Return whether there are two rows at least, and a number."""
    cells = [[cell for cell in row if str(cell).strip()] for row in rows]
    return sum(map(bool, cells)) > 1 and any(
        isinstance(cell, int | float) or NUMBER.fullmatch(str(cell).strip())
        for row in cells
        for cell in row
    )


def _number_of(cell: Any, row: int, path: Path) -> Any:
    """Return a cell; of a number that was typed as text, the number with a decimal point.

    Raises
    ------
    ValueError
        When its comma may part thousands.
    """
    text = cell.strip() if isinstance(cell, str) else ""
    if COMMA_FOR_THOUSANDS.fullmatch(text):
        parts = text.replace(",", ""), text.replace(",", ".")
        raise ValueError(
            f"a cell must be a number, got the text {text!r} in row {row} of {path.name}, which "
            f"may be {' or '.join(parts)}; make the cells of that column numbers"
        )
    return text.replace(",", ".") if _is_decimal(text) else cell


def _text_or_whole(cell: Any) -> str:
    """Return a text or whole number; the point of a number with decimals is no mark of the file."""
    is_number = isinstance(cell, int | float)
    return _cell(cell) if isinstance(cell, str) or (is_number and cell % 1 == 0) else ""


def _is_decimal(text: str) -> bool:
    return bool(DECIMAL.fullmatch(text)) and not COMMA_FOR_THOUSANDS.fullmatch(text)


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
