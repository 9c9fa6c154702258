"""Where the stage has been, by the IOC's own record, in a run beside forbidden zones."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.runs import list_runs, open_run
from bl_steer.store import Store
from tests.simulators.epics.soft_ioc import PREFIX, private_environment, run_client, serving
from tests.simulators.epics.zones_client import BUDGET, ZONES

pytest.importorskip("caproto", reason="the soft IOC is served by caproto: pip install caproto")


def test_the_stage_enters_no_zone_in_a_run_and_in_its_second_part(tmp_path: Path) -> None:
    environment, log = private_environment(tmp_path), tmp_path / "positions"
    client = [sys.executable, str(Path(__file__).with_name("zones_client.py")), PREFIX, "data"]
    with serving(tmp_path, environment, speedup=20.0, steady=True, log=log):
        ended = run_client(client, environment, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    with Store.open_existing(tmp_path / "data") as store:
        first, second = (open_run(store, row.uid) for row in list_runs(store))
        assert (first.status, second.status) == ("fail", "success")
        assert second.n_points + first.n_points >= BUDGET
    positions = np.loadtxt(log)
    travelled = np.abs(np.diff(positions, axis=0)).sum(axis=0)
    assert len(positions) > 500
    assert (travelled > 300.0).all()
    axis = np.linspace(0.0, 150.0, 31)
    space = Space.grid(axis, axis).forbid(ZONES)
    assert [zone for x, y in positions if (zone := space.zone_at([x, y]))] == []
    # The stage would have been in them: the straight ways between the points cross zones.
    points = np.column_stack([first.decisions["x"], first.decisions["y"]])
    crossed = [space.zone_between(a, b) for a, b in pairwise(points)]
    assert any(crossed)
