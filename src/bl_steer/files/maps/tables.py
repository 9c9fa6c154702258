"""A table of numbers from a text file or a workbook, as laboratories, Excel and Bluesky write it.

`bl_steer.files.maps.column_names` tells what its columns are, `bl_steer.files.maps.points` makes
the inputs of an analysis of them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bl_steer.files.errors import listed
from bl_steer.files.maps.cells import is_missing, number_of
from bl_steer.files.maps.column_names import NAMES, plain_name, with_unit
from bl_steer.files.maps.empty_columns import note_on_empty, without_empty
from bl_steer.files.maps.encodings import text_of_table
from bl_steer.files.maps.quoted_lines import whole_lines
from bl_steer.files.maps.spreadsheets import BOOK_ENDINGS, PARTED_BY, check_new_book, lines_of_book
from bl_steer.files.maps.thousands import COMMA_FOR_THOUSANDS, note_on_points
from bl_steer.files.maps.titles import titles_above
from bl_steer.protocols import Array

__all__ = ["Columns", "read_columns", "read_table"]

MAX_COLUMNS = 20_000
MAX_VALUES = 100_000_000
ZIP = b"PK\3\4"
BLANK = ' \t\r\n,;"'
"""What a line has in which no cell is filled."""
SEPARATOR = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)
"""What Excel takes from a first line, and may have written there."""
PEEK_ROWS = 20


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Parameters
    ----------
    by_name : shape (n_rows,) each; NaN where a cell is empty
    notes : what was left out or decided, one line each
    """

    by_name: Mapping[str, Array]
    notes: Sequence[str] = ()


def read_table(path: str | Path) -> dict[str, Array]:
    """Return the columns of a table by name, as `read_columns` reads them."""
    return dict(read_columns(path).by_name)


def read_columns(path: str | Path) -> Columns:
    """Read a table of numbers; columns without a header are called 1, 2, 3, …

    Parameters
    ----------
    path : ``.xlsx``, ``.ods``, or a text in UTF-8, UTF-16, CP932, EUC-JP, CP949 or
        Latin-1, where these can be told apart; columns parted by comma, semicolon or tab,
        and then decimals may have a comma, or by blanks; lines from ``#`` are left out, but for
        names right above; a first line ``sep=;``, as for Excel, is heeded. A quoted cell may go on
        over several lines. Titles above the names are left out. Units may stand in a line below
        the names. Cells that are empty, or say that nothing is there, are NaN; columns without any
        number, such as time stamps, are left out and told

    Raises
    ------
    ValueError
        When it is no such table, has too many columns or values, or names one column twice.
    """
    path = Path(path)
    every, parted_by, told = _contents(path)
    said = SEPARATOR.fullmatch(every[0]) if every and not parted_by else None
    numbers, lines = [], []  # as an editor counts the lines
    for number, line in enumerate(every, start=1):
        if line.strip(BLANK) and not line.startswith("#") and not (said and number == 1):
            numbers.append(number)
            lines.append(line)
    if not lines:
        raise ValueError(f"a table must have rows, got none in {path.name}; check the file")
    by_blanks = not (
        said or parted_by or any(mark in line for line in lines[-2:] for mark in ",;\t")
    )
    if by_blanks:
        lines = [",".join(line.split()) for line in lines]
    delimiter = parted_by or (said[1] if said else _delimiter(lines))
    if names := _names_above(path, every, numbers[0], lines[0], delimiter):
        numbers, lines = [numbers[0] - 1, *numbers], [names, *lines]
    pairs = list(zip(lines, numbers, strict=True))[:PEEK_ROWS]
    if above := titles_above(_row(line, delimiter, number, path) for line, number in pairs):
        told = [*told, f"lines above the names of the columns left out: {listed(above)}"]
        numbers, lines = numbers[len(above) :], lines[len(above) :]
    n_columns = lines[0].count(delimiter) + 1
    if n_columns > MAX_COLUMNS or n_columns * len(lines) > MAX_VALUES:
        raise ValueError(
            f"a table must have at most {MAX_COLUMNS} columns and {MAX_VALUES} values, got "
            f"{n_columns} columns and {len(lines)} rows in {path.name}; give less"
        )
    for number, line in zip(numbers, lines, strict=True):
        if len(line) > csv.field_size_limit():
            _row(line, delimiter, number, path)  # numpy would take any number of digits
    first = _row(lines[0], delimiter, numbers[0], path)
    if not all(cell.strip() for cell in first):

        def rows() -> Iterator[list[str]]:
            for line, number in zip(lines, numbers, strict=True):
                yield _row(line, delimiter, number, path)

        if (fewer := without_empty(rows, delimiter, by_letter=bool(parted_by))) is not None:
            lines, told = fewer[0], [*told, *fewer[1]]
            first = _row(lines[0], delimiter, numbers[0], path)
    is_matrix = not first[0].strip()
    named = is_matrix or any(number_of(cell) is None for cell in first if not is_missing(cell))
    titles = [cell.strip() for cell in first] if named else [str(n + 1) for n in range(len(first))]
    if delimiter != ",":
        titles = [t if number_of(t) is None else t.replace(",", ".") for t in titles]
    below = list(zip(numbers[named:], lines[named:], strict=True))
    may_mark = not parted_by and (by_blanks or delimiter != ",")
    if may_mark and any("." in line for _, line in below):
        cells = (_row(line, delimiter, number, path) for number, line in below)
        told = [*told, *note_on_points(cells, titles, path.name)]
    read = _Rows(path, numbers[named:], lines[named:], delimiter).columns(titles, named)
    if parted_by:
        told = [*told, *note_on_empty(read.by_name, path)]
    return replace(read, notes=[*told, *read.notes])


