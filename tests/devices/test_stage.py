"""The sample stage: its limits, its settle time, and a limit switch on the way."""

from __future__ import annotations

import threading
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError
from ophyd.utils.epics_pvs import AlarmSeverity, AlarmStatus

from bl_steer.agents import Space
from devices.motor import MotorError
from plans import map_sample
from plans.stubs.axes import StageError
from simulators.epics.fake_motor import disconnect
from simulators.film.beamline import SETTLE_S, SPEED, SimulatedBeamline


def test_move_beyond_a_soft_limit_is_refused_and_nothing_moves(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    RE(bps.mv(beamline.stage.x, 20.0))
    with pytest.raises(LimitError, match=r"160\.1"):
        RE(bps.mv(beamline.stage.x, 160.1))
    assert beamline.stage.x.position == 20.0


def test_events_carry_both_positions_and_their_configuration(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    stage = beamline.stage
    RE(bp.grid_scan([beamline.det], stage.x, 0.0, 10.0, 3, stage.y, 5.0, 10.0, 2))
    RE(bp.list_scan([beamline.det, stage], stage.x, [1.0, 2.0]))
    assert documents.column("primary", "stage_x") == [1.0, 2.0]
    assert documents.column("primary", "stage_x_user_setpoint") == [1.0, 2.0]
    assert documents.column("primary", "stage_y") == [10.0, 10.0]
    configuration = documents.descriptor("primary")["configuration"]["stage"]["data"]
    assert configuration["stage_settle_time"] == SETTLE_S
    assert configuration["stage_x_velocity"] == SPEED
    assert configuration["stage_x_motor_egu"] == "um"


def test_a_subscription_ends_while_others_are_removed(beamline: SimulatedBeamline) -> None:
    x = beamline.stage.x

    class Watch:
        """While it is looked for, the thread that tells of the move's end removes others."""

        def __call__(self, **_: object) -> None:
            pass

        def __eq__(self, other: object) -> bool:
            x._reset_sub(x._SUB_REQ_DONE)
            return other is self

        __hash__ = None  # type: ignore[assignment]

    watch = Watch()
    x.subscribe(watch, event_type=x.SUB_READBACK, run=False)
    for _ in range(2):
        x.subscribe(lambda **_: None, event_type=x._SUB_REQ_DONE, run=False)
    x.clear_sub(watch)
    assert not any(f is watch for f in x._unwrapped_callbacks[x.SUB_READBACK].values())


def test_limit_switch_stops_the_run_and_names_the_axis(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    stage = beamline.stage

    def press(value: float, **_: object) -> None:
        stage.y.high_limit_switch.sim_put(int(value >= 60.0))

    stage.y.user_setpoint.subscribe(press, run=False)
    grid = Space.grid([0.0, 30.0], [0.0, 30.0, 60.0])
    with pytest.raises(
        StageError,
        match=r"at stage_x = 0, stage_y = 60, got .*stage_y.*; check its limit switches",
    ):
        RE(map_sample(beamline.det, stage, monitor=beamline.monitor, grid=grid))
    assert documents.stop["exit_status"] == "fail"
    assert documents.stop["reason"].startswith("the axes must arrive")
    run = documents.run
    assert run.n_points == 4
    assert np.isfinite(run.patterns()).all()


def test_alarm_of_a_motor_record_stops_the_run(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    beamline.stage.x.user_readback.alarm_severity = AlarmSeverity.MAJOR
    beamline.stage.x.user_readback.alarm_status = AlarmStatus.COMM
    grid = Space.grid([0.0, 30.0], [0.0])
    with pytest.raises(StageError, match="stage_x"):
        RE(map_sample(beamline.det, beamline.stage, grid=grid))
    assert documents.stop["exit_status"] == "fail"


def test_a_move_whose_end_was_not_told_ends_where_the_motor_is(
    beamline: SimulatedBeamline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = beamline.stage.x

    def silent(**_: object) -> int:
        raise TimeoutError("no answer in 1 s")  # as of a control system under load

    with monkeypatch.context() as patched:
        patched.setattr(x.low_limit_switch, "get", silent)
        patched.setattr(x.high_limit_switch, "get", silent)
        x.set(12.0, timeout=0.3).wait(60.0)
    assert "stage_x is at 12, but its end was not told" in caplog.text
    x.set(20.0).wait(60.0)
    assert x.position == 20.0


def test_a_move_that_lost_its_record_does_not_stop_the_next_one(
    beamline: SimulatedBeamline, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = beamline.stage.x
    stopped: list[int] = []

    def silent(**_: object) -> int:
        raise TimeoutError("no answer in 1 s")

    with monkeypatch.context() as patched:  # nobody tells of the end of the move
        patched.setattr(x.low_limit_switch, "get", silent)
        patched.setattr(x.high_limit_switch, "get", silent)
        lost = x.set(12.0, timeout=60.0)
        disconnect(x, 0.2)
        with pytest.raises(MotorError, match="got no connection to SIM:STG:X"):
            lost.wait(60.0)
    x.wait_for_connection(timeout=60.0)
    before = set(threading.enumerate())
    x.motor_stop.sim_set_putter(lambda value, **_: stopped.append(value))
    x.set(20.0).wait(60.0)
    for thread in set(threading.enumerate()) - before:
        thread.join(0.3)
    assert stopped == []
    assert x.position == 20.0


def test_a_readback_that_is_not_told_is_asked_for(beamline: SimulatedBeamline) -> None:
    x = beamline.stage.x
    x.user_readback.unsubscribe_all()
    x.set(15.0).wait(60.0)
    assert x.position == x.user_readback.get() == 15.0


def test_a_message_shows_by_how_much_a_place_is_missed(beamline: SimulatedBeamline) -> None:
    x = beamline.stage.x
    x.set(5.0).wait(60.0)
    x._position = 5.0000012
    for error in (x._missed(5.0), x._explain(RuntimeError(), 5.0, 12.0)):
        assert "got 5.000001" in str(error)
    assert "(neither)" in str(x._explain(RuntimeError(), 5.0, 12.0))
