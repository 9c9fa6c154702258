"""What an agent suggests, checked before the loop uses it.

An agent may be of a user's own. A slip in it ends the run with a sentence that names the agent, its
value and the remedy, and neither with the error of a line far behind it nor in silence.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from numbers import Real
from typing import Any

from bl_steer.agents import AXIS_NAMES, Space
from bl_steer.agents.ledger import MAX_INVALID
from bl_steer.protocols import Agent, ExplainsDecisions, Explanation, Point

__all__ = ["SuggestionError", "explained", "next_suggestion", "suggestion_outside"]

MOST_REFUSED = 100
"""Suggestions in zones that an agent may make which cannot be told of these."""


class SuggestionError(ValueError):
    """An agent suggested what cannot be measured."""


def explained(agent: Agent) -> Explanation:
    """Return why an agent made its latest suggestion, as far as it tells."""
    return agent.explain() if isinstance(agent, ExplainsDecisions) else Explanation("agent")


def next_suggestion(agent: Agent, space: Space | None, known_ids: Container[Any]) -> Point:
    """Ask an agent for its next point.

    Parameters
    ----------
    agent : is asked for one point
    space : where it may measure: anywhere between the outermost candidates; None for anywhere
    known_ids : the ids of the points suggested so far

    Raises
    ------
    SuggestionError
        Unless the agent returns a list of one new point with finite coordinates in the space and
        outside its forbidden zones.
    """
    name = type(agent).__name__
    suggestions: Any = agent.suggest(1)
    if (
        not isinstance(suggestions, Sequence)
        or len(suggestions) != 1
        or not isinstance(suggestions[0], Mapping)
    ):
        raise SuggestionError(
            f"suggest(1) of the agent {name} must return a list of one point, got {suggestions!r}; "
            'return [{"_id": 0, "x": 55.0, "y": 20.0}], or raise SpaceExhausted where nothing is '
            "left to measure"
        )
    point = dict(suggestions[0])
    axes = AXIS_NAMES[:1] if space is None else space.names
    if missing := [key for key in ("_id", *axes) if key not in point]:
        raise SuggestionError(
            f"a point of the agent {name} must have _id, {', '.join(axes)}, got {point!r}; add "
            f"{', '.join(missing)}"
        )
    if space is not None and (others := [n for n in AXIS_NAMES if n in point and n not in axes]):
        raise SuggestionError(
            f"a point of the agent {name} must lie on the grid's axes, {', '.join(axes)}, got "
            f"{', '.join(others)} too; leave that out, or give a grid with that axis"
        )
    _check_position(name, point, space)
    if space is not None and (zone := space.zone_at([point[axis] for axis in axes])):
        where = ", ".join(f"{axis} = {float(point[axis]):g}" for axis in axes)
        raise SuggestionError(
            f"a point of the agent {name} must lie outside the forbidden zones, got {where} in "
            f"{zone.to_dict()}; choose from space.points[space.allowed]"
        )
    _check_id(name, point["_id"], known_ids)
    return point


def suggestion_outside(agent: Agent, first: Space, space: Space, known_ids: set[Any]) -> Point:
    """Ask an agent for its next point; one that knows no new zones is asked again, if need be.

    Parameters
    ----------
    first, space : what the agent was built for, and what zones have left of it since
    known_ids : of the points suggested so far; those that are refused come to them

    Raises
    ------
    SuggestionError
        Where it goes on to suggest points in zones.
    """
    for _ in range(MOST_REFUSED):
        point = next_suggestion(agent, first, known_ids)
        if not space.zone_at([point[name] for name in space.names]):
            return point
        known_ids.add(point["_id"])
        agent.ingest([{**point, "objective": math.nan, "n_invalid": MAX_INVALID}])
    return next_suggestion(agent, space, known_ids)


def _check_position(name: str, point: Point, space: Space | None) -> None:
    for column, axis in enumerate(AXIS_NAMES if space is None else space.names):
        if axis not in point:  # where no space says which axes there are
            continue
        value = point[axis]
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise SuggestionError(
                f"{axis} of a point of the agent {name} must be a finite number, got {value!r}; "
                f"suggest float({axis})"
            )
        if space is None:
            continue
        low, high = space.bounds[:, column]
        slack = 1e-9 * max(abs(low), abs(high))  # of an optimiser that ends on the edge
        if not low - slack <= float(value) <= high + slack:
            raise SuggestionError(
                f"{axis} of a point of the agent {name} must lie in the grid, {low:g} … {high:g}, "
                f"got {float(value):g}; clip what the agent suggests, or widen the grid"
            )


def _check_id(name: str, identity: Any, known_ids: Container[Any]) -> None:
    try:
        known = identity in known_ids
    except TypeError as error:
        raise SuggestionError(
            f"_id of a point of the agent {name} must be a number or text, got {identity!r}; "
            "count the points"
        ) from error
    if known:
        raise SuggestionError(
            f"_id of a point of the agent {name} must be new, got {identity!r} again, which would "
            "replace the outcome of the earlier point; count the points"
        )
