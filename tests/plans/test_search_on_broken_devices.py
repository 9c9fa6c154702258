"""A search whose devices break: dead frames, no beam, a limit switch, a sensor that is mute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.steering import DetectorDeadError
from devices import DetectorError
from plans.stubs.axes import StageError
from simulators.film.beamline import SimulatedBeamline
from tests.plans.searching import DIAGONAL, ListedAgent, places_of, search


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
