"""What is odd about the outcomes of a search as a whole: nothing differs, or one point is alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bl_steer.protocols import Array

__all__ = ["displaced_rows", "is_spotless", "remark_on", "remark_on_level"]

FEWEST = 3
"""Points with one number that are no accident."""
FEWEST_AROUND = 8
"""Points that say how far outcomes spread."""
MOST_LATE = 8
"""Frames that a detector is looked at to be late by."""
LEAST_CELLS = 12
"""Of a row that are compared."""
ALIKE, FITS_BETTER = 0.8, 0.4
"""Correlation of rows with those beside them once displaced, and what it is short of 1 by over what
it is as they are, that is no accident."""
ALONE = 5.0
"""An outcome as many times farther from the others' median than these spread altogether is alone:
a hill as wide as the pitch has a neighbour that is higher than all around it too."""


def is_spotless(outcomes: Array) -> bool:
    """Return whether all outcomes, (n,), NaN for invalid ones, are one number: no spot is brighter.

    >>> is_spotless(np.array([5.0, np.nan, 5.0, 5.0])), is_spotless(np.array([5.0, 6.0, 5.0]))
    (True, False)
    """
    measured = outcomes[np.isfinite(outcomes)]
    return len(measured) >= FEWEST and float(np.ptp(measured)) == 0.0


def remark_on(
    outcomes: Array,
    *,
    called: Callable[[int], str] = "point {}".format,
    remedy: str = "give min_monitor, a mask or another target",
) -> str:
    """Return what a user should know of the outcomes, in a sentence; empty where nothing is odd.

    Parameters
    ----------
    outcomes : shape (n,), by point; NaN for invalid ones
    called : what the user calls a point, by its number
    remedy : where one point is alone, and no signal

    Examples
    --------
    >>> remark_on(np.zeros(4))
    'got 0 at all 4 points: the reported spot is none; check target, detector, shutter and beam'
    """
    points = np.flatnonzero(np.isfinite(outcomes))
    measured = outcomes[points]
    if len(measured) < FEWEST:
        return ""
    if is_spotless(measured):
        check = "check target, detector, shutter and beam"
        if measured[0] != 0.0:
            check = "check what is steered on, and that the sample is in the beam"
        return (
            f"got {measured[0]:g} at all {len(measured)} points: the reported spot is none; {check}"
        )
    farthest = int(np.argmax(np.abs(measured - np.median(measured))))
    others = np.delete(measured, farthest)
    away = abs(measured[farthest] - np.median(others))
    if len(others) < FEWEST_AROUND or away <= ALONE * np.ptp(others):
        return ""
    return (
        f"{called(int(points[farthest]))} gave {measured[farthest]:.6g}, and the other "
        f"{len(others)} gave {others.min():.6g} to {others.max():.6g}: "
        "beside it all places look alike to the agent; "
        f"measure it again, or {remedy} where it is no signal"
    )


def remark_on_level(level: float, values: Array) -> str:
    """Return that a level is not crossed, in a sentence; empty where it is, or nothing is known.

    Parameters
    ----------
    level : in the target's unit
    values : shape (n,), all that was measured and predicted; NaN for what is not known

    Examples
    --------
    >>> remark_on_level(5000.0, np.array([1.5, 767.0]))
    'no measured or predicted value reaches the level of 5000; the largest is 767'
    """
    known = values[np.isfinite(values)]
    if not len(known) or not np.isfinite(level):
        return ""
    if known.max() < level:
        return (
            f"no measured or predicted value reaches the level of {level:g}; the largest is "
            f"{known.max():.4g}"
        )
    if known.min() > level:
        return (
            f"all measured and predicted values are above the level of {level:g}; the smallest is "
            f"{known.min():.4g}"
        )
    return ""


def displaced_rows(values: Array) -> float:
    """Return by how many cells rows flown to and fro are displaced; 0 where they fit best as is.

    A detector that is late by so many frames sees, in every second row, what lies ahead, and in the
    others what lies behind.

    Parameters
    ----------
    values : shape (n_rows, n_cells), of a map whose first row is flown upwards; NaN for cells that
        are not there

    Examples
    --------
    >>> x = np.arange(31.0)
    >>> hill = lambda late: np.exp(-((x + late - 15.0) ** 2) / 20.0)
    >>> displaced_rows(np.stack([hill(2), hill(-2), hill(2), hill(-2)]))
    2.0
    """
    n_rows, n_cells = values.shape
    most = min(MOST_LATE, (n_cells - LEAST_CELLS) // 4)
    if n_rows < 3 or most < 1:
        return 0.0
    middle = np.arange(2 * most, n_cells - 2 * most)
    sign = np.where(np.arange(1, n_rows - 1) % 2, 1, -1)[:, None]
    between = 0.5 * (values[:-2] + values[2:])[:, middle]
    alike = {}
    for shift in range(-2 * most, 2 * most + 1):
        moved = np.take_along_axis(values[1:-1], middle + sign * shift, axis=1)
        known = np.isfinite(moved + between)
        spread = float(moved[known].std() * between[known].std()) if known.any() else 0.0
        if spread > 0.0:
            alike[shift] = float(np.corrcoef(moved[known], between[known])[0, 1])
    best = max(alike, key=lambda shift: (alike[shift], -abs(shift)), default=0)
    if alike.get(best, 0.0) < ALIKE or 1.0 - alike[best] > FITS_BETTER * (1.0 - alike.get(0, 0.0)):
        return 0.0
    return best / 2.0
