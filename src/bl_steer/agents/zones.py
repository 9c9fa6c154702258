"""Zones that must not be entered: boxes, circles, ellipses and polygons, with their edges.

A clamp, a heater's wire, the half of the sample that burns: no agent suggests a point in a zone,
and a plan can ask whether the straight way between two points crosses one. Distances are computed
from the geometry, not sampled along the way. An edge belongs to its zone, and so does what is
nearer to it than `EDGE` of the zone's largest coordinate (of a box, on the axis): 0.1 + 0.2 is no
way around. A circle has one radius for all axes, an ellipse one for each, in its own unit. Loads no
torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["Ball", "Box", "Ellipsoid", "Polygon", "Zone", "read_zones"]

EDGE = 1e-9
"""Width of an edge over the zone's largest coordinate."""

FORMS = (
    '{"box": [[x0, y0], [x1, y1]]}, {"circle": [x, y, r]}, {"ellipse": [x, y, rx, ry]} or '
    '{"polygon": [[x, y], …]}'
)


class Zone(ABC):
    """A closed region in the units of the axes."""

    @abstractmethod
    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points of shape (n, d) lie inside or on the edge, (n,)."""

    @abstractmethod
    def crossed_by(self, start: Array, end: Array) -> bool:
        """Return whether the straight way between two points, (d,) each, meets the zone."""

    @abstractmethod
    def meets_boxes(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Return which boxes between lower and upper corners, (n, d) each, the zone meets, (n,).

        What is moved on several axes at once runs on no straight line, but stays in such a box.
        """

    @abstractmethod
    def outline(self) -> Array:
        """Return the corners to go round, (n, d): of a ball, those of the box around it."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the zone as JSON-compatible data, as `read_zones` takes it."""


