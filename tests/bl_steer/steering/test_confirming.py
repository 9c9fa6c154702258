"""A search whose agent chooses exposures ends with looks in full, and decides the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import BayesianAgent, Space, SpaceExhausted
from bl_steer.diffraction import FrameAxes
from bl_steer.runs import PointResult
from bl_steer.steering import Decision, ExposureError, Steering, build_steering, same_decision
from bl_steer.steering.confirming import kept_looks

AXIS = np.arange(0.0, 55.0, 5.0)
SETTINGS: dict[str, Any] = {
    "target": "field:counts",
    "agent": "bayesian",
    "agent_options": {},
    "seed": 0,
    "budget": 32,
    "grid": Space.grid(AXIS, AXIS).to_dict(),
    "masks": True,
    "noise_per_point": True,
    "looks": {"full_s": 10.0},
}
TODAY = {"explores": True, "selects": True, "sums": True}


def counted(decision: Decision, rng: np.random.Generator) -> PointResult:
    rate = 40.0 * np.exp(-((decision.x - 30) ** 2 + (decision.y - 20) ** 2) / 200) + 2.0
    ratio = 10.0 / decision.exposure_s
    pattern = np.array([ratio * rng.poisson(rate * 10.0 / ratio)])
    return PointResult(pattern, noise_ratio=ratio, count=ratio)


def steer(**changed: Any) -> tuple[Steering, list[Decision], list[PointResult]]:
    steering = build_steering(SETTINGS | changed, FrameAxes.channels((1, 1)))
    rng = np.random.default_rng(3)
    decisions: list[Decision] = []
    results: list[PointResult] = []
    times = {}
    while len(decisions) < SETTINGS["budget"]:
        try:
            decisions.append(steering.decide(**times))
        except SpaceExhausted:
            break
        results.append(counted(decisions[-1], rng))
        steering.observe(results[-1])
        times = {"move_s": 1.0 + 0.01 * len(results), "expose_s": decisions[-1].exposure_s + 0.2}
    return steering, decisions, results


@pytest.mark.parametrize("rules", [{}, TODAY])
def test_a_search_ends_with_the_spot_and_its_rivals_in_full(rules: dict[str, bool]) -> None:
    steering, decisions, _ = steer(**rules)
    reasons = [decision.reason for decision in decisions]
    assert set(reasons[:24]) <= {"start", "improve", "explore"}  # a quarter of the budget is kept
    assert set(reasons[24:]) <= {"confirm", "compare"}
    assert 10.0 in {decision.exposure_s for decision in decisions[24:]}
    assert max(decision.exposure_s for decision in decisions[:24]) < 10.0
    best = steering.report()
    assert best.confirmed
    assert (0.5 < best.p_right <= 1.0) == bool(rules)
    assert np.hypot(best.x - 30, best.y - 20) <= 7.1
    assert steering.stop_reason() == "budget"


@pytest.mark.parametrize("rules", [{}, TODAY])
def test_the_decisions_follow_from_outcomes_and_recorded_times(rules: dict[str, bool]) -> None:
    _, decisions, results = steer(**rules)
    again = build_steering(SETTINGS | rules, FrameAxes.channels((1, 1)))
    for recorded, result in zip(decisions, results, strict=True):
        times = {"move_s": recorded.previous_move_s, "expose_s": recorded.previous_expose_s}
        assert same_decision(again.decide(**times), recorded)
        again.observe(result)


def test_a_run_of_an_earlier_version_keeps_its_own_rules() -> None:
    axes = FrameAxes.channels((1, 1))
    earlier, today = (build_steering(SETTINGS | rules, axes).agent for rules in ({}, TODAY))
    assert isinstance(earlier, BayesianAgent)
    assert isinstance(today, BayesianAgent)
    assert (earlier.explores, earlier.selects, earlier.sums) == (False, False, False)
    assert (today.explores, today.selects, today.sums) == (True, True, True)
    assert [kept_looks(200, selects=selects) for selects in (False, True)] == [20, 50]


def test_a_dead_frame_is_taken_again_as_long() -> None:
    steering = build_steering(SETTINGS, FrameAxes.channels((1, 1)))
    first = steering.decide()
    steering.observe(PointResult(None, "frames"))
    second = steering.decide()
    assert second.reason == "retake"
    assert (second.x, second.y, second.exposure_s) == (first.x, first.y, first.exposure_s)


def test_where_every_cell_is_measured_the_confirmation_follows() -> None:
    few = Space.grid(AXIS[:3], AXIS[:3]).to_dict()
    steering, decisions, _ = steer(grid=few)
    assert decisions[8].reason == "start"
    assert decisions[9].reason in ("compare", "confirm")
    assert steering.stop_reason() == "exhausted"


def test_an_agent_that_cannot_choose_exposures_is_refused() -> None:
    settings = SETTINGS | {"agent": "random", "looks": None}
    built = build_steering(settings, FrameAxes.channels((1, 1)))
    with pytest.raises(ExposureError, match=r"got RandomAgent; use agent='bayesian'"):
        Steering(built.agent, built.feature, budget=4, n_kept=1)


def test_a_rule_ends_the_search_and_not_the_confirmation() -> None:
    steering, decisions, _ = steer(stop="W=60,p=0.5", budget=32)
    reasons = [decision.reason for decision in decisions]
    first = next(i for i, reason in enumerate(reasons) if reason in ("compare", "confirm"))
    assert first < 24  # before the budget would
    assert set(reasons[first:]) <= {"compare", "confirm"}
    assert steering.report().confirmed
    assert steering.stop_reason() == "stop"
    assert all(np.isfinite(decision.exposure_s) for decision in decisions)
