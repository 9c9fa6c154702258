"""How long to look: exposure times that an agent may choose, what each costs, and what it tells.

`Looks` are the settings, `Visits` what moves and looks have cost so far. Where to look is the
agent's own (`bl_steer.agents.bayesian`), and what to look at again `bl_steer.agents.comparison`.
Loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from bl_steer.agents.space import Space
from bl_steer.protocols import Array

__all__ = ["FEWEST", "LOOK_NUGGETS", "SHORTEST", "Looks", "Visits"]

LOOK_NUGGETS = (3e-6, 3e-5, 3e-4, 3e-3, 3e-2)
"""Noise variances of a full exposure over the amplitude, equally likely beforehand: a look of a
hundredth of it has a hundred times as much."""
NOISE = 0.7
"""Noise of a search's looks over the amplitude. On 24 films each, .4 cost noisy ones twice as much
exposure for a tenth less points, .8 more points."""
FIRST = 0.02
"""Share of the full exposure that the first looks take, while nothing is known of the noise."""
FEWEST = 4
"""Outcomes from which on the model says how noisy they are."""
LEAST_OF_OVERHEAD = 0.08
"""Share of what a point costs besides, below which a shorter exposure gains nothing."""
SHORTEST = 1e-3
"""Share of the full exposure below which a look confirms nothing."""
STEPS = (1.0, 2.0, 5.0)
OVERHEAD_S = 1.2
"""What a point costs besides its exposure, while nothing is known of it, s."""


@dataclass(frozen=True)
class Looks:
    """The exposure times that an agent may choose.

    Parameters
    ----------
    full_s : exposure time of a look of full quality, s; of the frames of a point together
    least_s : shortest exposure time, s
    max_dose_s : the most that a place is exposed in all, s; for samples that suffer
    adds_up : whether that counts what earlier runs exposed, what is measured again, and what the
        user asks for, and whether spots that gave nothing are left alone when spots are compared;
        False as runs of earlier versions had it
    """

    full_s: float
    least_s: float = 0.0
    max_dose_s: float = math.inf
    adds_up: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.full_s < math.inf:
            raise ValueError(
                f"the full exposure must be a time above 0, got {self.full_s!r} s; give "
                "exposure_s, or set the detector's exposure time"
            )
        if not 0.0 <= self.least_s <= self.full_s:
            raise ValueError(
                f"least_s must be a time up to the full exposure, {self.full_s:g} s, got "
                f"{self.least_s!r} s; leave it out, or lower it"
            )
        if not self.max_dose_s > max(self.least_s, 0.0):
            raise ValueError(
                f"max_dose_s must be above 0 and the shortest exposure, {self.least_s:g} s, got "
                f"{self.max_dose_s!r} s; leave it out, or raise it"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote; other keys are left alone."""
        times = [field.name for field in fields(cls) if field.name != "adds_up"]
        given = {name: float(settings[name]) for name in times if settings.get(name) is not None}
        return cls(**given, adds_up=bool(settings.get("adds_up", True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-compatible data."""
        return {k: None if math.isinf(v) else v for k, v in asdict(self).items()}

    @property
    def shortest_s(self) -> float:
        """The shortest look that is worth one, s."""
        return max(self.least_s, SHORTEST * self.full_s)

    def ladder(self, overhead_s: float) -> Array:
        """Return the exposure times to choose from, ascending, s; the last is the full one.

        Parameters
        ----------
        overhead_s : what a point costs besides
        """
        shortest = max(self.shortest_s, LEAST_OF_OVERHEAD * overhead_s)
        least = min(shortest, self.full_s)
        lowest = math.floor(math.log10(least / self.full_s)) - 1
        shares = [step * 10.0**power for power in range(lowest, 0) for step in STEPS]
        times = self.full_s * np.array([*shares, 1.0])
        # A rung that is least but for the rounding counts.
        return np.asarray(times[times >= least * (1.0 - 1e-9)])

    def search_s(self, nugget: float | None, overhead_s: float) -> float:
        """Return how long a look of the search takes: its noise is `NOISE` of the amplitude.

        Parameters
        ----------
        nugget : noise variance of a full exposure over the amplitude's; None where unknown
        overhead_s : what a point costs besides
        """
        ladder = self.ladder(overhead_s)
        wanted = FIRST * self.full_s if nugget is None else self.full_s * nugget / NOISE**2
        enough = ladder[ladder >= wanted * (1.0 - 1e-9)]
        return float(min(enough[0] if len(enough) else self.full_s, self.max_dose_s))


class Visits:
    """Where the axes went, what that cost by the time stamps, and how long places were exposed.

    Parameters
    ----------
    space : of the places
    looks : say how long a place may be exposed; None for any time

    Attributes
    ----------
    noise : variance of each outcome by counting, in the model's unit, for a full exposure

    Notes
    -----
    A point takes a + b d + t seconds, with d the way of the slowest axis in steps of the grid and
    t the exposure time: b and a part of a by least squares from the moves, the rest of a the
    median of what an exposure took longer than its time.
    """

    def __init__(self, space: Space, looks: Looks | None = None) -> None:
        self.space = space
        self.looks = looks
        self._latest: tuple[tuple[float, ...], float, float] | None = None
        self._doses: dict[int, float] = {}
        self._moves: list[tuple[float, float]] = []
        self._rests: list[float] = []
        self.noise: list[float] = []

    @property
    def counting(self) -> float:
        """Variance that counting alone gives a (warped) outcome at the full exposure.

        Where nothing was counted there seems to be none: such points say nothing.
        """
        known = [variance for variance in self.noise if variance > 0.0]
        return float(np.median(known)) if known else 0.0

    def add(self, position: Sequence[float], exposure_s: float) -> float:
        """Take a point that is going to be measured; return for how long its dose lets it, s."""
        if self.looks is not None and self.looks.adds_up:
            exposure_s = min(exposure_s, max(self.left_s(position), self.looks.shortest_s))
        way = math.nan if self._latest is None else float(self.steps_to(np.array([position]))[0])
        self._latest = tuple(position), way, exposure_s
        self._expose(self.space.index_of(*position), exposure_s)
        return exposure_s

    def expose(self, positions: Array, exposed_s: Array) -> None:
        """Take where somebody else exposed, (n, d), and for how long, s, (n,).

        It counts for the cell within half a step: how wide the beam is nobody knows.
        """
        for position, seconds in zip(positions.tolist(), exposed_s.tolist(), strict=True):
            cell = self.space.cell_of(*position)
            if cell is not None and math.isfinite(seconds):
                self._expose(cell, seconds)

    def _expose(self, cell: int, exposure_s: float) -> None:
        self._doses[cell] = self._doses.get(cell, 0.0) + exposure_s

    def learn(self, move_s: float, expose_s: float) -> None:
        """Take what the latest point took: the motion, and then until its reading, s; or NaN."""
        if self._latest is None:
            return
        _, way, exposure_s = self._latest
        if math.isfinite(way) and math.isfinite(move_s):
            self._moves.append((way, move_s))
        if math.isfinite(expose_s):
            self._rests.append(max(expose_s - exposure_s, 0.0))

    def dose_s(self, position: Sequence[float]) -> float:
        """Return how long a place has been exposed, s."""
        return self._doses.get(self.space.index_of(*position), 0.0)

    def left_s(self, position: Sequence[float]) -> float:
        """Return for how long a place may still be exposed, s; infinite without a limit."""
        if self.looks is None or not self.looks.adds_up:
            return math.inf
        return self.looks.max_dose_s - self.dose_s(position)

    def spent(self) -> set[int]:
        """Return the cells that may not be exposed any more."""
        looks = self.looks
        if looks is None or not looks.adds_up or math.isinf(looks.max_dose_s):
            return set()
        most_s = looks.max_dose_s - looks.shortest_s
        return {cell for cell, seconds in self._doses.items() if seconds > most_s}

    def steps_to(self, positions: Array) -> Array:
        """Return how many steps the slowest axis goes to each of (n, d); 0 before the first."""
        if self._latest is None:
            return np.zeros(len(positions))
        apart = np.abs((positions - np.array(self._latest[0])) / self.space.steps)
        return np.asarray(apart.max(axis=1))

    @property
    def overhead_s(self) -> float:
        """What a point costs that lies where the axes are, besides its exposure, s."""
        if min(len(self._rests), len(self._moves)) < FEWEST:
            return OVERHEAD_S
        return float(np.median(self._rests)) + self._line()[0]

    def costs(self, exposure_s: float) -> Array:
        """Return what a look of so long at each place of the space costs, s, (n,)."""
        return self.costs_to(self.space.points) + exposure_s

    def costs_to(self, positions: Array) -> Array:
        """Return what a look at each of (n, d) costs besides its exposure, s, (n,)."""
        return np.asarray(self.overhead_s + self._line()[1] * self.steps_to(positions))

    def _line(self) -> tuple[float, float]:
        """Return what a move costs at once, and for each step, s."""
        ways, times = np.array(self._moves).reshape(-1, 2).T
        if len(ways) < FEWEST:
            return 0.0, 0.0
        apart = ways - ways.mean()
        squares = float(apart @ apart)
        each = max(float(apart @ (times - times.mean())) / squares, 0.0) if squares > 0.0 else 0.0
        return max(float(times.mean() - each * ways.mean()), 0.0), each

    def state_dict(self) -> dict[str, Any]:
        """Return what is known, as JSON-compatible data."""
        return {
            "latest": self._latest,
            "doses": list(self._doses.items()),
            "moves": list(self._moves),
            "rests": list(self._rests),
            "noise": list(self.noise),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        latest = state["latest"]
        self._latest = None if latest is None else (tuple(latest[0]), latest[1], latest[2])
        self._doses = dict(map(tuple, state["doses"]))
        self._moves = list(map(tuple, state["moves"]))
        self._rests = list(state["rests"])
        self.noise = list(state["noise"])