@final
@dataclass(frozen=True)
class Box(Zone):
    """An interval, a rectangle or a cuboid along the axes."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points lie inside."""
        edges = self._edges
        above = points >= np.array(self.low) - edges
        below = points <= np.array(self.high) + edges
        return np.asarray((above & below).all(axis=1))

    def crossed_by(self, start: Array, end: Array) -> bool:
        """Return whether a share of the way lies between all pairs of faces at once."""
        first, last = 0.0, 1.0
        corners = zip(start, end, self.low, self.high, self._edges, strict=True)
        for a, b, low, high, edge in corners:
            if a == b:
                if not low - edge <= a <= high + edge:
                    return False
                continue
            enters, leaves = sorted(((low - edge - a) / (b - a), (high + edge - a) / (b - a)))
            first, last = max(first, enters), min(last, leaves)
        return first <= last

    def meets_boxes(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Return which boxes have a point in common with this one."""
        edges = self._edges
        meets = (low <= np.array(self.high) + edges) & (high >= np.array(self.low) - edges)
        return np.asarray(meets.all(axis=1))

    def outline(self) -> Array:
        """Return the two corners."""
        return np.array([self.low, self.high])

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"box": [low, high]}``."""
        return {"box": [list(self.low), list(self.high)]}

    @property
    def _edges(self) -> Array:
        """Width of the edge along each axis, which may have a unit of its own."""
        return EDGE * np.maximum(np.abs(self.low), np.abs(self.high))


@final
@dataclass(frozen=True)
class Ball(Zone):
    """A circle; on three axes a sphere, on one an interval."""

    centre: tuple[float, ...]
    radius: float

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points are no farther from the centre than the radius."""
        distance = np.linalg.norm(points - np.array(self.centre), axis=1)
        return np.asarray(distance <= self.radius + _edge(self.centre, [self.radius]))

    def crossed_by(self, start: Array, end: Array) -> bool:
        """Return whether the way comes that near to the centre."""
        (distance,) = _distances_to_segment(np.array([self.centre]), start, end)
        return bool(distance <= self.radius + _edge(self.centre, [self.radius]))

    def meets_boxes(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Return of which boxes the nearest point is no farther than the radius."""
        return self.contains(np.clip(np.array([self.centre]), low, high))

    def outline(self) -> Array:
        """Return two corners of the box around it."""
        return np.asarray(np.array(self.centre) + np.array([[-self.radius], [self.radius]]))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"circle": [*centre, radius]}``."""
        return {"circle": [*self.centre, self.radius]}


@final
@dataclass(frozen=True)
class Ellipsoid(Zone):
    """An ellipse along the axes, with a radius for each, in its own unit."""

    centre: tuple[float, ...]
    radii: tuple[float, ...]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points lie inside: Σ ((x - x0)/rx)² ≤ 1."""
        return self._ball.contains(points / np.array(self.radii))

    def crossed_by(self, start: Array, end: Array) -> bool:
        """Return whether the way meets it; straight ways are straight in units of the radii too."""
        return self._ball.crossed_by(start / np.array(self.radii), end / np.array(self.radii))

    def meets_boxes(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Return of which boxes the nearest point lies inside."""
        return self._ball.meets_boxes(low / np.array(self.radii), high / np.array(self.radii))

    def outline(self) -> Array:
        """Return two corners of the box around it."""
        centre, radii = np.array(self.centre), np.array(self.radii)
        return np.asarray(np.stack([centre - radii, centre + radii]))

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"ellipse": [*centre, *radii]}``."""
        return {"ellipse": [*self.centre, *self.radii]}

    @property
    def _ball(self) -> Ball:
        """What it is in units of its radii."""
        return Ball(tuple((np.array(self.centre) / np.array(self.radii)).tolist()), 1.0)


@final
@dataclass(frozen=True)
class Polygon(Zone):
    """A polygon, convex or not; where its outline crosses itself, what it winds around is inside.

    Parameters
    ----------
    corners : in order, not closed.
    """

    corners: tuple[tuple[float, float], ...]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return which points the outline winds around, or passes through.

        References
        ----------
        Hormann & Agathos 2001, doi 10.1016/S0925-7721(01)00012-8 (winding numbers).
        """
        edge = _edge(*self.corners)
        winding = np.zeros(len(points), dtype=int)
        on_edge = np.zeros(len(points), dtype=bool)
        x, y = points.T
        for a, b in self._sides():
            left = (b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])
            winding += (a[1] <= y) & (y < b[1]) & (left > 0)
            winding -= (b[1] <= y) & (y < a[1]) & (left < 0)
            on_edge |= _distances_to_segment(points, a, b) <= edge
        return np.asarray((winding != 0) | on_edge)

    def crossed_by(self, start: Array, end: Array) -> bool:
        """Return whether the way begins or ends inside, or meets a side."""
        edge = _edge(*self.corners)
        return bool(self.contains(np.stack([start, end])).any()) or any(
            _segments_meet(start, end, a, b, edge) for a, b in self._sides()
        )

    def meets_boxes(self, low: Array, high: Array) -> NDArray[np.bool_]:
        """Return which boxes a side meets, or lie inside the polygon as wholes."""
        meets = self.contains(low)
        edge = _edge(*self.corners)
        for a, b in self._sides():
            meets |= _segment_meets_boxes(a, b, low - edge, high + edge)
        return meets

    def outline(self) -> Array:
        """Return the corners."""
        return np.array(self.corners)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"polygon": [corner, …]}``."""
        return {"polygon": [list(corner) for corner in self.corners]}

    def _sides(self) -> list[tuple[Array, Array]]:
        corners = [np.array(corner) for corner in self.corners]
        return list(zip(corners, corners[1:] + corners[:1], strict=True))


def read_zones(
    written: Sequence[Zone | Mapping[str, Any]], names: Sequence[str]
) -> tuple[Zone, ...]:
    """Return the zones that a person or a start document wrote.

    Parameters
    ----------
    written : zones, or mappings ``{"box": [[x0, y0], [x1, y1]]}`` (any two opposite corners),
        ``{"circle": [x, y, r]}``, ``{"ellipse": [x, y, rx, ry]}`` for axes of unlike units,
        ``{"polygon": [[x, y], …]}``; on one and three axes boxes, circles and ellipses, which are
        intervals, spheres and ellipsoids there
    names : of the axes

    Raises
    ------
    ValueError
        If one of them is no zone on these axes.

    Examples
    --------
    >>> read_zones([{"circle": [3, 4, 5]}], ("x", "y"))
    (Ball(centre=(3.0, 4.0), radius=5.0),)
    """
    if isinstance(written, Mapping | str) or not isinstance(written, Sequence):
        raise ValueError(f"forbidden must be a list of zones, got {written!r}; write [{FORMS}]")
    return tuple(zone if isinstance(zone, Zone) else _zone(zone, len(names)) for zone in written)


def _zone(written: Mapping[str, Any], d: int) -> Zone:
    if not isinstance(written, Mapping) or len(written) != 1:
        raise ValueError(f"a zone must be one of {FORMS}, got {written!r}; write one of these")
    kind, value = next(iter(written.items()))
    if kind == "box":
        corners = _numbers(written, value, (2, d))
        return Box(tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist()))
    if kind == "circle":
        numbers = _numbers(written, value, (d + 1,))
        if numbers[-1] <= 0.0:
            raise ValueError(f"the radius of a circle must be above 0, got {written!r}; enlarge it")
        return Ball(tuple(numbers[:-1].tolist()), float(numbers[-1]))
    if kind == "ellipse":
        numbers = _numbers(written, value, (2 * d,))
        if not (numbers[d:] > 0.0).all():
            raise ValueError(
                f"the radii of an ellipse must be above 0, got {written!r}; enlarge it"
            )
        return Ellipsoid(tuple(numbers[:d].tolist()), tuple(numbers[d:].tolist()))
    if kind == "polygon" and d == 2:
        corners = _numbers(written, value, (max(np.shape(value)[:1], default=0), 2))
        if len(corners) < 3:
            raise ValueError(f"a polygon must have 3 corners or more, got {written!r}; add some")
        return Polygon(tuple((float(x), float(y)) for x, y in corners))
    if kind == "polygon":
        raise ValueError(
            f"a polygon must lie on two axes, got {written!r} on {d}; use boxes or ellipses"
        )
    raise ValueError(f"a zone must be one of {FORMS}, got {written!r}; write one of these")


