"""How a search ends whose agent also says how long to look: what it found is looked at in full.

`bl_steer.agents.comparison` says which spots; here is when, and how many looks are kept for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bl_steer.agents import AXIS_NAMES, SpaceExhausted
from bl_steer.agents.comparison import CONFIRMED
from bl_steer.protocols import Agent, Array, ChoosesExposure, CountsDose, Point
from bl_steer.runs import PointResult
from bl_steer.steering.decision import Best
from bl_steer.steering.remarks import is_spotless

__all__ = ["Confirmation", "ExposureError", "kept_looks", "with_verdict"]

OF_BUDGET = 4
"""One look of so many is kept for the end of a search."""
MOST_EARLIER = 20
"""That were kept in runs of earlier versions, which did not tell how sure they were."""


class ExposureError(ValueError):
    """An agent or a detector cannot be left to choose exposure times."""


class Confirmation:
    """Look in full at the brightest spot and its rivals, once the search is over.

    Parameters
    ----------
    agent : that chooses
    budget : of measurements, those of the confirmation included
    kept : looks that are kept for it, and the most that it takes

    Attributes
    ----------
    reason : why the search ended: "budget", "stop", "exhausted" or "user"; None while it goes on
    is_over : whether nothing is left to confirm

    Raises
    ------
    ExposureError
        For an agent that cannot choose.
    """

    def __init__(self, agent: Agent, budget: int, kept: int) -> None:
        if not isinstance(agent, ChoosesExposure):
            raise ExposureError(
                "the agent must choose exposure times (look, learn_pace and confirm), got "
                f"{type(agent).__name__}; use agent='bayesian', or give exposure_s alone"
            )
        self.agent: ChoosesExposure = agent
        self.reason: str | None = None
        self.is_over = False
        self._budget = budget
        self._kept = kept
        self._n_looks = 0

    def prepare(self, n_observed: int, move_s: float, expose_s: float, *, is_done: bool) -> None:
        """Take what the latest point took, s, and end the search where there is a reason to."""
        if n_observed:
            self.agent.learn_pace(move_s, expose_s)
        if self.reason is None and is_done:
            self.reason = "stop"
        elif self.reason is None and n_observed >= self._budget - self._kept:
            self.reason = "budget"

    def end(self) -> None:
        """End the search: the user says so."""
        self.reason = self.reason or "user"

    def take_back(self) -> None:
        """Confirm nothing more where the user does not want a look of the confirmation."""
        if self.reason is not None:
            self._n_looks = self._kept

    def next(self, n_observed: int) -> Point:
        """Return the next spot to look at again.

        Raises
        ------
        SpaceExhausted
            When all is decided.
        """
        n_left = min(self._budget - n_observed, self._kept - self._n_looks)
        point = self.agent.confirm(n_left) if n_left > 0 else None
        if point is None:
            self.is_over = True
            raise SpaceExhausted("there must be something left to confirm, got all; the run ends")
        self._n_looks += 1
        return point

    def dose_left_s(self, point: Mapping[str, Any]) -> float:
        """Return for how long a place may still be exposed, s: 0 for too short; or infinite."""
        return self.agent.dose_left_s(point) if isinstance(self.agent, CountsDose) else math.inf

    def again(self, point: Point, result: PointResult) -> Point | None:
        """Return a point to be measured again, as it gave nothing; None where its dose is spent.

        Without beam it took none.
        """
        left_s = self.dose_left_s(point)
        if result.problem == "beam" or math.isinf(left_s) or not isinstance(self.agent, CountsDose):
            return point
        if not left_s > 0.0:
            return None
        exposure_s = min(float(point["exposure_s"]), left_s)
        place = [[float(point[name]) for name in AXIS_NAMES if name in point]]
        self.agent.learn_doses(np.array(place), np.array([exposure_s]))
        return {**point, "exposure_s": exposure_s}

    def timed(self, point: Point) -> Point:
        """Return a point of the search with the time of its exposure."""
        return point if "exposure_s" in point else self.agent.look(point)


def kept_looks(budget: int, *, selects: bool) -> int:
    """Return how many looks of a budget are kept for the confirmation.

    Parameters
    ----------
    selects : whether it ends when the spot is probably right; else as earlier versions had it
    """
    return budget // OF_BUDGET if selects else min(MOST_EARLIER, budget // OF_BUDGET)


def with_verdict(
    spot: Best, positions: Sequence[Point], noise_ratios: Sequence[float], outcomes: Array
) -> Best:
    """Return a spot with whether it was looked at as long as the full exposure, in all.

    Where all outcomes are one number there is no spot: nothing is confirmed, and none is right.

    Parameters
    ----------
    positions, noise_ratios : of the points measured
    outcomes : shape (n,), by point, NaN for invalid ones
    """
    if is_spotless(outcomes):
        return replace(spot, confirmed=False, p_right=math.nan)
    names = [name for name in AXIS_NAMES if not math.isnan(getattr(spot, name))]
    here = [all(point[name] == getattr(spot, name) for name in names) for point in positions]
    shares = 1.0 / np.array(noise_ratios, dtype=float)
    return replace(spot, confirmed=bool(shares[np.array(here, dtype=bool)].sum() >= CONFIRMED))
