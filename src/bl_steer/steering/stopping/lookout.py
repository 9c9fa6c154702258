"""What a search may still have missed, asked of a rule after each outcome.

The rules are in `bl_steer.steering.stopping.rule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space, make_agent
from bl_steer.protocols import Agent, Array, Explanation, PredictsMap
from bl_steer.steering.stopping.rule import LEAST_OUTCOMES, Outlook, StopRule

__all__ = ["Lookout"]


class Lookout:
    """Ask a rule about a search, by the agent's own model.

    An agent that predicts no map gets the default agent beside it, which learns what it learns.

    Parameters
    ----------
    rule, space : when to stop, and the cells
    agent : of the search
    seed : of the agent beside
    exact : only a point at a cell measures it, and what is left out counts at once; False as runs
        of earlier versions had it
    """

    def __init__(
        self, rule: StopRule, space: Space, agent: Agent, *, seed: int, exact: bool = True
    ) -> None:
        rule.check(space)
        self.rule = rule
        self.space = space
        self.exact = exact
        self._beside = None if isinstance(agent, PredictsMap) else _model(space, seed)
        self._model = agent if isinstance(agent, PredictsMap) else self._beside
        self._map = self._seen = np.empty((0, 0)), np.empty(0)
        self._takes: NDArray[np.bool_] | None = None
        self.outlook: Outlook | None = None

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes that the agent takes."""
        if self._beside is not None:
            self._beside.ingest(points)

    def leave_out(self, zone: Mapping[str, Any]) -> None:
        """Look no more into a zone."""
        with suppress(ValueError):  # nothing would be left
            self.space = self.space.forbid([zone])
        if self.exact and self.outlook is not None:
            self.outlook = self._outlook()

    def look(self, positions: Array, outcomes: Array, takes: NDArray[np.bool_]) -> None:
        """Set the outlook after these outcomes; None where there are too few.

        Parameters
        ----------
        positions, outcomes : shape (n, d) and (n,)
        takes : shape (n,), which of these points measure the cell that they lie at
        """
        self.outlook = None
        if len(outcomes) >= LEAST_OUTCOMES and self._model is not None:
            self._seen, self._map = (positions, outcomes), self._model.predict(self.space.points)
            self._takes = takes if self.exact else None
            self.outlook = self._outlook()

    def _outlook(self) -> Outlook:
        return self.rule.outlook(self.space, *self._seen, *self._map, takes=self._takes)

    @property
    def is_done(self) -> bool:
        """Whether the rule is met."""
        return self.outlook is not None and self.rule.is_met(self.outlook)

    @property
    def hidden_width(self) -> float:
        """The width up to which hills could still hide; NaN where too little is known."""
        if self.outlook is None:
            return math.nan
        return self.rule.hidden_width(self.space, *self._seen, *self._map)

    def place_to_exclude(
        self, dose_left_s: Callable[[Mapping[str, Any]], float]
    ) -> tuple[dict[str, float], Explanation] | None:
        """Return where to look for what the model does not expect, once it expects nothing more.

        Parameters
        ----------
        dose_left_s : says for how long a place may still be exposed
        """
        mean, sd = self._map
        while self.outlook is not None and self._beside is None:
            if self.outlook.p_model > self.rule.p:
                return None
            cell = self.rule.cell_to_exclude(self.space, self.outlook, self._seen[1])
            if cell is None:
                return None
            position = self.space.points[cell].tolist()
            place = self.space.point(position)
            if dose_left_s(place) > 0.0:
                return place, Explanation("exclude", mean=float(mean[cell]), sd=float(sd[cell]))
            self.leave_out({"box": [position, position]})
        return None


def _model(space: Space, seed: int) -> Any:
    return make_agent("bayesian", space, seed=seed)
