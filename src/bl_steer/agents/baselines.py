"""Agents that learn nothing: random, Sobol and raster, to compare the Bayesian agent with.

Each visits the cells in an order that is fixed at the start, passing over those already taken.
Loads no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import scipy  # it loads .spatial and .stats (1 s of a small job) when they are used
from numpy.typing import NDArray

from bl_steer.agents.design import check_left, first_free_cell
from bl_steer.agents.ledger import Ledger, check_settings
from bl_steer.agents.space import Space
from bl_steer.protocols import Explanation, Point

__all__ = ["OrderedAgent", "RandomAgent", "RasterAgent", "SobolAgent"]

Order = NDArray[np.intp]


class OrderedAgent(ABC):
    """Visit the free cells of a space in a fixed order.

    Implements `Agent`, `ExplainsDecisions` and `RemembersState`. Never repeats a cell; a cell
    whose measurement was invalid comes up again.
    """

    name: str

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self._ledger = Ledger(space)
        self._order = self._plan()

    @abstractmethod
    def _plan(self) -> Order:
        """Return the order of all cells, shape (n,)."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the agent was built with, as JSON-compatible data."""
        return {"agent": self.name, "space": self.space.fingerprint, "seed": self.seed}

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return the next points, one by default; raises SpaceExhausted when none is left."""
        count = 1 if num_points is None else num_points
        if count < 1:
            raise ValueError(f"num_points must be at least 1, got {count}; ask for one or more")
        check_left(count, self._ledger.barred())
        return [self._suggest_one() for _ in range(count)]

    def _suggest_one(self) -> Point:
        cell = first_free_cell(self._order, self._ledger.barred())
        return self._ledger.issue(*self.space.points[cell].tolist())

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes, by the rules of `Ledger.ingest`."""
        self._ledger.ingest(points)

    def forbid(self, zones: Sequence[Any]) -> None:
        """Suggest no point in these zones from now on."""
        self.space = self._ledger.space = self.space.forbid(zones)

    def explain(self) -> Explanation:
        """Return the agent's name as the reason."""
        return Explanation(self.name)

    def state_dict(self) -> dict[str, Any]:
        """Return settings and record, as JSON-compatible data."""
        return {"settings": self.settings, "ledger": self._ledger.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        check_settings(self.settings, state["settings"])
        self._ledger.load_state_dict(state["ledger"])


@final
class RandomAgent(OrderedAgent):
    """Visit the cells in random order, without repeats."""

    name = "random"

    def _plan(self) -> Order:
        return np.random.default_rng(self.seed).permutation(len(self.space)).astype(np.intp)


@final
class SobolAgent(OrderedAgent):
    """Follow a scrambled Sobol sequence, snapped to the nearest cells.

    Sequence points that fall on a cell visited before are passed over; cells that a long sequence
    never hits come last, in random order.

    References
    ----------
    Owen 1998, doi 10.1006/jcom.1998.0487 (scrambling).
    """

    name = "sobol"

    def _plan(self) -> Order:
        n = len(self.space)
        rng = np.random.default_rng(self.seed)
        lower, upper = self.space.bounds
        sobol = scipy.stats.qmc.Sobol(len(self.space.names), scramble=True, seed=rng)
        sequence = sobol.random_base2(int(np.log2(n)) + 3)
        # Each cell owns half a pitch beyond the outermost points, or the rim is hit half as often.
        steps = self.space.steps
        margin = 0.5 * steps
        positions = lower - margin + sequence * (upper - lower + 2 * margin)
        visited = scipy.spatial.cKDTree(self.space.points / steps).query(positions / steps)[1]
        _, first = np.unique(visited, return_index=True)
        hit = visited[np.sort(first)]
        rest = np.setdiff1d(np.arange(n), hit)
        return np.concatenate([hit, rng.permutation(rest)]).astype(np.intp)


@final
class RasterAgent(OrderedAgent):
    """Visit the cells row by row; with `snake`, every other row backwards.

    Scattered points are visited in their own order.
    """

    name = "raster"

    def __init__(self, space: Space, *, seed: int = 0, snake: bool = False) -> None:
        self.snake = snake
        super().__init__(space, seed=seed)

    @property
    def settings(self) -> dict[str, Any]:
        """What the agent was built with, as JSON-compatible data."""
        return {**super().settings, "snake": self.snake}

    def _plan(self) -> Order:
        if self.snake:
            return self.space.snake_order()
        return np.arange(len(self.space), dtype=np.intp)
