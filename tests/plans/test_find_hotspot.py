"""The search, on the simulated beamline: what it finds, what it records, how it stops."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from bl_steer.agents import Space
from bl_steer.features import DEFAULT_TARGET
from bl_steer.steering import DetectorDeadError, SuggestionError, differing_decisions, score
from devices import DetectorError
from plans import find_hotspot
from plans.stubs.axes import StageError
from simulators.film.beamline import SimulatedBeamline
from simulators.film.truth import true_map


def search(beamline: SimulatedBeamline, **options: Any) -> Any:
    """Return a search that thinks fast, unless told otherwise."""
    quick = {"monitor": beamline.monitor, "target": "total", "agent": "sobol", "budget": 6}
    return find_hotspot(beamline.det, beamline.stage, **(quick | options))


class ListedAgent:
    """An agent of a user's own: visits the places of a list, and keeps what it is told."""

    def __init__(self, places: Sequence[tuple[float, float]], *, holds: int | None = None) -> None:
        self.places = list(places)
        self.holds = holds
        """Number of the thought that lasts until `go_on` is set."""
        self.holding = threading.Event()
        self.go_on = threading.Event()
        self.threads: list[str] = []
        self.told: list[Mapping[str, Any]] = []

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        assert num_points in (None, 1)
        self.threads.append(threading.current_thread().name)
        n = len(self.threads) - 1
        if n == self.holds:
            self.holding.set()
            self.go_on.wait(30.0)
            self.holding.clear()
        x, y = self.places[n]
        return [{"_id": n, "x": x, "y": y}]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        self.told.extend(points)


DIAGONAL = [(15.0 * n, 15.0 * n) for n in range(10)]


def places_of(documents: Any, stream: str, x: str = "x", y: str = "y") -> list[tuple[float, float]]:
    columns = (documents.column(stream, key) for key in (x, y))
    return list(zip(*columns, strict=True))


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


# Agents of a user's own


def test_agent_of_a_users_own_is_asked_and_told_by_the_same_ids(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL)
    hotspot = RE(search(beamline, agent=agent)).plan_result
    assert places_of(documents, "primary", "stage_x", "stage_y") == DIAGONAL[:6]
    assert [point["_id"] for point in agent.told] == list(range(6))
    np.testing.assert_array_equal([p["objective"] for p in agent.told], hotspot.outcomes)
    assert documents.run.steering["agent"] == "ListedAgent"
    assert documents.column("decisions", "reason") == ["agent"] * 6
    assert hotspot.best_value == max(hotspot.outcomes)


