"""Several points decided together, and the shortest way through them.

Worth it where the way to a look takes far longer than the look: the agent decides for a few points
before it knows what the first of them gave, which costs points, and the axes go less far. The loop
is `bl_steer.steering.loop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from bl_steer.agents import AXIS_NAMES, Space, SpaceExhausted
from bl_steer.agents.ledger import MAX_INVALID
from bl_steer.protocols import Agent, Array, Explanation, Point
from bl_steer.steering.suggestions import explained

__all__ = ["MOST_TOGETHER", "Batch", "check_batch", "shortest_way"]

MOST_TOGETHER = 64
EXACT = 8
"""Points up to which each way through them is tried."""


class Batch:
    """The points that an agent suggested together, and that were not handed out yet.

    Parameters
    ----------
    size : how many are suggested together; 1 asks the agent for each
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._left: list[tuple[Point, Explanation]] = []
        self._here: Array | None = None

    def next(
        self, agent: Agent, space: Space | None, known_ids: set[Any], suggest: Callable[[], Point]
    ) -> tuple[Point, Explanation]:
        """Return the next point, and why it was suggested; its id is known from now on.

        Parameters
        ----------
        agent : is told of points that lie in a zone now, and did not when it suggested them
        space : where points lie; None for anywhere
        suggest : asks the agent for one more

        Raises
        ------
        bl_steer.agents.SpaceExhausted
            When nothing is left to measure.
        bl_steer.steering.SuggestionError
            When an agent suggests what cannot be measured.
        """
        while True:
            if not self._left:
                self._fill(agent, space, known_ids, suggest)
            point, why = self._left.pop(0)
            if space is None or not space.zone_at([point[name] for name in space.names]):
                self._here = _position(point, space)
                return point, why
            agent.ingest([{**point, "objective": math.nan, "n_invalid": MAX_INVALID}])

    def _fill(
        self, agent: Agent, space: Space | None, known_ids: set[Any], suggest: Callable[[], Point]
    ) -> None:
        suggested: list[tuple[Point, Explanation]] = []
        while len(suggested) < self.size:
            try:
                point = suggest()
            except SpaceExhausted:
                if not suggested:
                    raise
                break
            known_ids.add(point["_id"])
            suggested.append((point, explained(agent)))
        if len(suggested) > 1:
            places = np.array([_position(point, space) for point, _ in suggested])
            order = shortest_way(places, self._here)
            suggested = [suggested[i] for i in order]
        self._left = suggested


def _position(point: Point, space: Space | None) -> Array:
    """Return where a point lies, in steps of the axes."""
    if space is None:
        return np.array([float(point[n]) for n in AXIS_NAMES if n in point])
    return np.array([point[n] for n in space.names], dtype=float) / space.steps


def check_batch(batch: Any) -> int:
    """Return how many points are to be decided together; ValueError for what is no such number."""
    is_whole = isinstance(batch, int | np.integer) and not isinstance(batch, bool)
    if not is_whole or not 1 <= batch <= MOST_TOGETHER:
        raise ValueError(
            f"batch must be a whole number of points in 1 … {MOST_TOGETHER}, got {batch!r}; leave "
            "it out to decide for each point by itself"
        )
    return int(batch)


def shortest_way(places: Array, start: Array | None) -> Sequence[int]:
    """Return the order in which a way through places, (n, d), is shortest.

    The length of a step is that of its slowest axis. Of up to 8 places the shortest of all ways, of
    more the nearest next, improved by turning parts around; of ways that are as short, the first.

    Parameters
    ----------
    start : shape (d,), where the way begins; None for anywhere

    References
    ----------
    Held & Karp 1962, doi 10.1137/0110015; Croes 1958, doi 10.1287/opre.6.6.791 (2-opt).

    Examples
    --------
    >>> shortest_way(np.array([[3.0, 0.0], [9.0, 0.0], [5.0, 1.0]]), np.array([10.0, 0.0]))
    [1, 2, 0]
    """
    between = np.abs(places[:, None] - places[None]).max(axis=2)
    first = np.zeros(len(places)) if start is None else np.abs(places - start).max(axis=1)
    return _exact(between, first) if len(places) <= EXACT else _improved(between, first)


def _exact(between: Array, first: Array) -> list[int]:
    n = len(first)
    # The shortest way through a set of places that ends at one of them.
    best = {(frozenset([i]), i): (float(first[i]), [i]) for i in range(n)}
    for size in range(2, n + 1):
        for chosen in map(frozenset, combinations(range(n), size)):
            for last in sorted(chosen):
                rest = chosen - {last}
                ways = [best[rest, i] for i in sorted(rest)]
                lengths = [length + float(between[way[-1], last]) for length, way in ways]
                k = int(np.argmin(lengths))
                best[chosen, last] = lengths[k], [*ways[k][1], last]
    whole = frozenset(range(n))
    return min((best[whole, i] for i in range(n)), key=lambda found: found[0])[1]


def _improved(between: Array, first: Array) -> list[int]:
    n = len(first)
    order = [int(np.argmin(first))]
    while len(order) < n:
        left = [i for i in range(n) if i not in order]
        order.append(left[int(np.argmin(between[order[-1], left]))])

    def length(way: list[int]) -> float:
        return float(first[way[0]] + between[way[:-1], way[1:]].sum())

    shortest, improves = length(order), True
    while improves:
        improves = False
        for i in range(n - 1):
            for j in range(i + 2, n + 1):
                turned = order[:i] + order[i:j][::-1] + order[j:]
                if length(turned) < shortest - 1e-9:
                    order, shortest, improves = turned, length(turned), True
    return order
