"""A measured run, by each route: notebook, callback, command line, and the job of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import bluesky.plans as bp
import numpy as np
import pytest
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.agents import Space
from bl_steer.analysis import (
    analyses_of,
    analysis_names,
    find_analysis,
    make_params,
    open_analysis,
    pending_analyses,
)
from bl_steer.cli import main
from bl_steer.processing.input_files import write_exact_inputs
from bl_steer.protocols import AnalysisResult
from bl_steer.runs import open_run
from bl_steer.server.jobs.inputs import kinds
from bl_steer.session import Instrument, Session, fibsem, microscope, open_session
from bl_steer.store import Store

pytestmark = pytest.mark.usefixtures("forked_worker")

LEARN_LITTLE = {"factor": 2, "blocks": 1, "channels": 4, "steps": 1}
PARAMS: dict[str, dict[str, Any]] = {
    "advise": {"pitch": 30.0, "n_points": 3},
    "align-slices": {"n_phases": 2},
    "components": {"n_components": 3, "reference": "x=0.45"},
    "film": {"peaks": "x=0.18;x=0.45", "assume": "R=0.9"},
    "reconstruct": {**LEARN_LITTLE, "check": False, "interval_blocks": 2},
    "rsm": {"energy_kev": 8.048, "cells": 12},
    "segment": {"model": "fibsem"},
    "structure": {"voxel_size_nm": [10.0, 16.0, 16.0], "n_bootstrap": 100},
    "superres": {**LEARN_LITTLE, "pitch_nm": 40.0},
}
"""What each analysis is asked for, by its name."""
LITTLE = "--factor 2 --blocks 1 --channels 4 --steps 1"
OPTIONS = {
    "advise": "--pitch 30 --n-points 3",
    "align-slices": "--n-phases 2",
    "components": "--n-components 3 --reference x=0.45",
    "film": "--peaks x=0.18;x=0.45 --assume R=0.9",
    "reconstruct": f"{LITTLE} --no-check --interval-blocks 2",
    "rsm": "--energy-kev 8.048 --cells 12",
    "segment": "--model fibsem",
    "structure": "--voxel-nm 10,16,16 --n-bootstrap 100",
    "superres": f"{LITTLE} --pitch-nm 40",
}
"""The same in the words of the command line."""
SENTENCES = {
    "advise": ["1 point without a finite", "Nothing is left"],
    "align-slices": ["without tracking marks"],
    "components": [],
    "film": ["cannot be told apart by (0 2 2) alone", "assumed: R=0.9"],
    "reconstruct": ["without tracking marks", "features thinner than the pitch"],
    "rsm": [],
    "segment": ["magnification: "],
    "structure": ["thinner than wide", "intervals are too narrow", "is barely resolved"],
    "superres": ["times as long along z as in the plane"],
}
"""What each has to warn of, among others."""
MEASURED_BY = {
    "advise": "film",
    "align-slices": "slices",
    "components": "film",
    "film": "film",
    "reconstruct": "slices",
    "rsm": "mesh",
    "segment": "specimen",
    "structure": "specimen",
    "superres": "slices",
}
"""The fixture that measures the run of each analysis."""


class Measured(NamedTuple):
    folder: Path
    uid: str
    by_callback: dict[str, str]
    """Uid of the run that the callback stored, by analysis."""

    def raw_uid(self, name: str) -> str:
        """Return the run that an analysis is of: the structure is that of segmented fields."""
        return self.by_callback["segment"] if name == "structure" else self.uid


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
        uid, _ = session.run(
            session.map_sample(grid=grid, md=requested(["advise", "components", "film"]))
        )
        return analysed(session, folder, uid)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A peak at omega 30°, two_theta 60° of a laboratory diffractometer, on a mesh of both."""
    folder = tmp_path_factory.mktemp("mesh")
    omega, two_theta = SynAxis(name="omega"), SynAxis(name="two_theta")
    counter = Syn2DGauss(
        "counter", omega, "omega", two_theta, "two_theta", center=(30, 60), Imax=1000, sigma=0.2
    )
    devices = {"omega": omega, "two_theta": two_theta, "counter": counter}
    with open_session(Instrument("lab", devices), data_dir=folder, progress=False) as session:
        plan = bp.grid_scan([counter], omega, 29.4, 30.6, 13, two_theta, 59.4, 60.6, 13)
        (uid,) = session.RE(plan, **requested(["rsm"])).run_start_uids
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
        structure = session.analyse(again, "structure", **PARAMS["structure"]).result(120.0)
        by_callback = {"segment": again, "structure": structure}
        return Measured(folder, measured.uid, by_callback)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("slices")
    instrument = fibsem(seed=3, shape=(112, 112), marks=False, faults="none")
    with open_session(instrument, data_dir=folder, progress=False) as session:
        names = ["align-slices", "reconstruct", "superres"]
        plan = session.slice_and_view(n_slices=5, pitch_nm=40.0, **requested(names))
        return analysed(session, folder, session.run(plan)[0])


