"""The loop without the beamline: an agent and a feature, fed with patterns, giving decisions.

`plans.find_hotspot` drives it with real measurements; `bl_steer.steering.replays` drives it with a
stored run and must come to the same decisions. It holds no device and knows no RunEngine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bl_steer.agents import Space, SpaceExhausted
from bl_steer.agents.ledger import MAX_INVALID
from bl_steer.protocols import (
    Agent,
    Array,
    CountsDose,
    Explanation,
    Feature,
    KeepsOut,
    Point,
    RecommendsSpot,
)
from bl_steer.runs import PointResult
from bl_steer.steering.batches import Batch, check_batch
from bl_steer.steering.confirming import Confirmation, with_verdict
from bl_steer.steering.dead_detector import MAX_RETAKES, check_alive, is_given_up
from bl_steer.steering.decision import Best, Decision, check_budget, decided
from bl_steer.steering.learning import Learner
from bl_steer.steering.masks import Mask, MaskWatch
from bl_steer.steering.measurements import SeenOutcomes
from bl_steer.steering.requests import Asked, Request
from bl_steer.steering.stopping.lookout import Lookout
from bl_steer.steering.stopping.rule import Outlook, StopRule
from bl_steer.steering.suggestions import explained, next_suggestion, suggestion_outside

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
    exact : see `bl_steer.steering.measurements.Measurements`
    stop : a rule that says when enough is known; it needs the space
    batch : how many points are decided together, see `bl_steer.steering.batches`
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
        exact: bool = True,
        stop: StopRule | None = None,
        batch: int = 1,
        n_kept: int | None = None,
    ) -> None:
        check_budget(budget)
        self._confirmation = None if n_kept is None else Confirmation(agent, budget, n_kept)
        self.agent, self.feature, self.budget, self.seed = agent, feature, budget, seed
        self.space = self._first_space = space
        self._ids: set[Any] = set()
        self._batch = Batch(check_batch(batch))
        self.gives_up = gives_up
        self._pending: Point | None = None
        self._explanation = Explanation(reason="")
        self._n_observed = self._retakes = self._given_up = 0
        self._exhausted = False
        self._masks = MaskWatch(feature)
        self._lookout: Lookout | None = None
        if stop is not None and space is not None:
            self._lookout = Lookout(stop, space, agent, seed=seed, exact=exact)
        ends = self._lookout, self._confirmation
        self._learner = Learner(agent, feature, space, *ends, noise=noise_per_point, exact=exact)
        self._known = self._learner.known
        self._asked = Asked()
        self._is_ended = False

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
        self._learner.begin(result)
        if result.pattern is None:
            self._retakes += 1
            self._take_invalid(result, position)
            return
        check_alive(result, 0, position)
        self._pending, self._retakes, self._given_up = None, 0, 0
        self._learner.take(position, result, self._n_observed - 1)

    def see(
        self,
        positions: Array,
        results: Sequence[PointResult],
        doses: tuple[Array, Array] | None = None,
    ) -> None:
        """Take points of earlier runs, before the first decision; the budget does not count them.

        Parameters
        ----------
        positions : shape (n, n_axes); those off the grid are known, and never reported
        results : of the points, valid ones, at the exposure of this run
        doses : where they exposed, valid or not, (m, n_axes), and for how long, s, (m,)
        """
        if doses is not None and isinstance(self.agent, CountsDose):
            self.agent.learn_doses(*doses)
        self._learner.see(positions, results)

    def _take_invalid(self, result: PointResult, position: Point) -> None:
        """Measure a place that gave nothing again, leave it out, or end the run."""
        again: Point | None = position
        if self._confirmation is not None:
            again = self._confirmation.again(position, result)
        n_invalid = self._retakes if again is not None else max(self._retakes, MAX_RETAKES + 1)
        n_valid, n_left_out = len(self._known) - self._known.n_seen, self._given_up
        is_bad = self.gives_up and is_given_up(result, n_invalid, n_left_out, n_valid)
        if is_bad or (again is None and result.problem != "frames"):
            self._leave_out(position, n_invalid, hides=not self._learner.exact)
            self._given_up = n_left_out + 1
        else:
            self._pending = again or position
            check_alive(result, n_invalid, position)

    def _leave_out(self, position: Point, n_invalid: int, *, hides: bool = False) -> None:
        """Never come back to a place; a hill that `hides` there is still looked for."""
        self.agent.ingest([self._known.refused(position, n_invalid)])
        if self.space is not None and self._lookout is not None and not hides:
            place = [position[name] for name in self.space.names]
            self._lookout.leave_out({"box": [place, place]})
        self._pending, self._retakes = None, 0

    def decide(self, *, move_s: float = float("nan"), expose_s: float = float("nan")) -> Decision:
        """Return the next point; after an invalid one, the same again."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._pending is None and self._confirmation is not None:
            self._confirmation.prepare(self._n_observed, move_s, expose_s, is_done=self.is_done)
        if self._pending is None and (asked := self._asked.next(self._dose_left_s)):
            self.repeat(asked, Explanation("user"))
        if self._pending is None and self._lookout is not None:
            self._exclude(self._lookout)
        if self._pending is None:
            self._pending, self._explanation = self._choose()
            self._ids.add(self._pending["_id"])
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
            previous_residual=self._learner.residual,
            previous_alarm=self._learner.alarm,
            previous_move_s=move_s,
            previous_expose_s=expose_s,
            think_s=self._learner.wall_s + time.perf_counter() - wall,
            think_cpu_s=self._learner.cpu_s + time.thread_time() - cpu,
            seed=self.seed,
            outcomes=self.outcomes(),
        )

    def _choose(self) -> tuple[Point, Explanation]:
        """Return the next point of the search, or of the confirmation that follows it, and why."""
        confirmation = self._confirmation
        if confirmation is None or confirmation.reason is None:
            try:
                return self._batch.next(self.agent, self.space, self._ids, self._suggestion)
            except SpaceExhausted:
                self._exhausted = True
                if confirmation is None:
                    raise
                confirmation.reason = "exhausted"
        return confirmation.next(self._n_observed), explained(self.agent)

    def _suggestion(self) -> Point:
        """Return what the agent suggests, outside all zones."""
        first, space = self._first_space, self.space
        if first is None or space is None or isinstance(self.agent, KeepsOut):
            return next_suggestion(self.agent, space, self._ids)
        return suggestion_outside(self.agent, first, space, self._ids)

    def _dose_left_s(self, place: Mapping[str, Any]) -> float:
        return math.inf if self._confirmation is None else self._confirmation.dose_left_s(place)

    def heed(self, request: Request) -> bool:
        """Do what the user asks for; return whether the point decided is taken back for it."""
        pending, is_hit = self._pending, request.kind == "veto"
        if request.kind == "add":
            self._asked.add(request.value)
        elif request.kind == "end":
            self._is_ended = True
            self._asked.clear()
            if self._confirmation is not None:
                self._confirmation.end()
        elif request.kind == "forbid" and self.space is not None:
            self.space = self._known.space = self.space.forbid([request.value])
            if isinstance(self.agent, KeepsOut):
                self.agent.forbid([request.value])
            if self._lookout is not None:
                self._lookout.leave_out(request.value)
            self._asked.keep_out(self.space)
            names = self.space.names
            is_hit = pending is not None and bool(self.space.zone_at([pending[n] for n in names]))
        if pending is None or not is_hit:
            return False
        self._leave_out(pending, MAX_INVALID)
        if self._confirmation is not None:
            self._confirmation.take_back()
        return True

    def go_on(self) -> None:
        """Search on, though the user ended the run that is carried on."""
        self._is_ended = False

    def repeat(self, position: Mapping[str, float], why: Explanation | None = None) -> None:
        """Take a point as decided, as one of an earlier run, whatever the agent decides now."""
        if self._pending is None:
            self._explanation = why or Explanation(reason="agent")
        elif all(self._pending[name] == value for name, value in position.items()):
            return  # a retake, or decided alike
        else:
            self.agent.ingest([{**self._pending, "objective": float("nan")}])
        identity = -1 - self._n_observed  # none that an agent counts by itself
        while identity in self._ids:  # of a point that the user took back
            identity -= self.budget
        self._ids.add(identity)
        self._pending = {"_id": identity, **position}

    def _exclude(self, lookout: Lookout) -> None:
        """Decide for a place that the rule wants to know of, if there is one."""
        searching = self._confirmation is None or self._confirmation.reason is None
        excluding = lookout.place_to_exclude(self._dose_left_s) if searching else None
        if excluding is not None:
            self.repeat(*excluding)

    def new_mask(self) -> Mask | None:
        """Return what of the patterns does not count, if that has changed since the last call."""
        return self._masks.new(self._n_observed)

    def mask(self) -> Mask | None:
        """Return what of the patterns so far does not count; None where all does."""
        return self._masks.now(self._n_observed)

    def new_seen(self) -> SeenOutcomes | None:
        """Return the outcomes of earlier runs, if there are any, and new since the last call."""
        return self._learner.new_seen(self._n_observed)

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
        is_over = (self.is_done or self._is_ended) and self._confirmation is None
        return is_over and not self._asked

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
            return "user" if self._is_ended else "stop" if self.is_over else "budget"
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
            z, p_right = (getattr(spot, name, math.nan) for name in ("z", "p_right"))
            best = Best(spot.x, spot.y, spot.mean, spot.sd, z, p_right=p_right)
        return with_verdict(best, known.positions, known.noise_ratios, self.outcomes())
