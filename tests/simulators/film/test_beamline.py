"""The simulated beamline: the real names, simulated time, and what a real motor would refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from bl_steer.agents import Space
from bl_steer.diffraction import FrameAxes
from devices.beamline import PREFIX
from plans import map_sample
from simulators.clock import VirtualClock
from simulators.film.beamline import MARGIN, SimulatedBeamline
from simulators.film.recorded_map import RecordedMap
from simulators.film.sige_film import SigeFilm

REAL_SIGNALS = """
import json
import numpy as np
from bl_steer.diffraction import FrameAxes
from devices import beamline

axes = FrameAxes(np.arange(3.0), np.arange(2.0))
real = [beamline.sample_stage(), beamline.area_detector(axes), beamline.beam_monitor(),
        beamline.diffractometer()]
print(json.dumps({
    device.name: {
        "signals": {s.item.name: [s.item.kind.value, getattr(s.item, "pvname", "")]
                    for s in device.walk_signals(include_lazy=True)},
        "hints": device.hints,
    }
    for device in real
}))
"""


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    """Signals and hints of the real devices, built without a control system, by device."""
    done = subprocess.run(
        [sys.executable, "-c", REAL_SIGNALS],
        env={**os.environ, "EPICS_CA_AUTO_ADDR_LIST": "NO", "EPICS_CA_ADDR_LIST": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_devices_have_the_names_signals_and_kinds_of_the_real_ones(
    beamline: SimulatedBeamline, real: dict[str, Any]
) -> None:
    assert beamline.devices.keys() == real.keys()
    for name, device in beamline.devices.items():
        signals = {
            signal.item.name: signal.item.kind.value
            for signal in device.walk_signals(include_lazy=True)
            if signal.item.name != "monitor_sim_clock"
        }
        assert signals == {key: kind for key, (kind, _) in real[name]["signals"].items()}
        assert device.hints == real[name]["hints"]


def test_events_have_the_keys_of_the_real_devices_and_the_simulated_clock(
    beamline: SimulatedBeamline, real: dict[str, Any]
) -> None:
    in_events = 1  # ophyd.Kind.normal; hinted includes it
    for name, device in beamline.devices.items():
        keys = {key for key, (kind, _) in real[name]["signals"].items() if kind & in_events}
        extra = {"monitor_sim_clock"} if name == "monitor" else set()
        assert set(device.describe()) == set(device.read()) == keys | extra
        in_configuration = {k for k, (kind, _) in real[name]["signals"].items() if kind & 2}
        assert set(device.describe_configuration()) == in_configuration


def test_factories_name_the_process_variables(real: dict[str, Any]) -> None:
    signals = {key: pv for device in real.values() for key, (_, pv) in device["signals"].items()}
    assert signals["stage_x"] == f"{PREFIX}STG:X.RBV"
    assert signals["stage_y_user_setpoint"] == f"{PREFIX}STG:Y.VAL"
    assert signals["det_exposure_time"] == f"{PREFIX}DET:AcquireTime"
    assert signals["det_image"] == f"{PREFIX}DET:ArrayData"
    assert signals["monitor_counts"] == f"{PREFIX}MON:COUNTS"
    assert signals["diffractometer_eta"] == f"{PREFIX}DIF:ETA.RBV"


def at(beamline: SimulatedBeamline, x: float, y: float) -> Any:
    yield from bps.mv(beamline.stage.x, x, beamline.stage.y, y)
    yield from bps.trigger(beamline.det, wait=True)


def test_step_of_5_um_and_an_exposure_of_10_s_take_11_2_s(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    RE(at(beamline, 0.0, 0.0))
    for x, y in ((5.0, 0.0), (5.0, 5.0), (10.0, 10.0)):
        before = beamline.clock.now
        RE(at(beamline, x, y))
        assert beamline.clock.now - before == pytest.approx(11.2)


def test_rocking_scan_takes_one_exposure_a_frame(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    beamline.det.n_frames.sim_put(3)
    RE(at(beamline, 5.0, 0.0))
    assert beamline.clock.elapsed_s == pytest.approx(0.1 + 0.9 + 3 * 10.0 + 0.2)
    assert beamline.monitor.counts.get() == pytest.approx(3e7, rel=0.05)


def test_map_takes_the_time_that_is_foretold(RE: RunEngine, tmp_path: Path) -> None:
    places = np.linspace(0.0, 45.0, 10)
    grid = Space.grid(places, places)
    sample = RecordedMap(*np.meshgrid(places, places), np.ones((10, 10)), unit="um")
    beamline = SimulatedBeamline(sample, frames_dir=tmp_path)
    assert RE(map_sample(beamline.det, beamline.stage, grid=grid)).plan_result == 100
    foretold = beamline.duration_s(grid.snake(), exposure_s=10.0)
    assert beamline.clock.elapsed_s == pytest.approx(foretold)
    assert foretold == pytest.approx(100 * 11.2 - 0.1)


def test_timestamps_and_sim_clock_are_simulated_time(
    RE: RunEngine, film: SigeFilm, tmp_path: Path, documents: Any
) -> None:
    clock = VirtualClock(start=1000.0)
    beamline = SimulatedBeamline(film, clock=clock, frames_dir=tmp_path)
    grid = Space.grid([0.0, 5.0, 10.0], [0.0])
    RE(map_sample(beamline.det, beamline.stage, monitor=beamline.monitor, grid=grid))
    finished = 1000.0 + np.array([11.1, 22.3, 33.5])
    assert documents.column("primary", "monitor_sim_clock") == pytest.approx(finished)
    np.testing.assert_allclose(documents.run.sim_time, finished)
    for event, done in zip(documents.events("primary"), finished, strict=True):
        stamps = event["timestamps"]
        for key in ("det_total", "det_valid", "monitor_counts", "monitor_sim_clock"):
            assert stamps[key] == pytest.approx(done), key
        assert stamps["stage_x"] == pytest.approx(done - 10.2)
        assert abs(event["time"] - time.time()) < 60.0


def test_circles_move_in_simulated_time_too(RE: RunEngine, beamline: SimulatedBeamline) -> None:
    RE(bps.mv(beamline.diffractometer.eta, 25.0))
    assert beamline.diffractometer.eta.position == 25.0
    assert beamline.clock.join() - beamline.clock.start == pytest.approx(0.5 + 0.9)


def test_limits_of_the_stage_follow_the_sample(film: SigeFilm) -> None:
    stage = SimulatedBeamline(film).stage
    assert stage.x.limits == stage.y.limits == (-MARGIN, 150.0 + MARGIN)
    sample = RecordedMap(*np.meshgrid([3.0, 4.0], [7.0, 8.0, 9.0]), np.ones((3, 2)), unit="mm")
    stage = SimulatedBeamline(sample).stage
    assert stage.x.limits == (3.0 - MARGIN, 4.0 + MARGIN)
    assert stage.y.limits == (7.0 - MARGIN, 9.0 + MARGIN)
    assert stage.x.position == 3.0
    assert stage.x.egu == "mm"


@pytest.mark.parametrize("place", [-10.5, 160.5])
def test_soft_limit_refuses_a_move(
    RE: RunEngine, beamline: SimulatedBeamline, place: float
) -> None:
    with pytest.raises(LimitError, match=str(place)):
        RE(bps.mv(beamline.stage.y, place))
    assert beamline.stage.y.position == 0.0
    assert beamline.clock.join() == beamline.clock.start


def test_search_of_a_users_own_plan_works_on_the_devices(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(bp.scan([beamline.det, beamline.monitor], beamline.stage.x, 0.0, 20.0, 5))
    assert documents.stop["exit_status"] == "success"
    assert documents.column("primary", "stage_x") == [0.0, 5.0, 10.0, 15.0, 20.0]


@pytest.fixture
def staged(beamline: SimulatedBeamline, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A staged beamline whose beam is steady and whose frames are never dead."""
    for name in ("DRIFT", "TOP_UP_LOSS", "DEAD_PROBABILITY"):
        monkeypatch.setattr(f"simulators.film.sige_film.{name}", 0.0)
    beamline.det.stage()
    yield beamline
    beamline.det.unstage()


