"""Lines of a table whose quoted cells may go on over several lines, as Excel writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["whole_lines"]

OPENS = re.compile(r'(?:^|[,;\t])\s*"')
"""Where a quoted cell begins; a mark in the midst of a cell, as that of inches, is a letter."""
CELL_GOES_ON = re.compile(r'(?:[^"]|"")*')
MOST_LINES = 100
"""Of one cell; a mark without its fellow opens none."""


def whole_lines(lines: Sequence[str]) -> list[str]:
    r"""Return lines with those that one quoted cell holds in one, and blank lines for the others.

    So each stays at the number that an editor counts. A break becomes a blank.

    Examples
    --------
    >>> whole_lines(['"x', '(um)",y', "1,2"])
    ['"x (um)",y', '', '1,2']
    >>> whole_lines(['4" wafer,y', '"1,2'])
    ['4" wafer,y', '"1,2']
    """
    whole = list(lines)
    number = 0
    while number < len(lines):
        line = lines[number]
        taken = 0 if line.startswith("#") or not _is_open(line) else _taken(lines, number)
        if taken:
            parts = [part.strip() for part in lines[number : number + taken + 1]]
            whole[number : number + taken + 1] = [" ".join(filter(None, parts)), *taken * [""]]
        number += taken + 1
    return whole


def _taken(lines: Sequence[str], number: int) -> int:
    """Return how many lines after one its last cell goes on over; 0 where it does not end."""
    text = lines[number]
    for taken, line in enumerate(lines[number + 1 : number + 1 + MOST_LINES], start=1):
        text = f"{text} {line}"
        if not _is_open(text):
            return taken
    return 0


def _is_open(line: str) -> bool:
    """Return whether a line ends within a quoted cell."""
    if line.count('"') % 2 == 0:
        return False
    at = 0
    while (opened := OPENS.search(line, at)) is not None:
        end = CELL_GOES_ON.match(line, opened.end())
        at = end.end() + 1 if end else len(line)
        if at > len(line):
            return True
    return False
