"""When a search may end: what the rule says, and that it ends and repeats a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bl_steer.agents import Space, make_agent
from bl_steer.runs import open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import Steering, StopRule, differences
from plans.stubs.hotspots import OF_STOP
from tests.bl_steer.steering.numbers import Number

GRID = np.arange(0.0, 101.0, 5.0)
SPACE = Space.grid(GRID, GRID)
RULE = StopRule.parse("W=20")
STOP = "W=60,p=0.2"


def _hill(centre: tuple[float, float], width: float) -> np.ndarray:
    squared = ((SPACE.points - centre) ** 2).sum(axis=1)
    return np.asarray(50.0 + 950.0 * np.exp(-4.0 * np.log(2.0) * squared / width**2))


def _outlook(cells: list[int], truth: np.ndarray, rule: StopRule = RULE) -> Any:
    mean, sd = np.full(len(SPACE), 50.0), np.full(len(SPACE), 1.0)
    mean[cells] = truth[cells]
    return rule.outlook(SPACE, SPACE.points[cells], truth[cells], mean, sd)


def _steered(truth: np.ndarray, stop: str | None, agent: str = "bayesian") -> Steering:
    steering = Steering(
        make_agent(agent, SPACE, seed=0),
        Number(),
        budget=200,
        space=SPACE,
        stop=None if stop is None else StopRule.parse(stop),
    )
    while steering.n_observed < (200 if stop else 40) and not steering.is_done:
        decision = steering.decide()
        steering.observe(truth[[SPACE.index_of(decision.x, decision.y)]])
    return steering


def test_a_hill_hides_only_where_no_point_would_have_seen_it() -> None:
    # Points along x = 0 … 50; the right half has not been looked at.
    seen = [i for i, (x, y) in enumerate(SPACE.points) if x <= 50 and x % 10 == 0 and y % 10 == 0]
    outlook = _outlook(seen, _hill((20.0, 20.0), 20.0))
    far = SPACE.index_of(90.0, 50.0)
    assert outlook.weights[SPACE.index_of(35.0, 75.0)] < 0.01
    assert outlook.weights[far] > 0.999
    share = float(np.nanmean(outlook.weights))
    assert share < outlook.p_hidden < 1.0  # a large share holds the best spot more often


def test_narrow_hills_hide_where_wide_ones_cannot() -> None:
    truth = _hill((20.0, 20.0), 20.0)
    every_second = [i for i, (x, y) in enumerate(SPACE.points) if x % 15 == 0 and y % 15 == 0]
    mean, sd = np.full(len(SPACE), 50.0), np.ones(len(SPACE))
    mean[every_second] = truth[every_second]
    seen = SPACE.points[every_second], truth[every_second], mean, sd
    hidden = [StopRule((w,)).outlook(SPACE, *seen).p_hidden for w in (5.0, 10.0, 20.0, 40.0)]
    assert hidden == sorted(hidden, reverse=True)
    width = RULE.hidden_width(SPACE, *seen)
    assert StopRule((1.05 * width,)).outlook(SPACE, *seen).p_hidden <= RULE.p
    assert StopRule((width / 1.2,)).outlook(SPACE, *seen).p_hidden > RULE.p


def test_the_unit_of_axes_and_outcomes_changes_no_probability() -> None:
    truth = _hill((20.0, 20.0), 20.0)
    cells = list(range(0, len(SPACE), 7))
    plain = _outlook(cells, truth)
    in_mm = Space.grid(GRID, GRID / 1000.0)
    mean, sd = np.full(len(SPACE), 50.0), np.full(len(SPACE), 1.0)
    mean[cells] = truth[cells]
    rule = StopRule.parse("W=20x0.02")
    scaled = rule.outlook(in_mm, in_mm.points[cells], 7 * truth[cells], 7 * mean, 7 * sd)
    assert (scaled.p_hidden, scaled.p_model) == pytest.approx((plain.p_hidden, plain.p_model))


def test_where_all_is_alike_anything_could_hide() -> None:
    flat = np.full(len(SPACE), 3.0)
    outlook = RULE.outlook(SPACE, SPACE.points[:50], flat[:50], flat, 0.0 * flat)
    assert outlook.p_better > 0.9
    assert not RULE.is_met(outlook)


@pytest.mark.parametrize("agent", ["bayesian", "random"])
def test_a_search_ends_once_no_hill_of_the_width_can_hide(agent: str) -> None:
    truth = _hill((20.0, 20.0), 20.0) + 0.8 * _hill((75.0, 60.0), 20.0)
    steering = _steered(truth, "W=20", agent)
    assert steering.stop_reason() == "stop"
    assert 20 < steering.n_observed < 200
    assert steering.outlook is not None
    assert steering.outlook.p_better <= 0.05
    best = steering.report()
    assert (best.x, best.y) == (20.0, 20.0)


def test_a_wider_width_ends_a_search_earlier() -> None:
    truth = _hill((20.0, 20.0), 60.0)
    counts = [_steered(truth, stop).n_observed for stop in ("W=20", "W=40")]
    assert counts[1] < counts[0]


def test_without_a_rule_nothing_is_looked_at() -> None:
    steering = _steered(_hill((20.0, 20.0), 20.0), None)
    assert steering.outlook is None
    assert not steering.is_done
    assert np.isnan(steering.decide().p_better)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("20", r"stop must be written as W=WIDTH .*, got '20'; try stop='W=20'"),
        ("W=wide", "stop must be written as"),
        ("W=20,q=1", "stop must be written as"),
        ("W=-3", r"W of stop must be a width above 0, .*, got \(-3.0,\); try"),
        ("W=20,p=1.5", r"p of stop must be a probability between 0 and 1, got 1.5"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StopRule.parse(text)


def test_a_rule_must_fit_the_axes() -> None:
    with pytest.raises(ValueError, match=r"one for each of x, y, got W=1x2x3,p=0.05; join them"):
        StopRule.parse("W=1x2x3").check(SPACE)


@pytest.mark.parametrize("text", ["W=20", "W=1e6", "W=20x20"])
def test_a_width_in_other_units_than_the_axes_is_refused(text: str) -> None:
    space = Space.grid(np.linspace(0.0, 1.5, 31), np.linspace(0.0, 1.5, 31))
    with pytest.raises(ValueError, match=r"not exceed the sample, 1.5 × 1.5 in the axes'"):
        StopRule.parse(text).check(space)
    StopRule.parse("W=0.2").check(space)


def test_one_width_on_ranges_that_can_have_no_common_unit_is_refused() -> None:
    space = Space.grid(np.linspace(0.0, 0.15, 31), np.linspace(0.0, 150.0, 31))
    with pytest.raises(ValueError, match=r"run over 0.15 and 150; .* such as stop='W=0.02x20'"):
        StopRule.parse("W=20").check_units(space)
    StopRule.parse("W=20").check_units(space, ("µm", "µm"))
    StopRule.parse("W=0.02x20").check_units(space, ("mm", "µm"))


def test_a_share_of_next_to_nothing_has_a_probability() -> None:
    dark = np.full(len(SPACE), 0.0)
    dark[60] = 100.0
    outlook = StopRule.parse("W=99").outlook(
        SPACE, SPACE.points[:-1], dark[:-1], dark, np.full(len(SPACE), 1e-3)
    )
    assert 0.0 <= outlook.p_hidden <= 1e-6


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("stopped")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as opened:
        yield opened


def test_a_run_ends_by_its_rule_and_repeats_its_decisions(session: Session) -> None:
    uid, hotspot = session.run(session.find_hotspot(stop=STOP, target="ref:x=0.45,R=0.9,tilt=0"))
    assert hotspot.stop_reason == "stop"
    assert hotspot.n_measured < 200
    assert 0.0 <= hotspot.p_hidden <= hotspot.p_better <= 0.2
    assert 0.0 < hotspot.hidden_width <= 60.0
    run = open_run(session.store, uid)
    assert run.steering["stop"] == STOP
    assert run.status == "success"
    assert "there is a better spot with a probability of 0." in run.reason
    assert run.result is not None
    assert run.result["p_better"] == hotspot.p_better
    assert np.isfinite(run.decisions["p_better"][-1])
    told = differences(run)
    assert (told.decisions, told.masks) == ([], [])


def test_a_run_without_a_rule_records_what_it_did_before(session: Session) -> None:
    uid, _ = session.run(session.find_hotspot(budget=3, target="total"))
    run = open_run(session.store, uid)
    assert not set(OF_STOP) & (set(run.decisions) | set(run.result or {}))


def test_a_run_that_was_broken_off_is_carried_on_by_its_rule(session: Session) -> None:
    target = "ref:x=0.45,R=0.9,tilt=0"
    broken, early = session.run(session.find_hotspot(stop=STOP, target=target, budget=12))
    assert early.stop_reason == "budget"
    uid, hotspot = session.run(session.find_hotspot(resumes=broken, budget=200))
    assert hotspot.stop_reason == "stop"
    assert open_run(session.store, uid).steering["stop"] == STOP