def shot(beamline: SimulatedBeamline) -> np.ndarray[Any, Any]:
    beamline.det.trigger().wait(60.0)
    return beamline.det.frames().copy()


def test_repeated_point_keeps_its_noise_and_the_next_one_has_its_own(staged: Any) -> None:
    first, again = shot(staged), shot(staged)
    list(staged.det.collect_asset_docs())
    following = shot(staged)
    np.testing.assert_array_equal(first, again)
    assert (first != following).mean() > 0.1


def test_every_frame_of_every_point_has_noise_of_its_own(staged: Any) -> None:
    """Also where the number of frames changes between runs."""
    frames = []
    for n_frames in (1, 3, 3, 2, 1):
        staged.det.unstage()
        staged.det.n_frames.sim_put(n_frames)
        staged.det.stage()
        for _ in range(2):
            frames.extend(shot(staged))
            list(staged.det.collect_asset_docs())
    assert len({frame.tobytes() for frame in frames}) == len(frames) == 20


def test_same_film_and_the_same_way_give_the_same_frames(RE: RunEngine, tmp_path: Path) -> None:
    taken = []
    for n in range(2):
        clock = VirtualClock(start=0.0)
        film = SigeFilm("noisy", seed=4)
        beamline = SimulatedBeamline(film, clock=clock, frames_dir=tmp_path / str(n))
        RE(at(beamline, 40.0, 60.0))
        taken.append((beamline.det.frames(), beamline.monitor.counts.get()))
    np.testing.assert_array_equal(taken[0][0], taken[1][0])
    assert taken[0][1] == taken[1][1]


def test_detector_shows_the_axes_of_the_sample(film: SigeFilm) -> None:
    beamline = SimulatedBeamline(film)
    assert isinstance(beamline.det.axes, FrameAxes)
    assert beamline.det.qx.get() == film.axes.qx.tolist()
    assert beamline.det.exposure_time.get() == 10.0
    assert SimulatedBeamline(film, exposure_s=2.0).det.exposure_time.get() == 2.0
