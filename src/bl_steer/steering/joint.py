"""Several targets in one search: every point counts for all, and decisions go to them in turn.

A `JointSteering` is a loop like `bl_steer.steering.Steering`, made of one for each target; all see
the same patterns.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bl_steer import steering
from bl_steer.agents import Space, SpaceExhausted
from bl_steer.agents.ledger import MIN_OUTCOMES, believed
from bl_steer.protocols import Agent, Array, Explanation, PredictsMap
from bl_steer.runs import PointResult
from bl_steer.single_thread import single_thread
from bl_steer.steering.dead_detector import DetectorDeadError
from bl_steer.steering.decision import Decision
from bl_steer.steering.fronts import Front
from bl_steer.steering.loop import Steering
from bl_steer.steering.masks import Mask
from bl_steer.steering.measurements import SeenOutcomes
from bl_steer.steering.requests import Asked, Request

__all__ = ["JointSteering"]

NEGLIGIBLE = 1e-9
"""Expected improvement, as a share of the volume of all ranges, below which nothing is gained."""


class JointSteering:
    """Decide for several targets on the same points.

    Parameters
    ----------
    loops : one for each target, alike but for agent and feature
    targets : in their written form
    space : where is measured
    pareto : whether the places are sought that no other one beats, or each target's spot

    Notes
    -----
    *Each.* The targets decide in turn, and those whose rule `stop` is met leave their turn to the
    others. The run ends when the rule is met for all, the budget is spent, or every cell is
    measured.

    *Pareto.* After the start design of the first target's agent, the next place is that of the
    largest expected hypervolume improvement by the models of all targets, taken for normal and for
    independent (`bl_steer.steering.expected_hypervolume_improvement`). A measured place counts with
    the mean of its reading and of what the model makes of it, as where a single spot is reported.
    """

    def __init__(
        self,
        loops: Sequence[Steering],
        targets: Sequence[str],
        *,
        space: Space,
        pareto: bool = False,
    ) -> None:
        self.loops = list(loops)
        self.targets = list(targets)
        self.space = space
        self.pareto = pareto
        self._turn = -1
        self._position: list[float] = []
        self._positions: list[list[float]] = []
        self._taken_back: list[list[float]] = []
        self._asked = Asked()
        self._noise_ratios: list[float] = []
        self._exhausted = False
        self._learning_s = (0.0, 0.0)

    @property
    def first(self) -> Steering:
        """The loop of the first target, which knows what all know alike."""
        return self.loops[0]

    @property
    def agents(self) -> list[Agent]:
        """The agents of all targets."""
        return [loop.agent for loop in self.loops]

    @property
    def budget(self) -> int:
        """Number of measurements, invalid ones included, of all targets together."""
        return self.first.budget

    @property
    def n_observed(self) -> int:
        """Points that came back, also invalid ones."""
        return self.first.n_observed

    def observe(self, measured: PointResult | Array | None) -> None:
        """Take what the point decided last gave, see `Steering.observe`."""
        wall, cpu = time.perf_counter(), time.thread_time()
        self._positions.append(self._position)
        self._noise_ratios.append(getattr(measured, "noise_ratio", 1.0))
        dead: DetectorDeadError | None = None
        for loop in self.loops:
            try:
                loop.observe(measured)
            except DetectorDeadError as error:  # all of them say so
                dead = error
        self._learning_s = (time.perf_counter() - wall, time.thread_time() - cpu)
        if dead is not None:
            raise dead

    def decide(self, *, move_s: float = math.nan, expose_s: float = math.nan) -> Decision:
        """Return the next point, by the target whose turn it is; after an invalid one the same."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if not self.is_waiting:
            self._turn = self._next_turn()
            if asked := self._asked.next(lambda _: math.inf):
                for loop in self.loops:
                    loop.repeat(asked, Explanation("user"))
            elif self.pareto:
                self._improve_front()
        decision = self.loops[self._turn].decide(move_s=move_s, expose_s=expose_s)
        self.repeat(decision.position(self.space.names))
        return replace(
            decision,
            target="" if self.pareto else self.targets[self._turn],
            outcomes=self.outcomes(),
            think_s=self._learning_s[0] + time.perf_counter() - wall,
            think_cpu_s=self._learning_s[1] + time.thread_time() - cpu,
        )

    @property
    def is_waiting(self) -> bool:
        """Whether a decided point is to be measured, for the first time or again."""
        return self.first.is_waiting

    def heed(self, request: Request) -> bool:
        """Do what the user asks for, see `Steering.heed`."""
        if request.kind == "add":
            self._asked.add(request.value)
            return False
        are_hit = [loop.heed(request) for loop in self.loops]
        self.space = self.first.space or self.space
        self._asked.keep_out(self.space)
        if request.kind == "end":
            self._asked.clear()
        if any(are_hit):
            self._taken_back.append(self._position)
        return any(are_hit)

    def go_on(self) -> None:
        """Search on, though the user ended the run that is carried on."""
        for loop in self.loops:
            loop.go_on()

    def _next_turn(self) -> int:
        if self.pareto:
            return 0
        n = len(self.loops)
        in_order = [(self._turn + i) % n for i in range(1, n + 1)]
        return next((turn for turn in in_order if not self.loops[turn].is_done), in_order[0])

    def repeat(self, position: Mapping[str, float]) -> None:
        """Take a point of an earlier run as decided, see `Steering.repeat`."""
        self._position = [position[name] for name in self.space.names]
        for loop in self.loops:
            loop.repeat(position)

    @single_thread()
    def _improve_front(self) -> None:
        """Decide for the place that is expected to add most to the front, after the start."""
        positions, values, _ = self._known()
        n_start = getattr(self.first.agent, "n_start", MIN_OUTCOMES)
        if len(positions) < max(n_start, MIN_OUTCOMES):
            return
        is_open = self.space.allowed.copy()
        left_out = [*self._positions, *self._taken_back]
        measured = [self.space.cell_of(*position) for position in left_out]
        is_open[[cell for cell in measured if cell is not None]] = False
        cells = np.flatnonzero(is_open)
        if not len(cells):
            self._exhausted = True
            raise SpaceExhausted("there must be a cell left to measure, got all; the run ends")
        mean, sd = (moment[cells] for moment in self._predicted(self.space.points))
        ranges = np.ptp(values, axis=0)
        ranges = np.where(ranges > 0.0, ranges, 1.0)
        gain = steering.expected_hypervolume_improvement(mean, sd, values) / ranges.prod()
        reason = "improve" if gain.max() > NEGLIGIBLE else "explore"
        worth = gain if reason == "improve" else (sd / ranges).sum(axis=1)
        best, *others = np.argsort(-worth, kind="stable")[:2]
        with np.errstate(divide="ignore"):
            log_gain = np.log(gain)
        runner_up = self.space.points[cells[others]].ravel().tolist()
        why = Explanation(
            reason,
            acquisition=float(log_gain[best]),
            **{f"runner_up_{n}": x for n, x in zip(self.space.names, runner_up, strict=False)},
            runner_up_acquisition=float(log_gain[others[0]]) if others else math.nan,
        )
        place = self.space.point(self.space.points[cells[best]].tolist())
        for loop in self.loops:
            loop.repeat(place, why)

    def _known(self) -> tuple[Array, Array, Array]:
        """Return what is measured: positions, (n, d), values and sds, (n, n_targets) each."""
        outcomes = self.outcomes()[:, : len(self._positions)].T
        is_valid = np.isfinite(outcomes).all(axis=1)
        positions = np.array(self._positions).reshape(-1, len(self.space.names))[is_valid]
        readings = outcomes[is_valid]
        if len(readings) < MIN_OUTCOMES:
            return positions, readings, np.full_like(readings, math.nan)
        mean, sd = self._predicted(positions)
        ratios = np.array(self._noise_ratios)[is_valid, None]
        return positions, 0.5 * (mean + believed(readings, ratios, mean)), sd

    def _predicted(self, X: Array) -> tuple[Array, Array]:
        """Return mean and sd of all targets at X of shape (n, d): (n, n_targets) each."""
        moments = [agent.predict(X) for agent in self.agents if isinstance(agent, PredictsMap)]
        mean, sd = (np.stack(each, axis=1) for each in zip(*moments, strict=True))
        return mean, np.maximum(sd, np.finfo(float).tiny)

    def front(self) -> Front:
        """Return the measured places that no other one beats, by readings and models."""
        with single_thread():
            positions, values, sds = self._known()
            allowed = self.space.in_no_zone(positions)
            positions, values, sds = positions[allowed], values[allowed], sds[allowed]
            if len(positions):
                _, first = np.unique(positions, axis=0, return_index=True)
                first = first[steering.non_dominated(values[first])]
                order = first[np.argsort(-values[first, 0], kind="stable")]
                positions, values, sds = positions[order], values[order], sds[order]
        return Front(self.targets, positions, values, sds)

    def see(
        self,
        positions: Array,
        results: Sequence[PointResult],
        doses: tuple[Array, Array] | None = None,
    ) -> None:
        """Take points of earlier runs, see `Steering.see`."""
        for loop in self.loops:
            loop.see(positions, results, doses)

    def new_seen(self) -> SeenOutcomes | None:
        """Return the first target's outcomes of earlier runs, if they are new."""
        return self.first.new_seen()

    def new_mask(self) -> Mask | None:
        """Return what of the patterns does not count, if that has changed since the last call."""
        return self.first.new_mask()

    def mask(self) -> Mask | None:
        """Return what of the patterns so far does not count; None where all does."""
        return self.first.mask()

    def outcomes(self) -> Array:
        """Return each point's outcomes, (n_targets, budget), padded with NaN."""
        return np.stack([loop.outcomes() for loop in self.loops])

    @property
    def is_over(self) -> bool:
        """Whether the rule `stop` is met for all targets, or the user ended the search."""
        return all(loop.is_over for loop in self.loops) and not self._asked

    def stop_reason(self) -> str:
        """Return why no further point is decided."""
        reasons = {loop.stop_reason() for loop in self.loops}
        if self._exhausted and "budget" not in reasons:
            return "exhausted"
        return next(
            r for r in ("user", "budget", "exhausted", "interrupted", "stop") if r in reasons
        )
