"""Points, events and frames are told apart wherever a run is counted."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine

from bl_steer.cli import main
from bl_steer.runs import list_runs, open_run
from bl_steer.store import Store
from plans import find_hotspot, map_sample
from plans.stubs import rocking_scan, rocking_sweep
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm

GRID = {"x": [0.0, 50.0], "y": [0.0, 50.0]}


def twice(detectors: Any, position: Any) -> Any:
    for axis, value in position.items():
        yield from bps.mv(axis, value)
    for _ in range(2):
        yield from bps.trigger_and_read([*detectors, *position])


def test_lists_and_reports_tell_points_from_events_and_frames(
    tmp_path: Path, RE: RunEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    with Store.open(data) as store:
        beamline = SimulatedBeamline(SigeFilm("smooth", seed=1), frames_dir=store.frames_dir)
        det, stage, eta = beamline.det, beamline.stage, beamline.diffractometer.eta
        scan, sweep = rocking_scan(eta, -1, 1, 3), rocking_sweep(eta, -1, 1, 3)
        scans = [rocking_scan(eta, -1, 1, 2, at={beamline.diffractometer.phi: p}) for p in (0, 180)]
        RE.subscribe(store)
        for per_point in (None, scan, sweep, scans, twice):
            RE(map_sample(det, stage, grid=GRID, per_point=per_point))
        plan = find_hotspot(det, stage, grid=GRID, per_point=twice, budget=3, target="total")
        RE(plan)
        with contextlib.suppress(Exception):
            RE(map_sample(det, stage, grid=GRID, per_point=broken_at(3)))
        store.settle()
        counts = [(row.n_points, row.n_events) for row in list_runs(store)]
        assert counts == [(4, 4), (4, 12), (4, 4), (4, 16), (4, 8), (3, 6), (2, 4)]
        for row in list_runs(store):
            assert open_run(store, row.uid).n_points == row.n_points
    assert main(["runs", "--data", str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "4 points  success" in lines[0]
    assert "4 points, 12 events  success" in lines[1]
    figure = str(tmp_path / "run.png")
    for key, frames in ((2, 12), (3, 12)):
        out = tmp_path / "show.json"
        argv = ["show", str(key), "--data", str(data), "--figure", figure, "--json", str(out)]
        assert main(argv) == 0
        report = json.loads(out.read_text())
        assert (report["n_points"], report["n_frames"]) == (4, frames)


def broken_at(n: int) -> Any:
    """Return a stub that records two events a point and fails at the n-th point."""
    points = iter(range(1, n + 1))

    def stub(detectors: Any, position: Any) -> Any:
        if next(points) == n:
            raise RuntimeError("the stub fails")
        yield from twice(detectors, position)

    return stub
