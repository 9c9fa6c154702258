"""Ways of the stage that enter no forbidden zone.

Axes that are moved together run on no straight line, as each has its own speed: they stay in the
box between start and end. A leg is a move whose box is free of zones; a way is made of legs, and a
checkpoint lies before each, so that a pause repeats a leg from within its own box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import scipy  # it loads .sparse when a way is sought
from bluesky.utils import Msg, MsgGenerator

from bl_steer.agents import Space
from bl_steer.protocols import Array
from plans.stubs.axes import StageError
from plans.stubs.messages import carried_out, think
from plans.stubs.per_point import move_to

__all__ = ["go_round", "guarded", "way_round", "where_are", "within_bounds"]

CLEARANCE = 0.02
"""Distance from a zone at which it is gone round, in pitches of the grid."""
MAX_NODES = 40_000
"""Crossings of lines among which a way is sought."""
SLACK = 1e-9
"""Share of a grid's extent by which an optimiser may end beyond its edge."""


def way_round(space: Space, start: Sequence[float], end: Sequence[float]) -> list[Array]:
    """Return the positions to go to one after the other, the last one the end.

    Parameters
    ----------
    space : its forbidden zones are gone round, within its bounds
    start, end : shape (d,)

    Raises
    ------
    StageError
        Where start or end lie in a zone, or no way is found.
    """
    here, there = np.array(start, dtype=float), np.array(end, dtype=float)
    for position, rule, remedy in (
        (here, "stand", "move it out by hand"),
        (there, "be sent", "choose another position"),
    ):
        if zone := space.zone_at(position.tolist()):
            raise StageError(
                f"the stage must {rule} outside the forbidden zones, got {_written(position)} in "
                f"{zone.to_dict()}; {remedy}, or correct the zone"
            )
    if space.zone_within(here.tolist(), there.tolist()) is None:
        return [there]
    for lines in _lines(space, here, there):
        crossings = _search(space, lines, here, there)
        if crossings is not None:
            return _shortened(space, crossings)
    raise StageError(
        f"there must be a way from {_written(here)} to {_written(there)} past the forbidden zones, "
        "got none within the grid's bounds; widen the grid, or make the zones smaller"
    )


def go_round(
    space: Space, axes: Sequence[Any], end: Sequence[float], *, to_the_end: bool = True
) -> MsgGenerator[None]:
    """Move the axes past the forbidden zones; without the last leg where it is left to others."""
    start = yield from where_are(axes)
    if not space.forbidden or None in start:  # nobody answers, as in `bluesky.simulators`
        legs = [np.array(end, dtype=float)]
    else:
        here = [x for x in start if x is not None]
        # A search among many crossings takes a while, and a pause shall not wait for it.
        executor = ThreadPoolExecutor(1, thread_name_prefix="think")
        try:
            legs = yield from think(executor, lambda: way_round(space, here, end))
        finally:
            executor.shutdown(wait=False)
    for leg in legs if to_the_end else legs[:-1]:
        yield from bps.checkpoint()
        yield from move_to(dict(zip(axes, leg.tolist(), strict=True)))
    yield from bps.checkpoint()


def within_bounds(
    stub: MsgGenerator[Any],
    space: Space,
    axes: Sequence[Any],
    position: Sequence[float],
    *,
    beyond: Any = 0.0,
) -> MsgGenerator[None]:
    """Go past the zones, then let the stub of a point go on within them and the bounds.

    Parameters
    ----------
    beyond : how far the stub may go beyond the bounds, on all axes or on each
    """
    start: dict[Any, float | None] = {}
    if space.forbidden:
        yield from go_round(space, axes, position, to_the_end=False)
        start = dict(zip(axes, (yield from where_are(axes)), strict=True))
    yield from guarded(stub, space, axes, start, beyond=beyond)


def where_is(axis: Any) -> MsgGenerator[float | None]:
    """Return where an axis is; None where it does not tell."""
    position = getattr(axis, "position", None)
    if isinstance(position, int | float):
        return float(position)
    position = yield from bps.rd(axis, default_value=None)
    return float(position) if isinstance(position, int | float) else None


def where_are(axes: Sequence[Any]) -> MsgGenerator[list[float | None]]:
    """Return where axes are; None for those that do not tell."""
    places: dict[int, float | None] = {}
    for i, axis in enumerate(axes):
        places[i] = yield from where_is(axis)
    return list(places.values())


