"""The user's hand on plans that predict a map or an outline: as on a search for the brightest."""

from __future__ import annotations

from typing import Any

import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis

from bl_steer.steering import Requests, differing_decisions
from plans import find_level_set, map_adaptively
from tests.plans.test_requests import GRID, Prompt, places

PLANS = [map_adaptively, find_level_set]


@pytest.mark.parametrize("plan", PLANS)
def test_points_are_added_zones_left_and_a_point_vetoed_while_a_map_is_measured(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any, plan: Any
) -> None:
    search = Requests()
    prompt = Prompt(RE, plan(counter, axes, grid=GRID, budget=18, requests=search), point=11)
    vetoed = search._point
    assert vetoed is not None
    search.veto()
    search.add(x=33.0, y=71.0).add(x=90, y=15).forbid(box=[[80, 0], [100, 20]])
    result = prompt.resume()
    run = documents.run
    assert result.n_measured == 18
    assert (vetoed["x"], vetoed["y"]) not in places(run)
    assert places(run)[11] == (33.0, 71.0)
    assert run.decisions["reason"][11] == "user"
    assert all(x < 80 or y > 20 for x, y in places(run)[11:])
    assert set(run.decisions["reason"][12:]) == {"map" if plan is map_adaptively else "level"}
    # What is predicted is predicted outside the zone that was forbidden meanwhile, too.
    assert result.predicted is not None
    assert differing_decisions(run) == []


@pytest.mark.parametrize("plan", PLANS)
def test_a_map_is_ended_by_hand_and_predicted_from_what_there_is(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any, plan: Any
) -> None:
    search = Requests()
    prompt = Prompt(RE, plan(counter, axes, grid=GRID, budget=40, requests=search), point=13)
    search.end()
    result = prompt.resume()
    run = documents.run
    assert run.result is not None
    assert (run.n_points, run.result["stop_reason"]) == (14, "user")
    assert result.n_measured == 14
    assert result.predicted is not None
    assert differing_decisions(run) == []
