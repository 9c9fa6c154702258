"""Tables as files that spreadsheets open with a click: CSV with a byte order mark, and XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

from bl_steer.processing.result_folder import guarded
from bl_steer.server.errors import Refused

__all__ = ["MEDIA_TYPES", "write_csv", "write_xlsx"]

MEDIA_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
MOST_CELLS = 500_000
"""Of an XLSX: it takes some 10 s."""
WIDEST = 48

Rows = Sequence[Sequence[str | float]]


def write_csv(headings: Sequence[str], rows: Rows) -> bytes:
    """Return a table as CSV that Excel opens in the right encoding; nothing in it is a formula."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(map(guarded, headings))
    writer.writerows(map(guarded, row) for row in rows)
    return file.getvalue().encode("utf-8-sig")


def write_xlsx(title: str, headings: Sequence[str], rows: Rows) -> bytes:
    """Return a table as XLSX, numbers as numbers and all else as text.

    Raises
    ------
    Refused
        When it is too large.
    """
    if len(headings) * (len(rows) + 1) > MOST_CELLS:
        raise Refused(413, "refused.table_large", most=f"{MOST_CELLS:,}")
    book = Workbook(write_only=True)
    name = "".join(char for char in _plain(title) if char not in "[]:*?/\\'")
    sheet = book.create_sheet(name[:31] or "table")
    sheet.freeze_panes = "A2"
    for number, heading in enumerate(headings):
        longest = max([len(heading), *(len(str(row[number])) for row in rows[:100])])
        sheet.column_dimensions[_letters(number)].width = min(WIDEST, 1.2 * longest + 2)
    sheet.append([_cell(sheet, heading, bold=True) for heading in headings])
    for row in rows:
        sheet.append([_cell(sheet, cell) if isinstance(cell, str) else cell for cell in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _cell(sheet: object, words: str, *, bold: bool = False) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, _plain(words))
    cell.data_type = "s"  # a text that begins with = is no formula
    if bold:
        cell.font = Font(bold=True)
    return cell


def _plain(words: str) -> str:
    return str(ILLEGAL_CHARACTERS_RE.sub("", words))


def _letters(number: int) -> str:
    """Return the letters of a column.

    >>> _letters(0), _letters(26)
    ('A', 'AA')
    """
    high, low = divmod(number, 26)
    return (_letters(high - 1) if high else "") + chr(ord("A") + low)
