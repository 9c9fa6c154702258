"""Lines above the names of a table's columns, as people write them into a sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from bl_steer.files.maps.cells import is_missing, number_of
from bl_steer.files.maps.column_names import NAMES, plain_name

__all__ = ["titles_above"]

KNOWN = {choice for choices in NAMES.values() for choice in choices}


def titles_above(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the first of some rows that are titles, each as one text.

    These are one cell of words each, above a row of several; or stand above one that calls columns
    by names that are known, such as x and y, and have fewer of them each, as position and value.
    """
    filled = ([cell.strip() for cell in row if not is_missing(cell)] for row in rows)
    lines = list(takewhile(_has_words, filled))
    known = [sum(plain_name(cell) in KNOWN for cell in line) for line in lines]
    for place in range(1, len(lines)):
        titles, names = lines[:place], lines[place]
        of_words, most = not _numbers(names), max(known[:place])
        if most:  # a line with numbers may be one of data, whose words have such names
            are_titles = of_words and known[place] > max(1, most)
        else:
            alone = all(len(title) == 1 for title in titles) and len(names) > 1
            are_titles = known[place] > 1 or (alone and of_words)
        if are_titles:
            return [" ".join(title) for title in titles]
    return []


def _has_words(line: Sequence[str]) -> bool:
    return _numbers(line) < len(line)


def _numbers(line: Sequence[str]) -> int:
    return sum(number_of(cell) is not None for cell in line)
