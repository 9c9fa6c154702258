"""What one turn of the loop decides, as a run records it: a row of the stream ``decisions``.

`bl_steer.steering.loop` makes decisions from patterns; `bl_steer.steering.replays` compares those
of a stored run with those made again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import Any

import numpy as np

from bl_steer.agents import AXIS_NAMES
from bl_steer.agents.ledger import believed
from bl_steer.protocols import Array, Explanation

__all__ = [
    "MAX_BUDGET",
    "Best",
    "Decision",
    "brightest",
    "check_budget",
    "coordinates_of",
    "decided",
    "difference_of",
    "same_decision",
]

MAX_BUDGET = 10_000
"""Each decision records the outcomes of all points: the record grows with the square."""
NOT_REPRODUCED = ("think_s", "think_cpu_s", "previous_move_s", "previous_expose_s")
"""Times of a decision: they depend on the machine and its load."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One row of the stream ``decisions``: what was decided, and all it was based on.

    Values of the objective are in the objective's units (counts), positions in the axes' units,
    times in seconds. NaN stands for "does not apply", as ``z`` where there is no third axis.
    """

    point: int
    x: float
    y: float = math.nan
    z: float = math.nan
    reason: str
    acquisition: float
    runner_up_x: float
    runner_up_y: float = math.nan
    runner_up_z: float = math.nan
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
    best_y: float = math.nan
    best_z: float = math.nan
    previous_outcome: float
    previous_residual: float
    previous_alarm: bool
    previous_move_s: float
    previous_expose_s: float
    think_s: float
    think_cpu_s: float
    seed: int
    outcomes: Array
    """Outcome of every earlier point under `basis_version`, padded with NaN to the budget; with
    several targets one row for each, (n_targets, budget)."""
    p_hidden: float = math.nan
    """That a hill as wide as the run's rule `stop` says is hidden; NaN without a rule."""
    p_better: float = math.nan
    """That there is a better spot, by that rule."""
    exposure_s: float = math.nan
    """Of all frames of the point, where the agent says how long to look."""
    target: str = ""
    """Of several targets the one that the point was decided for; empty for one target alone."""

    def position(self, names: Sequence[str]) -> dict[str, float]:
        """Return where to measure, by the names of the axes."""
        return {name: float(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Best:
    """The brightest measured spot, with the model's mean and uncertainty there.

    The coordinate of an axis that there is not is NaN.
    """

    x: float
    y: float
    value: float
    sd: float
    z: float = math.nan
    confirmed: bool = True
    """Whether it was looked at as long as the full exposure, in all."""
    p_right: float = math.nan
    """That it is the right one, as far as an agent that chooses exposure times can tell."""


def coordinates_of(point: Mapping[str, Any]) -> tuple[float, ...]:
    """Return x, y and z, NaN for an axis that there is not."""
    return tuple(float(point.get(name, math.nan)) for name in AXIS_NAMES)


def decided(
    position: Mapping[str, Any],
    explanation: Explanation,
    best: Best,
    outlook: Any,
    **about: Any,
) -> Decision:
    """Return the decision for a position, with what it was based on.

    Parameters
    ----------
    outlook : what may have been missed, `bl_steer.steering.Outlook`; None without a rule
    about : the other fields of the decision
    """
    x, y, z = coordinates_of(position)
    return Decision(
        x=x,
        y=y,
        z=z,
        **asdict(explanation),
        exposure_s=float(position.get("exposure_s", math.nan)),
        best_so_far=best.value,
        best_x=best.x,
        best_y=best.y,
        best_z=best.z,
        p_hidden=math.nan if outlook is None else outlook.p_hidden,
        p_better=math.nan if outlook is None else outlook.p_better,
        **about,
    )


def brightest(outcomes: Array, noise_ratios: Array) -> tuple[int, float]:
    """Return which outcome, of shape (n,), is the largest as far as it is believed, and what is.

    Without a model to say what was to be expected, that is the median of the outcomes.
    """
    values = believed(outcomes, noise_ratios, float(np.median(outcomes)))
    best = int(np.argmax(values))
    return best, float(values[best])


def same_decision(first: Decision, second: Decision) -> bool:
    """Return whether two decisions are equal bit for bit, times left out (NaN equals NaN)."""
    pairs = [
        (getattr(first, field.name), getattr(second, field.name))
        for field in fields(Decision)
        if field.name not in NOT_REPRODUCED
    ]
    return all(
        np.array_equal(a, b, equal_nan=not (isinstance(a, str) or isinstance(b, str)))
        for a, b in pairs
    )


def check_budget(budget: Any) -> None:
    """Refuse a budget that is no number of measurements, or too large to record, by ValueError."""
    is_whole = isinstance(budget, Integral) and not isinstance(budget, bool)
    if not is_whole or not 1 <= budget <= MAX_BUDGET:
        raise ValueError(
            f"budget must be a whole number of measurements in 1 … {MAX_BUDGET}, got {budget!r}; "
            "try budget=48, or plans.map_sample for every point of a grid"
        )


def difference_of(made: Decision, recorded: Decision) -> str:
    """Return how a decision made again differs from its record; empty where it does not."""
    if same_decision(made, recorded):
        return ""
    here, there = ([getattr(d, name) for name in AXIS_NAMES] for d in (made, recorded))
    if not np.array_equal(here, there, equal_nan=True):
        return f"another place: {_written(here)} in place of {_written(there)}"
    apart = {
        field.name: _apart(getattr(made, field.name), getattr(recorded, field.name))
        for field in fields(Decision)
        if field.name not in NOT_REPRODUCED
    }
    named = [name for name, share in apart.items() if share > 0.0]
    return (
        f"the same place, numbers differ by {max(apart.values()):.0e} of their size: "
        f"{', '.join(named)}"
    )


def _apart(first: Any, second: Any) -> float:
    """Return the largest difference of two values over their size; inf where one is no number."""
    if isinstance(first, str):
        return 0.0 if first == second else math.inf
    a, b = np.atleast_1d(np.asarray(first, float)), np.atleast_1d(np.asarray(second, float))
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return math.inf
    size = np.maximum(np.abs(a), np.abs(b))
    differ = a != b
    differ &= ~np.isnan(a)
    return float((np.abs(a - b)[differ] / size[differ]).max(initial=0.0))


def _written(place: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in place if not math.isnan(value)) + ")"
