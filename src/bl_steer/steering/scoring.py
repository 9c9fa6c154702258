"""How well a search did, against a map whose maximum is known.

Point A is the maximum of the true map. It counts as found when a measured point, and the reported
spot, lie within one pitch of it or reach 95 % of its value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bl_steer.protocols import Array

__all__ = ["Score", "score"]

SHARE = 0.95


@dataclass(frozen=True)
class Score:
    """When a search came to point A. Counts are measurements, None stands for never."""

    n_measured: int
    n_distinct: int
    n_to_found: int | None
    """Until a point within one pitch of A, or of 95 % of its value."""
    n_to_95: int | None
    """Until a point of 95 % of the maximum."""
    n_to_best_cell: int | None
    found: bool
    """Whether a measured point and the reported spot both count as A."""
    true_x: float
    true_y: float
    path: float
    """Length of the way from the first point to the last, in the axes' units."""


def score(
    measured: Array, reported: Array, points: Array, truth: Array, *, reach: float | Array
) -> Score:
    """Score one search.

    Parameters
    ----------
    measured : shape (n, d), positions in the order of measurement
    reported : shape (d,), the spot that the search reports
    points, truth : shape (m, d) and (m,), the true map on its grid
    reach : distance from A that counts as A, in the axes' units, one for all or for each, (d,);
        the pitch

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [5.0, 0.0], [10.0, 0.0], [15.0, 0.0]])
    >>> s = score(points[[0, 2, 3]], points[3], points, np.array([1.0, 2.0, 3.0, 9.0]), reach=5.0)
    >>> s.n_to_found, s.n_to_95, s.path
    (2, 3, 15.0)
    """
    best = int(np.argmax(truth))
    cells = _nearest(measured, points, reach)
    enough = truth[best] - (1.0 - SHARE) * abs(truth[best])  # of a negative maximum, too
    bright = truth[cells] >= enough
    close = _distance(measured, points[best], reach) <= 1 + 1e-9
    reported_cell = _nearest(reported[None], points, reach)
    reported_is_A = bool(
        truth[reported_cell][0] >= enough
        or _distance(reported[None], points[best], reach)[0] <= 1 + 1e-9
    )
    n_to_found = _first(bright | close)
    return Score(
        n_measured=len(measured),
        n_distinct=len(np.unique(cells)),
        n_to_found=n_to_found,
        n_to_95=_first(bright),
        n_to_best_cell=_first(cells == best),
        found=n_to_found is not None and reported_is_A,
        true_x=float(points[best, 0]),
        true_y=float(points[best, 1]),
        path=float(np.linalg.norm(np.diff(measured, axis=0), axis=1).sum()),
    )


def _nearest(
    positions: Array, points: Array, reach: float | Array
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    cells = [np.argmin(_distance(points, position, reach)) for position in positions]
    return np.array(cells, dtype=np.intp)


def _distance(positions: Array, position: Array, reach: float | Array) -> Array:
    """Return distances in units of the reach, (n,)."""
    return np.asarray(np.linalg.norm((positions - position) / reach, axis=1))


def _first(hits: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int | None:
    return int(np.argmax(hits)) + 1 if hits.any() else None