def _numbers(written: Mapping[str, Any], value: Any, shape: tuple[int, ...]) -> Array:
    try:
        numbers = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise ValueError(
            f"a zone must have finite numbers of shape {shape} here, got {written!r}; write {FORMS}"
        )
    return numbers


def _edge(*coordinates: Sequence[float]) -> float:
    return EDGE * max(abs(value) for values in coordinates for value in values)


def _distances_to_segment(points: Array, a: Array, b: Array) -> Array:
    """Return the distance of each point, (n, d), to the segment from a to b."""
    along = b - a
    length_squared = float(along @ along)
    share = np.zeros(len(points))
    if length_squared > 0.0:
        share = np.clip((points - a) @ along / length_squared, 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - a - share[:, None] * along, axis=1))


def _segment_meets_boxes(a: Array, b: Array, low: Array, high: Array) -> NDArray[np.bool_]:
    """Return which boxes, (n, d), have a share of the segment between all pairs of their faces."""
    first, last = np.zeros(len(low)), np.ones(len(low))
    meets = np.ones(len(low), dtype=bool)
    for i, way in enumerate(b - a):
        if way == 0.0:
            meets &= (low[:, i] <= a[i]) & (a[i] <= high[:, i])
            continue
        shares = (low[:, i] - a[i]) / way, (high[:, i] - a[i]) / way
        first = np.maximum(first, np.minimum(*shares))
        last = np.minimum(last, np.maximum(*shares))
    return np.asarray(meets & (first <= last))


def _segments_meet(a: Array, b: Array, c: Array, d: Array, edge: float) -> bool:
    """Return whether the segments ab and cd in the plane cross or come as near as `edge`."""
    if _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0:
        return True
    # Segments that do not cross are nearest at an end of one of them.
    ends = [*_distances_to_segment(np.stack([c, d]), a, b)]
    ends += [*_distances_to_segment(np.stack([a, b]), c, d)]
    return bool(min(ends) <= edge)


def _side(a: Array, b: Array, point: Array) -> float:
    """Return the sign of the side of the line ab on which the point lies; 0 on it."""
    return float(np.sign((b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])))
