"""From how many of many points an advice learns, and from which.

The ensemble of Gaussian processes stores factors that grow with the points and the candidates;
beyond some hundreds an analysis would take minutes and gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["most_learnt", "spread_out"]

MOST_POINTS = 400
"""Some 3 s on one core, where the candidates are those of a 31 × 31 grid."""
MOST_WORK = 200_000_000
"""Points squared times candidates: some 5 s, and 0.6 GB at most for the factors of 24 processes."""


def most_learnt(n_candidates: int) -> int:
    """Return from how many points can be learnt for a choice among some candidates.

    >>> most_learnt(961), most_learnt(40_000)
    (400, 70)
    """
    return min(MOST_POINTS, int((MOST_WORK / n_candidates) ** 0.5))


def spread_out(
    points: Mapping[str, Array], count: int, first: int, *, scale: Array
) -> NDArray[np.bool_]:
    """Return which points to learn from, booleans (n,): the first, then the farthest from all.

    Whatever their values: a choice of high ones would make noise look like hills.

    Parameters
    ----------
    points : ``x`` and ``y``, (n,)
    count : how many to choose
    first : index of the point that is chosen in any case
    scale : shape (2,), factors that bring the axes to one unit
    """
    xy = np.column_stack([points["x"], points["y"]]) * scale
    chosen = np.zeros(len(xy), bool)
    distance = np.full(len(xy), np.inf)
    latest = first
    for _ in range(min(count, len(xy))):
        chosen[latest] = True
        np.minimum(distance, ((xy - xy[latest]) ** 2).sum(axis=1), out=distance)
        distance[chosen] = -1.0
        latest = int(np.argmax(distance))
    return chosen
