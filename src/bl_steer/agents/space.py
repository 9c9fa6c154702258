"""Where the agents may measure: a frozen set of candidate points.

Candidates are the user's grid cells (or any scattered points), because a loop that is not told
the pitch spends a fifth of its shots on cells already measured. Loads no torch, so that plans and
the command line can check a space before anything heavy starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import scipy  # it loads .spatial and .stats (1 s of a small job) when they are used
from numpy.typing import ArrayLike

from bl_steer.protocols import Array

__all__ = ["Space", "SpaceExhausted"]


class SpaceExhausted(RuntimeError):
    """Every candidate is measured, pending, or failed too often: nothing is left to suggest."""


@dataclass(frozen=True, eq=False)
class Space:
    """A set of candidate points; build it with `Space.grid` or `Space.scattered`.

    Attributes
    ----------
    points : shape (n, 2), x and y of every candidate, in the axes' units; read-only.
    shape : (n_y, n_x) of a grid, with x running fastest; None for scattered points.
    pitch : the smallest spacing of a grid's coordinates; for scattered points the median distance
        to the nearest neighbour (the smallest one would follow a single close pair).

    Examples
    --------
    >>> space = Space.grid([0, 5, 10], [0, 5])
    >>> len(space), space.shape, space.pitch, space.extent
    (6, (2, 3), 5.0, 10.0)
    >>> space.index_of(9.0, 4.0)
    5
    """

    points: Array
    shape: tuple[int, int] | None
    pitch: float
    bounds: Array = field(init=False)
    """Shape (2, 2): lower corner, upper corner, as BoTorch has it."""

    def __post_init__(self) -> None:
        bounds = np.stack([self.points.min(axis=0), self.points.max(axis=0)])
        for array in (self.points, bounds):
            array.flags.writeable = False
        object.__setattr__(self, "bounds", bounds)

    @classmethod
    def grid(cls, x: ArrayLike, y: ArrayLike) -> Self:
        """Return the cells of a rectangular grid.

        Parameters
        ----------
        x : shape (n_x,), column positions, in the axes' units.
        y : shape (n_y,), row positions.

        Raises
        ------
        ValueError
            If a coordinate is not finite or appears twice, or the grid has fewer than 2 cells.
        """
        columns, rows = _coordinates("x", x), _coordinates("y", y)
        for name, values in (("x", columns), ("y", rows)):
            _reject_duplicates(f"{name} of a grid", values[:, None])
        _reject_too_few(len(columns) * len(rows))
        xx, yy = np.meshgrid(columns, rows)
        steps = np.concatenate([np.diff(np.sort(columns)), np.diff(np.sort(rows))])
        points = np.column_stack([xx.ravel(), yy.ravel()])
        return cls(points=points, shape=(len(rows), len(columns)), pitch=float(steps.min()))

    @classmethod
    def scattered(cls, x: ArrayLike, y: ArrayLike) -> Self:
        """Return scattered candidates, one per pair (x[i], y[i]).

        Parameters
        ----------
        x, y : shape (n,) each, positions in the axes' units.

        Raises
        ------
        ValueError
            If the lengths differ, a coordinate is not finite, a point appears twice, or there are
            fewer than 2 points.
        """
        xs, ys = _coordinates("x", x), _coordinates("y", y)
        if len(xs) != len(ys):
            raise ValueError(
                f"x and y of scattered points must have one length, got {len(xs)} and {len(ys)}; "
                "give one x and one y per point, or use Space.grid"
            )
        _reject_too_few(len(xs))
        points = np.column_stack([xs, ys])
        _reject_duplicates("scattered points", points)
        distances, _ = scipy.spatial.cKDTree(points).query(points, k=2)
        return cls(points=points, shape=None, pitch=float(np.median(distances[:, 1])))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the space that `to_dict` described."""
        return (cls.scattered if saved["scattered"] else cls.grid)(saved["x"], saved["y"])

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON-compatible data, for a run's start document.

        >>> Space.grid([0, 5], [0, 5]).to_dict()
        {'x': [0.0, 5.0], 'y': [0.0, 5.0], 'scattered': False}
        """
        x, y = self.points.T
        if self.shape is not None:
            x, y = x[: self.shape[1]], y[:: self.shape[1]]
        return {"x": x.tolist(), "y": y.tolist(), "scattered": self.shape is None}

    def snake(self) -> Array:
        """Return the points row by row, every second row backwards, shape (n, 2).

        Scattered points have no rows: they keep their order.
        """
        if self.shape is None:
            return self.points
        rows = self.points.reshape(*self.shape, 2).copy()
        rows[1::2] = rows[1::2, ::-1]
        return np.asarray(rows.reshape(-1, 2))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def extent(self) -> float:
        """Length of the longer side of the bounding box, in the axes' units."""
        return float((self.bounds[1] - self.bounds[0]).max())

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of the candidates in their order: equal spaces, equal digests."""
        return hashlib.sha256(np.ascontiguousarray(self.points).tobytes()).hexdigest()[:16]

    def index_of(self, x: float, y: float) -> int:
        """Return the index of the candidate nearest to (x, y); of equals, the lowest."""
        offsets = self.points - np.array([x, y], dtype=np.float64)
        return int(np.argmin((offsets**2).sum(axis=1)))

    def cell_of(self, x: float, y: float) -> int | None:
        """Return the candidate that (x, y) falls on, within half a pitch; None between cells."""
        index = self.index_of(x, y)
        distance = float(np.abs(self.points[index] - (x, y)).max())
        return index if distance <= 0.5 * self.pitch * (1 + 1e-9) else None


def _coordinates(name: str, values: ArrayLike) -> Array:
    array = np.array(values, dtype=np.float64)
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


def _reject_too_few(n: int) -> None:
    if n < 2:
        raise ValueError(
            f"a space must have at least 2 points, got {n}; widen the range or reduce the pitch"
        )


def _reject_duplicates(name: str, points: Array) -> None:
    unique, counts = np.unique(points, axis=0, return_counts=True)
    if len(unique) < len(points):
        twice: Sequence[float] = unique[np.argmax(counts > 1)].tolist()
        written = ", ".join(f"{value:g}" for value in twice)
        raise ValueError(
            f"{name} must be distinct, got {written} {counts.max()} times; remove the repeats"
        )
