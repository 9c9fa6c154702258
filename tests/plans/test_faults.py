"""The matrix of faults, in this process: each ends as docs/how-to/faults.md says."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import Msg, RunEngineInterrupted
from ophyd.sim import SynAxis, SynSignal
from ophyd.status import DeviceStatus

from bl_steer.agents import Space
from bl_steer.runs import Run, open_run
from bl_steer.steering import DetectorDeadError, differing_decisions
from bl_steer.store import Store
from devices import DetectorError
from plans import find_hotspot, map_sample
from plans.stubs.axes import StageError
from simulators.film.beamline import SimulatedBeamline
from simulators.film.faults import KINDS
from simulators.film.sige_film import SigeFilm
from tests.plans.fault_matrix import AT, BUDGET, GIVES_UP_S, LONGEST_S, MATRIX

GRID = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))


@pytest.fixture
def shaky(film: SigeFilm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedBeamline:
    """A beamline without faults of its own, whose devices give up soon."""
    for name in ("DRIFT", "TOP_UP_LOSS", "DEAD_PROBABILITY", "ZINGER_PROBABILITY"):
        monkeypatch.setattr(f"simulators.film.sige_film.{name}", 0.0)
    monkeypatch.setattr("devices.motor.ARRIVAL_MARGIN_S", GIVES_UP_S)
    monkeypatch.setattr("devices.detector.READOUT_MARGIN_S", GIVES_UP_S)
    return SimulatedBeamline(film, frames_dir=tmp_path / "frames", exposure_s=1.0)


@pytest.fixture
def store(RE: RunEngine, tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as store:
        store.subscribe_to(RE)
        yield store


def search(beamline: SimulatedBeamline, **options: Any) -> Any:
    chosen: dict[str, Any] = {"agent": "random", "target": "total", "budget": BUDGET, "seed": 5}
    chosen |= {"monitor": beamline.monitor, "grid": GRID, **options}
    return find_hotspot(beamline.det, beamline.stage, **chosen)


def check_left_safe(beamline: SimulatedBeamline) -> None:
    """The stage rests within its limits, and no process is left."""
    for axis in (beamline.stage.x, beamline.stage.y):
        low, high = axis.limits
        assert axis.motor_done_move.get() == 1
        assert low <= axis.position <= high
    assert multiprocessing.active_children() == []


def check_nobody_thinks() -> None:
    """The threads of the run have ended, or do so within a moment."""
    for thread in threading.enumerate():
        if thread.name.startswith(("think", "read")):
            thread.join(timeout=60.0)
            assert not thread.is_alive(), thread.name


def check_readable(store: Store, n_points: int) -> Run:
    """The points before the fault are there, with their frames."""
    run = open_run(store, store.catalog[-1].metadata["start"]["uid"])
    assert run.n_points >= n_points
    assert np.isfinite(run.patterns()[run.valid]).all()
    return run


@pytest.mark.parametrize("name", MATRIX)
def test_a_fault_ends_as_the_matrix_says(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, name: str
) -> None:
    row = MATRIX[name]
    shaky.det.n_frames.sim_put(row.n_frames)
    shaky.misbehave(*row.faults)
    budget = 20 if row.error is DetectorDeadError else BUDGET
    begun = time.monotonic()
    if row.error is None:
        RE(search(shaky))
    else:
        with pytest.raises(row.error, match=row.message):
            RE(search(shaky, budget=budget))
    assert time.monotonic() - begun < LONGEST_S
    check_left_safe(shaky)
    check_nobody_thinks()
    run = check_readable(store, AT)
    assert run.result is not None
    if row.error is None:
        assert run.status == "success"
        assert np.flatnonzero(~run.valid).tolist() == list(row.repeated)
        for point in row.repeated:
            assert (run.x[point + 1], run.y[point + 1]) == (run.x[point], run.y[point])
        assert (run.decisions["previous_alarm"][AT + 1] > 0) == row.alarm
        assert differing_decisions(run) == []
    else:
        assert run.status == "fail"
        assert re.search(row.message, run.stop["reason"])
        assert run.result["stop_reason"] == "interrupted"
    shaky.misbehave()


def test_pixels_that_die_raise_the_alarm_and_are_told_once(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    shaky.misbehave("dead-pixels@5-99")
    (uid,) = RE(search(shaky, budget=20)).run_start_uids
    run = open_run(store, uid)
    alarms = run.decisions["previous_alarm"]
    assert not alarms[:6].any()
    assert alarms[-1]
    assert "must count with all its pixels" in caplog.text
    assert differing_decisions(run) == []


def test_a_beam_that_was_never_seen_is_unverified(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    counts = SynSignal(name="chamber", func=shaky.monitor.counts.get)  # without a nominal rate
    for faults, is_dark in ((("dark@0-99",), True), ((), False)):
        caplog.clear()
        shaky.misbehave(*faults)
        (uid,) = RE(search(shaky, monitor=counts, budget=12)).run_start_uids
        run = open_run(store, uid)
        assert run.decisions["previous_alarm"].any() == is_dark
        assert ("the beam is unverified" in caplog.text) == is_dark
        assert differing_decisions(run) == []


class DoomedAxis(SynAxis):
    """A motor whose moves fail, a moment after each has begun, once its time has come."""

    moves = 0

    def __init__(self, name: str, fails_after_s: float) -> None:
        super().__init__(name=name)
        self.fails_after_s = fails_after_s

    def set(self, value: float) -> Any:
        self.moves += 1
        if self.moves <= AT:
            return super().set(value)
        status = DeviceStatus(self)
        error = ConnectionError(f"{self.name} is lost")
        threading.Timer(self.fails_after_s, status.set_exception, [error]).start()
        return status


def test_where_both_motors_are_lost_the_first_is_the_cause_and_the_result_is_recorded(
    RE: RunEngine, store: Store
) -> None:
    x, y = DoomedAxis("x", 0.01), DoomedAxis("y", 0.05)
    with pytest.raises(StageError, match="got x is lost"):
        RE(find_hotspot(SynSignal(name="det", func=lambda: 1.0), [x, y], grid=GRID, agent="random"))
    run = check_readable(store, AT)
    assert run.stop["reason"].endswith("x is lost; check limit switches and alarms")
    assert run.result is not None
    assert run.result["n_measured"] == AT


def test_a_map_ends_likewise(RE: RunEngine, shaky: SimulatedBeamline, store: Store) -> None:
    shaky.misbehave(f"repeat@{AT}", f"dark@{AT + 2}")
    grid = Space.grid([0.0, 50.0], [9.0, 30.0, 60.0])
    RE(map_sample(shaky.det, shaky.stage, monitor=shaky.monitor, grid=grid))
    run = check_readable(store, 4)
    assert np.flatnonzero(~run.valid).tolist() == [AT, AT + 2]


def test_a_point_measured_again_counts_once_whatever_is_asked_of_the_run_first(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, tmp_path: Path
) -> None:
    shaky.misbehave(f"tear@{AT}", f"dump@{AT + 2}")
    grid = Space.grid([0.0, 50.0], [9.0, 30.0, 60.0])
    (uid,) = RE(map_sample(shaky.det, shaky.stage, monitor=shaky.monitor, grid=grid)).run_start_uids
    run = open_run(store, uid)
    assert np.flatnonzero(~run.valid).tolist() == [AT, AT + 2]
    places = run.positions[run.valid].tolist()
    assert sorted(places) == sorted(grid.points.tolist())
    shutil.rmtree(tmp_path / "frames")  # the sums alone tell of the beam, and of no torn frame
    assert np.flatnonzero(~open_run(store, uid).valid).tolist() == [AT + 2]


def test_a_full_disk_stops_the_run_and_keeps_the_points_before(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "det_total" in doc["data"] and doc["seq_num"] == AT:
            monkeypatch.setattr("devices.frames_file.SPARE_BYTES", 2**62)

    RE.subscribe(fill)
    with pytest.raises(DetectorError, match=f"frames of point {AT} must be written .*free space"):
        RE(search(shaky))
    check_left_safe(shaky)
    assert check_readable(store, AT).status == "fail"


def test_an_unreachable_store_stops_nothing_and_is_made_up_for(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, tmp_path: Path
) -> None:
    def lose(name: str, doc: dict[str, Any]) -> None:
        if name == "event" and "det_total" in doc["data"] and doc["seq_num"] == AT:
            (tmp_path / "tables.db").rename(tmp_path / "away")
            (tmp_path / "tables.db").mkdir()

    RE.subscribe(lose)
    (uid,) = RE(search(shaky)).run_start_uids
    assert open_run(store, uid).n_points == BUDGET
    (tmp_path / "tables.db").rmdir()
    (tmp_path / "away").rename(tmp_path / "tables.db")
    assert store.sync() == [uid]
    assert open_run(store, uid).status == "success"


def interrupted(RE: RunEngine, plan: Any, *, times: int) -> None:
    """Run a plan, and type Ctrl-C in the exposure of measurement `AT`, once or more often."""
    n_triggers = 0

    def type_ctrl_c() -> None:
        for _ in range(times):
            # To the thread that heeds it: Bluesky's waits without end, and another may be given it.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.3)

    def hook(message: Msg) -> None:
        nonlocal n_triggers
        if message.command == "trigger" and message.obj.name == "det":
            n_triggers += 1
            if n_triggers == AT + 1:
                threading.Thread(target=type_ctrl_c).start()
                time.sleep(0.1)

    RE.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        RE(plan)
    RE.msg_hook = None


def test_ctrl_c_once_pauses_at_the_next_point_and_the_run_goes_on(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store
) -> None:
    interrupted(RE, search(shaky), times=1)
    assert RE.state == "paused"
    check_left_safe(shaky)
    RE.resume()
    run = check_readable(store, BUDGET)
    assert run.status == "success"
    assert run.valid.all()


def test_ctrl_c_twice_pauses_at_once_while_the_detector_hangs(
    RE: RunEngine, shaky: SimulatedBeamline, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.detector.READOUT_MARGIN_S", 600.0)
    shaky.misbehave(f"hang@{AT}")
    begun = time.monotonic()
    interrupted(RE, search(shaky), times=2)
    assert time.monotonic() - begun < LONGEST_S
    RE.abort()
    check_left_safe(shaky)
    run = check_readable(store, AT)
    assert run.status == "abort"
    assert run.result is not None
    assert run.result["n_measured"] == AT


def test_every_kind_of_fault_is_in_the_matrix() -> None:
    written = {fault.partition("@")[0] for row in MATRIX.values() for fault in row.faults}
    assert written == set(KINDS)
