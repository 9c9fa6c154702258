"""Slices as single images in a folder: their order, as a person counts, and which are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from pathlib import Path

__all__ = ["form_of", "gaps", "natural_key"]


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers inside names by their value.

    Examples
    --------
    >>> [p.name for p in sorted(map(Path, ("s10.tif", "s2.tif", "s1.tif")), key=natural_key)]
    ['s1.tif', 's2.tif', 's10.tif']
    """
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def form_of(path: Path) -> tuple[str, ...]:
    """Return the parts of a name between its numbers, each of which is an empty part.

    Examples
    --------
    >>> form_of(Path("Cell_2_s010.tif"))
    ('cell_', '', '_s', '')
    """
    return tuple(text for _, text in natural_key(Path(path.stem)))


def gaps(files: Sequence[Path]) -> list[tuple[int, int]]:
    """Return first and last of the numbers that are left out, for each gap in names in order.

    The numbers are the first that differ between the names; they step by what all their
    differences are multiples of. Names that are not made alike have none.

    Examples
    --------
    >>> gaps([Path("s1.tif"), Path("s2.tif"), Path("s4.tif")])
    [(3, 3)]
    >>> gaps([Path("s10.tif"), Path("s20.tif"), Path("s30.tif")])
    []
    """
    keys = [natural_key(path) for path in files]
    if len({tuple(text for _, text in key) for key in keys}) != 1:
        return []
    columns = ([number for number, _ in column] for column in zip(*keys, strict=True))
    numbers = next((column for column in columns if len(set(column)) > 1), [])
    steps = [after - before for before, after in pairwise(numbers)]
    step = gcd(*steps)
    if not step or min(steps) <= 0:
        return []
    return [(a + step, b - step) for a, b in pairwise(numbers) if b - a > step]
