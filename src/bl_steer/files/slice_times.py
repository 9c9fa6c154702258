"""Dates and times in the names of slices: they tell an order, and count nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

__all__ = ["by_clock", "has_times", "without_times"]

_TIME = re.compile(
    r"(?<!\d)(?:19|20)\d\d([-_.]?)[01]\d\1[0-3]\d"
    r"[-_ t.]*[0-2]\d([-_.h]?)[0-5]\d(?:\2[0-5]\d)?(?!\d)"
)
"""Date and time of day in a name of small letters, to the minute or second."""
_TIME_OF_DAY = re.compile(
    r"(?<!\d)(?P<hour>[01]\d|2[0-3])(?P<by>[-_h]?)(?P<minute>[0-5]\d)"
    r"(?:(?(by)[-_m]?)(?P<second>[0-5]\d))?s?(?!\d)"
)
"""Time of day alone; the minutes of successive slices never are 60 to 99, as numbers would be."""
_DAY_FIRST = re.compile(r"(?<!\d)([0-3]\d)([-_.])([01]\d)\2((?:19|20)\d\d)(?!\d)")
HALF_DAY = 43200
EVENER = 0.5
"""Of the unevenness of numbers, that they have at the most as times, to be taken for these."""


def by_clock(files: Sequence[Path], where: str) -> tuple[list[Path], list[str]] | None:
    """Return slices by the dates in their names, or by times that go on past midnight.

    None where the order of the names is that of the clock.

    Parameters
    ----------
    files : in natural order
    where : goes into the sentence, such as " in FOLDER"
    """
    dates = [_DAY_FIRST.search(path.name) for path in files]
    days = [(d[4], d[3], d[1]) for d in dates if d is not None]
    if len(days) == len(files) and any(day > "12" for *_, day in days):
        how = "dates, the day first"
        found = [files[k] for k in sorted(range(len(files)), key=days.__getitem__)]
    elif (times := _times_of_day(files)) is not None:
        file_of = dict(zip(times, files, strict=True))
        how = "times that go on past midnight"
        found = [file_of[time % (2 * HALF_DAY)] for time in _in_day(sorted(times))]
    else:
        return None
    if found == list(files):
        return None
    return found, [
        f"the names of the slices{where} have {how}: they are taken in that order, "
        f"{found[0].name} … {found[-1].name}; number them if theirs is another"
    ]


def _times_of_day(files: Sequence[Path]) -> list[int] | None:
    """Return the seconds since midnight that names differ in alone; None where there are none.

    Times within one hour may as well be numbers, and are none; so are those that are no more even
    as times than as numbers.

    Examples
    --------
    >>> _times_of_day([Path("s1050.tif"), Path("s1055.tif"), Path("s1100.tif")])
    [39000, 39300, 39600]
    >>> _times_of_day([Path("s1059.tif"), Path("s1060.tif"), Path("s1100.tif")])
    """
    found = [list(_TIME_OF_DAY.finditer(path.stem.lower())) for path in files]
    if len(files) < 2 or {len(times) for times in found} != {1}:
        return None
    if len({_TIME_OF_DAY.sub("t", path.stem.lower()) for path in files}) > 1:
        return None
    times = [
        3600 * int(own["hour"]) + 60 * int(own["minute"]) + int(own["second"] or 0)
        for (own,) in found
    ]
    if len({own["hour"] for (own,) in found}) < 2 or len(set(times)) < len(times):
        return None
    numbers = [int(own[0]) for (own,) in found if own[0].isdecimal()]
    if not numbers:
        return times
    # 0100, 0200, 0400 are as even as numbers, of which one is missing.
    by_time = _unevenness(_in_day(sorted(times)))
    return times if by_time < EVENER * _unevenness(sorted(numbers)) else None


def _in_day(times: list[int]) -> list[int]:
    """Return rising times, from the first after midnight on a day later where the night lies so.

    >>> _in_day([600, 1800, 84000, 85200])
    [84000, 85200, 87000, 88200]
    """
    gaps = [after - before for before, after in pairwise(times)]
    first = gaps.index(max(gaps)) + 1 if max(gaps) > HALF_DAY else 0
    return [*times[first:], *(time + 2 * HALF_DAY for time in times[:first])]


def _unevenness(values: Sequence[int]) -> float:
    """Return how much the steps of rising values differ from their median, in these.

    >>> _unevenness([10, 20, 30, 50])
    1.0
    """
    steps = [after - before for before, after in pairwise(values)]
    usual = median(steps)
    return sum(abs(step - usual) for step in steps) / usual


def has_times(files: Sequence[Path]) -> bool:
    """Return whether all names hold a date with a time, or differ in the time of day alone."""
    return _have_dates(files) or _times_of_day(files) is not None


def without_times(files: Sequence[Path]) -> list[Path]:
    """Return names with a letter in place of their times, so that other numbers are left."""
    form = _TIME if _have_dates(files) else _TIME_OF_DAY
    return [Path(form.sub("t", path.stem.lower())) for path in files]


def _have_dates(files: Sequence[Path]) -> bool:
    return all(_TIME.search(path.name.lower()) for path in files)
