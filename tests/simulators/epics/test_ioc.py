"""The real device classes and plans over Channel Access, against the soft IOC.

IOC and clients are processes of their own on private ports, so that this one stays free of EPICS.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.runs import Run, open_run
from bl_steer.store import Store
from simulators.film.beamline import MARGIN
from simulators.film.sige_film import SigeFilm
from tests.plans.fault_matrix import LONGEST_S
from tests.simulators.epics.soft_ioc import private_environment, run_client, serving

pytest.importorskip("caproto", reason="the soft IOC is served by caproto: pip install caproto")

BUDGET = 14
PREFIX = "SIM:"
SPEEDUP = 100.0
CLIENT = Path(__file__).with_name("epics_client.py")
ROOT = Path(__file__).parents[3]
FAULT_CLIENT = Path(__file__).with_name("fault_client.py")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return private_environment(tmp_path_factory.mktemp("ipython"))


@pytest.fixture(scope="module")
def ioc(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The soft IOC, serving until the module's tests are done."""
    folder = tmp_path_factory.mktemp("ioc")
    with serving(folder, environment, speedup=SPEEDUP) as process:
        yield
    assert process.returncode == 0


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def report(ioc: None, environment: dict[str, str], data_dir: Path) -> dict[str, Any]:
    """What the client did and saw."""
    command = [sys.executable, str(CLIENT), PREFIX, str(data_dir)]
    done = run_client(command, environment, folder=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads((data_dir / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def stored(report: dict[str, Any], data_dir: Path) -> Iterator[Run]:
    """The run that the client stored, read back here."""
    with Store.open(data_dir) as store:
        yield open_run(store, report["run"]["uid"])


def test_a_record_may_take_as_long_to_be_read_as_to_answer(report: dict[str, Any]) -> None:
    assert report["read_timeout_s"] == 60.0


def test_what_lies_beyond_the_limits_is_refused_before_anything_moves(
    report: dict[str, Any],
) -> None:
    refusals = report["refusals"]
    assert refusals["limits"] == [-MARGIN, 150.0 + MARGIN]
    assert "stage_x must stay within its limits -10 … 160, got 0 … 200" in refusals["grid"]
    assert "161" in refusals["move"]
    assert refusals["record"] == 20.0, "the record takes a forbidden setpoint back"
    assert refusals["position"] == [20.0, 30.0]


def test_a_stopped_motor_stays_where_it_is_and_obeys_the_next_move(report: dict[str, Any]) -> None:
    stopped = report["stopped"]
    assert 20.0 < stopped["at"] < 150.0
    assert stopped["next"] == 90.0


def test_a_set_during_a_set_is_carried_out_after_it(report: dict[str, Any]) -> None:
    assert report["repeated"] == pytest.approx([3.0, 1.0])


def test_frames_of_a_sweep_over_channel_access_follow_the_circle(report: dict[str, Any]) -> None:
    swept = report["swept"]
    film = SigeFilm("smooth", seed=1)
    x, y = np.array([90.0]), np.array([30.0])
    middles = np.linspace(-0.875, 0.875, 8)
    # The detector is told some ms after the motor: at 100 times real time, frames later.
    curves = {
        late: np.array([film.rates(x, y, rocking_deg=min(a + late, 1.0)).sum() for a in middles])
        for late in np.linspace(0.0, 0.6, 121)
    }
    measured = np.array(swept["frames"]) / 10.0
    expected = min(curves.values(), key=lambda curve: np.abs(curve - measured).sum())
    assert expected.max() > 2.0 * expected.min()
    off = np.abs(measured - expected) > 60.0 + 0.1 * expected
    assert off.sum() <= 1  # a zinger: each frame has one in fifty
    assert (measured[off] > expected[off]).all()
    encoder = np.array(swept["encoder"])
    moving = encoder[(encoder > -1.0) & (encoder < 1.0)]
    assert len(moving) > 8, "the readback follows the motion"
    assert swept["end"] == 0.0


def test_a_paused_run_stores_each_point_once_where_the_agent_wanted_it(
    report: dict[str, Any], stored: Run
) -> None:
    assert report["run"]["pauses"] == 2
    assert report["run"]["stop_reason"] == "budget"
    assert stored.n_points == BUDGET
    np.testing.assert_array_equal(stored.x, stored.decisions["x"])
    np.testing.assert_array_equal(stored.y, stored.decisions["y"])
    assert report["run"]["best"] in np.column_stack([stored.x, stored.y]).tolist()


def test_the_frames_over_channel_access_are_those_of_their_places(stored: Run) -> None:
    film = SigeFilm("smooth", seed=1)
    patterns = stored.patterns()
    assert patterns.shape == (BUDGET, 33 * 33)
    assert np.isfinite(patterns).all()
    expected = film.rates(stored.x, stored.y).reshape(BUDGET, -1)
    measured = patterns / patterns.sum(axis=1, keepdims=True)
    nearest = [
        np.argmin(((expected / expected.sum(axis=1, keepdims=True) - row) ** 2).sum(axis=1))
        for row in measured
    ]
    np.testing.assert_array_equal(nearest, np.arange(BUDGET))


def test_a_session_on_epics_opens_and_moves_the_stage(
    ioc: None, environment: dict[str, str], tmp_path: Path
) -> None:
    film = SigeFilm("smooth", seed=1)
    np.savez(tmp_path / "axes.npz", qx=film.axes.qx, qz=film.axes.qz)
    command = [sys.executable, "-m", "bl_steer", "session", "--epics", "--prefix", PREFIX]
    done = run_client(
        [*command, "--axes", "axes.npz"], environment, folder=tmp_path,
        typed="RE(bps.mv(stage.x, 12.5)); print('at:', stage.x.position)\nexit\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"EPICS, {PREFIX}…, axes of axes.npz" in done.stdout
    assert "at: 12.5" in done.stdout, done.stdout + done.stderr


def test_a_session_without_its_ioc_names_what_does_not_answer(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "bl_steer", "session", "--epics", "--prefix", "NOBODY:"]
    done = run_client(command, environment, folder=tmp_path)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert line.startswith(
        "bl-steer: every process variable must answer within 10 s, got no answer"
    )
    assert "NOBODY:DET:Acquire" in line
    assert "NOBODY:STG:X," in line
    assert not list(tmp_path.iterdir()), "no store is made for a session that never was"


@pytest.fixture(scope="module")
def misfortunes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a client of an IOC saw that misbehaved, and was killed in the end."""
    environment = private_environment(tmp_path_factory.mktemp("ipython"))
    environment["PYTHONPATH"] = str(ROOT)  # the client reads the matrix of faults
    folder = tmp_path_factory.mktemp("faults")
    with serving(folder, environment, speedup=1.0) as ioc:
        client = [sys.executable, str(FAULT_CLIENT), PREFIX, str(folder), str(ioc.pid)]
        done = run_client(client, environment, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "caRepeater" not in done.stdout + done.stderr
    report: dict[str, Any] = json.loads((folder / "faults.json").read_text())
    report["stderr"] = done.stderr
    return report


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stall@0:x", "stage_x must arrive at 60 within .* s, got 30; check that it is free"),
        ("limit@0:x", "stage_x must arrive at 60, got 30, stopped .*; check its limit switches"),
        ("lie@0:x=0.4", "stage_x must be at 60 within 2 × its retry deadband 0.01, got 60.4; "),
        ("disconnect@0:x=1", "stage_x must answer while it moves to 60, got no connection to SIM:"),
        ("hang@0", "det must end 0.5 s of exposure within 6.5 s, got none ended; check that"),
        ("disconnect@0:det=1", "det must answer while it exposes, got no connection to SIM:DET:"),
    ],
)
def test_what_goes_wrong_over_channel_access_is_named_and_over_when_it_is_over(
    misfortunes: dict[str, Any], fault: str, message: str
) -> None:
    told, seconds, position_after = misfortunes["told"][fault]
    assert re.search(message, told), told
    assert seconds < LONGEST_S
    assert position_after == 30.0


def test_a_killed_ioc_is_reported_with_the_device_that_was_in_use(
    misfortunes: dict[str, Any],
) -> None:
    killed = misfortunes["killed"]
    assert killed["error"].startswith("det must answer while it exposes, got no connection to")
    assert killed["reason"] == killed["error"]
    assert killed["seconds"] < LONGEST_S
    assert killed["n_points"] == 2
    assert "the baseline could not be read at the end of the run" in misfortunes["stderr"]
    assert "Traceback" not in misfortunes["stderr"]