@dataclass(frozen=True)
class _Rows:
    """Rows of a table below its names, and the number of each line as an editor counts."""

    path: Path
    numbers: list[int]
    lines: list[str]
    delimiter: str

    def columns(self, names: list[str], named: bool) -> Columns:
        if not self.lines:
            raise ValueError(f"a table must have rows, got a header alone in {self.path.name}")
        if "," not in self.delimiter and any("," in line for line in self.lines):
            return self._by_cell(names, named)
        try:
            values = np.loadtxt(
                self.lines, delimiter=self.delimiter, ndmin=2, comments=None, quotechar='"'
            )
        except ValueError:
            return self._by_cell(names, named)
        if values.shape[1] != len(names):
            return self._by_cell(names, named)
        return Columns(dict(zip(self._distinct(names), values.T, strict=True)))

    def _by_cell(self, names: list[str], named: bool) -> Columns:
        """Read cell by cell what is no plain block of numbers."""
        rows, numbers = [], []
        for number, line in zip(self.numbers, self.lines, strict=True):
            cells = [c.strip() for c in _row(line, self.delimiter, number, self.path)]
            while len(cells) > len(names) and not cells[-1]:
                cells.pop()
            if any(cells):
                rows.append(cells)
                numbers.append(number)
        if not names[-1] and all(len(row) < len(names) or not row[-1] for row in rows):
            names = names[:-1]  # each line ends with the mark that parts the columns
            rows = [row[: len(names)] for row in rows]
        for number, row in zip(numbers, rows, strict=True):
            if len(row) != len(names):
                self._refuse(f"{len(row)} values instead of {len(names)} in line {number}")
        if named and _are_units(rows):
            names = [with_unit(*pair) for pair in zip(names, rows[0], strict=True)]
            rows, numbers = rows[1:], numbers[1:]
        columns = dict(zip(self._distinct(names), zip(*rows, strict=True), strict=True))
        texts = [name for name, cells in columns.items() if _is_text(name, cells)]
        kept = {name: cells for name, cells in columns.items() if name not in texts}
        comma = self._decimal_comma(numbers, kept)
        values = {name: self._numbers(numbers, names.index(name), kept[name]) for name in kept}
        notes = [f"columns without numbers left out: {listed(texts)}"] if texts else []
        if comma:
            notes.append(f"decimal commas: {comma} is read as {comma.replace(',', '.')}")
        return Columns(values, notes)

    def _distinct(self, names: list[str]) -> list[str]:
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"columns must have names of their own, got {twice!r} twice in {self.path.name}; "
                "rename one"
            )
        return names

    def _decimal_comma(self, numbers: list[int], columns: Mapping[str, Iterable[str]]) -> str:
        """Return a cell with a decimal comma, empty if there is none.

        Raises
        ------
        ValueError
            When commas may part thousands.
        """
        by_mark: dict[str, tuple[int, str]] = {}
        commas: list[str] = []
        for cells in columns.values():
            for number, cell in zip(numbers, cells, strict=True):
                has_comma = "," in cell and number_of(cell) is not None
                if has_comma:
                    commas.append(cell)
                for mark in ",.":
                    if mark in cell and not is_missing(cell):
                        by_mark.setdefault(mark, (number, cell))
        if len(by_mark) == 2:
            number, cell = max(by_mark.values())
            raise ValueError(
                f"numbers must have a decimal comma or a decimal point, got both in line {number} "
                f"of {self.path.name} ({cell[:60]!r}); write 1234.5 or 1234,5, without marks for "
                "thousands"
            )
        if (
            self.delimiter != ";"
            and commas
            and all(COMMA_FOR_THOUSANDS.fullmatch(cell) for cell in commas)
        ):
            raise ValueError(
                f"a comma must part decimals, got {commas[0]!r} in {self.path.name}, which may as "
                "well be thousands; write numbers with a decimal point and no other mark"
            )
        return commas[0] if commas else ""

    def _numbers(self, numbers: list[int], column: int, cells: Iterable[str]) -> Array:
        values = []
        for number, cell in zip(numbers, cells, strict=True):
            value = np.nan if is_missing(cell) else number_of(cell)
            if value is None:
                self._refuse(f"{cell[:60]!r} in line {number}, column {column + 1}")
            values.append(value)
        return np.array(values, dtype=float)

    def _refuse(self, fault: str) -> None:
        raise ValueError(
            f"a table must hold numbers, as many in each row, got {fault} of {self.path.name}; "
            "correct that line"
        )


