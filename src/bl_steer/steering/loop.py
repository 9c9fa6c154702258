"""The loop without the beamline: an agent and a feature, fed with patterns, giving decisions.

`plans.find_hotspot` drives it with real measurements; `replay` drives it with a stored run and
must come to the same decisions. It holds no device and knows no RunEngine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space, SpaceExhausted, make_agent
from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.protocols import (
    Agent,
    Array,
    ExplainsDecisions,
    Explanation,
    Feature,
    Point,
    PredictsMap,
)
from bl_steer.runs import Run

__all__ = [
    "Best",
    "Decision",
    "DetectorDeadError",
    "Steering",
    "build_steering",
    "differing_decisions",
    "predicted_map",
    "replay",
    "same_decision",
]

MAX_RETAKES = 3
"""Repeats of a dead frame at one place."""
NOT_REPRODUCED = ("think_s", "think_cpu_s", "previous_move_s", "previous_expose_s")


class DetectorDeadError(RuntimeError):
    """A spot gave no valid frame, several times in a row."""


@dataclass(frozen=True)
class Decision:
    """One row of the stream ``decisions``: what was decided, and all it was based on.

    Values of the objective are in the objective's units (counts), positions in the axes' units,
    times in seconds. NaN stands for "does not apply".
    """

    point: int
    x: float
    y: float
    reason: str
    acquisition: float
    runner_up_x: float
    runner_up_y: float
    runner_up_acquisition: float
    mean: float
    sd: float
    lengthscale: float
    noise_sd: float
    amplitude: float
    constant_mean: float
    basis_version: int
    best_so_far: float
    best_x: float
    best_y: float
    previous_outcome: float
    previous_residual: float
    previous_alarm: bool
    previous_move_s: float
    previous_expose_s: float
    think_s: float
    think_cpu_s: float
    seed: int
    outcomes: Array
    """Outcome of every earlier point under `basis_version`, padded with NaN to the budget."""


@dataclass(frozen=True)
class Best:
    """The brightest measured spot, with the model's mean and uncertainty there."""

    x: float
    y: float
    value: float
    sd: float


class Steering:
    """Decide point by point, and learn from what was measured.

    Parameters
    ----------
    agent : says where to measure next
    feature : turns a pattern into the objective, and may learn from the patterns
    budget : number of measurements, invalid ones included
    seed : recorded with each decision
    """

    def __init__(self, agent: Agent, feature: Feature, *, budget: int, seed: int = 0) -> None:
        self.agent = agent
        self.feature = feature
        self.budget = budget
        self.seed = seed
        self._patterns: list[Array] = []
        self._places: list[Point] = []
        self._outcomes = np.empty(0)
        self._measured_as: list[int] = []
        self._pending: Point | None = None
        self._explanation = Explanation(reason="")
        self._n_observed = 0
        self._retakes = 0
        self._residual = float("nan")
        self._alarm = False
        self._learning_s = (0.0, 0.0)
        self._exhausted = False

    @property
    def n_observed(self) -> int:
        """Number of points that came back, invalid ones included."""
        return self._n_observed

    def observe(self, pattern: Array | None) -> None:
        """Take the pattern of the point decided last, shape (n_pixels,); None if it was invalid."""
        place = self._pending
        if place is None:
            raise RuntimeError("observe must follow decide; no point is waiting for its pattern")
        self._n_observed += 1
        self._learning_s = (0.0, 0.0)
        if pattern is None:
            self._retakes += 1
            self._residual, self._alarm = float("nan"), False
            if self._retakes > MAX_RETAKES:
                raise DetectorDeadError(
                    f"the detector must give a valid frame, got {self._retakes} dead ones in a row "
                    f"at x = {place['x']:g}, y = {place['y']:g}; check detector, shutter and beam"
                )
            return
        self._pending, self._retakes = None, 0
        self._patterns.append(pattern)
        self._places.append(place)
        self._measured_as.append(self._n_observed - 1)
        wall, cpu = time.perf_counter(), time.thread_time()
        version = self.feature.version
        self.feature.partial_fit(pattern[None])
        if self.feature.version != version:
            self._outcomes = self.feature.transform(np.stack(self._patterns))
            self._ingest(range(len(self._places)))
        else:
            self._outcomes = np.append(self._outcomes, self.feature.transform(pattern[None]))
            self._ingest([len(self._places) - 1])
        self._residual = float(self.feature.residual(pattern[None])[0])
        alarm = getattr(self.feature, "alarm", None)
        self._alarm = bool(alarm(pattern[None])[0]) if alarm else False
        self._learning_s = (time.perf_counter() - wall, time.thread_time() - cpu)

    def _ingest(self, which: range | list[int]) -> None:
        self.agent.ingest(
            [{**self._places[i], "objective": float(self._outcomes[i])} for i in which]
        )

    def decide(self, *, move_s: float = float("nan"), expose_s: float = float("nan")) -> Decision:
        """Return the next point; after an invalid one, the same place again."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._pending is None:
            try:
                self._pending = dict(self.agent.suggest(1)[0])
            except SpaceExhausted:
                self._exhausted = True
                raise
            self._explanation = (
                self.agent.explain()
                if isinstance(self.agent, ExplainsDecisions)
                else Explanation(reason="agent")
            )
        explanation = asdict(self._explanation)
        if self._retakes:
            explanation["reason"] = "retake"
        best = self.brightest_measured()
        return Decision(
            point=self._n_observed,
            x=float(self._pending["x"]),
            y=float(self._pending["y"]),
            **explanation,
            basis_version=self.feature.version,
            best_so_far=best.value,
            best_x=best.x,
            best_y=best.y,
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

    def outcomes(self) -> Array:
        """Return each point's outcome under the current basis, (budget,), padded with NaN."""
        padded = np.full(self.budget, np.nan)
        padded[self._measured_as] = self._outcomes
        return padded

    def _previous_outcome(self) -> float:
        if self._retakes or not len(self._outcomes):
            return float("nan")
        return float(self._outcomes[-1])

    def stop_reason(self) -> str:
        """Return why no further point is decided."""
        if self._n_observed >= self.budget:
            return "budget"
        return "exhausted" if self._exhausted else "interrupted"

    def brightest_measured(self) -> Best:
        """Return the measured spot with the largest outcome; NaN before the first."""
        if not len(self._outcomes):
            nan = float("nan")
            return Best(nan, nan, nan, nan)
        i = int(np.argmax(self._outcomes))
        place = self._places[i]
        return Best(float(place["x"]), float(place["y"]), float(self._outcomes[i]), float("nan"))

    def report(self) -> Best:
        """Return the spot to report: the agent's recommendation, or the brightest measured one."""
        recommend = getattr(self.agent, "recommend", None)
        if recommend is None or not len(self._outcomes):
            return self.brightest_measured()
        spot = recommend()
        return Best(spot.x, spot.y, spot.mean, spot.sd)


