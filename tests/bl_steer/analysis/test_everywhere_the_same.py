"""A measured run, analysed by each route: in a notebook, by a callback, from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from bl_steer.session import Session, microscope, open_session
from bl_steer.store import Store

PARAMS: dict[str, dict[str, Any]] = {
    "advise": {"pitch": 30.0, "n_points": 3},
    "components": {"n_components": 3, "reference": "x=0.45"},
    "segment": {"model": "fibsem"},
}
"""What each analysis is asked for, by its name."""
WARNINGS = {"advise": 2, "components": 0, "segment": 1}
"""How many each has to give: a dead frame, and no candidate left; another magnification."""
MEASURED_BY = {"advise": "film", "components": "film", "segment": "specimen"}
"""The fixture that measures the run of each analysis."""


class Measured(NamedTuple):
    folder: Path
    uid: str
    by_callback: dict[str, str]
    """Uid of the run that the callback stored, by analysis."""


def requested(names: Sequence[str]) -> dict[str, Any]:
    return {"analyses": [{"name": name, "params": PARAMS[name]} for name in names]}


def analysed(session: Session, folder: Path, uid: str) -> Measured:
    assert session.wait_for_analyses(300.0)
    stored = analyses_of(session.store, uid)
    assert pending_analyses(session.store) == []
    names = [open_run(session.store, key).start["analysis"]["name"] for key in stored]
    return Measured(folder, uid, dict(zip(names, stored, strict=True)))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("film")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as session:
        grid = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))
        uid, _ = session.run(session.map_sample(grid=grid, md=requested(["advise", "components"])))
        return analysed(session, folder, uid)


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("specimen")
    instrument = microscope(seed=1, shape=(128, 128))
    with open_session(instrument, data_dir=folder, progress=False) as session:
        plan = session.take_micrographs(
            fields=[(0.0, 0.0), (20.0, 0.0)], pixel_size_nm=16.0, **requested(["segment"])
        )
        measured = analysed(session, folder, session.run(plan)[0])
        again = session.analyse(measured.uid, "segment", **PARAMS["segment"]).result(120.0)
        keys = (measured.by_callback["segment"], again)
        digests = {open_run(session.store, key).start["analysis"]["digest"] for key in keys}
        assert len(digests) == 1
        return measured


@pytest.fixture(params=PARAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def measured(name: str, request: pytest.FixtureRequest) -> Measured:
    found: Measured = request.getfixturevalue(MEASURED_BY[name])
    return found


def test_a_direct_call_the_callback_and_the_command_line_give_one_digest_and_equal_warnings(
    name: str, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(measured.folder) as store:
        stored = open_analysis(store, measured.by_callback[name])
        analysis = find_analysis(name)
        inputs = analysis.inputs_of(open_run(store, measured.uid))
        direct = analysis.run(inputs, make_params(analysis, PARAMS[name]))
    assert digest_of(direct) == digest_of(stored)
    assert list(direct.warnings) == list(stored.warnings)
    assert len(direct.warnings) == WARNINGS[name], direct.warnings
    monkeypatch.chdir(measured.folder)
    options = [f"--{key.replace('_', '-')}={value}" for key, value in PARAMS[name].items()]
    command = ["analyse", measured.uid[:8], name, *options, "--data", "."]
    assert main([*command, "--json", f"{name}.json", "--figures", "figures"]) == 0
    report = json.loads((measured.folder / f"{name}.json").read_text())
    assert report["digest"] == digest_of(direct)
    assert report["warnings"] == list(direct.warnings)
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
    assert main(["show", measured.by_callback[name][:8], *data]) == 0
    printed = capsys.readouterr().out
    for text in ("digest", measured.uid, "table", "array"):
        assert text in printed