def test_agent_thinks_off_the_loop_of_the_run_engine(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    agent = ListedAgent(DIAGONAL)
    RE(search(beamline, agent=agent))
    assert len(set(agent.threads)) == 1
    assert agent.threads[0].startswith("think")


def test_agent_that_fails_stops_the_run_with_its_own_error(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL[:3])
    with pytest.raises(IndexError, match="list index out of range"):
        RE(search(beamline, agent=agent))
    assert documents.stop["exit_status"] == "fail"
    assert documents.run.n_points == 3
    assert documents.run.result["n_measured"] == 3


class FixedAgent:
    """An agent of a user's own with a slip: suggests the same whatever it is told."""

    def __init__(self, suggestions: Any) -> None:
        self.suggestions = suggestions

    def suggest(self, num_points: int | None = None) -> Any:
        return self.suggestions

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        pass


CENTRE = {"_id": 0, "x": 75.0, "y": 75.0}


@pytest.mark.parametrize(
    ("suggestions", "message", "n_points"),
    [
        (None, r"suggest\(1\) of the agent FixedAgent must return a list .*, got None; return", 0),
        ([], r"must return a list of one point, got \[\]; return", 0),
        ((75.0, 75.0), r"must return a list of one point, got \(75.0, 75.0\); return", 0),
        ([(75.0, 75.0)], r"must return a list of one point, got \[\(75.0, 75.0\)\]; return", 0),
        ([CENTRE, CENTRE | {"_id": 1}], "must return a list of one point, got .*; return", 0),
        ([{"_id": 0, "x": 75.0}], "FixedAgent must have _id, x, y, got .*; add y", 0),
        ([{"x": 75.0, "y": 75.0}], "must have _id, x, y, got .*; add _id", 0),
        ([CENTRE | {"x": "75"}], "x of .* FixedAgent must be a finite number, got '75'; sugg", 0),
        ([CENTRE | {"y": np.nan}], "y of .* must be a finite number, got nan; suggest", 0),
        ([CENTRE | {"y": 151.0}], "y of .* must lie in the grid, 0 … 150, got 151; clip", 0),
        ([CENTRE | {"_id": []}], r"_id of .* must be a number or text, got \[\]; count", 0),
        ([CENTRE], "_id of .* FixedAgent must be new, got 0 again, .*; count the points", 1),
    ],
)
def test_agent_that_suggests_what_cannot_be_measured_ends_the_run_with_the_reason(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    documents: Any,
    suggestions: Any,
    message: str,
    n_points: int,
) -> None:
    with pytest.raises(SuggestionError, match=message):
        RE(search(beamline, agent=FixedAgent(suggestions)))
    assert documents.stop["exit_status"] == "fail"
    assert re.search(message, documents.stop["reason"])
    assert documents.run.result["n_measured"] == n_points


# Pause, stop, abort, halt


def interrupt_during_thought(RE: RunEngine, plan: Any, agent: ListedAgent) -> None:
    """Ask for a pause in the thought that the agent holds; the run is paused before it ends."""

    def ask() -> None:
        agent.holding.wait(30.0)
        time.sleep(0.05)  # the RunEngine goes on to wait for the thought
        RE.request_pause()

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(RunEngineInterrupted):
        RE(plan)
    asking.join()
    assert RE.state == "paused"
    assert agent.holding.is_set(), "the pause waited for the thought"


def go_on_soon(agent: ListedAgent) -> None:
    """End the thought that the agent holds, but not before the caller's next step."""
    threading.Timer(0.1, agent.go_on.set).start()


def test_pause_takes_effect_while_a_thought_is_under_way(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=2), agent)
    go_on_soon(agent)
    RE.resume()
    assert len(agent.threads) == 2, "the interrupted point was thought about again"
    assert places_of(documents, "primary", "stage_x", "stage_y") == DIAGONAL[:2]
    assert [e["seq_num"] for e in documents.events("decisions")] == [1, 2]


def test_stop_after_a_pause_keeps_the_points_and_reports_the_best_of_them(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=4)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=9), agent)
    go_on_soon(agent)
    RE.stop()
    run = documents.run
    assert run.status == "success"
    assert run.n_points == 4
    assert run.result["stop_reason"] == "interrupted"
    assert run.result["n_measured"] == 4
    assert run.result["best_value"] == np.nanmax(
        json.loads(documents.column("result", "outcomes")[0].replace("null", "NaN"))
    )
    assert beamline.det.file_path is None


def test_abort_during_a_thought_closes_run_and_file(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=2)
    interrupt_during_thought(RE, search(beamline, agent=agent, budget=9), agent)
    go_on_soon(agent)
    RE.abort()
    assert documents.stop["exit_status"] == "abort"
    assert documents.run.result["stop_reason"] == "interrupted"
    assert beamline.det.file_path is None


def test_stop_before_the_first_point_has_a_result_without_a_spot(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent), agent)
    go_on_soon(agent)
    RE.stop()
    result = documents.run.result
    assert result["n_measured"] == 0
    assert np.isnan(result["best_x"])


