"""The search, on the simulated beamline: what it finds, what it records, what it refuses."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.agents import Space
from bl_steer.features import DEFAULT_TARGET
from bl_steer.steering import differing_decisions, score
from plans import find_hotspot
from simulators.film.beamline import SimulatedBeamline
from simulators.film.truth import true_map
from tests.plans.searching import ListedAgent, places_of, search

# What it finds


def test_search_finds_point_A_on_a_smooth_film(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    hotspot = RE(
        find_hotspot(beamline.det, beamline.stage, monitor=beamline.monitor, budget=14)
    ).plan_result
    truth = true_map(beamline.sample, DEFAULT_TARGET)
    points = np.stack(beamline.sample.grid, axis=1)
    run = documents.run
    found = score(
        np.stack([run.x, run.y], axis=1),
        np.array([hotspot.best_x, hotspot.best_y]),
        points,
        truth,
        reach=5.0,
    )
    assert found.found
    assert found.n_distinct == 14
    assert hotspot.stop_reason == "budget"
    assert differing_decisions(run) == []


def test_stage_is_left_at_the_reported_spot_only_if_asked(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    stage = beamline.stage
    hotspot = RE(search(beamline)).plan_result
    last = documents.column("primary", "stage_x")[-1], documents.column("primary", "stage_y")[-1]
    best = (hotspot.best_x, hotspot.best_y)
    assert (stage.x.position, stage.y.position) == last != best
    assert RE(search(beamline, move_to_best=True)).plan_result.best_x == best[0]
    assert (stage.x.position, stage.y.position) == best


def test_stage_stays_where_no_point_was_valid(RE: RunEngine, mortal: SimulatedBeamline) -> None:
    mortal.sample.dead = range(10**6)
    hotspot = RE(search(mortal, budget=2, move_to_best=True)).plan_result
    assert (hotspot.n_measured, hotspot.n_invalid) == (2, 2)
    assert np.isnan(hotspot.best_x)
    assert np.isfinite(mortal.stage.x.position)


def test_exposure_of_the_call_is_used_and_recorded(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline, exposure_s=1.5))
    run = documents.run
    assert run.exposure_s == 1.5
    assert run.steering["nominal_counts"] == 1.5e6
    assert run.result["expose_s"] == pytest.approx(1.7)


def test_search_without_a_monitor_takes_the_frames_as_they_are(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    hotspot = RE(search(beamline, monitor=None)).plan_result
    assert documents.run.steering["monitor"] is None
    np.testing.assert_array_equal(hotspot.outcomes, documents.column("primary", "det_total"))


def test_other_devices_are_read_with_every_point_and_metadata_is_kept(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline, also_read=[beamline.diffractometer.mu], md={"operator": "me"}))
    assert documents.column("primary", "diffractometer_mu") == [0.0] * 6
    assert documents.named("start")[0]["operator"] == "me"


# What it records


def test_every_point_has_one_event_in_both_streams_and_the_result_has_one(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline, budget=7))
    for stream in ("decisions", "primary"):
        assert [e["seq_num"] for e in documents.events(stream)] == [1, 2, 3, 4, 5, 6, 7]
    assert len(documents.events("result")) == 1
    assert documents.stop["num_events"] == {"decisions": 7, "primary": 7, "result": 1}


def test_decision_n_names_the_place_that_event_n_measured(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline))
    assert documents.column("decisions", "point") == list(range(6))
    decided = places_of(documents, "decisions")
    assert decided == places_of(documents, "primary", "stage_x", "stage_y")
    assert len(set(decided)) == 6


def test_decision_is_recorded_before_the_stage_moves(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    seen: list[tuple[float, float]] = []
    decided: list[tuple[float, float]] = []

    def look(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "reason" in doc["data"]:
            seen.append((beamline.stage.x.position, beamline.stage.y.position))
            decided.append((doc["data"]["x"], doc["data"]["y"]))

    RE(search(beamline), look)
    assert seen == [(0.0, 0.0), *decided[:-1]]


def test_documents_of_a_point_come_in_order(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline, budget=3))
    streams = {doc["uid"]: doc["name"] for doc in documents.named("descriptor")}
    order = [streams[doc["descriptor"]] for name, doc in documents.all if name == "event"]
    assert order == ["decisions", "primary"] * 3 + ["result"]


def test_last_point_is_in_the_record_and_in_the_result(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    hotspot = RE(search(beamline, budget=4)).plan_result
    assert hotspot.n_measured == 4
    assert np.isfinite(hotspot.outcomes).all()
    result = documents.run.result
    assert result["n_measured"] == 4
    np.testing.assert_array_equal(
        json.loads(documents.column("result", "outcomes")[0]), hotspot.outcomes
    )
    normalised = documents.run.patterns().sum(axis=1)
    np.testing.assert_allclose(hotspot.outcomes, normalised, rtol=1e-12)
    assert result["best_value"] == hotspot.outcomes.max()


def test_search_stops_where_every_cell_is_measured(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    grid = Space.grid([0.0, 50.0], [0.0, 50.0])
    hotspot = RE(search(beamline, budget=9, grid=grid)).plan_result
    assert (hotspot.stop_reason, hotspot.n_measured) == ("exhausted", 4)
    assert np.isfinite(hotspot.outcomes).sum() == 4
    assert len(documents.events("decisions")) == len(documents.events("primary")) == 4


def test_search_leaves_no_line_in_the_log_of_asyncio(
    RE: RunEngine, beamline: SimulatedBeamline, caplog: pytest.LogCaptureFixture
) -> None:
    import gc

    grid = Space.grid([0.0, 50.0], [0.0, 50.0])
    with caplog.at_level(logging.ERROR):
        RE(search(beamline, budget=9, grid=grid))
        gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


# What cannot work


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget must be a whole number of measurements in 1 … 10000, got 0; try"),
        ({"budget": 10**9}, "in 1 … 10000, got 1000000000; try budget=48, or plans.map_sample"),
        ({"budget": "6"}, "budget must be a whole number .*, got '6'; try budget=48"),
        ({"budget": 1.5}, "budget must be a whole number .*, got 1.5; try"),
        ({"budget": True}, "budget must be a whole number .*, got True; try"),
        ({"seed": "1"}, "seed must be a whole number in .*, got '1'; try seed=0"),
        ({"seed": False}, "seed must be a whole number in .*, got False; try"),
        (
            {"grid": Space.grid([0.0, 200.0], [0.0])},
            "stage_x must stay within its limits -10 … 160, got 0 … 200; choose a smaller grid",
        ),
        (
            {"grid": Space.grid([-50.0, 0.0], [0.0, 999.0])},
            "stage_x must stay within .*; stage_y must stay within .*; choose",
        ),
        ({"agent": "guess"}, "agent must be one of bayesian, .*, got 'guess'; choose"),
        (
            {"agent": "bayesian", "agent_options": {"start": "here"}},
            "start must be one of .*, got 'here'; choose",
        ),
        ({"target": "brightest"}, "target must be .*, got 'brightest'"),
        ({"target": "roi:9,10,9,10"}, "box 9,10,9,10 must hold a pixel .*; move or widen it"),
        ({"exposure_s": 0.0}, "exposure_s must be positive and finite, got 0 s; try"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_moves(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, options: Any, message: str
) -> None:
    messages: list[Any] = []
    RE.msg_hook = messages.append
    with pytest.raises(ValueError, match=message):
        RE(search(beamline, **options))
    assert {message.command for message in messages} <= {"wait_for"}  # an agent is being made
    assert documents.all == []
    assert beamline.clock.elapsed_s == 0.0


def test_a_motor_is_no_monitor(RE: RunEngine, beamline: SimulatedBeamline, documents: Any) -> None:
    with pytest.raises(ValueError, match=r"the monitor must count the beam, got the motor stage_x"):
        RE(search(beamline, monitor=beamline.stage.x))
    assert documents.all == []


def test_agent_that_is_none_is_refused_before_the_first_message(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    with pytest.raises(TypeError, match=r"agent must be a name or an object .*, got 42; try"):
        RE(search(beamline, agent=42))
    with pytest.raises(TypeError, match=r"an object, got the class ListedAgent; try .*Agent\(\)"):
        RE(search(beamline, agent=ListedAgent))
    assert documents.all == []


def test_budget_and_seed_may_be_whole_numbers_of_numpy(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(search(beamline, budget=np.int64(3), seed=np.int64(2)))
    assert documents.run.n_points == 3
    assert documents.run.steering["seed"] == 2
