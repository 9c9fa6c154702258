"""The matrix of faults over Channel Access: each ends as docs/how-to/faults.md says.

A selection of it runs with the other tests; ``make faults`` runs the whole of it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.runs import Run, open_run
from bl_steer.steering import DetectorDeadError, differing_decisions
from bl_steer.store import Store
from tests.plans.fault_matrix import AT, BUDGET, LONGEST_S, MATRIX
from tests.simulators.epics.soft_ioc import private_environment, run_client

pytest.importorskip("caproto", reason="the soft IOC is served by caproto: pip install caproto")

CLIENT = Path(__file__).with_name("matrix_client.py")
ROOT = Path(__file__).parents[3]
SELECTION = ("motor is lost", "detector repeats a frame", "beam dumps to dark current")
"""Rows that are tried with each run of the tests."""
OTHERS = ("Ctrl-C twice", "ring current is lost")
FURTHER = (
    "nothing",
    "IOC is killed in an exposure",
    "IOC is killed in a move",
    "disk is full",
    "store is away",
    "Ctrl-C once",
)
EVERYTHING = "BL_STEER_ALL_FAULTS" in os.environ
ROWS = tuple(MATRIX) if EVERYTHING else SELECTION

long = pytest.mark.skipif(not EVERYTHING, reason="a long proof: make faults")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """How each run ended, in the words of the client."""
    jobs: dict[str, Any] = dict.fromkeys([*OTHERS, *(FURTHER if EVERYTHING else ())])
    for name in ROWS:
        row = MATRIX[name]
        budget = 20 if row.error is DetectorDeadError else BUDGET
        jobs[name] = {"faults": row.faults, "n_frames": row.n_frames, "budget": budget}
    (folder / "jobs.json").write_text(json.dumps(jobs))
    environment = {**private_environment(folder), "PYTHONPATH": str(ROOT)}
    done = run_client([sys.executable, str(CLIENT), str(folder)], environment, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stderr)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def store(report: dict[str, Any], folder: Path) -> Iterator[Store]:
    with Store.open(folder / "data") as store:
        yield store


def check_left_safe(lived: dict[str, Any]) -> None:
    """It ended in time, the stage rests within its limits, and nobody is left at work."""
    assert lived["seconds"] < LONGEST_S
    assert lived["at_rest"] == [True, True]
    assert lived["within"] == [True, True]
    assert lived["thinking"] == lived["children"] == []


def opened(store: Store, lived: dict[str, Any], n_points: int) -> Run:
    """Open the run, whose points before the fault are there with their frames."""
    run = open_run(store, lived["uid"])
    assert run.n_points >= n_points
    assert np.isfinite(run.patterns()[run.valid]).all()
    return run


def check_complete(run: Run) -> None:
    """All points were measured once, where they were decided."""
    assert run.status == "success"
    assert run.n_points == BUDGET
    assert run.valid.all()
    assert differing_decisions(run) == []


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_over_channel_access_ends_as_the_matrix_says(
    report: dict[str, Any], store: Store, name: str
) -> None:
    row, lived = MATRIX[name], report[name]
    check_left_safe(lived)
    run = opened(store, lived, AT)
    assert run.result is not None
    if row.error is None:
        assert lived["error"] is None, lived["message"]
        assert run.status == "success"
        assert np.flatnonzero(~run.valid).tolist() == list(row.repeated)
        for point in row.repeated:
            assert (run.x[point + 1], run.y[point + 1]) == (run.x[point], run.y[point])
        assert (run.decisions["previous_alarm"][AT + 1] > 0) == row.alarm
        assert differing_decisions(run) == []
    else:
        assert lived["error"] == row.error.__name__, lived["message"]
        assert re.search(row.message, lived["message"])
        assert run.status == "fail"
        assert run.stop["reason"] == lived["message"]
        assert run.result["stop_reason"] == "interrupted"


@long
def test_a_run_goes_on_when_its_killed_ioc_is_back(report: dict[str, Any], store: Store) -> None:
    lived = report["IOC is killed in an exposure"]
    check_left_safe(lived)
    run = opened(store, lived, AT)
    assert run.stop["reason"].startswith("det must answer while it exposes, got no connection to")
    resumed = open_run(store, lived["resumed"])
    complete = open_run(store, report["nothing"]["uid"])
    check_complete(complete)
    assert resumed.status == "success"
    for column in ("x", "y"):
        np.testing.assert_array_equal(resumed.decisions[column], complete.decisions[column])


def test_ctrl_c_twice_pauses_while_the_detector_hangs(report: dict[str, Any], store: Store) -> None:
    lived = report["Ctrl-C twice"]
    check_left_safe(lived)
    assert lived["states"] == ["paused"]
    run = opened(store, lived, AT)
    assert run.status == "abort"
    assert run.result is not None
    assert run.result["n_measured"] == AT


def test_a_run_waits_for_the_ring_and_repeats_the_exposure(
    report: dict[str, Any], store: Store
) -> None:
    lived = report["ring current is lost"]
    check_left_safe(lived)
    assert lived["triggers"] == BUDGET + 1
    check_complete(opened(store, lived, BUDGET))


@long
def test_a_killed_ioc_is_reported_with_the_motor_that_moved(
    report: dict[str, Any], store: Store
) -> None:
    lived = report["IOC is killed in a move"]
    check_left_safe(lived)
    assert lived["error"] == "StageError"
    assert "must answer while it moves to" in lived["message"]
    assert opened(store, lived, 1).status == "fail"


@long
def test_a_full_disk_stops_the_run(report: dict[str, Any], store: Store) -> None:
    lived = report["disk is full"]
    check_left_safe(lived)
    assert lived["error"] == "DetectorError"
    assert f"frames of point {AT} must be written" in lived["message"]
    assert opened(store, lived, AT).status == "fail"


@long
@pytest.mark.parametrize("name", ["store is away", "Ctrl-C once"])
def test_a_run_comes_to_its_end_all_the_same(
    report: dict[str, Any], store: Store, name: str
) -> None:
    lived = report[name]
    check_left_safe(lived)
    assert lived["error"] is None
    assert lived.get("states", ["paused"]) == ["paused"]
    check_complete(opened(store, lived, BUDGET))
