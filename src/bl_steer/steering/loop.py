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

from bl_steer.agents import Space, SpaceExhausted
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
from bl_steer.steering.decision import Best, Decision, check_budget, decided
from bl_steer.steering.masks import Mask, MaskWatch
from bl_steer.steering.measurements import Measurements, SeenOutcomes
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
    n_kept : looks of the budget for the end of a search whose agent also says how long to look
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
        n_kept: int | None = None,
    ) -> None:
        check_budget(budget)
        self._confirmation = None if n_kept is None else Confirmation(agent, budget, n_kept)
        self.agent = agent
        self.feature = feature
        self.budget = budget
        self.seed = seed
        self.space = space
        self._ids: set[Any] = set()
        self.noise_per_point = noise_per_point
        self.gives_up = gives_up
        self._known = Measurements(space)
        self._pending: Point | None = None
        self._explanation = Explanation(reason="")
        self._n_observed = self._retakes = self._given_up = 0
        self._residual, self._alarm, self._exhausted = math.nan, False, False
        self._learning_s = (0.0, 0.0)
        self._masks = MaskWatch(feature)
        self._seen_version = -1
        self._lookout: Lookout | None = None
        if stop is not None and space is not None:
            self._lookout = Lookout(stop, space, agent, seed=seed)

    @property
    def n_observed(self) -> int:
        """Points that came back, also invalid ones."""
        return self._n_observed

    @property
    def is_waiting(self) -> bool:
        """Whether a decided point is to be measured, for the first time or again."""
        return self._pending is not None

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
            n_valid, n_left_out = len(self._known) - self._known.n_seen, self._given_up
            if self.gives_up and is_given_up(result, self._retakes, n_left_out, n_valid):
                self._leave_out(position)
            else:
                check_alive(result, self._retakes, position)
            return
        check_alive(result, 0, position)
        pattern = result.pattern
        self._pending, self._retakes, self._given_up = None, 0, 0
        noise_ratio = result.noise_ratio if self.noise_per_point else 1.0
        self._known.add(position, pattern, noise_ratio, self._n_observed - 1)
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
        self._label(1, anew=self.feature.version != version)
        self._residual = float(self.feature.residual(pattern[None])[0])
        self._alarm = result.alarm or (
            isinstance(self.feature, RaisesAlarm) and bool(self.feature.alarm(pattern[None])[0])
        )

    def _label(self, n_new: int, *, anew: bool) -> None:
        """Tell the outcomes of the latest points, or those of all where the basis is new."""
        known = self._known
        if anew:
            # A new basis gives every earlier point another outcome: the agent gets them all again.
            known.outcomes = self.feature.transform(np.stack(known.patterns))
        else:
            latest = self.feature.transform(np.stack(known.patterns[-n_new:]))
            known.outcomes = np.append(known.outcomes, latest)
        self._tell(known.told(range(0 if anew else len(known) - n_new, len(known))))
        if self._lookout is not None and (rows := known.within()):
            self._lookout.look(known.where()[rows], known.outcomes[rows])

    @single_thread()
    def see(self, positions: Array, results: Sequence[PointResult]) -> None:
        """Take points of earlier runs, before the first decision; the budget does not count them.

        Parameters
        ----------
        positions : shape (n, n_axes); those off the grid are known, and never reported
        results : of the points, valid ones, at the exposure of this run
        """
        if not results:
            return
        if any(result.noise_ratio != 1.0 for result in results):
            # What has no shape before the first frame has one now.
            memory = memory_of(getattr(self.feature, "feature", self.feature))
            if memory is not None:
                memory.exposures_differ = True
        self._known.see(positions, results, noise=self.noise_per_point)
        if isinstance(self.feature, LearnsNoise):
            for result in results:
                if result.pattern is not None and result.variance is not None:
                    self.feature.learn_noise(result.pattern[None], result.variance[None])
        patterns = np.stack(self._known.patterns)
        self.feature.partial_fit(patterns)
        self._label(len(results), anew=True)

    def _leave_out(self, position: Point) -> None:
        """Leave out a place that gave nothing, again and again."""
        self.agent.ingest([{**position, "objective": math.nan, "n_invalid": self._retakes}])
        self._pending, self._retakes, self._given_up = None, 0, self._given_up + 1

    def _withdraw(self, points: Sequence[int]) -> None:
        """Take back the outcomes of points that were not measured as they seemed."""
        gone, told = self._known.take_back(points)
        self._tell(told)
        if (memory := memory_of(self.feature)) is not None:
            memory.forget(gone)

    def _tell(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.agent.ingest(points)
        if self._lookout is not None:
            self._lookout.ingest(points)

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
        explanation = self._explanation
        if self._retakes:
            explanation = replace(explanation, reason="retake")
        return decided(
            self._pending,
            explanation,
            self.brightest_measured(),
            self.outlook,
            point=self._n_observed,
            basis_version=self.feature.version,
            previous_outcome=self._previous_outcome(),
            previous_residual=self._residual,
            previous_alarm=self._alarm,
            previous_move_s=move_s,
            previous_expose_s=expose_s,
            think_s=self._learning_s[0] + time.perf_counter() - wall,
            think_cpu_s=self._learning_s[1] + time.thread_time() - cpu,
            seed=self.seed,
            outcomes=self.outcomes(),
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

    def repeat(self, position: Mapping[str, float], why: Explanation | None = None) -> None:
        """Take a point as decided, as one of an earlier run, whatever the agent decides now."""
        if self._pending is None:
            self._explanation = why or Explanation(reason="agent")
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
            self.repeat(lookout.space.point(excluding[0]), excluding[1])

    def new_mask(self) -> Mask | None:
        """Return what of the patterns does not count, if that has changed since the last call."""
        return self._masks.new(self._n_observed)

    def mask(self) -> Mask | None:
        """Return what of the patterns so far does not count; None where all does."""
        return self._masks.now(self._n_observed)

    def new_seen(self) -> SeenOutcomes | None:
        """Return the outcomes of earlier runs, if there are any, and new since the last call."""
        version = self.feature.version
        if version == self._seen_version or not self._known.n_seen:
            return None
        self._seen_version = version
        return self._known.seen(self._n_observed, version)

    def outcomes(self) -> Array:
        """Return each point's outcome under the current basis, (budget,), padded with NaN."""
        return self._known.padded(self.budget)

    def _previous_outcome(self) -> float:
        is_known = len(self._known.outcomes) > self._known.n_seen and not self._retakes
        return float(self._known.outcomes[-1]) if is_known else math.nan

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

    def told(self) -> list[dict[str, Any]]:
        """Return all outcomes, as agents take them."""
        return self._known.told(range(len(self._known)))

    def brightest_measured(self) -> Best:
        """Return the measured spot with the largest outcome, as far as it is believed; or NaN."""
        return self._known.brightest(relative=self._confirmation is not None)

    def report(self) -> Best:
        """Return the spot to report: the agent's recommendation, or the brightest measured one."""
        best, known = self.brightest_measured(), self._known
        if isinstance(self.agent, RecommendsSpot) and not math.isnan(best.value):
            spot = self.agent.recommend()
            best = Best(spot.x, spot.y, spot.mean, spot.sd, getattr(spot, "z", math.nan))
        is_full = is_confirmed(asdict(best), known.positions, known.noise_ratios)
        return replace(best, confirmed=is_full)