def test_halt_does_not_wait_for_a_thought(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    agent = ListedAgent(DIAGONAL, holds=0)
    interrupt_during_thought(RE, search(beamline, agent=agent), agent)
    RE.halt()
    assert agent.holding.is_set()
    agent.go_on.set()
    assert documents.stop["exit_status"] == "abort"
    assert beamline.det.file_path is None


@pytest.mark.parametrize("stream", ["decisions", "primary"])
def test_stop_in_the_middle_of_an_event_still_records_the_result(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, stream: str
) -> None:
    read = []

    def hook(message: Any) -> None:
        if message.command == "create" and message.kwargs["name"] == stream:
            read.append(message)
            if len(read) == 3:
                RE.loop.call_soon(lambda: RE.loop.create_task(RE._request_pause_coro()))

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(search(beamline))
    RE.stop()
    RE.msg_hook = None
    assert documents.run.n_points == 2
    assert documents.run.result["n_measured"] == 2
    assert RE.rewindable


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


# Dead frames and failing devices


def test_dead_frame_is_measured_again_and_both_are_counted(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = {1, 4, 5}
    agent = ListedAgent(DIAGONAL)
    hotspot = RE(search(mortal, agent=agent, budget=8)).plan_result
    measured = places_of(documents, "primary", "stage_x", "stage_y")
    d = DIAGONAL
    assert measured == [d[0], d[1], d[1], d[2], d[3], d[3], d[3], d[4]]
    assert documents.column("primary", "det_valid") == [1, 0, 1, 1, 0, 0, 1, 1]
    reasons = documents.column("decisions", "reason")
    assert [n for n, reason in enumerate(reasons) if reason == "retake"] == [2, 5, 6]
    assert (hotspot.n_measured, hotspot.n_invalid) == (8, 3)
    assert np.flatnonzero(np.isnan(hotspot.outcomes)).tolist() == [1, 4, 5]
    assert len(agent.threads) == 5
    assert min(point["objective"] for point in agent.told) > 0


def test_dead_last_point_is_no_zero(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = {3}
    hotspot = RE(search(mortal, budget=4)).plan_result
    assert hotspot.stop_reason == "budget"
    assert np.isnan(hotspot.outcomes).tolist() == [False, False, False, True]
    assert hotspot.n_invalid == 1


def test_point_without_beam_is_measured_again(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    acquire = beamline.det.acquire._put_func
    taken = 0

    def put(value: int, **kwargs: Any) -> None:
        nonlocal taken
        acquire(value, **kwargs)
        taken += 1
        if taken == 2:
            beamline.monitor.counts.sim_put(0.0)

    beamline.det.acquire.sim_set_putter(put)
    hotspot = RE(search(beamline, budget=4)).plan_result
    assert (hotspot.n_measured, hotspot.n_invalid) == (4, 1)
    assert documents.column("decisions", "reason")[2] == "retake"


@pytest.mark.parametrize(("dead_from", "budget"), [(2, 20), (0, 4)])
def test_detector_that_is_dead_for_good_stops_the_run(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any, dead_from: int, budget: int
) -> None:
    mortal.sample.dead = range(dead_from, 10**6)
    with pytest.raises(
        DetectorDeadError, match=r"valid frame or number, got 4 dead ones in a row at x = "
    ):
        RE(search(mortal, budget=budget))
    run = documents.run
    assert run.status == "fail"
    assert "dead ones in a row" in run.stop["reason"]
    assert run.valid.tolist() == [True] * dead_from + [False] * 4
    assert np.isfinite(run.patterns()[:dead_from]).all()
    assert run.result["n_measured"] == dead_from + 4
    assert run.result["n_invalid"] == 4


def test_limit_switch_stops_the_run_and_keeps_the_points_before(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    stage = beamline.stage
    stage.x.user_setpoint.subscribe(
        lambda value, **_: stage.x.high_limit_switch.sim_put(int(value >= 60.0)), run=False
    )
    with pytest.raises(StageError, match=r"at stage_x = 60, stage_y = 60, got .*stage_x"):
        RE(search(beamline, agent=ListedAgent(DIAGONAL)))
    run = documents.run
    assert run.status == "fail"
    assert run.n_points == 4
    assert np.isfinite(run.patterns()).all()
    assert run.result["n_measured"] == 4
    assert len(documents.events("decisions")) == 5


def test_failing_detector_stops_the_run_with_its_own_error(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    acquire = beamline.det.acquire._put_func

    def put(value: int, **kwargs: Any) -> None:
        if beamline.det.n_points == 3:
            beamline.det.state.sim_put(6)
        acquire(value, **kwargs)

    beamline.det.acquire.sim_set_putter(put)
    with pytest.raises(DetectorError, match="got the error state 6"):
        RE(search(beamline))
    run = documents.run
    assert run.status == "fail"
    assert run.n_points == 3
    assert np.isfinite(run.patterns()).all()
    assert run.result["n_measured"] == 3


class BrokenSensor:
    """A device whose third reading fails."""

    name = "sensor"
    parent = None
    n_readings = 0

    def read(self) -> Any:
        self.n_readings += 1
        if self.n_readings == 3:
            raise ConnectionError("the sensor does not answer")
        return {"sensor": {"value": 1.0, "timestamp": 0.0}}

    def describe(self) -> Any:
        return {"sensor": {"source": "test", "dtype": "number", "shape": []}}

    def read_configuration(self) -> Any:
        return {}

    describe_configuration = read_configuration


def test_device_that_cannot_be_read_stops_the_run_with_its_own_error(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    with pytest.raises(ConnectionError, match="sensor does not answer"):
        RE(search(beamline, also_read=[BrokenSensor()]))
    assert documents.stop["exit_status"] == "fail"
    assert documents.run.n_points == 2
    assert documents.run.result["n_measured"] == 2
    assert RE.rewindable
