"""A measured run, analysed by each route: in a notebook, by a callback, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.analysis import (
    analyses_of,
    digest_of,
    find_analysis,
    make_params,
    open_analysis,
    pending_analyses,
)
from bl_steer.cli import main
from bl_steer.runs import open_run
from bl_steer.session.interactive import open_microscope
from bl_steer.session.session import Session, open_session
from bl_steer.store import Store

PARAMS: dict[str, dict[str, Any]] = {
    "components": {"n_components": 3, "reference": "x=0.45"},
    "segment": {"model": "fibsem"},
}
"""What each analysis is asked for, by its name."""


class Measured(NamedTuple):
    folder: Path
    uid: str
    by_callback: str


def measure_map(session: Session, md: dict[str, Any]) -> str:
    grid = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))
    uid, _ = session.run(session.map_sample(grid=grid, md=md))
    return uid


def open_film(folder: Path) -> Session:
    return open_session("smooth", seed=1, data_dir=folder, progress=False)


def take_fields(session: Session, md: dict[str, Any]) -> str:
    plan = session.take_micrographs(fields=[(0.0, 0.0), (20.0, 0.0)], **md)
    return session.run(plan)[0]


def open_specimen(folder: Path) -> Session:
    return open_microscope(seed=1, shape=(128, 128), data_dir=folder, progress=False)


OPEN: dict[str, Callable[[Path], Session]] = {"components": open_film, "segment": open_specimen}
"""How to open a session for each analysis, by its name."""
MEASURE: dict[str, Callable[[Session, dict[str, Any]], str]] = {
    "components": measure_map,
    "segment": take_fields,
}
"""How to measure a run for each analysis, by its name."""


@pytest.fixture(scope="module", params=MEASURE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def measured(name: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp(name)
    md = {"analyses": [{"name": name, "params": PARAMS[name]}]}
    with OPEN[name](folder) as session:
        uid = MEASURE[name](session, md)
        assert session.wait_for_analyses(300.0)
        (by_callback,) = analyses_of(session.store, uid)
        assert pending_analyses(session.store) == []
        again = session.analyse(uid, name, **PARAMS[name]).result(120.0)
        stored = [open_run(session.store, key).start["analysis"] for key in (by_callback, again)]
        assert stored[0]["digest"] == stored[1]["digest"]
    return Measured(folder, uid, by_callback)


def bl_steer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bl_steer", *arguments, "--data", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "2", "MPLBACKEND": "Agg"},
        check=False,
    )


def test_a_direct_call_the_callback_and_the_command_line_give_one_digest(
    name: str, measured: Measured
) -> None:
    with Store.open(measured.folder) as store:
        stored = open_analysis(store, measured.by_callback)
        analysis = find_analysis(name)
        inputs = analysis.inputs_of(open_run(store, measured.uid))
        direct = analysis.run(inputs, make_params(analysis, PARAMS[name]))
    assert digest_of(direct) == digest_of(stored)
    options = [f"--param={key}={value}" for key, value in PARAMS[name].items()]
    done = bl_steer(
        measured.folder, "analyse", measured.uid[:8], name, *options,
        "--json", "report.json", "--figures", "figures",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((measured.folder / "report.json").read_text())
    assert report["digest"] == digest_of(direct)
    assert report["raw_run"] == measured.uid
    for path in report["figures"].values():
        assert (measured.folder / path).stat().st_size > 1000


def test_runs_and_show_know_an_analysis_run(
    name: str, measured: Measured, capsys: pytest.CaptureFixture[str]
) -> None:
    data, report = ["--data", str(measured.folder)], measured.folder / "runs.json"
    assert main(["runs", *data, "--json", str(report)]) == 0
    assert f"analysis {name}" in capsys.readouterr().out
    rows = json.loads(report.read_text())
    assert (rows[0]["uid"], rows[0]["analysis"]) == (measured.uid, "")
    assert main(["show", measured.by_callback[:8], *data]) == 0
    printed = capsys.readouterr().out
    for text in ("digest", measured.uid, "table", "array"):
        assert text in printed
