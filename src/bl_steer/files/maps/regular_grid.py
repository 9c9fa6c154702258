"""The grid that the points of a file form, whatever the order in which it lists them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.protocols import Array

__all__ = ["RegularGrid", "in_order", "regular_grid"]

TOLERANCE = 0.01
"""Deviation from an evenly spaced grid, in pitches, up to which points count as one."""


@dataclass(frozen=True, eq=False)
class RegularGrid:
    """An evenly spaced grid.

    Attributes
    ----------
    x, y : shape (n_x,) and (n_y,), ascending
    order : shape (n_y, n_x), which of the points, counted from 0, lies in each cell; -1 for none
    """

    x: Array
    y: Array
    order: NDArray[np.intp]


def regular_grid(x: ArrayLike, y: ArrayLike, *, holes: bool = False) -> RegularGrid | None:
    """Return the grid that points form; None where they form none.

    Rows may run up or down, to and fro, along x or along y, or in no order; readbacks may differ
    from even positions by `TOLERANCE`.

    Parameters
    ----------
    x, y : of each point, in one shape
    holes : allow cells without a point, up to half of them

    Examples
    --------
    >>> regular_grid([5, 0, 0, 5], [2, 2, 1, 1]).order.tolist()
    [[2, 3], [1, 0]]
    """
    along_x, along_y = (_lines(np.ravel(values).astype(float)) for values in (x, y))
    if along_x is None or along_y is None:
        return None
    (columns, column), (rows, row) = along_x, along_y
    cell = row * len(columns) + column
    n = len(columns) * len(rows)
    if len(np.unique(cell)) < len(cell) or n > (2 if holes else 1) * len(cell):
        return None
    order = np.full(n, -1, dtype=np.intp)
    order[cell] = np.arange(len(cell))
    return RegularGrid(columns, rows, order.reshape(len(rows), len(columns)))


def in_order(x: Array, y: Array) -> NDArray[np.intp]:
    """Return the order of points by y, and by x where y is equal, shape (n,)."""
    return np.lexsort((x, y))


def _lines(values: Array) -> tuple[Array, NDArray[np.intp]] | None:
    """Return evenly spaced positions, ascending, and which of them each value is."""
    ordered = np.sort(values)
    if not np.isfinite(ordered).all():
        return None
    steps = np.diff(ordered)
    widest = steps.max(initial=0.0)
    if widest == 0.0:
        return ordered[:1], np.zeros(len(values), dtype=np.intp)
    starts = np.concatenate([[0], np.flatnonzero(steps > 0.5 * widest) + 1])
    ends = np.append(starts[1:], len(ordered))
    lines = 0.5 * (ordered[(starts + ends - 1) // 2] + ordered[(starts + ends) // 2])
    pitch = (lines[-1] - lines[0]) / (len(lines) - 1)
    which = np.rint((values - lines[0]) / pitch).astype(np.intp)
    even = lines[0] + pitch * which
    if np.abs(values - even).max() > TOLERANCE * pitch:
        return None
    return lines, which
