"""A map in flight over Channel Access, one frame a cell, and a client killed in a flight."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bl_steer.runs import Run, list_runs, open_run
from bl_steer.store import Store
from tests import fork_server
from tests.simulators.epics.flight_client import CELLS, CONFIRM_S, EXPOSURE_S, GRID, ROWS
from tests.simulators.epics.soft_ioc import PREFIX, private_environment, run_client, serving

pytest.importorskip("caproto", reason="the soft IOC is served by caproto: pip install caproto")

IN_THE_FLIGHT_S = 0.8
"""After the last cell of a row is stored; the next row takes 1.6 s and the way to it."""


def runs_of(folder: Path) -> list[Run]:
    with Store.open_existing(folder) as store:
        runs = [open_run(store, row.uid) for row in list_runs(store)]
        for run in runs:
            run.frames  # noqa: B018 - reads them while the store is open
        return runs


def was_killed_in_the_second_flight(
    command: list[str], environment: dict[str, str], folder: Path
) -> bool:
    """Kill the client there; False where its first flight lost too many places before."""
    process = fork_server.Popen(command, cwd=folder, env=environment, start_new_session=True)
    deadline, notes = time.monotonic() + 240.0, folder / "notes"
    while not notes.exists() or notes.stat().st_size < CELLS:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "no row was flown in 240 s"
        time.sleep(0.01)
    time.sleep(IN_THE_FLIGHT_S)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def test_a_flight_whose_client_is_killed_is_flown_anew_and_its_spot_confirmed(
    tmp_path: Path,
) -> None:
    client = str(Path(__file__).with_name("flight_client.py"))
    command = [sys.executable, client, PREFIX, "data", "notes"]
    # It runs in real time: an IOC that a busy computer lets wait loses its place. Twice is a fault.
    for folder in (tmp_path / "first", tmp_path / "again"):
        folder.mkdir()
        environment, log = private_environment(folder), folder / "positions"
        with serving(folder, environment, speedup=1.0, steady=True, log=log):
            if not (was_killed := was_killed_in_the_second_flight(command, environment, folder)):
                continue
            before = log.read_text().count("\n")
            ended = run_client([*command, "-1"], environment, folder=folder)
        if ended.returncode == 0:
            break
    assert was_killed, "the client has ended by itself"
    assert ended.returncode == 0, ended.stderr
    broken, whole, confirmation = runs_of(folder / "data")
    assert (broken.n_points, broken.status) == (CELLS, "unfinished")
    assert (whole.n_points, whole.status) == (CELLS * ROWS, "success")
    assert "encoder" in whole.primary["flight_place"]  # on a busy computer some tell too rarely
    np.testing.assert_allclose(whole.positions, GRID.snake(), atol=2.5)  # half a step
    for key in ("det_total", "stage_x", "seq_num"):
        np.testing.assert_array_equal(whole.primary[key][:CELLS], broken.primary[key])
    assert whole.frames is not None
    assert whole.frames.shape == (CELLS * ROWS, 1, 33, 33)
    np.testing.assert_allclose(whole.primary["det_total"], whole.frames[:].sum(axis=(1, 2, 3)))
    # A row that was completed is not flown over again.
    flown = np.loadtxt(log)[before:]
    on_the_first_row = np.isclose(flown[:, 1], GRID.snake()[0, 1])
    there = flown[on_the_first_row, 0]  # none, or where the confirmation ends
    assert not len(there) or np.ptp(there) < 20.0
    # Patterns are normalised by the monitor, so that the largest total need not be the brightest.
    best_x, best_y, n_measured = map(float, ended.stdout.split())
    assert n_measured == CELLS * ROWS + 1
    np.testing.assert_allclose(confirmation.positions, [[best_x, best_y]], atol=0.1)
    at_best = int(GRID.index_of(best_x, best_y))
    cells = [GRID.index_of(*place) for place in whole.positions]
    total = whole.primary["det_total"]
    assert total[cells.index(at_best)] > 0.9 * total.max()
    assert (broken.exposure_s, confirmation.exposure_s) == (EXPOSURE_S, CONFIRM_S)
