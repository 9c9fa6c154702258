"""From a session on the FIB-SEM to the aligned stack, as the README has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis import analyses_of, open_analysis
from bl_steer.runs import open_run
from bl_steer.session import fibsem, open_session

pytestmark = pytest.mark.usefixtures("forked_worker")


def test_run_of_slices_gets_its_aligned_stack(tmp_path: Path) -> None:
    instrument = fibsem("network", seed=3, shape=(128, 128))
    marks = instrument.simulator.marks
    with open_session(instrument, data_dir=tmp_path, progress=False) as session:
        plan = session.slice_and_view(
            n_slices=3, pitch_nm=100, marks=marks, analyses=["align-slices"]
        )
        uid, taken = session.run(plan)
        assert session.wait_for_analyses(120.0)
        run = open_run(session.store, uid)
        (found,) = analyses_of(session.store, uid)
        result = open_analysis(session.store, found)
    table = result.tables["slices"]
    assert (table["plane"] >= 0).sum() == taken.n_recorded == run.n_points
    assert result.arrays["slices"].dtype == np.uint8
    recorded = table["z_nm"][table["plane"] >= 0]
    np.testing.assert_allclose(recorded, run.primary["z_nm"])
