"""Positions along one axis, as users write them: an array, or a range as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.protocols import Array

__all__ = [
    "AXIS_NAMES",
    "MAX_POINTS",
    "axis_values",
    "check_choice",
    "check_count",
    "coordinates",
    "reject_duplicates",
]

AXIS_NAMES = ("x", "y", "z")
"""Names of the axes of a space, in their order."""

MAX_POINTS = 1_000_000
"""More candidates would take gigabytes and minutes before the first point."""


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ValueError unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(
            f"{name} must be one of {', '.join(allowed)}, got {value!r}; choose one of these"
        )


def axis_values(name: str, written: Any) -> ArrayLike:
    """Return the positions that a list or a range stands for, both ends included.

    Parameters
    ----------
    name : of the axis, for the errors
    written : positions, or ``{"start": a, "stop": b, "num": n}``, or with ``"step"`` for ``"num"``

    Raises
    ------
    ValueError
        If the range has other keys, or its numbers make none.

    Examples
    --------
    >>> axis_values("x", {"start": 0, "stop": 1, "step": 0.25})
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    if not isinstance(written, Mapping):
        values: ArrayLike = written
        return values
    if set(written) not in ({"start", "stop", "num"}, {"start", "stop", "step"}):
        raise ValueError(
            f"a range of {name} must have start, stop and num, or start, stop and step, got "
            f"{', '.join(map(repr, written)) or 'nothing'}; write for example "
            '{"start": 0, "stop": 150, "num": 31}'
        )
    start, stop = (_finite(f"{key} of {name}", written[key]) for key in ("start", "stop"))
    if "num" in written:
        number = written["num"]
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
            raise ValueError(f"num of {name} must be a whole number from 1, got {number!r}; try 31")
        if number == 1 and start != stop:
            raise ValueError(
                f"num of {name} must be 2 or more to reach from {start:g} to {stop:g}, got 1; try "
                "31, or the same start and stop"
            )
        return np.linspace(start, stop, _bounded(name, int(number)))
    step = _finite(f"step of {name}", written["step"])
    if step == 0.0 or (stop - start) / step < 0.0:
        raise ValueError(
            f"step of {name} must lead from {start:g} to {stop:g}, got {step:g}; "
            "change its sign or its size"
        )
    # A stop that is a whole number of steps away belongs to the range, whatever 3 * 0.1 is.
    steps = math.floor(min((stop - start) / step, 2.0 * MAX_POINTS) + 1e-6)
    if steps == 0 and start != stop:
        raise ValueError(
            f"step of {name} must be at most the way from {start:g} to {stop:g}, got {step:g}, "
            "which measures the first place only; take shorter steps"
        )
    return start + step * np.arange(_bounded(name, steps + 1), dtype=np.float64)


def coordinates(name: str, values: ArrayLike) -> Array:
    """Return positions along one axis as a new array, shape (n,), all finite."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a list of numbers, got {values!r}; give one position each"
        ) from None
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, got shape {array.shape}; pass the axis, not the mesh"
        )
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise ValueError(
            f"{name} must be finite everywhere, got {array[bad[0]]} at index {bad[0]} "
            f"({len(bad)} in all); remove these points"
        )
    return array


def check_count(n: int) -> None:
    """Refuse a number of candidates that is too small or too large."""
    if n < 2:
        raise ValueError(
            f"a space must have at least 2 points, got {n}; widen the range or reduce the pitch"
        )
    if n > MAX_POINTS:
        raise ValueError(
            f"a space must have at most {MAX_POINTS} points, got {n}; narrow the range or widen "
            "the pitch"
        )


def reject_duplicates(name: str, points: Array) -> None:
    """Refuse positions, (n, d), of which some are the same."""
    unique, counts = np.unique(points, axis=0, return_counts=True)
    if len(unique) < len(points):
        twice: Sequence[float] = unique[np.argmax(counts > 1)].tolist()
        written = ", ".join(f"{value:g}" for value in twice)
        raise ValueError(
            f"{name} must be distinct, got {written} {counts.max()} times; remove the repeats"
        )


def _finite(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}; give a position")
    return float(value)


def _bounded(name: str, n: int) -> int:
    if n > MAX_POINTS:
        raise ValueError(
            f"{name} must have at most {MAX_POINTS} positions, got {n} or more; take longer steps"
        )
    return n