def guarded(
    plan: MsgGenerator[Any],
    space: Space,
    axes: Sequence[Any],
    start: Mapping[Any, float | None],
    *,
    beyond: Any = 0.0,
) -> MsgGenerator[Any]:
    """Refuse each move of the axes that a plan wants beyond the bounds or through a zone.

    Parameters
    ----------
    plan : of a user's own, that measures a point
    start : where the axes are, None where they do not tell
    beyond : how far it may go beyond the bounds

    Raises
    ------
    StageError
        Into the plan, before the move.
    """
    low, high = space.bounds
    slack = SLACK * (high - low) + beyond
    column = {axis: i for i, axis in enumerate(axes)}
    # The box in which the axes are: from where they were to where they have been sent since.
    first = [start.get(axis) for axis in axes]
    swept = None if None in first else (np.array(first, float), np.array(first, float))

    def send(msg: Msg) -> MsgGenerator[Any]:
        nonlocal swept
        if msg.command == "set" and msg.obj in column and msg.args:
            i, target = column[msg.obj], float(msg.args[0])
            if not low[i] - slack[i] <= target <= high[i] + slack[i]:
                raise StageError(
                    f"{msg.obj.name} must stay in the grid, {low[i]:g} … {high[i]:g}, got "
                    f"{target:g} from the plan of the point; correct it, or widen the grid"
                )
            if swept is not None:
                swept[0][i], swept[1][i] = min(swept[0][i], target), max(swept[1][i], target)
                if zone := space.zone_within(swept[0].tolist(), swept[1].tolist()):
                    raise StageError(
                        f"{msg.obj.name} must not pass a forbidden zone, got a move to "
                        f"{target:g} that may enter {zone.to_dict()}; move one axis after the "
                        "other, or elsewhere"
                    )
        answer = yield msg
        if msg.command == "wait" and swept is not None:
            now = yield from where_are(axes)
            swept = None if None in now else (np.array(now, float), np.array(now, float))
        return answer

    return (yield from carried_out(plan, send))


def _lines(space: Space, here: Array, there: Array) -> list[list[Array]]:
    """Return coordinates on each axis along which to go: few, then with the grid's own too."""
    clearance = CLEARANCE * space.steps
    low = np.minimum(np.minimum(space.bounds[0], here), there)
    high = np.maximum(np.maximum(space.bounds[1], here), there)
    corners = np.concatenate([zone.outline() for zone in space.forbidden])
    few, all_of_them = [], []
    for i, name in enumerate(space.names):
        ends = [low[i], high[i], here[i], there[i]]
        near = np.concatenate([ends, corners[:, i] - clearance[i], corners[:, i] + clearance[i]])
        near = np.unique(near[(near >= low[i]) & (near <= high[i])])
        few.append(near)
        between = 0.5 * (near[1:] + near[:-1])
        all_of_them.append(np.unique(np.concatenate([near, between, np.unique(space.axis(name))])))
    return [few, all_of_them] if np.prod([len(v) for v in all_of_them]) <= MAX_NODES else [few]


def _search(space: Space, lines: list[Array], here: Array, there: Array) -> Array | None:
    """Return the crossings of the shortest way along the lines, (n, d), start included.

    None where there is no way.

    References
    ----------
    Dijkstra 1959, doi 10.1007/BF01386390.
    """
    shape = tuple(len(line) for line in lines)
    crossings = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(lines))
    number = np.arange(len(crossings)).reshape(shape)
    before, after = [], []
    for axis in range(len(lines)):
        along = np.moveaxis(number, axis, 0)
        before.append(along[:-1].ravel())
        after.append(along[1:].ravel())
    starts, ends = np.concatenate(before), np.concatenate(after)
    free = space.free_boxes(crossings[starts], crossings[ends])
    starts, ends = starts[free], ends[free]
    lengths = space.metrics[0].of(np.abs(crossings[ends] - crossings[starts])).sum(axis=1)
    graph = scipy.sparse.csr_array((lengths, (starts, ends)), shape=(number.size,) * 2)
    first, last = (
        int(number[tuple(np.searchsorted(v, p) for v, p in zip(lines, position, strict=True))])
        for position in (here, there)
    )
    _, came_from = scipy.sparse.csgraph.dijkstra(
        graph, directed=False, indices=first, return_predecessors=True
    )
    way = [last]
    while way[-1] != first:
        way.append(int(came_from[way[-1]]))
        if way[-1] < 0:
            return None
    return np.asarray(crossings[way[::-1]])


def _shortened(space: Space, crossings: Array) -> list[Array]:
    """Return the legs: each to the farthest crossing whose box is free."""
    legs, i = [], 0
    while i < len(crossings) - 1:
        further = crossings[i + 1 :]
        free = space.free_boxes(np.broadcast_to(crossings[i], further.shape), further)
        i += 1 + int(np.flatnonzero(free)[-1])  # the next crossing, at least
        legs.append(crossings[i])
    return legs


def _written(position: Array) -> str:
    return "(" + ", ".join(f"{value:g}" for value in position) + ")"
