"""What a search has measured: its points with patterns and outcomes, those of earlier runs first.

`bl_steer.steering.loop` keeps one; `bl_steer.steering.seen` reads the points of earlier runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import AXIS_NAMES, Space
from bl_steer.agents.comparison import reportable
from bl_steer.agents.ledger import AT_CELL
from bl_steer.protocols import Array, Point
from bl_steer.runs import PointResult
from bl_steer.steering.decision import Best, brightest, coordinates_of

__all__ = ["Measurements", "SeenOutcomes"]

NOISY = 2.0
"""Noise ratio of a point of an earlier run from which on its cell may be measured again: a new look
in full tells more."""
WITHIN = 0.5
"""Share of a step within which a point took a cell in earlier versions."""


@dataclass(frozen=True)
class SeenOutcomes:
    """Points of earlier runs, as a run records what they are worth: a row for each new basis.

    Arrays of shape (n,): positions in the axes' units, outcomes in the objective's.
    """

    points: int
    """Points of this run that were measured before."""
    basis_version: int
    outcomes: Array
    noise_ratios: Array
    x: Array
    y: Array
    z: Array


class Measurements:
    """The valid points so far, a row each, in the order in which they were told.

    Parameters
    ----------
    space : what may be reported lies in it; None for anything
    exact : a point takes the cell that it lies at, and a noisy one of an earlier run takes none;
        False as runs of earlier versions had it: one within half a step, whatever its noise

    Attributes
    ----------
    patterns, positions, outcomes, noise_ratios : of the points
    numbers : of the points in their run; negative for those of earlier runs
    """

    def __init__(self, space: Space | None, *, exact: bool = True) -> None:
        self.space = space
        self.exact = exact
        self.patterns: list[Array] = []
        self.positions: list[Point] = []
        self.noise_ratios: list[float] = []
        self.numbers: list[int] = []
        self.outcomes: Array = np.empty(0)
        self._known: dict[Any, bool] = {}

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_seen(self) -> int:
        """How many are of earlier runs."""
        return sum(number < 0 for number in self.numbers)

    def add(self, position: Point, pattern: Array, noise_ratio: float, number: int) -> None:
        """Take a point; its outcome is told by a feature, later."""
        self.positions.append(position)
        self.patterns.append(pattern)
        self.noise_ratios.append(noise_ratio)
        self.numbers.append(number)

    def see(
        self, positions: Array, results: Sequence[PointResult], *, noise: bool, repeats: bool
    ) -> None:
        """Take valid points of earlier runs, at positions (n, n_axes), before any other.

        Parameters
        ----------
        noise : whether each has its own noise ratio
        repeats : whether the agent looks again by itself where looks were short
        """
        names = AXIS_NAMES if self.space is None else self.space.names
        for number, (place, result) in enumerate(zip(positions, results, strict=True)):
            point = {"_id": f"seen-{number}", **dict(zip(names, place.tolist(), strict=False))}
            ratio = result.noise_ratio if noise else 1.0
            if self.exact and ratio > NOISY and not repeats:
                point["reach"] = 0.0
            self.add(point, np.asarray(result.pattern), ratio, number - len(results))

    def take_back(self, numbers: Sequence[int]) -> tuple[list[int], list[dict[str, Any]]]:
        """Leave points out that were not measured as they seemed.

        Returns
        -------
        rows : where they were
        told : what an agent is to be told of them
        """
        gone = [i for i, number in enumerate(self.numbers) if number in numbers]
        stays = [i for i in range(len(self)) if i not in gone]
        told = [{**self.positions[i], "objective": math.nan, **self._reach} for i in gone]
        self.patterns = [self.patterns[i] for i in stays]
        self.positions = [self.positions[i] for i in stays]
        self.numbers = [self.numbers[i] for i in stays]
        self.noise_ratios = [self.noise_ratios[i] for i in stays]
        self.outcomes = self.outcomes[stays]
        return gone, told

    def told(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the outcomes of some rows, as agents take them."""
        return [
            {**self.positions[i], "objective": float(self.outcomes[i]), **self._reach}
            | ({} if self.noise_ratios[i] == 1.0 else {"noise_ratio": self.noise_ratios[i]})
            for i in rows
        ]

    def refused(self, point: Point, n_invalid: int) -> dict[str, Any]:
        """Return what an agent is told of a place that is not to be measured any more."""
        told = {**point, "objective": math.nan, **self._reach}
        is_own = not isinstance(point["_id"], int) or point["_id"] >= 0
        return told | ({"n_invalid": n_invalid} if is_own or self.exact else {})

    @property
    def _reach(self) -> dict[str, float]:
        return {} if self.exact else {"reach": WITHIN}

    def takes(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        """Return which of some points measure the cell that they lie at, (n,)."""
        return np.array([self._takes(self.positions[i]) for i in rows], dtype=bool)

    def _takes(self, point: Point) -> bool:
        if point["_id"] not in self._known:
            space, reach = self.space, point.get("reach", AT_CELL)
            place = [] if space is None else [point[name] for name in space.names]
            self._known[point["_id"]] = reach > 0.0 and (
                space is None or space.cell_of(*place, within=reach) is not None
            )
        return self._known[point["_id"]]

    def padded(self, budget: int) -> Array:
        """Return the outcomes of this run by the number of the point, (budget,); NaN for none."""
        padded = np.full(budget, np.nan)
        for number, outcome in zip(self.numbers, self.outcomes, strict=False):  # one may be to come
            if number >= 0:
                padded[number] = outcome
        return padded

    def seen(self, points: int, basis_version: int) -> SeenOutcomes:
        """Return the outcomes of earlier runs as a row of the stream ``seen``."""
        n = self.n_seen
        coordinates = np.array([coordinates_of(point) for point in self.positions[:n]])
        x, y, z = coordinates.reshape(n, 3).T
        ratios = np.array(self.noise_ratios[:n])
        return SeenOutcomes(points, basis_version, self.outcomes[:n], ratios, x, y, z)

    def where(self) -> Array:
        """Return the positions, shape (n, n_axes)."""
        names = AXIS_NAMES if self.space is None else self.space.names
        places = [[point[name] for name in names] for point in self.positions]
        return np.array(places, dtype=float).reshape(len(places), -1)

    def within(self) -> list[int]:
        """Return which rows lie in the space, outside its zones: they may be reported."""
        if self.space is None or not len(self):
            return list(range(len(self)))
        return np.flatnonzero(reportable(self.space, self.where())).tolist()

    def brightest(self, *, relative: bool) -> Best:
        """Return the spot with the largest outcome, as far as it is believed; NaN without any.

        Parameters
        ----------
        relative : noise ratios count from the smallest: nothing is better known than the longest
            look, where exposures differ
        """
        rows = [i for i in self.within() if i < len(self.outcomes)]
        if not rows:
            return Best(math.nan, math.nan, math.nan, math.nan)
        ratios = np.array([self.noise_ratios[i] for i in rows])
        i, value = brightest(self.outcomes[rows], ratios / (ratios.min() if relative else 1.0))
        x, y, z = coordinates_of(self.positions[rows[i]])
        return Best(x, y, value, math.nan, z)
