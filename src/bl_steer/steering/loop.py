"""The loop without the beamline: an agent and a feature, fed with patterns, giving decisions.

`plans.find_hotspot` drives it with real measurements; `bl_steer.steering.replays` drives it with a
stored run and must come to the same decisions. It holds no device and knows no RunEngine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from bl_steer.agents import AXIS_NAMES, Space, SpaceExhausted
from bl_steer.features.memory import memory_of
from bl_steer.protocols import (
    Agent,
    Array,
    ExplainsDecisions,
    Explanation,
    Feature,
    LearnsNoise,
    Point,
    RaisesAlarm,
    RecommendsSpot,
)
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering.confirming import Confirmation, is_confirmed
from bl_steer.steering.dead_detector import check_alive, is_given_up
from bl_steer.steering.decision import Best, Decision, brightest, check_budget, coordinates_of
from bl_steer.steering.masks import Mask, mask_of
from bl_steer.steering.stopping import Lookout, Outlook, StopRule
from bl_steer.steering.suggestions import next_suggestion

__all__ = ["Steering"]


class Steering:
    """Decide point by point, and learn from what was measured.

    Parameters
    ----------
    agent : says where to measure next
    feature : turns a pattern into the objective, and may learn from the patterns
    budget : number of measurements, invalid ones included
    seed : recorded with each decision
    space : what the agent suggests must lie in it; without one it may lie anywhere
    noise_per_point : tell the agent how much noisier a point is that had less beam
    gives_up : go on elsewhere where one place gives nothing, in a run of many
    stop : a rule that says when enough is known; it needs the space
    exposures : the agent also says how long to look, and confirms what it found
    """

    def __init__(
        self,
        agent: Agent,
        feature: Feature,
        *,
        budget: int,
        seed: int = 0,
        space: Space | None = None,
        noise_per_point: bool = True,
        gives_up: bool = True,
        stop: StopRule | None = None,
        exposures: bool = False,
    ) -> None:
        check_budget(budget)
        self._confirmation = Confirmation(agent, budget) if exposures else None
        self.agent = agent
        self.feature = feature
        self.budget = budget
        self.seed = seed
        self.space = space
        self._ids: set[Any] = set()
        self.noise_per_point = noise_per_point
        self.gives_up = gives_up
        self._patterns: list[Array] = []
        self._positions: list[Point] = []
        self._outcomes = np.empty(0)
        self._measured_as: list[int] = []
        self._noise_ratios: list[float] = []
        self._pending: Point | None = None
        self._explanation = Explanation(reason="")
        self._n_observed = 0
        self._retakes = self._given_up = 0
        self._residual, self._alarm = math.nan, False
        self._learning_s = (0.0, 0.0)
        self._exhausted = False
        self._mask_version = 0
        self._lookout: Lookout | None = None
        if stop is not None and space is not None:
            self._lookout = Lookout(stop, space, agent, seed=seed)

    @property
    def n_observed(self) -> int:
        """Points that came back, also invalid ones."""
        return self._n_observed

    def observe(self, measured: PointResult | Array | None) -> None:
        """Take what the point decided last gave.

        Parameters
        ----------
        measured : its result, or its pattern, shape (n_pixels,), or None if it was invalid

        Raises
        ------
        DetectorDeadError
            When the position, or several positions in a row, gave nothing that can be used.
        """
        position = self._pending
        if position is None:
            raise RuntimeError("observe must follow decide, got a pattern of no decided point")
        result = measured if isinstance(measured, PointResult) else PointResult(measured)
        self._n_observed += 1
        self._learning_s = (0.0, 0.0)
        if result.withdrawn:
            self._withdraw(result.withdrawn)
        if result.pattern is None:
            self._retakes += 1
            self._residual, self._alarm = math.nan, False
            n_valid, n_left_out = len(self._outcomes), self._given_up
            if self.gives_up and is_given_up(result, self._retakes, n_left_out, n_valid):
                self._leave_out(position)
            else:
                check_alive(result, self._retakes, position)
            return
        check_alive(result, 0, position)
        pattern = result.pattern
        self._pending, self._retakes, self._given_up = None, 0, 0
        self._patterns.append(pattern)
        self._positions.append(position)
        self._noise_ratios.append(result.noise_ratio if self.noise_per_point else 1.0)
        self._measured_as.append(self._n_observed - 1)
        wall, cpu = time.perf_counter(), time.thread_time()
        self._learn(result, pattern)
        self._learning_s = (time.perf_counter() - wall, time.thread_time() - cpu)

    @single_thread()
    def _learn(self, result: PointResult, pattern: Array) -> None:
        """Turn the latest pattern into its outcome, and those before where the basis is new."""
        version = self.feature.version
        if result.variance is not None and isinstance(self.feature, LearnsNoise):
            self.feature.learn_noise(pattern[None], result.variance[None])
        self.feature.partial_fit(pattern[None])
        if self._confirmation is not None:
            self._confirmation.learn_noise(self.feature, result, self._n_observed)
        if self.feature.version != version:
            # A new basis gives every earlier point another outcome: the agent gets them all again.
            self._outcomes = self.feature.transform(np.stack(self._patterns))
            self._ingest(range(len(self._positions)))
        else:
            self._outcomes = np.append(self._outcomes, self.feature.transform(pattern[None]))
            self._ingest([len(self._positions) - 1])
        self._residual = float(self.feature.residual(pattern[None])[0])
        self._alarm = result.alarm or (
            isinstance(self.feature, RaisesAlarm) and bool(self.feature.alarm(pattern[None])[0])
        )
        if self._lookout is not None:
            self._lookout.look(self._measured_positions(), self._outcomes)

    def _leave_out(self, position: Point) -> None:
        """Leave out a place that gave nothing, again and again."""
        self.agent.ingest([{**position, "objective": math.nan, "n_invalid": self._retakes}])
        self._pending, self._retakes, self._given_up = None, 0, self._given_up + 1

    def _withdraw(self, points: Sequence[int]) -> None:
        """Take back the outcomes of points that were not measured as they seemed."""
        stays = [i for i, point in enumerate(self._measured_as) if point not in points]
        gone = [i for i, point in enumerate(self._measured_as) if point in points]
        self._tell([{**self._positions[i], "objective": float("nan")} for i in gone])
        if (memory := memory_of(self.feature)) is not None:
            memory.forget(gone)
        self._patterns = [self._patterns[i] for i in stays]
        self._positions = [self._positions[i] for i in stays]
        self._measured_as = [self._measured_as[i] for i in stays]
        self._noise_ratios = [self._noise_ratios[i] for i in stays]
        self._outcomes = self._outcomes[stays]

    def _tell(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.agent.ingest(points)
        if self._lookout is not None:
            self._lookout.ingest(points)

    def _measured_positions(self) -> Array:
        names = AXIS_NAMES if self.space is None else self.space.names
        return np.array([[p[name] for name in names] for p in self._positions])

    def _ingest(self, indices: range | list[int]) -> None:
        self._tell(
            [
                {**self._positions[i], "objective": float(self._outcomes[i])}
                | ({} if self._noise_ratios[i] == 1.0 else {"noise_ratio": self._noise_ratios[i]})
                for i in indices
            ]
        )

    def decide(self, *, move_s: float = float("nan"), expose_s: float = float("nan")) -> Decision:
        """Return the next point; after an invalid one, the same again."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._pending is None and self._confirmation is not None:
            self._confirmation.prepare(self._n_observed, move_s, expose_s, is_done=self.is_done)
        if self._pending is None and self._lookout is not None:
            self._exclude(self._lookout)
        if self._pending is None:
            self._pending = self._choose()
            self._ids.add(self._pending["_id"])
            self._explanation = (
                self.agent.explain()
                if isinstance(self.agent, ExplainsDecisions)
                else Explanation(reason="agent")
            )
        if self._confirmation is not None:
            self._pending = self._confirmation.timed(self._pending)
        explanation = asdict(self._explanation)
        if self._retakes:
            explanation["reason"] = "retake"
        best, outlook = self.brightest_measured(), self.outlook
        x, y, z = coordinates_of(self._pending)
        return Decision(
            point=self._n_observed,
            x=x,
            y=y,
            z=z,
            **explanation,
            exposure_s=float(self._pending.get("exposure_s", math.nan)),
            basis_version=self.feature.version,
            best_so_far=best.value,
            best_x=best.x,
            best_y=best.y,
            best_z=best.z,
            previous_outcome=self._previous_outcome(),
            previous_residual=self._residual,
            previous_alarm=self._alarm,
            previous_move_s=move_s,
            previous_expose_s=expose_s,
            think_s=self._learning_s[0] + time.perf_counter() - wall,
            think_cpu_s=self._learning_s[1] + time.thread_time() - cpu,
            seed=self.seed,
            outcomes=self.outcomes(),
            p_hidden=math.nan if outlook is None else outlook.p_hidden,
            p_better=math.nan if outlook is None else outlook.p_better,
        )

    def _choose(self) -> Point:
        """Return the next point of the search, or of the confirmation that follows it."""
        confirmation = self._confirmation
        if confirmation is None or confirmation.reason is None:
            try:
                return next_suggestion(self.agent, self.space, self._ids)
            except SpaceExhausted:
                self._exhausted = True
                if confirmation is None:
                    raise
                confirmation.reason = "exhausted"
        return confirmation.next(self._n_observed)

    def repeat(self, position: Mapping[str, float]) -> None:
        """Take a point of an earlier run as decided, whatever its agent decides now."""
        if self._pending is None:
            self._explanation = Explanation(reason="agent")
        elif all(self._pending[name] == value for name, value in position.items()):
            return  # a retake, or decided alike
        else:
            self.agent.ingest([{**self._pending, "objective": float("nan")}])
        identity = -1 - self._n_observed  # none that an agent counts by itself
        self._ids.add(identity)
        self._pending = {"_id": identity, **position}

    def _exclude(self, lookout: Lookout) -> None:
        """Decide for a place that the rule wants to know of, if there is one."""
        searching = self._confirmation is None or self._confirmation.reason is None
        excluding = lookout.place_to_exclude() if searching else None
        if excluding is not None:
            self.repeat(lookout.space.point(excluding[0]))
            self._explanation = excluding[1]

    def new_mask(self) -> Mask | None:
        """Return what of the patterns does not count, if that has changed since the last call."""
        memory = memory_of(self.feature)
        if memory is None or memory.version == self._mask_version:
            return None
        self._mask_version = memory.version
        return self.mask()

    def mask(self) -> Mask | None:
        """Return what of the patterns so far does not count; None where all does."""
        memory = memory_of(self.feature)
        return None if memory is None else mask_of(memory, self._n_observed)

    def outcomes(self) -> Array:
        """Return each point's outcome under the current basis, (budget,), padded with NaN."""
        padded = np.full(self.budget, np.nan)
        padded[self._measured_as[: len(self._outcomes)]] = self._outcomes  # one may have failed
        return padded

    def _previous_outcome(self) -> float:
        return float(self._outcomes[-1]) if len(self._outcomes) and not self._retakes else math.nan

    @property
    def outlook(self) -> Outlook | None:
        """What may have been missed; None without a rule, and while too little is known."""
        return None if self._lookout is None else self._lookout.outlook

    @property
    def is_done(self) -> bool:
        """Whether the rule `stop` is met: a better spot is improbable enough."""
        return self._lookout is not None and self._lookout.is_done

    @property
    def is_over(self) -> bool:
        """Whether the rule `stop` ends the run; a confirmation ends it by itself."""
        return self.is_done and self._confirmation is None

    @property
    def hidden_width(self) -> float:
        """Width up to which hills could still hide, in the axes' units; NaN without a rule."""
        return math.nan if self._lookout is None else self._lookout.hidden_width

    def stop_reason(self) -> str:
        """Return why no further point is decided; with a confirmation, why the search ended."""
        is_over = self._n_observed >= self.budget
        if (confirmation := self._confirmation) is not None and (is_over or confirmation.is_over):
            return confirmation.reason or "budget"
        if self.is_over or is_over:
            return "stop" if self.is_over else "budget"
        return "exhausted" if self._exhausted else "interrupted"

    def brightest_measured(self) -> Best:
        """Return the measured spot with the largest outcome, as far as it is believed; or NaN."""
        if not len(self._outcomes):
            return Best(math.nan, math.nan, math.nan, math.nan)
        # Where exposures differ nothing is better known than the longest look.
        unit = 1.0 if self._confirmation is None else min(self._noise_ratios)
        i, value = brightest(self._outcomes, np.array(self._noise_ratios) / unit)
        x, y, z = coordinates_of(self._positions[i])
        return Best(x, y, value, math.nan, z)

    def report(self) -> Best:
        """Return the spot to report: the agent's recommendation, or the brightest measured one."""
        best = self.brightest_measured()
        if isinstance(self.agent, RecommendsSpot) and len(self._outcomes):
            spot = self.agent.recommend()
            best = Best(spot.x, spot.y, spot.mean, spot.sd, getattr(spot, "z", math.nan))
        is_full = is_confirmed(asdict(best), self._positions, self._noise_ratios)
        return replace(best, confirmed=is_full)
