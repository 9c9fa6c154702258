"""Marks that may part thousands as well as decimals, in numbers of tables and workbooks.

``1.010`` is 1010 where a German or Italian program wrote it, and 1.01 elsewhere; ``1,010`` the
other way round. Nothing in such a number tells which, its neighbours may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["COMMA_FOR_THOUSANDS", "note_on_points"]

COMMA_FOR_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
POINT_FOR_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
WHOLE_FROM_100 = re.compile(r"[+-]?[1-9]\d{2,}")


def note_on_points(rows: Iterable[Iterable[str]], names: Sequence[str], file: str) -> list[str]:
    """Return a note where points are read as decimal ones though they could part thousands.

    Parameters
    ----------
    rows : cells below the names, in a table whose commas part no columns
    names : of the columns
    file : its name, for errors

    Raises
    ------
    ValueError
        When a column has whole numbers from 100 beside such numbers, as 800 and 1.010, and no
        other number of the table has a point that can only part decimals, as 0.5.
    """
    marked: dict[int, str] = {}
    whole: dict[int, str] = {}
    for row in rows:
        for column, text in enumerate(row):
            cell = text.strip()
            if POINT_FOR_THOUSANDS.fullmatch(cell):
                marked.setdefault(column, cell)
            elif "." in cell and _is_number(cell):
                return []
            elif WHOLE_FROM_100.fullmatch(cell):
                whole.setdefault(column, cell)
    for column, cell in marked.items():
        if column in whole:
            name = names[column] if column < len(names) else str(column + 1)
            raise ValueError(
                f"a point must part decimals, got {cell!r} beside {whole[column]!r} in column "
                f"{name!r} of {file}, which may as well be {cell.replace('.', '')}; write numbers "
                f"with a decimal point and no other mark, decimals in all of the column "
                f"({whole[column]}.0)"
            )
    return [
        f"decimal points: {cell} is read as {float(cell):g}, not {cell.replace('.', '')}"
        for cell in list(marked.values())[:1]
    ]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
