"""The Bayesian agent: expected improvement of a Gaussian-process ensemble over the user's grid.

For a sample mapped point by point; see `bl_steer.agents.continuous` for plain BoTorch on a
continuous domain, and `bl_steer.agents.baselines` for agents that learn nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bl_steer.agents.candidates import CELLS, MOST_CELLS, Candidates
from bl_steer.agents.comparison import brightest, confirmation, reportable
from bl_steer.agents.coordinates import AXIS_NAMES, check_choice
from bl_steer.agents.design import StartName, check_left, farthest_cell, first_free_cell
from bl_steer.agents.exploring import cell_beyond, is_exhausted
from bl_steer.agents.factors import KernelName
from bl_steer.agents.ledger import MIN_OUTCOMES, Ledger, believed, check_settings
from bl_steer.agents.looks import FEWEST, LOOK_NUGGETS, Looks, Visits
from bl_steer.agents.mapping.goal import Goal
from bl_steer.agents.recommendation import Recommendation
from bl_steer.agents.selection import Standing, next_look, standing_of
from bl_steer.agents.space import Space
from bl_steer.agents.surrogate import NUGGETS, GridEnsembleGP
from bl_steer.agents.warp import WarpName, warped
from bl_steer.agents.warped_model import WarpedModel
from bl_steer.protocols import Array, Explanation, Point
from bl_steer.single_thread import single_thread

__all__ = ["BayesianAgent"]


class BayesianAgent:
    """Find the maximum on a grid in few measurements, or predict its map or an outline.

    Implements `Agent`, `ExplainsDecisions`, `PredictsMap`, `ForeseesOutcomes` and `RemembersState`,
    and with `looks` `ChoosesExposure`.

    Parameters
    ----------
    space : the candidates; cells measured, pending, or invalid three times are never suggested.
    seed : fixes the start design and the order in which ties are broken.
    n_start : points of the start design; points that somebody else measured count towards it.
    start : "maximin" (spread out) or "random".
    kernel : "rbf" or "matern52"; with rbf, simulated films need 2 to 8 measurements less.
    warp : "sqrt" (see `bl_steer.agents.warp`) or "none".
    goal : "maximum"; "map", the least error of the whole map; or "level=50%", the outline where the
        objective crosses a level (`bl_steer.agents.mapping.goal`)
    looks : settings of `bl_steer.agents.looks.Looks`, for an agent that also says how long to look:
        a suggestion then has ``exposure_s``, of all the frames of a point, and the next one is the
        place that promises most by the second. Outcomes are brought to the full exposure, and the
        ``noise_ratio`` of a shorter look is the full exposure over its own.
    explores, textured : once no improvement is expected any more, measure where something may hide,
        in turn with where it is bright if the brightest outcome stands out and there are no `looks`
        (`bl_steer.agents.exploring`); False as runs of earlier versions had it.
    selects, sums : with `looks`, compare spots until the one to report is probably the brightest,
        by sums of looks (`bl_steer.agents.selection`); False as runs of earlier versions did.
    sparing : spend nothing on members of the model without weight; False as earlier versions did

    Notes
    -----
    Of very many candidates only some are looked at, see `bl_steer.agents.candidates`. Suggestions
    are a function of the settings and of the outcomes in their order, bit for bit on one machine
    and one set of library versions; computations run in one thread, which is faster at this size.

    Examples
    --------
    >>> agent = BayesianAgent(Space.grid(range(0, 30, 5), range(0, 30, 5)), n_start=3)
    >>> for _ in range(5):
    ...     point = agent.suggest()[0]
    ...     agent.ingest([{**point, "objective": 100.0 - (point["x"] - 10) ** 2}])
    >>> agent.recommend().x
    10.0
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        n_start: int = 10,
        start: StartName = "maximin",
        kernel: KernelName = "rbf",
        warp: WarpName = "sqrt",
        goal: str = "maximum",
        looks: Mapping[str, Any] | None = None,
        explores: bool = True,
        selects: bool = True,
        sums: bool = True,
        textured: bool = True,
        sparing: bool = True,
    ) -> None:
        check_choice("start", start, ("maximin", "random"))
        check_choice("kernel", kernel, ("rbf", "matern52"))
        check_choice("warp", warp, ("sqrt", "none"))
        if n_start < 1:
            raise ValueError(f"n_start must be at least 1, got {n_start}; 10 suits some 1000 cells")
        self.space, self.seed, self.n_start = space, seed, n_start
        self.start: StartName = start
        self.kernel: KernelName = kernel
        self.warp: WarpName = warp
        self.goal = Goal.parse(goal)
        self.wants_noise = looks is not None or self.goal.kind != "maximum"
        self.explores, self.sparing = explores, sparing
        self.selects = selects and looks is not None
        self.sums = sums and self.selects
        self.textured = textured and sparing and looks is None
        self._order = np.random.default_rng(seed).permutation(len(space)).astype(np.intp)
        self._candidates = Candidates(space, self._order, CELLS if sparing else MOST_CELLS)
        self._ledger = Ledger(space)
        self._model = GridEnsembleGP(
            self._candidates.X,
            metrics=space.metrics,
            kernel=kernel,
            shifts=space.scaled,
            nuggets=NUGGETS if looks is None else LOOK_NUGGETS,
            sparing=sparing,
        )
        self._beliefs = WarpedModel(self._model, self._ledger, warp)
        self.looks = None if looks is None else Looks.from_dict(looks)
        self._visits = Visits(space, self.looks)

    @property
    def settings(self) -> dict[str, Any]:
        """What the agent was built with, as JSON-compatible data."""
        return {
            "agent": "bayesian",
            "space": self.space.fingerprint,
            "seed": self.seed,
            "n_start": self.n_start,
            "start": self.start,
            "kernel": self.kernel,
            "warp": self.warp,
            **({} if self.goal.kind == "maximum" else {"goal": str(self.goal)}),
            **({} if self.looks is None else {"looks": self.looks.to_dict()}),
            **{n: True for n in ("explores", "selects", "sums", "textured") if getattr(self, n)},
            **({} if self.sparing else {"sparing": False}),
        }

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return the next points, one by default.

        Each takes those on their way to give what is expected there. ValueError for more than there
        are cells, and with `looks`, or another goal, for several after the start design.
        SpaceExhausted if no cell is left.
        """
        alone = not self.sparing or self.looks is not None or self.goal.kind != "maximum"
        count = self._ledger.n_asked(num_points, n_start=self.n_start if alone else math.inf)
        check_left(count, self._ledger.barred())
        return [self.look(self._suggest_one()) for _ in range(count)]

    def look(self, point: Point) -> Point:
        """Return a point with the time that a look takes now, ``exposure_s``, given `looks`."""
        return point if self.looks is None else self._timed(point, self._look_s(self.looks))

    def confirm(self, n_left: int) -> Point | None:
        """Return a place to look at again, or for longer, or beside one; None for no more."""
        if self.looks is None or len((ledger := self._ledger).measured) < MIN_OUTCOMES:
            return None
        if self.selects:
            known = self.looks, self._visits, self._standing(), n_left, self.predict
            chosen = next_look(*known, sums=self.sums)
        else:
            chosen = confirmation(self.looks, self._visits, self._outcomes(), self, n_left)
        if chosen is None:
            return None
        position, exposure_s, ledger.explanation = chosen
        return self._timed(ledger.issue(*position), exposure_s)

    def variances(self, outcomes: Array, noise_ratios: Array) -> Array:
        """Return the variance of outcomes of such noise ratios by their noise, (n,)."""
        return self._beliefs.variances(outcomes, noise_ratios, self._visits.counting)

    def learn_noise(self, outcomes: Array, noise_ratio: float) -> None:
        """Take outcomes, (n,), that the latest point might as well have had, by counting alone."""
        again, _ = warped(np.maximum(outcomes, 0.0), self.warp)
        self._visits.noise.append(float(again.var(ddof=1)) / noise_ratio)

    def learn_pace(self, move_s: float, expose_s: float) -> None:
        """Take what the latest point took, see `bl_steer.protocols.ChoosesExposure`."""
        self._visits.learn(move_s, expose_s)

    def learn_doses(self, positions: Array, exposed_s: Array) -> None:
        """Take where else was exposed, (n, d), and for how long, s, (n,)."""
        self._visits.expose(positions, exposed_s)
        self._ledger.closed = self._visits.spent()

    def dose_left_s(self, point: Mapping[str, Any]) -> float:
        """Return for how long a place may still be exposed, s: 0 for too short; or infinite."""
        left_s = self._visits.left_s(self._place(point))
        return left_s if self.looks is None or left_s >= self.looks.shortest_s else 0.0

    def foresee(self) -> None:
        """Compute what the next decision takes of the positions alone, as `ForeseesOutcomes`."""
        if self.sparing:
            with single_thread():
                self._beliefs.foresee()

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes, by the rules of `Ledger.ingest`."""
        self._ledger.ingest(points)

    def forbid(self, zones: Sequence[Any]) -> None:
        """Suggest no point in these zones from now on."""
        self.space = self._ledger.space = self._visits.space = self.space.forbid(zones)

    def explain(self) -> Explanation:
        """Return the reasons for the latest suggestion."""
        return self._ledger.explain()

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Return posterior mean and sd of the noise-free objective, (n,) each, at X, (n, d).

        Raises ValueError before there are two valid outcomes.
        """
        self._ledger.check_outcomes(MIN_OUTCOMES)
        with single_thread():
            self._beliefs.condition()
            counting = None if self.goal.kind == "maximum" else self._visits.counting
            return self._beliefs.predict(X, counting)

    def outlined(self, goal: Goal, level: float) -> tuple[Array, Array]:
        """Return each cell's probability to be above a level, (n,), and draws of their share."""
        with single_thread():
            self._beliefs.condition()
            at, allowed = self.space.points, self._candidates.allowed
            return self._beliefs.outlined(at, goal, level, allowed, self._visits.counting)

    def recommend(self) -> Recommendation:
        """Return the best spot: a measured point, bright by the model and by its own reading.

        Ranked by the mean of posterior mean and reading. The highest of many noisy readings is too
        high, and the model alone takes texture finer than the pitch for noise. Of a reading with
        more noise than at the nominal beam, only 1/ratio is believed. Only measured points: nobody
        should be sent to a spot never looked at. With `looks` see `bl_steer.agents.selection`.
        """
        X, readings, noise_ratios = self._outcomes()
        if not (allowed := reportable(self.space, X)).any():
            where = " outside the forbidden zones" if self.space.forbidden else ""
            raise ValueError(
                f"recommend must have a valid outcome{where}, got none; ingest points first"
            )
        if len(self._ledger.measured) < MIN_OUTCOMES:
            return Recommendation.of(self.space, X[0], readings[0], math.nan)
        if self.selects and (standing := self._standing()) is not None:
            spot, p_right = standing.reported()
            mean, sd = self.predict(spot[None])
            return Recommendation.of(self.space, spot, mean[0], sd[0], p_right)
        if self.looks is not None:
            return Recommendation.of(self.space, *brightest(self._outcomes(), self, allowed))
        mean, sd = self.predict(X)
        readings = believed(readings, noise_ratios, mean)
        best = int(np.argmax(np.where(allowed, mean + readings, -np.inf)))
        return Recommendation.of(self.space, X[best], mean[best], sd[best])

    def state_dict(self) -> dict[str, Any]:
        """Return settings and record, as JSON-compatible data."""
        state = {"settings": self.settings, "ledger": self._ledger.state_dict()}
        return {**state, "visits": self._visits.state_dict()} if self.wants_noise else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; the next suggestions are those of the lost agent."""
        check_settings(self.settings, state["settings"])
        self._ledger.load_state_dict(state["ledger"])
        if "visits" in state:
            self._visits.load_state_dict(state["visits"])
            self._ledger.closed = self._visits.spent()

    def _suggest_one(self) -> Point:
        ledger = self._ledger
        if ledger.n_taken < self.n_start or len(ledger.measured) < MIN_OUTCOMES:
            cell = self._start_cell()
            ledger.explanation = Explanation("start")
        else:
            with single_thread():
                cell, ledger.explanation = self._improve()
        return ledger.issue(*self.space.points[cell].tolist())

    def _standing(self) -> Standing | None:
        with single_thread():
            self._beliefs.condition()
            known = self._model, self._ledger, self._visits, self._candidates
            return standing_of(*known, warp=self.warp, sums=self.sums)

    def _start_cell(self) -> int:
        order, barred, occupied = self._order, self._ledger.barred(), self._ledger.occupied()
        if self.start == "random":
            return first_free_cell(order, barred)
        return farthest_cell(self.space, occupied=occupied, barred=barred, order=order)

    def _improve(self) -> tuple[int, Explanation]:
        barred = self._ledger.barred()
        first_free_cell(self._order, barred)
        beliefs = self._beliefs
        beliefs.condition()
        worth = beliefs.worth(self.goal, self._candidates.allowed)
        values, order = self._candidates.evaluate(
            beliefs.acquisition() if worth is None else worth.promise,
            self._model.candidates,
            barred=barred,
            brightest=self._ledger.positions()[int(np.argmax(self._ledger.objectives()))],
        )
        averages = beliefs.averages()
        largest = float(values[order].max())
        exhausted = self.explores and is_exhausted(largest, averages["amplitude"])
        if worth is not None:
            values, exhausted = worth.gains(self.space.points, values, order), False
        if self.looks is not None:
            values -= np.log(self._visits.costs(self._look_s(self.looks)))
        cell = int(order[np.argmax(values[order])])
        best = float(values[cell])
        if exhausted:
            cell, exhausted = cell_beyond(
                beliefs, self._ledger, self._candidates, self._order, textured=self.textured
            )
        mean, sd = beliefs.predict(self.space.points[cell : cell + 1])
        values[cell] = -np.inf
        second = int(order[np.argmax(values[order])])
        runner_up = self.space.points[second].tolist() if np.isfinite(values[second]) else []
        return cell, Explanation(
            reason="explore" if exhausted else self.goal.reason,
            acquisition=best,
            **{f"runner_up_{name}": v for name, v in zip(AXIS_NAMES, runner_up, strict=False)},
            runner_up_acquisition=float(values[second]) if runner_up else math.nan,
            **{"mean": float(mean[0]), "sd": float(sd[0]), **averages},
        )

    def _look_s(self, looks: Looks) -> float:
        """Return how long a look of the search takes now, s, by the noise of the outcomes."""
        nugget = None
        if len(self._ledger.measured) >= FEWEST:
            with single_thread():
                self._beliefs.condition()
                nugget = self._beliefs.nugget(self._visits.counting)
        return looks.search_s(nugget, self._visits.overhead_s)

    def _timed(self, point: Point, exposure_s: float) -> Point:
        return {**point, "exposure_s": self._visits.add(self._place(point), exposure_s)}

    def _place(self, point: Mapping[str, Any]) -> list[float]:
        return [point[name] for name in self.space.names]

    def _outcomes(self) -> tuple[Array, Array, Array]:
        """Return positions, (n, d), outcomes and noise ratios, (n,) each."""
        ledger = self._ledger
        return ledger.positions(), ledger.objectives(), ledger.noise_ratios()
