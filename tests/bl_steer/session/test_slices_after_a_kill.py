"""A run of slices whose process is killed in the midst is carried on to one complete stack."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from bl_steer.analysis.slices.recorded_slices import stack_of
from bl_steer.protocols import Inputs
from bl_steer.runs import RecordsAlone, Run, list_runs, open_run
from bl_steer.session import Session, fibsem, open_session
from tests import fork_server

N_SLICES, PITCH_NM = 5, 100.0
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_slices_after_a_kill import N_SLICES, PITCH_NM, open_instrument

with open_instrument(Path(sys.argv[1])) as session:
    marks = session.instrument.simulator.marks
    session.run(session.slice_and_view(n_slices=N_SLICES, pitch_nm=PITCH_NM, marks=marks))
"""


def open_instrument(folder: Path) -> Session:
    state = folder / "instrument.json"
    instrument = fibsem("network", seed=3, shape=(128, 128), state_file=state)
    return open_session(instrument, data_dir=folder, progress=False)


def n_recorded(folder: Path) -> int:
    """Return how many slices are on disk, of a run that another process is taking."""
    return sum(row.n_points for row in list_runs(RecordsAlone(folder)))


def kill_after(n_slices: int, folder: Path) -> None:
    child = fork_server.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120.0
    try:
        while time.monotonic() < deadline and child.poll() is None:
            if n_recorded(folder) >= n_slices:
                break
            time.sleep(0.02)
    finally:
        child.kill()
        status = child.wait()
    assert status == -signal.SIGKILL


def take(session: Session, resumes: Run | None = None) -> Inputs:
    uid, taken = session.run(
        session.slice_and_view(
            n_slices=N_SLICES,
            pitch_nm=PITCH_NM,
            marks=session.instrument.simulator.marks,
            resumes=resumes,
        )
    )
    assert taken.stop_reason == "done"
    return stack_of(open_run(session.store, uid))


def test_a_killed_run_of_slices_ends_as_the_stack_that_it_would_have_been(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    kill_after(2, folder)
    with open_instrument(folder) as session:
        (row,) = list_runs(session.store)
        assert row.status == "unfinished"
        assert 2 <= row.n_points < N_SLICES
        carried_on = take(session, open_run(session.store, row.uid))
        cuts, depth_nm = (
            session.instrument.simulator.mill.n_cuts.get(),
            session.instrument.simulator.z_nm,
        )
    with open_instrument(tmp_path / "undisturbed") as session:
        undisturbed = take(session)
        assert session.instrument.simulator.mill.n_cuts.get() == cuts
        assert (
            session.instrument.simulator.z_nm == depth_nm
        )  # the true depth: nothing was cut twice
    assert len(carried_on.source["runs"]) == 2
    np.testing.assert_array_equal(carried_on.arrays["slice"], undisturbed.arrays["slice"])
    np.testing.assert_allclose(carried_on.arrays["z_nm"], undisturbed.arrays["z_nm"], atol=5.0)
    # Up to the kill the images are the same; afterwards a face may be looked at once more, with
    # other noise and another beam shift.
    known = slice(row.n_points)
    np.testing.assert_array_equal(
        carried_on.arrays["slices"][known], undisturbed.arrays["slices"][known]
    )