def build_steering(
    settings: Mapping[str, Any], axes: FrameAxes, *, agent: Agent | None = None
) -> Steering:
    """Build agent and feature from the ``steering`` entry of a run's start document.

    Parameters
    ----------
    settings : keys ``target``, ``agent`` (name), ``agent_options``, ``seed``, ``budget``, and
        ``grid`` with ``x`` and ``y``: coordinate arrays of a regular grid, or with
        ``scattered: True`` of single points
    axes : coordinates of the frame's pixels
    agent : an agent to use in place of the named one
    """
    seed = int(settings["seed"])
    if agent is None:
        space = Space.from_dict(settings["grid"])
        agent = make_agent(settings["agent"], space, seed=seed, **settings["agent_options"])
    feature = make_feature(str(settings["target"]), axes)
    return Steering(agent, feature, budget=int(settings["budget"]), seed=seed)


def replay(
    settings: Mapping[str, Any], axes: FrameAxes, patterns: Array, valid: NDArray[np.bool_]
) -> Iterator[Decision]:
    """Decide again on a stored run's patterns: yields what the run must have decided.

    Parameters
    ----------
    settings : the ``steering`` entry of the run's start document
    patterns : shape (n_points, n_pixels), normalised counts, in the order of measurement
    valid : shape (n_points,), False for dead frames
    """
    steering = build_steering(settings, axes)
    for pattern, good in zip(patterns, valid, strict=True):
        yield steering.decide()
        steering.observe(pattern if good else None)


def differing_decisions(run: Run) -> list[int]:
    """Decide again on a stored run; return the points whose decisions differ from its record.

    Empty on the machine and with the constraints that the run was made on. Elsewhere the last
    bits of the numbers may differ; the cells are the same.
    """
    axes = FrameAxes(run.qx, run.qz)
    table = run.decisions
    again = replay(run.steering, axes, run.patterns(), run.valid)
    return [
        point
        for point, decision in enumerate(again)
        if not same_decision(
            decision,
            Decision(**{field.name: table[field.name][point] for field in fields(Decision)}),
        )
    ]


def predicted_map(
    settings: Mapping[str, Any], measured: Array, outcomes: Array
) -> tuple[Array, Array]:
    """Predict the objective on the whole grid from a run's outcomes.

    Parameters
    ----------
    settings : the ``steering`` entry of the run's start document
    measured : shape (n, 2), places of the valid points
    outcomes : shape (n,), their outcomes under the last basis, counts

    Returns
    -------
    mean, sd : shape (n_cells,) each, counts; of the run's own model where its agent has one, else
        of the default agent's
    """
    space = Space.from_dict(settings["grid"])
    seed = int(settings["seed"])
    try:
        agent = make_agent(settings["agent"], space, seed=seed, **settings["agent_options"])
    except ValueError:  # an agent of the user's own
        agent = make_agent("bayesian", space, seed=seed)
    if not isinstance(agent, PredictsMap):
        agent = make_agent("bayesian", space, seed=seed)
    agent.ingest(
        [
            {"_id": i, "x": float(x), "y": float(y), "objective": float(outcome)}
            for i, ((x, y), outcome) in enumerate(zip(measured, outcomes, strict=True))
        ]
    )
    if not isinstance(agent, PredictsMap):
        raise TypeError(f"{type(agent).__name__} must predict maps; it has no method predict")
    return agent.predict(space.points)


def same_decision(one: Decision, other: Decision) -> bool:
    """Return whether two decisions are equal bit for bit, times left out (NaN equals NaN)."""
    return all(
        np.array_equal(
            getattr(one, field.name),
            getattr(other, field.name),
            equal_nan=field.name != "reason",
        )
        for field in fields(Decision)
        if field.name not in NOT_REPRODUCED
    )
