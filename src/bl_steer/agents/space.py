"""Where the agents may measure: a frozen set of candidate points on one, two or three axes.

Candidates are the user's grid cells (or any scattered points), because a loop that is not told
the pitch spends a fifth of its shots on cells already measured. Loads no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np
import scipy  # it loads .spatial and .stats (1 s of a small job) when they are used
from numpy.typing import ArrayLike, NDArray

from bl_steer.agents.coordinates import (
    AXIS_NAMES,
    axis_values,
    check_count,
    coordinates,
    reject_duplicates,
)
from bl_steer.agents.scales import Metric, check_circles, metrics_of, plain_metric, spacings
from bl_steer.agents.zones import Zone, read_zones
from bl_steer.protocols import Array

__all__ = ["Space", "SpaceExhausted"]


class SpaceExhausted(RuntimeError):
    """Every candidate is measured, pending, or failed too often: nothing is left to suggest."""


@dataclass(frozen=True, eq=False)
class Space:
    """A set of candidate points; build it with `Space.grid` or `Space.scattered`.

    Attributes
    ----------
    points : shape (n, d), x (and y (and z)) of every candidate, in the axes' units; read-only.
    shape : (n_x,), (n_y, n_x) or (n_z, n_y, n_x) of a grid, with x running fastest; None for
        scattered points.
    pitch : the smallest spacing of a grid's coordinates; for scattered points the median distance
        to the nearest neighbour (the smallest one would follow a single close pair).

    Examples
    --------
    >>> space = Space.grid([0, 5, 10], [0, 5])
    >>> len(space), space.shape, space.pitch, space.extent
    (6, (2, 3), 5.0, 10.0)
    >>> space.index_of(9.0, 4.0)
    5
    >>> Space.grid([0, 5, 10]).names
    ('x',)
    """

    points: Array
    shape: tuple[int, ...] | None
    pitch: float
    forbidden: tuple[Zone, ...] = ()
    """Zones that must not be entered; see `Space.forbid`."""
    scaled: bool = True
    """Whether distances bring the axes to one unit; False as runs of earlier versions had it."""
    bounds: Array = field(init=False)
    """Shape (2, d): lower corner, upper corner, as BoTorch has it."""
    allowed: NDArray[np.bool_] = field(init=False)
    """Which points lie outside the forbidden zones, shape (n,)."""

    def __post_init__(self) -> None:
        bounds = np.stack([self.points.min(axis=0), self.points.max(axis=0)])
        allowed = self.in_no_zone(self.points)
        for array in (self.points, bounds, allowed):
            array.flags.writeable = False
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "allowed", allowed)
        if not allowed.any():
            raise ValueError(
                f"a space must have a point outside the forbidden zones, got all {len(self)} "
                "inside; make the zones smaller or the space larger"
            )

    @classmethod
    def grid(cls, x: ArrayLike, y: ArrayLike | None = None, z: ArrayLike | None = None) -> Self:
        """Return the cells of a line, a rectangle or a box.

        Parameters
        ----------
        x : shape (n_x,), positions along the axis that runs fastest, in the axes' units.
        y, z : shape (n_y,) and (n_z,), positions along the second and the third axis, if any.

        Raises
        ------
        ValueError
            If a coordinate is not finite or appears twice, or the grid has fewer than 2 cells or
            more than `MAX_POINTS`.
        """
        axes = _axes(x, y, z)
        for name, values in zip(AXIS_NAMES, axes, strict=False):
            reject_duplicates(f"{name} of a grid", values[:, None])
        shape = tuple(len(values) for values in reversed(axes))
        check_count(prod(shape))
        columns = np.meshgrid(*reversed(axes), indexing="ij")[::-1]
        steps = np.concatenate([np.diff(np.sort(values)) for values in axes])
        points = np.column_stack([column.ravel() for column in columns])
        return cls(points=points, shape=shape, pitch=float(steps.min()))

    @classmethod
    def scattered(
        cls, x: ArrayLike, y: ArrayLike | None = None, z: ArrayLike | None = None
    ) -> Self:
        """Return scattered candidates, one per (x[i], y[i], z[i]).

        Parameters
        ----------
        x, y, z : shape (n,) each, positions in the axes' units; y and z where there are such axes.

        Raises
        ------
        ValueError
            If the lengths differ, a coordinate is not finite, a point appears twice, or there are
            fewer than 2 points or more than `MAX_POINTS`.
        """
        axes = _axes(x, y, z)
        lengths = [len(values) for values in axes]
        if len(set(lengths)) > 1:
            names = " and ".join(AXIS_NAMES[: len(axes)])
            raise ValueError(
                f"{names} of scattered points must have one length, got "
                f"{' and '.join(map(str, lengths))}; give one value of each per point, or use "
                "Space.grid"
            )
        check_count(lengths[0])
        points = np.column_stack(axes)
        reject_duplicates("scattered points", points)
        distances, _ = scipy.spatial.cKDTree(points).query(points, k=2)
        return cls(points=points, shape=None, pitch=float(np.median(distances[:, 1])))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], *, scaled: bool = True) -> Self:
        """Return the space that `to_dict` described, or that a user wrote as JSON.

        Parameters
        ----------
        saved : ``x``, ``y``, ``z`` (the first one, two or three): each a list of positions, or
            ``{"start": 0, "stop": 150, "num": 31}``, or ``{"start": 0, "stop": 150, "step": 5}``,
            ends included; ``scattered``: true for single points, false or absent for a grid;
            ``forbidden``: a list of zones as `forbid` takes them.
        scaled : False for a run of an earlier version, see `Space.scaled`.

        Raises ValueError where the mapping has other keys or none, or its values make no space.

        Examples
        --------
        >>> Space.from_dict({"x": {"start": 0, "stop": 150, "num": 31}, "y": [0, 5]}).shape
        (2, 31)
        """
        if not isinstance(saved, Mapping):
            raise ValueError(
                f"a space must be a mapping with x, y, z, got {saved!r}; "
                'try {"x": {"start": 0, "stop": 150, "num": 31}}'
            )
        names = [name for name in AXIS_NAMES if name in saved]
        unknown = [key for key in saved if key not in (*AXIS_NAMES, "scattered", "forbidden")]
        if unknown or not names or names != list(AXIS_NAMES[: len(names)]):
            raise ValueError(
                "a space must be written with x, or x and y, or x, y and z, and scattered and "
                f"forbidden if need be, got {', '.join(map(repr, saved)) or 'nothing'}; rename or "
                "remove what is not among these"
            )
        scattered = saved.get("scattered", False)
        if not isinstance(scattered, bool):
            raise ValueError(
                f"scattered must be true or false, got {scattered!r}; leave it out for a grid"
            )
        space = (cls.scattered if scattered else cls.grid)(
            *(axis_values(name, saved[name]) for name in names)
        )
        zones = read_zones(saved.get("forbidden", ()), space.names)
        return replace(space, scaled=scaled, forbidden=zones)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as JSON-compatible data, for a run's start document.

        >>> Space.grid([0, 5], [0, 5]).to_dict()
        {'x': [0.0, 5.0], 'y': [0.0, 5.0], 'scattered': False}
        """
        saved = {name: self.axis(name).tolist() for name in self.names}
        saved["scattered"] = self.shape is None
        if self.forbidden:
            saved["forbidden"] = [zone.to_dict() for zone in self.forbidden]
        return saved

    def forbid(self, zones: Sequence[Zone | Mapping[str, Any]]) -> Self:
        """Return the same points with further zones that must not be entered.

        No agent suggests a point inside one or on its edge. The points stay, so that maps keep
        their shape.

        Parameters
        ----------
        zones : in the axes' units, as `bl_steer.agents.zones.read_zones` takes them

        Raises ValueError where one of them is no zone on these axes, or no point is left.

        Examples
        --------
        >>> space = Space.grid([0, 5, 10], [0, 5]).forbid([{"circle": [0, 0, 5]}])
        >>> space.allowed.tolist()
        [False, False, True, False, True, True]
        >>> space.zone_between((10, 0), (0, 5)), space.zone_between((10, 0), (10, 5))
        (Ball(centre=(0.0, 0.0), radius=5.0), None)
        """
        read = read_zones(zones, self.names)
        check_circles(read, self.points, self.shape)
        return replace(self, forbidden=(*self.forbidden, *read))

    def in_no_zone(self, positions: Array) -> NDArray[np.bool_]:
        """Return which positions, (n, d), lie outside the forbidden zones, (n,)."""
        free = np.ones(len(positions), dtype=bool)
        for zone in self.forbidden:
            free &= ~zone.contains(positions)
        return free

    def zone_at(self, position: Sequence[float]) -> Zone | None:
        """Return the forbidden zone that a position lies in, if any."""
        here = np.array([position], dtype=np.float64)
        return next((zone for zone in self.forbidden if zone.contains(here)[0]), None)

    def zone_between(self, start: Sequence[float], end: Sequence[float]) -> Zone | None:
        """Return the first forbidden zone that the straight way between two positions meets."""
        a, b = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
        return next((zone for zone in self.forbidden if zone.crossed_by(a, b)), None)

    def zone_within(self, start: Sequence[float], end: Sequence[float]) -> Zone | None:
        """Return the first forbidden zone that meets the box between two positions.

        In it stays what moves between them on all axes at once, each at its own speed.
        """
        a, b = np.array(start, dtype=np.float64), np.array(end, dtype=np.float64)
        low, high = np.minimum(a, b), np.maximum(a, b)
        boxes = low[None], high[None]
        return next((zone for zone in self.forbidden if zone.meets_boxes(*boxes)[0]), None)

    def free_boxes(self, starts: Array, ends: Array) -> NDArray[np.bool_]:
        """Return which boxes between positions, (n, d) each, no forbidden zone meets, (n,)."""
        boxes = np.minimum(starts, ends), np.maximum(starts, ends)
        met = [zone.meets_boxes(*boxes) for zone in self.forbidden]
        return np.asarray(~np.any([np.zeros(len(starts), dtype=bool), *met], axis=0))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the axes: ("x",), ("x", "y") or ("x", "y", "z")."""
        return AXIS_NAMES[: self.points.shape[1]]

    def axis(self, name: str) -> Array:
        """Return the coordinates along one axis: (n_x,) of a grid, (n,) of scattered points."""
        column = self.names.index(name)
        values = self.points[:, column]
        if self.shape is None:
            return values
        # The axes after this one, counted from the slowest, are passed in one step.
        faster = prod(self.shape[len(self.shape) - column :])
        return values[: faster * self.shape[-1 - column] : faster]

    def point(self, position: Sequence[float]) -> dict[str, float]:
        """Return a position by the names of its axes.

        >>> Space.grid([0, 5], [0, 5]).point((5.0, 0.0))
        {'x': 5.0, 'y': 0.0}
        """
        return dict(zip(self.names, position, strict=True))

    def snake(self) -> Array:
        """Return the allowed points row by row, every second row (and layer) backwards, (n, d).

        Each point of a grid follows a neighbour, where no zone lies between. Scattered points have
        no rows: they keep their order.
        """
        order = self.snake_order()
        return self.points[order[self.allowed[order]]]

    def snake_order(self) -> NDArray[np.intp]:
        """Return the indices of all points in the order of `snake`, shape (n,)."""
        order = np.arange(len(self), dtype=np.intp)
        if self.shape is None:
            return order
        return _boustrophedon(order.reshape(self.shape))

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The ways to bring the axes to one unit, the likeliest first."""
        if not self.scaled:
            return (plain_metric(self.points, self.pitch),)
        return metrics_of(self.points, self.shape)

    @cached_property
    def steps(self) -> Array:
        """The smallest step along each axis, shape (d,); of scattered points what the pitch is."""
        if not self.scaled:
            return np.full(len(self.names), self.pitch)
        metric, (smallest, _) = self.metrics[0], spacings(self.points, self.shape)
        return np.where(smallest > 0.0, smallest, metric.pitch / metric.scale)

    @property
    def extent(self) -> float:
        """Length of the longest side of the bounding box, in the axes' units."""
        return float((self.bounds[1] - self.bounds[0]).max())

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of the candidates in their order: equal spaces, equal digests."""
        return hashlib.sha256(np.ascontiguousarray(self.points).tobytes()).hexdigest()[:16]

    def index_of(self, *position: float) -> int:
        """Return the index of the candidate nearest to (x, y, z); of equals, the lowest."""
        offsets = (self.points - np.array(position, dtype=np.float64)) / self.steps
        return int(np.argmin((offsets**2).sum(axis=1)))

    def cell_of(self, *position: float, within: float = 0.5) -> int | None:
        """Return the candidate that (x, y, z) falls on, within so many steps; else None."""
        index = self.index_of(*position)
        distances = np.abs(self.points[index] - position) / self.steps
        return index if distances.max() <= within * (1 + 1e-9) else None


def _axes(x: ArrayLike, y: ArrayLike | None, z: ArrayLike | None) -> list[Array]:
    if y is None and z is not None:
        raise ValueError("a space with z must have y as well, got none; call the second axis y")
    return [
        coordinates(name, values)
        for name, values in zip(AXIS_NAMES, (x, y, z), strict=True)
        if values is not None
    ]


def _boustrophedon(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a path through a block of cells that never jumps, shape (n,)."""
    if order.ndim == 1:
        return order
    paths = [_boustrophedon(part) for part in order]
    paths[1::2] = [path[::-1] for path in paths[1::2]]
    return np.concatenate(paths)
