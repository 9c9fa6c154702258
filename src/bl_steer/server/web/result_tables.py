"""Tables of a result as people read them: headings with units, sensible digits, intervals, names.

Files keep all digits and the names that programs use. A page shows the first rows, an interval in
one cell with its value (`shown_table`); a spreadsheet gets every row with numbers
(`spreadsheet_of`). `bl_steer.server.web.spreadsheets` writes it.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bl_steer.progress import coordinate, is_coordinate, place_decimals
from bl_steer.server.db.tables import JobOutput
from bl_steer.server.languages import result_label, text
from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing
from bl_steer.server.web.shown_numbers import exact, has_width, measured, share_of, steps_of

__all__ = [
    "MAX_ROWS",
    "Column",
    "ShownTable",
    "StoredTable",
    "read_number",
    "read_table",
    "shown_table",
    "spreadsheet_of",
]

MAX_ROWS = 12
MAX_COLUMNS = 40
HEAD_BYTES = 512 * 1024
UNITS = {
    "_1_um2": "1/µm²",
    "_1_um": "1/µm",
    "_um3": "µm³",
    "_um2": "µm²",
    "_um": "µm",
    "_mm": "mm",
    "_nm2": "nm²",
    "_nm": "nm",
    "_deg": "°",
    "_px": "px",
    "_keV": "keV",
    "_eV": "eV",
    "_s": "s",
}
COEFFICIENT = re.compile(r"c\d+")
"""How much of a component is at a point."""
STATED = re.compile(r"(\S.*?) \(([^()]+)\)")
"""A column with the unit that a user's file states."""
UNIT_NAMES = {"um": "µm", "deg": "°"}
UNIT = re.compile(f"(.*?)({'|'.join(map(re.escape, UNITS))})?")
LOW = re.compile(f"(.+)_low({'|'.join(map(re.escape, UNITS))})?")
SHARES = (
    *("fraction", "fraction_of_slices", "fraction_of_volume", "share", "largest", "isolated"),
    *("percolating_z", "percolating_y", "percolating_x", "direction_spread", "unexplained"),
)
"""Columns of shares of one, which people read in percent."""


@dataclass(frozen=True)
class StoredTable:
    """What stands in the file of a table, as text.

    Parameters
    ----------
    cut : whether there is more than was read
    """

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    cut: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a table, and how people call it.

    Parameters
    ----------
    name : in the file
    label : with its unit
    at : its number in the file
    low, high : numbers of the columns that hold the ends of its interval
    percent : whether its values are multiplied by 100
    numeric : whether all its cells are numbers
    decimals : that tell its values from one another
    """

    name: str
    label: str
    at: int
    low: int | None = None
    high: int | None = None
    percent: bool = False
    numeric: bool = False
    decimals: int = 0


@dataclass(frozen=True)
class ShownTable:
    """The beginning of a table.

    Parameters
    ----------
    name : of its file
    numeric : for each column, whether all that is shown of it are numbers
    more : whether there are rows or columns beyond those
    intervals : whether values that are shown have an interval; empty where none is spoken of
    stored : what was read of it
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    more: bool
    intervals: Literal["", "some", "none"]
    stored: StoredTable

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return self.name.rpartition(".")[0]


def read_table(
    store: FileStore, output: JobOutput, *, most: int = HEAD_BYTES
) -> StoredTable | None:
    """Return what a table holds; None where it is gone or no table.

    Parameters
    ----------
    most : bytes that are read of it
    """
    try:
        with store.open(output.sha256) as file:
            head = file.read(most + 1)
    except StoredFileMissing:
        return None
    lines = head[:most].decode("utf-8-sig", "replace")
    cut = len(head) > most
    if cut:
        lines = lines[: lines.rfind("\n") + 1]
    try:
        read = list(csv.reader(io.StringIO(lines)))
    except csv.Error:
        return None
    return StoredTable(read[0], [row for row in read[1:] if row], cut) if read else None


def shown_table(
    table: StoredTable, name: str, title: str, *, language: str, titles: Mapping[str, str]
) -> ShownTable:
    """Return the beginning of a table for a page.

    Parameters
    ----------
    titles : how people call the fields
    """
    head = StoredTable(table.names[:MAX_COLUMNS], table.rows[:MAX_ROWS])
    columns = _columns(head, language)
    hidden = {end for column in columns for end in (column.low, column.high)}
    shown = [column for column in columns if column.at not in hidden]
    rows = [[_cell(row, column, language, titles) for column in shown] for row in head.rows]
    more = table.cut or len(table.rows) > MAX_ROWS or len(table.names) > MAX_COLUMNS
    wide = [column for column in shown if column.low is not None and column.numeric]
    known = any(_has_interval(row, column) for row in head.rows for column in wide)
    intervals: Literal["", "some", "none"] = "some" if known else "none" if wide else ""
    return ShownTable(name, title, shown, rows, more, intervals, table)


