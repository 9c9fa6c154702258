"""Numbers as people read them: the digits that their intervals allow, and no 0 with a sign.

A number without an interval has the digits that tell it from the others of its column, four at
least; one that stands in the file with few digits is shown with all of them, as a measured value
or a setting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bl_steer.progress import COORDINATE_DIGITS, coordinate

__all__ = ["exact", "has_width", "measured", "share_of", "steps_of"]

DIGITS = 4
"""Of a number without an interval, at least."""
MOST_DIGITS = COORDINATE_DIGITS
"""Of a number without an interval."""
NOISE = 1e-12
"""Width of an interval over its ends that rounding alone leaves, as between equal fields."""
STEPS = 3
"""Digits of the width of a column."""
LOPSIDED = 0.2
"""Difference of both sides of an interval over half of it, up to which it is written with ±."""


def steps_of(values: Iterable[float]) -> int:
    """Return the decimals that tell the values of a column from one another.

    >>> steps_of([12345.25, 12347.75]), steps_of([0.1, 40.0]), steps_of([7.0])
    (2, 1, 0)
    """
    finite = [value for value in values if math.isfinite(value)]
    width = max(finite, default=0.0) - min(finite, default=0.0)
    return STEPS - 1 - math.floor(math.log10(width)) if 0 < width < math.inf else 0


def measured(
    value: float, low: float, high: float, *, most: float = math.inf, decimals: int = 0
) -> str:
    """Return a value with its interval, with the digits that this allows.

    Parameters
    ----------
    decimals : of a value without an interval, at least (`steps_of`)

    An interval that ends where the amount does, at 0 or at `most`, is written with both its ends:
    with ± it would seem to reach beyond.

    Examples
    --------
    >>> measured(22.413, 20.7, 24.1)
    '22.4 ± 1.7'
    >>> measured(0.30556, 0.2, 0.35)
    '0.306 (0.200 – 0.350)'
    >>> measured(7e-5, 0.0, 1.5e-4)
    '0.000070 (0.000000 – 0.000150)'
    >>> measured(0.5, 0.5, 0.5)
    '0.5'
    """
    if not has_width(low, high):
        return _short(value, decimals)
    half = (high - low) / 2
    decimals = 1 - math.floor(math.log10(half))
    inside = low != 0 and high != most
    if inside and abs((high - value) - (value - low)) <= LOPSIDED * half:
        return f"{_rounded(value, decimals)} ± {_rounded(half, decimals)}"
    return f"{_rounded(value, decimals)} ({_rounded(low, decimals)} – {_rounded(high, decimals)})"


def has_width(low: float, high: float) -> bool:
    """Return whether an interval is one: no NaN, and wider than the noise of the last bits.

    >>> has_width(20.7, 24.1), has_width(0.1, 0.10000000000000002), has_width(0.0, 1e-30)
    (True, False, True)
    """
    return NOISE * max(abs(low), abs(high)) < high - low < math.inf


def share_of(percent: float) -> str:
    """Return a share without an interval: more than a decimal would promise too much.

    >>> [share_of(percent) for percent in (46.294, 32.5, 0.0, 0.0049)]
    ['46.3', '32.5', '0.0', '0.0049']
    """
    return f"{percent:.2g}" if 0 < percent < 0.1 else f"{percent:z.1f}"


def exact(value: float) -> float:
    """Return a number without the noise of the last bits, which a multiplication leaves, and 0
    without a sign."""
    return float(f"{value:.15g}") + 0.0


def _rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals):z.{max(decimals, 0)}f}"


def _short(value: float, decimals: int = 0) -> str:
    """Return a number with a few digits; the file has all of them.

    Parameters
    ----------
    decimals : as many at least, up to the most digits

    >>> [_short(value) for value in (46.2941134567, 123456.7123, 0.0000123456789, 40.0, 1234.5)]
    ['46.29', '123457', '1.235e-05', '40', '1234.5']
    >>> _short(1234567.8912345, 2), _short(1000.4123456789, 3)
    ('1234567.9', '1000.412')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value)
    size = abs(value)
    if size and not 1e-4 <= size < 1e9:
        return f"{value:.{DIGITS - 1}e}"
    if float(f"{value:.{MOST_DIGITS}g}") == exact(value):
        return coordinate(value)
    before = math.floor(math.log10(size)) + 1
    decimals = min(max(decimals, DIGITS - before), MOST_DIGITS - before)
    return f"{value:.{max(decimals, 0)}f}"
