"""Slices as single images in a folder: their order, as a person counts, and which are missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from pathlib import Path

__all__ = ["gap_notes", "natural_key", "order_notes"]

LISTED = 5
"""Gaps, and names of another form, that are named."""


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers inside names by their value.

    Examples
    --------
    >>> [p.name for p in sorted(map(Path, ("s10.tif", "s2.tif", "s1.tif")), key=natural_key)]
    ['s1.tif', 's2.tif', 's10.tif']
    """
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def order_notes(files: Sequence[Path], where: str) -> list[str]:
    """Return a sentence where numbers do not tell the order of slices, here alphabetical.

    Parameters
    ----------
    where : goes into the sentences, such as " in FOLDER"

    Raises
    ------
    ValueError
        When names are not numbered as most are.
    """
    forms = [_form(path) for path in files]
    form, count = Counter(forms).most_common(1)[0]
    if "" in form and 2 * count > len(files):
        odd = [path.name for path, other in zip(files, forms, strict=True) if other != form]
        if not odd:
            return []
        more = f" and {len(odd) - LISTED} more" if len(odd) > LISTED else ""
        raise ValueError(
            "slices must have names that differ in their numbers alone, which tell their order, "
            f"got {', '.join(odd[:LISTED])}{more} beside {count} such as "
            f"{files[forms.index(form)].name}{where}; rename them, or take out what is no "
            "slice"
        )
    if len(files) == 1:
        return []
    why = "are not numbered alike" if any("" in form for form in forms) else "have no numbers"
    return [
        f"the names of the slices{where} {why}: they are taken in alphabetical order, "
        f"{files[0].name} … {files[-1].name}; number them if theirs is another"
    ]


def gap_notes(files: Sequence[Path], where: str) -> list[str]:
    """Return a sentence on numbers that the names of slices, in their order, lack."""
    missing = _gaps(files)
    if not missing:
        return []
    shown = [f"{a}" if a == b else f"{a} … {b}" for a, b in missing[:LISTED]]
    more = " and more" if len(missing) > LISTED else ""
    number = "number" if len(missing) == 1 and missing[0][0] == missing[0][1] else "numbers"
    return [
        f"the names of the slices{where} lack the {number} {', '.join(shown)}{more}: the slices "
        "around are taken as neighbours, one pitch apart; put back what was lost, or take the "
        "parts before and after by themselves (the analysis reconstruct of a recorded run takes "
        "each slice at its own depth)"
    ]


def _form(path: Path) -> tuple[str, ...]:
    """Return the parts of a name between its numbers, each of which is an empty part.

    Examples
    --------
    >>> _form(Path("Cell_2_s010.tif"))
    ('cell_', '', '_s', '')
    """
    return tuple(text for _, text in natural_key(Path(path.stem)))


def _gaps(files: Sequence[Path]) -> list[tuple[int, int]]:
    """Return first and last of the numbers that are left out, for each gap in names in order.

    The numbers are the first that differ between the names; they step by what all their
    differences are multiples of. Names that are not made alike have none.

    Examples
    --------
    >>> _gaps([Path("s1.tif"), Path("s2.tif"), Path("s4.tif")])
    [(3, 3)]
    >>> _gaps([Path("s10.tif"), Path("s20.tif"), Path("s30.tif")])
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