@pytest.fixture(params=PARAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def measured(name: str, request: pytest.FixtureRequest) -> Measured:
    run: Measured = request.getfixturevalue(MEASURED_BY[name])
    return run


@pytest.fixture
def direct(name: str, measured: Measured) -> AnalysisResult:
    """What a notebook makes of the run."""
    return by_notebook(measured.folder, measured.raw_uid(name), name)


@cache
def by_notebook(folder: Path, raw_uid: str, name: str) -> AnalysisResult:
    analysis = find_analysis(name)
    with Store.open(folder) as store:
        inputs = analysis.inputs_of(open_run(store, raw_uid))
        return analysis.run(inputs, make_params(analysis, PARAMS[name]))


def test_every_analysis_is_compared() -> None:
    assert sorted(PARAMS) == analysis_names()


def test_a_direct_call_and_the_callback_give_equal_tables_arrays_and_warnings(
    name: str,
    measured: Measured,
    direct: AnalysisResult,
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
) -> None:
    with Store.open(measured.folder) as store:
        expect_same(direct, open_analysis(store, measured.by_callback[name]))
    for sentence in SENTENCES[name]:
        assert any(sentence in warning for warning in direct.warnings), direct.warnings


def test_a_direct_call_and_the_command_line_give_equal_tables_arrays_and_warnings(
    name: str,
    measured: Measured,
    direct: AnalysisResult,
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(measured.folder)
    raw_uid = measured.raw_uid(name)
    command = ["analyse", raw_uid[:8], name, *OPTIONS[name].split(), "--data", "."]
    assert main([*command, "--json", f"{name}.json", "--figures", "figures"]) == 0
    report = json.loads((measured.folder / f"{name}.json").read_text())
    assert report["warnings"] == list(direct.warnings)
    assert report["raw_run"] == raw_uid
    with Store.open(measured.folder) as store:
        expect_same(direct, open_analysis(store, report["uid"]))
    for path in report["figures"].values():
        assert (measured.folder / path).stat().st_size > 1000


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_direct_call_and_a_server_give_equal_tables_arrays_and_warnings(
    name: str,
    measured: Measured,
    direct: AnalysisResult,
    served: Callable[[str, Sequence[Path], dict[str, Any]], AnalysisResult],
    expect_same: Callable[[AnalysisResult, AnalysisResult], None],
    tmp_path: Path,
) -> None:
    with Store.open(measured.folder) as store:
        inputs = find_analysis(name).inputs_of(open_run(store, measured.raw_uid(name)))
    write_exact_inputs(inputs, tmp_path / "inputs.npz")
    expect_same(direct, served(name, [tmp_path / "inputs.npz"], PARAMS[name]))


@pytest.mark.parametrize("name", ["components", "structure"])
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
    for text in ("digest", measured.raw_uid(name), "table"):
        assert text in printed
    assert ("array" in printed) == (name != "structure")
