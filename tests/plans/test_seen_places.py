"""What points of earlier runs mean for the places of a search: cells, rules and doses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis

from bl_steer.agents import Space, make_agent
from bl_steer.runs import PointResult, open_run
from bl_steer.session import open_session
from bl_steer.steering import Steering, StopRule, differing_decisions
from bl_steer.steering.building import build_steering
from plans import find_hotspot, map_adaptively, map_sample
from tests.bl_steer.steering.numbers import Number

FEW = {"x": [0, 10, 20], "y": [60, 70, 80]}
BESIDE = {"x": [4, 14, 24], "y": [64, 74, 84]}
FILM = Space.grid(np.linspace(0.0, 150.0, 11), np.linspace(0.0, 150.0, 11))


@pytest.mark.parametrize("plan", [find_hotspot, map_adaptively])
@pytest.mark.parametrize("agent", ["bayesian", "sobol"])
def test_points_beside_the_cells_leave_every_cell_to_be_measured(
    plan: Any,
    agent: str,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
) -> None:
    RE(map_sample(counter, axes, grid=BESIDE))
    before = documents.run
    found = RE(plan(counter, axes, grid=FEW, budget=9, seen=before, agent=agent)).plan_result
    run = documents.run
    assert found.n_measured == 9
    assert len({*zip(run.decisions["x"], run.decisions["y"], strict=True)}) == 9
    assert differing_decisions(run, seen=[before]) == []


def test_points_at_the_cells_are_their_measurement(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    RE(map_sample(counter, axes, grid={"x": [0, 10], "y": [60, 70, 80]}))
    before = documents.run
    RE(find_hotspot(counter, axes, grid=FEW, budget=9, seen=before))
    run = documents.run
    assert (run.n_points, run.result["stop_reason"]) == (3, "exhausted")
    assert set(run.decisions["x"]) == {20.0}


@pytest.mark.parametrize(("ratio", "n"), [(1.0, 0), (1.5, 0), (40.0, 5)])
def test_a_fast_map_is_no_measurement_of_its_cells(ratio: float, n: int) -> None:
    steering = Steering(make_agent("bayesian", FILM, seed=0), Number(), budget=5, space=FILM)
    truth = 100.0 * np.exp(-((FILM.points - [60.0, 75.0]) ** 2).sum(axis=1) / 800.0) + 5.0
    results = [PointResult(np.array([value]), noise_ratio=ratio) for value in truth]
    steering.see(FILM.points, results)
    places = []
    while steering.n_observed < n:
        decision = steering.decide()
        places.append((decision.x, decision.y))
        steering.observe(truth[[FILM.index_of(decision.x, decision.y)]])
    assert len({*places}) == n
    if n:
        assert np.hypot(*(np.array(places[0]) - [60.0, 75.0])) < 16.0
    else:
        assert make_exhausted(steering)


def make_exhausted(steering: Steering) -> bool:
    with pytest.raises(RuntimeError, match="must have a cell left"):
        steering.decide()
    return steering.stop_reason() == "exhausted"


def test_a_rule_is_not_met_by_points_beside_every_cell() -> None:
    agent = make_agent("bayesian", FILM, seed=0)
    rule = StopRule.parse("W=15,p=0.01")
    steering = Steering(agent, Number(), budget=9, space=FILM, stop=rule)
    beside = FILM.points[FILM.points[:, 0] < 150.0] + 6.0  # of steps of 15
    values = np.random.default_rng(0).normal(100.0, 10.0, len(beside))
    steering.see(beside, [PointResult(np.array([value])) for value in values])
    assert steering.outlook is not None
    assert steering.outlook.p_better > 0.0
    assert not steering.is_done


def test_a_run_of_an_earlier_version_takes_every_cell_within_half_a_step() -> None:
    settings = {
        "target": "total",
        "agent": "bayesian",
        "agent_options": {},
        "seed": 0,
        "budget": 4,
        "grid": FILM.to_dict(),
        "scales": True,
    }
    axes = np.zeros(0)
    earlier, today = (
        build_steering(settings | rules, lambda: axes)  # type: ignore[arg-type,return-value]
        for rules in ({}, {"exact": True})
    )
    for steering in (earlier, today):
        steering.agent.ingest([{"_id": "a", "x": 6.0, "y": 0.0, "objective": 1.0} | told(steering)])
    assert [s.agent._ledger.barred().sum() for s in (earlier, today)] == [1, 0]  # type: ignore[attr-defined]


def told(steering: Steering) -> dict[str, float]:
    return steering._learner.known._reach


@pytest.mark.parametrize("dose_s", [3.0, None])
def test_the_dose_of_earlier_runs_adds_up(dose_s: float | None, tmp_path: Path) -> None:
    grid = {"x": [0.0, 50.0, 100.0], "y": [0.0, 50.0, 100.0]}
    exposure = {"max_dose_s": dose_s} if dose_s else "adaptive"
    with open_session("noisy", seed=1, data_dir=tmp_path, progress=False) as session:
        before, _ = session.run(session.map_sample(grid=grid, exposure_s=2.0))
        uid, _ = session.run(
            session.find_hotspot(
                target="total",
                grid=grid,
                budget=12,
                exposure=exposure,
                exposure_s=4.0,
                seen=before,
            )
        )
        run = open_run(session.store, uid)
        doses: dict[tuple[float, float], float] = {}
        for x, y, exposed_s in zip(
            run.decisions["x"], run.decisions["y"], run.decisions["exposure_s"], strict=True
        ):
            doses[x, y] = doses.get((x, y), 2.0) + exposed_s
        assert doses
        assert (max(doses.values()) <= 3.0 + 1e-9) == (dose_s is not None)
        assert differing_decisions(run) == []
