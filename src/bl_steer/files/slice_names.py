"""The names of slices: their order, as a person counts, and which numbers are missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from math import gcd
from pathlib import Path

import numpy as np

from bl_steer.files.slice_times import by_clock, has_times, without_times

__all__ = [
    "SIGNED",
    "gap_notes",
    "in_order",
    "name_form",
    "natural_key",
    "order_notes",
    "slice_numbers",
    "step_notes",
    "uncounted_notes",
]

_REAL = re.compile(r"((?<!\d)[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)")
SIGNED = "have signs and are taken"
HEIGHTS = 4
"""Steps at least by which numbers are known to count nothing: slices may be lost among fewer."""
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


def in_order(files: Sequence[Path], where: str) -> tuple[list[Path], list[str]]:
    """Return slices in the order of their numbers, and a sentence where that may be another one.

    Of several numbers that change, that counts which goes through without gaps; a number with sign
    or decimals counts where it is the only one that changes. Numbers of which none is above zero
    are heights, from the surface down, as ``z-10`` and ``z-20`` are where ``-`` is no sign.

    Parameters
    ----------
    files : in natural order
    where : as in `order_notes`

    Raises
    ------
    ValueError
        When two slices have one number, or names are not numbered as most are.
    """
    keys = [natural_key(Path(path.stem)) for path in files]
    for (one, key), (other, same) in pairwise(sorted(zip(files, keys, strict=True), key=_second)):
        if key == same:
            raise ValueError(
                f"slices must have numbers of their own, which tell their order, got "
                f"{one.name} and {other.name}{where}; take one of them out, or rename it"
            )
    if (values := _reals(files, keys)) is not None:
        falls = min(values) < 0 >= max(values)
        found = [files[number] for number in np.argsort(values)][:: -1 if falls else 1]
        return found, _signed(found, falls, where) if min(values) < 0 else []
    if (told := by_clock(files, where)) is not None:
        return told
    columns = _columns(files)
    counting = next((column for column in columns if _counts(sorted(column))), None)
    if counting is None or counting is columns[0]:
        series = _several_series(files, columns, where) if counting is None else []
        return list(files), [*order_notes(files, where), *series]
    found = [files[number] for number in np.argsort(counting)]
    return found, [
        f"several numbers change in the names of the slices{where}: the one that counts through "
        f"without gaps tells their order, {found[0].name} … {found[-1].name}"
    ]


def _signed(files: Sequence[Path], falls: bool, where: str) -> list[str]:
    """Say how numbers with signs, which may be depths or heights, were taken."""
    return [
        f"the numbers in the names of the slices{where} {SIGNED} "
        f"{'downwards' if falls else 'upwards'}, {files[0].name} … {files[-1].name}, as if the "
        "first were nearest to the surface: where it is the deepest, the volume is a mirror image; "
        "number the files from the surface down"
    ]


def _several_series(
    files: Sequence[Path], columns: Sequence[Sequence[int]], where: str
) -> list[str]:
    """Say that one number starts anew with another: several stacks, or one that was resumed."""
    if len(columns) < 2:
        return []
    first, second = columns[:2]
    parts = [[k for k in range(len(files)) if first[k] == value] for value in dict.fromkeys(first)]
    rise = all(
        len(p) > 1 and second[p[k]] < second[p[k + 1]] for p in parts for k in range(len(p) - 1)
    )
    anew = len({second[k] for part in parts[:2] for k in part}) < sum(map(len, parts[:2]))
    if not (rise and anew and min(map(len, parts)) > 1):
        return []
    shown = " and ".join(f"{files[p[0]].name} … {files[p[-1]].name}" for p in parts[:2])
    more = f" and {len(parts) - 2} more" if len(parts) > 2 else ""
    lacks = [
        f"{files[before].name} and {files[after].name}"
        for part in parts
        for before, after in pairwise(part)
        if second[after] - second[before] > 1
    ]
    between = f"; numbers are missing between {', '.join(lacks[:LISTED])}" if lacks else ""
    more += f"{between}{' and more' * (len(lacks) > LISTED)}, but no gaps are left" if lacks else ""
    return [
        f"the names of the slices{where} count {len(parts)} times, {shown}{more}: they are taken "
        "as one stack, one series behind the other; where each is a specimen, or a place, of its "
        "own, give its slices by themselves"
    ]


def _second(pair: tuple[Path, list[tuple[int, str]]]) -> list[tuple[int, str]]:
    return pair[1]


def _reals(files: Sequence[Path], keys: Sequence[list[tuple[int, str]]]) -> list[float] | None:
    """Return the one number with sign or decimals that changes; None where whole ones will do."""
    parts = [_REAL.split(path.stem.lower()) for path in files]
    if len({tuple(row[::2]) for row in parts}) != 1:
        return None
    changing = [c for c in zip(*(row[1::2] for row in parts), strict=True) if len(set(c)) > 1]
    if len(changing) != 1:
        return None
    decimals = {len(re.split("[.,]", text)[-1]) for text in changing[0] if re.search("[.,]", text)}
    alike = len({tuple(text for _, text in key) for key in keys}) == 1
    # 1.9 and 1.10 count two numbers, .5 and .25 are decimals.
    if alike and (len(decimals) < 2 or any(text.endswith("0") for text in changing[0])):
        return None
    values = [float(text.replace(",", ".")) for text in changing[0]]
    return values if len(set(values)) == len(values) else None


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
    forms = [name_form(path) for path in files]
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
    _check_one_series(files, forms, where)
    why = "are not numbered alike" if any("" in form for form in forms) else "have no numbers"
    return [
        f"the names of the slices{where} {why}: they are taken in alphabetical order, "
        f"{files[0].name} … {files[-1].name}; number them if theirs is another"
    ]


def _check_one_series(files: Sequence[Path], forms: Sequence[tuple[str, ...]], where: str) -> None:
    """Refuse files that count the same slices several times, as those of two detectors do."""
    series = {
        form: [path for path, other in zip(files, forms, strict=True) if other == form]
        for form in Counter(forms)
        if "" in form
    }
    counted = [
        (paths, set(column))
        for paths in series.values()
        for column in _columns(paths)[:1]
        if len(set(column)) == len(paths)
    ]
    for (one, numbers), (other, same) in combinations(counted, 2):
        if 2 * len(numbers & same) > min(len(numbers), len(same)):
            raise ValueError(
                "slices must have names that differ in their numbers alone, which tell their "
                f"order, got {len(one)} such as {one[0].name} and {len(other)} such as "
                f"{other[0].name}{where}, with the same numbers, as of two detectors; give those "
                "of one by themselves"
            )


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


def uncounted_notes(files: Sequence[Path], where: str) -> list[str]:
    """Say that the numbers in names, in order, do not tell which slices are missing."""
    if len(files) < 2 or not _columns(files) or slice_numbers(files) is not None:
        return []
    numbers = _numbers(files)
    if numbers and min(after - before for before, after in pairwise(numbers)) <= 0:
        return []
    what = "most leave out others, as heights do" if numbers else "they are times"
    return [
        f"the numbers in the names of the slices{where}, {files[0].name} … {files[-1].name}, tell "
        f"their order alone, for {what}: the slices are taken as one pitch apart, and none as "
        "missing; where some are, or pitches differ, number them as in 1, 2, 4"
    ]


def step_notes(files: Sequence[Path], where: str) -> list[str]:
    """Say that numbers which go by more than one were taken to count slices, none as missing."""
    _, step = _series(files)
    signed = _reals(files, [natural_key(Path(path.stem)) for path in files])
    if step < 2 or signed is not None or has_times(files):
        return []
    return [
        f"the numbers in the names of the slices{where} go by {step}, {files[0].name} … "
        f"{files[-1].name}: they are taken as successive slices, one pitch apart; where those "
        "between are missing, or left out, give as pitch the distance of those that are there"
    ]


def name_form(path: Path) -> tuple[str, ...]:
    """Return the parts of a name between its numbers, each of which is an empty part.

    Examples
    --------
    >>> name_form(Path("Cell_2_s010.tif"))
    ('cell_', '', '_s', '')
    """
    return tuple(text for _, text in natural_key(Path(path.stem)))


def slice_numbers(files: Sequence[Path]) -> list[int] | None:
    """Return the number of each slice in steps of one, as names have it; None where they have none.

    Parameters
    ----------
    files : in order

    Examples
    --------
    >>> slice_numbers([Path("s1.tif"), Path("s2.tif"), Path("s4.tif")])
    [1, 2, 4]
    >>> slice_numbers([Path("s10.tif"), Path("s20.tif"), Path("s30.tif")])
    [1, 2, 3]
    """
    numbers, step = _series(files)
    return [number // step for number in numbers] if step else None


def _gaps(files: Sequence[Path]) -> list[tuple[int, int]]:
    """Return first and last of the numbers that are left out, for each gap in names in order.

    Examples
    --------
    >>> _gaps([Path("s1.tif"), Path("s2.tif"), Path("s4.tif")])
    [(3, 3)]
    >>> _gaps([Path("s10.tif"), Path("s20.tif"), Path("s30.tif")])
    []
    """
    numbers, step = _series(files)
    return [(a + step, b - step) for a, b in pairwise(numbers) if b - a > step]


def _series(files: Sequence[Path]) -> tuple[list[int], int]:
    """Return the numbers of names in order, and their step: 0 where they are no series.

    They step by what all their differences are multiples of. Where most steps leave numbers out,
    as of heights, they count nothing.
    """
    numbers = _numbers(files)
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or min(steps) <= 0:
        return [], 0
    step = gcd(*steps)
    leave_out = sum(by > step for by in steps)
    return ([], 0) if 2 * leave_out > len(steps) >= HEIGHTS else (numbers, step)


def _numbers(files: Sequence[Path]) -> list[int]:
    """Return those of the names that count through without gaps, else the first that differ.

    Of times, only the former; names that are not made alike have none.
    """
    columns = _columns(files)
    counting = next(filter(_counts, columns), None)
    if counting is None and has_times(files):
        columns = _columns(without_times(files))
    return counting or (columns[0] if columns else [])


def _columns(files: Sequence[Path]) -> list[list[int]]:
    """Return the whole numbers that change between names made alike, each of all files."""
    keys = [natural_key(path) for path in files]
    if len({tuple(text for _, text in key) for key in keys}) != 1:
        return []
    columns = ([number for number, _ in column] for column in zip(*keys, strict=True))
    return [column for column in columns if len(set(column)) > 1]


def _counts(numbers: Sequence[int]) -> bool:
    """Whether numbers rise by one and the same step."""
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and min(steps) > 0
