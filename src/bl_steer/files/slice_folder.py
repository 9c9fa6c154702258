"""Slices as single images in a folder: their order, as a person counts, and which are missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.files.errors import listed
from bl_steer.files.planes import StoredStack

__all__ = ["gap_notes", "in_order", "natural_key", "one_stack", "order_notes", "slice_numbers"]

_REAL = re.compile(r"((?<!\d)[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)")

SIGNED = "have signs and are taken"
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


def one_stack(
    files: Sequence[Path], slices: Sequence[StoredStack], where: str, leave_out_short: bool
) -> StoredStack:
    """Return slices as a stack, with what all that state it agree on.

    Parameters
    ----------
    files, slices : in their order, each slice of shape (H, W)
    where : goes into the sentences, such as " in FOLDER"
    leave_out_short : slices of fewer rows than most, whose scan was broken off

    Raises
    ------
    ValueError
        Where they differ in shape or type.
    """
    notes: list[str] = []
    gaps, numbers = gap_notes(files, where), slice_numbers(files) or range(len(files))
    found = list(zip(files, numbers, slices, strict=True))
    if leave_out_short:
        whole = Counter(stored.array.shape for _, _, stored in found).most_common(1)[0][0]
        short = [path.name for path, _, stored in found if _is_short(stored.array.shape, whole)]
        found = [one for one in found if not _is_short(one[2].array.shape, whole)]
        if short:
            notes.append(
                f"{listed(short)} {'has' if len(short) == 1 else 'have'} fewer rows than the other "
                f"slices, {whole[0]}: the scan was broken off, and the slice is taken as missing"
            )
    first_path, _, first = found[0]
    for path, _, stored in found:
        plane = stored.array
        if plane.ndim != 2:
            raise ValueError(
                f"slices must be single images, got shape {plane.shape} in {path.name}; give a "
                "stack by itself, or take out what is no slice"
            )
        if plane.shape != first.array.shape:
            raise ValueError(
                f"slices must be of one shape, got {plane.shape} in {path.name} and "
                f"{first.array.shape} in {first_path.name}; take out what is no slice"
            )
        if plane.dtype.name != first.array.dtype.name:
            raise ValueError(
                f"slices must be of one type, got {plane.dtype.name} in {path.name} and "
                f"{first.array.dtype.name} in {first_path.name}; save them alike"
            )
    kept = [stored for _, _, stored in found]
    known, unlike = _agreed(kept)
    return StoredStack(
        np.stack([stored.array for stored in kept]),
        known,
        [*notes, *unlike, *dict.fromkeys(n for stored in kept for n in stored.notes)],
        gaps,
        [number for _, number, _ in found],
        [path.name for path, _, _ in found],
    )


def _is_short(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an image has the columns of whole ones and fewer rows."""
    return len(shape) == len(whole) == 2 and shape[1] == whole[1] and shape[0] < whole[0]


def _agreed(slices: Sequence[StoredStack]) -> tuple[dict[str, Any], list[str]]:
    """Return what the slices state and agree on, and a sentence on a pixel that changes."""
    known: dict[str, Any] = {}
    unlike: list[str] = []
    for key in dict.fromkeys(key for stored in slices for key in stored.known):
        values = [stored.known[key] for stored in slices if key in stored.known]
        if all(value == values[0] for value in values):
            known[key] = values[0]
        elif key == "pixel_size_nm":
            unlike.append(
                f"the slices state pixels of {min(values):g} to {max(values):g} nm: none of them "
                "is used; take out those of another magnification, or give the size"
            )
    return known, unlike


def _form(path: Path) -> tuple[str, ...]:
    """Return the parts of a name between its numbers, each of which is an empty part.

    Examples
    --------
    >>> _form(Path("Cell_2_s010.tif"))
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

    The numbers are those that count through without gaps, else the first that differ; they step
    by what all their differences are multiples of. Names that are not made alike have none.
    """
    columns = _columns(files)
    numbers = next(filter(_counts, columns), columns[0] if columns else [])
    steps = [after - before for before, after in pairwise(numbers)]
    return (numbers, gcd(*steps)) if steps and min(steps) > 0 else ([], 0)


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
