"""Values that stand for "not measured": those declared, and those that look like it.

A file that says so itself (``_FillValue``) is obeyed by its reader, `bl_steer.files.maps.hdf5`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["like_marks", "without_marks"]

CERTAIN = {-999.0, -999.25, -9999.0, -99999.0, -32768.0, -2147483648.0}
FULL = {65535.0, 4294967295.0, 2147483647.0}
"""The last number of a counter: it is full, or was told so for a bad reading."""
POSSIBLE = {-1.0, -2.0, -9.0, -99.0, 255.0, 32767.0, 9999.0, 99999.0}
HUGE, FAR = 1e20, 1e6
"""Fill values such as 1e20 and 1e36, and how many times the usual size of the others they are."""
MOST, LEAST_DISTINCT = 4, 3


def without_marks(values: NDArray[Any], marks: Sequence[float], name: str) -> NDArray[Any]:
    """Return values with NaN where one of the marks stands.

    Raises
    ------
    ValueError
        When a mark is no number, or no value is equal to it.
    """
    absent = np.zeros(values.shape, dtype=bool)
    for mark in marks:
        equal = np.isclose(values, mark, rtol=1e-6, atol=0.0)
        if not equal.any():
            raise ValueError(
                f"a mark of missing values must be a value of the map, got {mark:g}, which none of "
                f"the {values.size} values of {name!r} is; leave it out, or look into the file"
            )
        absent |= equal
    if not absent.any():
        return values
    return np.where(absent, np.nan, values.astype(np.result_type(values.dtype, np.float32)))


def like_marks(values: NDArray[Any], remedy: str) -> list[str]:
    """Return a line for each value that may mark what was not measured; they stay as they are.

    Parameters
    ----------
    values : numbers of any shape; NaN is left out
    remedy : what to do where it is one, with ``{mark}`` for the value

    Notes
    -----
    Only a smallest or largest value is looked at: one that programs use as a mark, or that is there
    more than once and farther from the next than all others are from each other.
    """
    if values.dtype.kind not in "fiu":
        return []
    numbers = values[np.isfinite(values)].astype(float)
    return [
        f"{mark:.10g} stands {n} times among {len(numbers)} values, {_beside(mark, rest)}: where "
        f"it {_meaning(mark)}, {remedy.format(mark=f'{mark:.10g}')}"
        for mark, n, rest in _marks(numbers)
    ]


def _marks(numbers: NDArray[np.float64]) -> Iterator[tuple[float, int, NDArray[np.float64]]]:
    rest = numbers
    for _ in range(MOST):
        for mark in (rest.min(initial=np.inf), rest.max(initial=-np.inf)):
            others = rest[rest != mark]
            if len(others) >= LEAST_DISTINCT and _is_like_one(float(mark), rest, others):
                yield float(mark), len(rest) - len(others), others
                rest = others
                break
        else:
            return


def _is_like_one(mark: float, numbers: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    if mark in CERTAIN | FULL:
        return True
    if abs(mark) >= HUGE and abs(mark) >= FAR * float(np.median(np.abs(others))):
        return True
    n = len(numbers) - len(others)
    is_apart = float(np.abs(others - mark).min()) > float(np.ptp(others)) > 0.0
    if mark not in POSSIBLE:
        return is_apart and n > 1 and len(np.unique(others[:1000])) >= LEAST_DISTINCT
    negative = numbers[numbers < 0]
    if mark < 0:
        return is_apart or set(negative.tolist()) <= POSSIBLE
    return is_apart or n > 1


def _beside(mark: float, others: Iterable[float]) -> str:
    values = np.asarray(others)
    side = "below" if mark < values.min() else "above"
    return f"{side} all others, {values.min():.6g} to {values.max():.6g}"


def _meaning(mark: float) -> str:
    if mark in FULL | {255.0, 32767.0}:
        return "is a full counter or marks what was not measured"
    return "marks what was not measured"
