"""Faults on demand: how they are written, and that the beamline in this process has each."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus

from devices import DetectorError, MotorError
from simulators.film.beamline import SimulatedBeamline
from simulators.film.faults import KINDS, Fault, Faults
from simulators.film.sige_film import SigeFilm
from tests.plans.fault_matrix import GIVES_UP_S


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedBeamline:
    """A beamline without noise of its own making, whose devices give up soon."""
    for name in ("DRIFT", "TOP_UP_LOSS", "DEAD_PROBABILITY", "ZINGER_PROBABILITY"):
        monkeypatch.setattr(f"simulators.film.sige_film.{name}", 0.0)
    monkeypatch.setattr("devices.motor.ARRIVAL_MARGIN_S", GIVES_UP_S)
    monkeypatch.setattr("devices.detector.READOUT_MARGIN_S", GIVES_UP_S)
    return SimulatedBeamline(SigeFilm("smooth", seed=1), frames_dir=tmp_path, exposure_s=0.2)


def cause(error: pytest.ExceptionInfo[BaseException]) -> str:
    return str(error.value.__cause__ or error.value)


def exposures(RE: RunEngine, beamline: SimulatedBeamline, n: int = 4) -> list[Any]:
    """Return the frames of n exposures at the same spot, and the monitor's counts."""
    shown: list[Any] = []

    def look(name: str, doc: dict[str, Any]) -> None:
        if name == "event":
            shown.append((beamline.det.frames().copy(), doc["data"]["monitor_counts"]))

    RE(bp.count([beamline.det, beamline.monitor], n), look)
    return shown


def test_a_fault_is_read_as_it_is_written() -> None:
    assert Fault.parse("stall@5:y") == Fault("stall", 5, 5, "y", 0.0)
    assert Fault.parse("lie@3-7=-0.2") == Fault("lie", 3, 7, "x", -0.2)
    assert Fault.parse("dark@0") == Fault("dark", 0, 0, "beam", 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stall", r"must be written KIND@N, .*got 'stall'; kinds are stall, lie"),
        ("melt@3", r"got 'melt@3'"),
        ("stall@3:det", r"stall must strike one of x, y, .*got 'det' in 'stall@3:det'; choose"),
        ("dark@9-8", r"to the same or a later one, got 'dark@9-8'; try dark@8-9"),
        ("dead-pixels@3=1.5", r"dead-pixels must have a size in 0 … 1, got .*; try =0.05"),
        ("saturate@3=-5", r"saturate must have a size in 0 … inf, got 'saturate@3=-5'"),
        ("lie@3=1.2.3", r"must be written KIND@N, .*got 'lie@3=1.2.3'"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Faults([text])


def test_without_faults_nothing_is_changed(RE: RunEngine, tmp_path: Path) -> None:
    shown = []
    for n, faults in enumerate([(), ("saturate@99",)]):
        film = SigeFilm("noisy", seed=4)
        beamline = SimulatedBeamline(film, frames_dir=tmp_path / str(n))
        beamline.misbehave(*faults)
        beamline.det.n_frames.sim_put(3)
        RE(bps.mv(beamline.stage.x, 40.0))
        RE(bps.trigger(beamline.det, wait=True))
        shown.append((beamline.det.frames().tobytes(), beamline.monitor.counts.get()))
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stall@0", r"stage_x must arrive at 60 within .* s, got 30; check that it is free to mo"),
        ("limit@0", r"stage_x must arrive at 60, got 30, stopped .*; check its limit switches"),
        ("lie@0", r"stage_x must be at 60 within 2 × its retry deadband 0.01, got 60.5; check"),
        (
            "disconnect@0:x=0.2",
            r"stage_x must answer while it moves to 60, got no connection to SIM:",
        ),
    ],
)
def test_a_motor_that_goes_wrong_is_named_with_its_value_and_a_remedy(
    RE: RunEngine, steady: SimulatedBeamline, fault: str, message: str
) -> None:
    steady.misbehave(fault)
    with pytest.raises(FailedStatus) as error:
        RE(bps.mv(steady.stage.x, 60.0, steady.stage.y, 20.0))
    assert re.search(message, cause(error)), cause(error)
    steady.misbehave()
    for _ in range(1000):
        if steady.stage.connected:
            break
        RE(bps.sleep(0.05))
    RE(bps.mv(steady.stage.x, 80.0))
    assert steady.stage.x.position == 80.0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("hang@1", r"det must end 0.2 s of exposure within 6.2 s, got none ended; check"),
        ("disconnect@1=0.2", r"det must answer while it exposes, got no connection to SIM:DET:"),
    ],
)
def test_a_detector_that_goes_wrong_is_named_and_usable_again(
    RE: RunEngine, steady: SimulatedBeamline, fault: str, message: str
) -> None:
    steady.misbehave(fault)
    with pytest.raises(FailedStatus) as error:
        RE(bp.count([steady.det], 3))
    assert isinstance(error.value.__cause__, DetectorError)
    assert re.search(message, cause(error)), cause(error)
    for _ in range(1000):
        if steady.det.connected:
            break
        RE(bps.sleep(0.05))
    assert len(exposures(RE, steady, 2)) == 2