def _are_units(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the line below the names holds words alone, above columns of numbers."""
    words = [i for i, cell in enumerate(rows[0]) if not is_missing(cell)] if rows else []
    return bool(words) and all(
        number_of(rows[0][i]) is None and any(number_of(row[i]) is not None for row in rows[1:])
        for i in words
    )


def _is_text(name: str, cells: Sequence[str]) -> bool:
    """Return whether a column has words and no number; that of x, y or the value must have some."""
    filled = [cell for cell in cells if not is_missing(cell)]
    if not filled or any(plain_name(name) in choices for choices in NAMES.values()):
        return False
    return all(number_of(cell) is None for cell in filled)


def _names_above(path: Path, every: list[str], number: int, line: str, delimiter: str) -> str:
    """Return the names that a remark right above a first line of numbers gives, or nothing."""
    above = every[number - 2] if number > 1 else ""
    cells = _row(line, delimiter, number, path)
    if not above.startswith("#") or any(number_of(cell) is None for cell in cells):
        return ""
    text = above.lstrip("#").strip()
    parted = delimiter in text
    names = _row(text, delimiter, number - 1, path) if parted else text.split()
    return delimiter.join(names) if len(names) == len(cells) > 1 else ""


def _delimiter(lines: list[str]) -> str:
    """Return what parts the columns: a semicolon or tab that is in every row, else the comma."""
    rows = lines[1:PEEK_ROWS] or lines
    for mark in "\t;":
        if mark in rows[0] and all(row.count(mark) == rows[0].count(mark) for row in rows):
            return mark
    return max(",;\t", key=lines[0].count)


def _row(line: str, delimiter: str, number: int, path: Path) -> list[str]:
    """Return the cells of a line.

    Raises
    ------
    ValueError
        When one is longer than any number or word.
    """
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        cells = line.split(delimiter)
        column = max(range(len(cells)), key=lambda index: len(cells[index]))
        raise ValueError(
            f"a cell must have at most {csv.field_size_limit():,} characters, got "
            f"{len(cells[column]):,} in line {number}, column {column + 1} of {path.name}; "
            "correct that line"
        ) from error


def _contents(path: Path) -> tuple[list[str], str, list[str]]:
    """Return the lines of a table, what parts their cells where that is certain, and notes."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            check_new_book(head, path.name)
            is_book = head.startswith(ZIP) or path.suffix.lower() in BOOK_ENDINGS
            content = b"" if is_book else path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"a table must exist, got {str(path)!r}; check the path") from error
    except OSError as error:  # a folder, or no permission
        raise ValueError(
            f"a table must be a readable file, got {str(path)!r} ({error.strerror}); give a CSV "
            "file that you may read"
        ) from error
    if is_book:
        lines, notes = lines_of_book(path)
        return lines, PARTED_BY, notes
    text, notes = text_of_table(content, path.name)
    lines = text.splitlines()
    return whole_lines(lines) if '"' in text else lines, "", notes
