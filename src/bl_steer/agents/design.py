"""Start designs: where to measure before there is anything to model. Loads no torch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy  # it loads .spatial when it is used
from numpy.typing import NDArray

from bl_steer.agents.space import Space, SpaceExhausted
from bl_steer.protocols import Array

__all__ = ["StartName", "check_left", "farthest_cell", "first_free_cell"]

MANY = 500
"""Points of which the nearest is looked up in a tree."""

StartName = Literal["maximin", "random"]


def check_left(count: int, barred: NDArray[np.bool_]) -> None:
    """Raise ValueError for more points than there are cells left, if there are any."""
    free = int((~barred).sum())
    if 0 < free < count:
        raise ValueError(
            f"num_points must be at most the {free} cells left, got {count}; ask for fewer"
        )


def first_free_cell(order: NDArray[np.intp], barred: NDArray[np.bool_]) -> int:
    """Return the first cell in the given order that is not barred.

    Raises
    ------
    SpaceExhausted
        If all are.
    """
    free = order[~barred[order]]
    if len(free) == 0:
        raise SpaceExhausted(
            f"the space must have a cell left, got all {len(order)} measured, pending, invalid or "
            "forbidden; stop here, or start an agent on a finer grid"
        )
    return int(free[0])


def farthest_cell(
    space: Space, *, occupied: Array, barred: NDArray[np.bool_], order: NDArray[np.intp]
) -> int:
    """Return the free cell farthest from all occupied points and from their mirror images.

    Repeated, this is a sequential maximin design. The rim counts as a mirror: a cell at distance e
    from the rim is 2e from its own image. Without it the first points crowd along the rim, where
    half of their neighbourhood lies outside the map. Since it looks at what was really measured, it
    also spreads around points measured by somebody else. Ties go to the first in `order`.

    Parameters
    ----------
    occupied : shape (n_occupied, d), positions already measured or on their way.
    barred : shape (n,), cells that must not be returned.
    order : shape (n,), a permutation of the cells; its first is returned when nothing is occupied.

    References
    ----------
    Johnson, Moore & Ylvisaker 1990, doi 10.1016/0378-3758(90)90122-B (maximin designs).
    """
    first = first_free_cell(order, barred)
    if len(occupied) == 0:
        return first
    metric = space.metrics[0]
    points, taken, pitch = metric.of(space.points), metric.of(occupied), metric.pitch
    if (metric.scale != 1.0).any():  # whole cells: ties are ties in any unit
        points, taken, pitch = np.round(points / pitch, 6), np.round(taken / pitch, 6), 1.0
    squared = (2.0 * _distance_to_rim(points, pitch)) ** 2
    if len(taken) > MANY:
        free = points[~barred]
        _, nearest = scipy.spatial.cKDTree(taken).query(free)
        squared[~barred] = np.minimum(squared[~barred], ((free - taken[nearest]) ** 2).sum(axis=1))
    else:
        for point in taken:
            np.minimum(squared, ((points - point) ** 2).sum(axis=1), out=squared)
    squared[barred] = -np.inf
    return int(order[np.argmax(squared[order])])


def _distance_to_rim(points: Array, pitch: float) -> Array:
    """Return every cell's distance to the outline, half a pitch outside the outermost cells."""
    lower, upper = points.min(axis=0), points.max(axis=0)
    axes = upper > lower
    inside = np.minimum(points - lower, upper - points)[:, axes]
    distance: Array = inside.min(axis=1) + 0.5 * pitch
    return distance