def test_a_detector_out_of_reach_is_told_before_it_exposes(
    RE: RunEngine, steady: SimulatedBeamline
) -> None:
    steady.det.busy._metadata["connected"] = False
    with pytest.raises(DetectorError, match=r"det must answer .*SIM:DET:; check"):
        RE(bps.trigger(steady.det, wait=True))


def test_without_beam_nothing_counts_but_the_dark(RE: RunEngine, steady: SimulatedBeamline) -> None:
    steady.misbehave("dump@1", "dark@2", "mid-dump@3")
    (_, full), (dumped, none), (dark, current), (_, half) = exposures(RE, steady)
    assert dumped.sum() == none == 0.0
    assert dark.mean() == pytest.approx(0.2, rel=0.3)
    assert current == pytest.approx(0.001 * full, rel=0.05)
    assert half == pytest.approx(0.5 * full, rel=0.05)


def test_the_beam_is_lost_in_the_midst_of_a_series(
    RE: RunEngine, steady: SimulatedBeamline
) -> None:
    steady.det.n_frames.sim_put(4)
    steady.misbehave("mid-dump@0", "top-up@1=0.4")
    (lost, half), (topped, most) = exposures(RE, steady, 2)
    assert (lost.sum(axis=(1, 2)) > 0).tolist() == [True, True, False, False]
    assert half / most == pytest.approx(0.5 / 0.8, rel=0.05)
    assert topped.sum() / (2 * lost.sum()) == pytest.approx(0.8, rel=0.1)


def test_the_detector_reads_out_wrongly(RE: RunEngine, steady: SimulatedBeamline) -> None:
    steady.misbehave("repeat@1-2", "tear@4", "dead-pixels@5=0.3", "saturate@6=40")
    shown = [frames[0] for frames, _ in exposures(RE, steady, 7)]
    np.testing.assert_array_equal(shown[1], shown[0])
    np.testing.assert_array_equal(shown[2], shown[0])
    assert (shown[4][:16] != shown[3][:16]).any()
    np.testing.assert_array_equal(shown[4][16:], shown[3][16:])
    bright = shown[0] > 20
    assert np.mean(shown[5][bright] == 0) == pytest.approx(0.3, abs=0.15)
    assert shown[6].max() == 40.0 < shown[0].max()


def test_a_lost_frame_of_a_series_is_told_by_the_detector(
    RE: RunEngine, steady: SimulatedBeamline, documents: Any
) -> None:
    steady.det.n_frames.sim_put(5)
    steady.misbehave("drop@1")
    RE(bp.count([steady.det], 3))
    assert documents.column("primary", "det_valid") == [1, 0, 1]


def test_a_clock_that_jumps_moves_nothing(RE: RunEngine, steady: SimulatedBeamline) -> None:
    steady.misbehave("clock@1=-7200")
    begun = steady.clock.now
    shown = exposures(RE, steady, 3)
    assert steady.clock.now - begun == pytest.approx(3 * 0.4 - 7200.0)
    assert len(shown) == 3


def test_every_kind_of_fault_is_tried_here() -> None:
    text = Path(__file__).read_text()
    assert [kind for kind in KINDS if f'"{kind}@' not in text] == []


def test_a_motor_that_does_not_obey_its_stop_is_refused_the_next_move(
    RE: RunEngine, steady: SimulatedBeamline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.motor.STOP_TIMEOUT_S", 0.1)
    x = steady.stage.x
    x.motor_done_move.sim_put(0)
    for _ in range(3000):
        if x._moving:
            break
        RE(bps.sleep(0.01))
    asyncio.run(x.pause())
    with pytest.raises(MotorError, match=r"stage_x must come to rest within 0.1 s .*; stop it by"):
        x.set(5.0)