def spreadsheet_of(
    table: StoredTable, *, language: str, titles: Mapping[str, str]
) -> tuple[list[str], list[list[str | float]]]:
    """Return headings and rows for a spreadsheet: numbers as such, the ends of intervals too."""
    columns = _columns(table, language)
    percent = {end for c in columns if c.percent for end in (c.at, c.low, c.high)}
    headings = [
        f"{column.label} (%)" if column.at in percent else column.label for column in columns
    ]
    rows: list[list[str | float]] = []
    for row in table.rows:
        cells: list[str | float] = []
        for column in columns:
            value = _number(_at(row, column.at)) if column.numeric else None
            if value is None or math.isnan(value):
                cells.append("" if column.numeric else _words(row, column, language, titles))
            else:
                cells.append(exact(100 * value if column.at in percent else value))
        rows.append(cells)
    return headings, rows


def _columns(table: StoredTable, language: str) -> list[Column]:
    names = list(table.names)
    ends = dict(found for name in names if (found := _ends(name, names)) is not None)
    columns = []
    for at, name in enumerate(names):
        values = [_number(_at(row, at)) for row in table.rows]
        numeric = bool(values) and None not in values
        low, high = ends.get(name, (None, None))
        there = [value for value in values if value is not None and not math.isnan(value)]
        percent = name in SHARES and numeric and all(0 <= value <= 1 for value in there)
        label = _label(name, language)
        decimals = place_decimals(name, there) if is_coordinate(name) else steps_of(there)
        columns.append(Column(name, label, at, low, high, percent, numeric, decimals))
    return columns


def _ends(name: str, names: Sequence[str]) -> tuple[str, tuple[int, int]] | None:
    """Return the column whose interval begins in a column, and where both its ends are."""
    found = LOW.fullmatch(name)
    if found is None:
        return None
    stem, unit = found[1], found[2] or ""
    base, high = f"{stem}{unit}", f"{stem}_high{unit}"
    if base not in names or high not in names:
        return None
    return base, (names.index(name), names.index(high))


def _label(name: str, language: str) -> str:
    """Return the heading of a column; of one that nobody named, its own words and unit."""
    known = result_label(language, "columns", name)
    if known != name:
        return known
    if (stated := STATED.fullmatch(name)) is not None:
        return f"{_label(stated[1], language)} ({UNIT_NAMES.get(stated[2], stated[2])})"
    if COEFFICIENT.fullmatch(name):
        return text(language, "table.coefficient", number=name[1:])
    if (low := LOW.fullmatch(name)) is not None:
        return text(language, "table.low", name=_label(f"{low[1]}{low[2] or ''}", language))
    if "_high" in name and LOW.fullmatch(other := name.replace("_high", "_low")):
        found = LOW.fullmatch(other)
        base = f"{found[1]}{found[2] or ''}" if found else name
        return text(language, "table.high", name=_label(base, language))
    for ending in ("error", "spread"):
        if name.endswith(f"_{ending}"):
            base = _label(name.removesuffix(f"_{ending}"), language)
            return text(language, f"table.{ending}", name=base)
    found = UNIT.fullmatch(name)
    words, unit = (found[1], UNITS.get(found[2] or "", "")) if found else (name, "")
    words = words.replace("_", " ").strip() or name
    words = words[:1].upper() + words[1:] if len(words) > 2 and words.islower() else words
    return f"{words} ({unit})" if unit else words


def _cell(row: Sequence[str], column: Column, language: str, titles: Mapping[str, str]) -> str:
    cell = _at(row, column.at)
    if not column.numeric:
        return _words(row, column, language, titles)
    value = _number(cell)
    if value is None or math.isnan(value):
        return "–"
    ends = [_number(_at(row, end)) for end in (column.low, column.high) if end is not None]
    if not ends and cell.lstrip("-").isdigit() and not column.percent:
        return cell
    if not ends and is_coordinate(column.name):
        return "–" if math.isinf(value) else coordinate(value, column.decimals)
    if column.percent and not _has_interval(row, column):
        return f"{share_of(100 * value)} %"
    scale = 100.0 if column.percent else 1.0
    low, high = (scale * (value if end is None else end) for end in ends or (value, value))
    if column.percent:
        return f"{measured(scale * value, low, high, most=scale)} %"
    return measured(value, low, high, decimals=column.decimals)


def _has_interval(row: Sequence[str], column: Column) -> bool:
    return has_width(read_number(row, column.low), read_number(row, column.high))


def _words(row: Sequence[str], column: Column, language: str, titles: Mapping[str, str]) -> str:
    cell = _at(row, column.at)
    if column.name == "field":
        return titles.get(cell, cell)
    if cell in ("True", "False"):
        return text(language, "table.yes" if cell == "True" else "table.no")
    return result_label(language, f"values.{column.name}", cell) if cell else ""


def read_number(row: Sequence[str], at: int | None) -> float:
    """Return a number of a row; NaN where there is none."""
    value = None if at is None else _number(_at(row, at))
    return math.nan if value is None else value


def _at(row: Sequence[str], at: int) -> str:
    return row[at] if at < len(row) else ""


def _number(cell: str) -> float | None:
    try:
        return float(cell or "nan")
    except ValueError:
        return None
