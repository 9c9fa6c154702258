"""Exports: NeXus by the rules of NXdata, and CSV by RFC 4180, of every kind of run."""

from __future__ import annotations

import copy
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynGauss

from bl_steer import cli
from bl_steer.runs import Run, export_run, open_run
from bl_steer.session import Session, microscope, open_session
from bl_steer.store import Store
from plans import find_hotspot, map_sample
from plans.stubs.per_point import rocking_scan
from simulators.film.recorded_map import RecordedMap

GRID = {"x": [0.0, 50.0, 100.0], "y": [0.0, 40.0, 80.0, 120.0]}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("data")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def runs(session: Session) -> dict[str, Run]:
    """Return a run of each kind, by name."""
    d = session.devices
    rocking = rocking_scan(d["diffractometer"].eta, -1.0, 1.0, 3)
    plans = {
        "find": session.find_hotspot(grid=GRID, budget=4, target="total"),
        "map": session.map_sample(grid=GRID),
        "rocking": session.find_hotspot(grid=GRID, budget=2, per_point=rocking, target="total"),
        "count": bp.count([d["det"]], 3),
        "scan": bp.scan([d["det"], d["monitor"]], d["stage"].x, 0.0, 10.0, 4),
    }
    return {name: open_run(session.store, session.run(plan)[0]) for name, plan in plans.items()}


KINDS = ("find", "map", "rocking", "count", "scan")


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def check_plot(group: Any) -> None:
    """Hold a group against the rules of NXdata."""
    assert group.attrs["NX_class"] == "NXdata"
    signal = group[group.attrs["signal"]]
    axes = [text(name) for name in group.attrs["axes"]]
    assert len(axes) == signal.ndim
    for dimension, name in enumerate(axes):
        if name != ".":
            assert group.attrs[f"{name}_indices"] == dimension
            assert group[name].shape == (signal.shape[dimension],)
    for attribute, dimension in group.attrs.items():
        if attribute.endswith("_indices"):
            (length,) = group[attribute.removesuffix("_indices")].shape
            assert length == signal.shape[dimension]


def default_plot(file: Any) -> Any:
    """Follow the default attributes, as a viewer does."""
    group = file
    while "default" in group.attrs:
        group = group[group.attrs["default"]]
    return group


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_finds_something_to_plot_in_every_run(
    kind: str, runs: dict[str, Run], tmp_path: Path
) -> None:
    (path,) = export_run(runs[kind], tmp_path / "run.nxs")
    with h5py.File(path) as file:
        check_plot(default_plot(file))
        plots = [g for g in file["entry"].values() if g.attrs.get("NX_class") == "NXdata"]
        for group in plots:
            check_plot(group)
        entry = file["entry"]
        assert text(entry["entry_identifier"][()]) == runs[kind].uid
        assert json.loads(entry["start_document/data"][()])["uid"] == runs[kind].uid
        assert entry["instrument/det"].attrs["NX_class"] == "NXdetector"


@pytest.mark.parametrize("frames", ["copy", "link"])
def test_frames_are_those_of_the_run(frames: str, runs: dict[str, Run], tmp_path: Path) -> None:
    expected = np.asarray(runs["rocking"].frames)
    (path,) = export_run(runs["rocking"], tmp_path / "run.h5", frames=frames)
    with h5py.File(path) as file:
        data = file["entry/instrument/det/data"]
        assert data.is_virtual == (frames == "link")
        assert np.array_equal(data[:], expected)
    assert len(expected) == 6


def test_frames_may_be_left_out(runs: dict[str, Run], tmp_path: Path) -> None:
    (path,) = export_run(runs["find"], tmp_path / "run.nxs", frames="none")
    with h5py.File(path) as file:
        assert "data" not in file["entry/instrument/det"]


def test_the_map_of_a_grid_has_each_value_at_its_place(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    run = runs["map"]
    (path,) = export_run(run, tmp_path / "run.nxs")
    with h5py.File(path) as file:
        group = default_plot(file)
        assert [text(name) for name in group.attrs["axes"]] == ["y", "x"]
        x, y, values = group["x"][:], group["y"][:], group["det_total"][:]
    assert x.tolist() == GRID["x"]
    assert y.tolist() == GRID["y"]
    for total, (px, py), valid in zip(run.total, run.positions, run.valid, strict=True):
        if valid:
            here = values[np.abs(y - py).argmin(), np.abs(x - px).argmin()]
            assert here == total


def test_decisions_and_result_are_collections(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["find"]
    (path,) = export_run(run, tmp_path / "run.nxs")
    with h5py.File(path) as file:
        decisions, result = file["entry/decisions"], file["entry/result"]
        assert decisions.attrs["NX_class"] == result.attrs["NX_class"] == "NXcollection"
        assert decisions["x"][:].tolist() == run.decisions["x"].tolist()
        assert decisions["think_s"].attrs["units"] == "s"
        assert np.array_equal(decisions["outcomes"][:], run.decisions["outcomes"], equal_nan=True)
        assert run.result is not None
        assert result["best_value"][0] == run.result["best_value"]
        monitor = file["entry/monitor"]
        assert monitor.attrs["NX_class"] == "NXmonitor"
        assert monitor["data"][:].tolist() == run.monitor.tolist()
        positioner = file["entry/instrument/stage_x"]
        assert positioner.attrs["NX_class"] == "NXpositioner"
        assert positioner["value"][:].tolist() == run.x.tolist()


def test_decisions_of_a_budget_that_grew_are_exported(runs: dict[str, Run], tmp_path: Path) -> None:
    run = copy.deepcopy(runs["find"])
    first, *later = run.streams["decisions"]["outcomes"]
    longer = [json.dumps([*json.loads(text), None]) for text in later]
    run.streams["decisions"]["outcomes"] = np.array([first, *longer])
    (path,) = export_run(run, tmp_path / "grown.nxs")
    with h5py.File(path) as file:
        outcomes = file["entry/decisions/outcomes"][:]
    assert outcomes.shape == (1 + len(later), len(json.loads(first)) + 1)
    assert np.isnan(outcomes[0, -1])


def test_an_unfinished_run_is_exported_as_far_as_it_went(
    session: Session, runs: dict[str, Run], tmp_path: Path
) -> None:
    record = runs["map"].record
    assert record is not None
    lines = record.read_text().splitlines(keepends=True)
    broken = tmp_path / record.name
    broken.write_text("".join(lines[: len(lines) // 2]))
    run = Run.from_record(broken)
    assert run.status == "unfinished"
    assert 0 < run.n_points < 12
    (path,) = export_run(run, tmp_path / "run.nxs")
    with h5py.File(path) as file:
        check_plot(default_plot(file))
        assert text(file["entry/run_status"][()]) == "unfinished"
        assert "stop_document" not in file["entry"]
        assert len(file["entry/instrument/det/data"]) == run.n_points


def test_a_run_from_the_catalogue_and_from_its_record_are_exported_alike(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    record = runs["find"].record
    assert record is not None
    texts = []
    for name, run in {"a": runs["find"], "b": Run.from_record(record)}.items():
        texts.append([p.read_text() for p in export_run(run, tmp_path / name / "run.csv")])
    assert texts[0] == texts[1]


def test_csv_holds_names_then_units_then_the_numbers(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["find"]
    files = {path.stem: path for path in export_run(run, tmp_path / "run.csv")}
    assert set(files) == {"run", "run_baseline", "run_decisions", "run_result", "run_map"}
    assert b"\r\n" in files["run"].read_bytes()
    with files["run"].open(newline="") as stream:
        names, units, *_ = csv.reader(stream)
    assert units[names.index("stage_x")] == units[names.index("stage_y_user_setpoint")] == "um"
    with files["run_decisions"].open(newline="") as stream:
        names, units, *rows = csv.reader(stream)
    assert units[names.index("think_s")] == "s"
    column = [float(row[names.index("x")]) for row in rows]
    assert column == run.decisions["x"].tolist()
    assert rows[0][names.index("mean")] == ""  # NaN: there is no model yet
    with files["run_map"].open(newline="") as stream:
        head, *lines = csv.reader(stream)
    assert [float(x) for x in head[1:]] == GRID["x"]
    assert [float(line[0]) for line in lines] == GRID["y"]


def test_only_texts_are_kept_from_being_formulas(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "plain, with a comma"]
    table = {
        "seq_num": np.arange(1, 6),
        "time": np.arange(5.0),
        "note": np.array(texts),
        "value": np.array([-1.5, 2.0, -3.0, np.nan, 0.0]),
    }
    run = Run({"uid": "u" * 36, "time": 0.0}, None, {"primary": table})
    (path,) = export_run(run, tmp_path / "run.csv")
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))[2:]
    assert [row[2] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", texts[-1]]
    assert [row[3] for row in rows] == ["-1.5", "2.0", "-3.0", "", "0.0"]


def test_a_file_that_is_there_stays_unless_forced(runs: dict[str, Run], tmp_path: Path) -> None:
    for name in ("run.nxs", "run.csv"):
        path = tmp_path / name
        path.write_text("mine")
        with pytest.raises(FileExistsError, match=f"must not write over a file, got .*{name}"):
            export_run(runs["count"], path)
        assert path.read_text() == "mine"
        assert export_run(runs["count"], path, force=True)[0].read_bytes() != b"mine"


def test_another_ending_and_another_word_are_refused(runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in .nxs, .*got .*run.xlsx"):
        export_run(runs["count"], tmp_path / "run.xlsx")
    with pytest.raises(ValueError, match="frames must be one of copy, link, none, got 'all'"):
        export_run(runs["count"], tmp_path / "run.nxs", frames="all")


def test_frames_that_are_gone_are_told_with_the_way_out(
    runs: dict[str, Run], session: Session, tmp_path: Path
) -> None:
    record = runs["count"].record
    assert record is not None
    gone = tmp_path / record.name
    frames = str(session.store.frames_dir)
    gone.write_text(record.read_text().replace(frames, str(tmp_path / "gone")))
    with pytest.raises(RuntimeError, match="leave the frames out with frames='none'"):
        export_run(Run.from_record(gone), tmp_path / "run.nxs")
    assert not (tmp_path / "run.nxs").exists()
    assert export_run(Run.from_record(gone), tmp_path / "run.nxs", frames="none")


def test_devices_of_others_are_exported(RE: RunEngine, documents: Any, tmp_path: Path) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = SynGauss("d-1", x, "x", center=40, Imax=10, sigma=20)
    RE(find_hotspot(det, x, grid={"x": [0.0, 20.0, 40.0, 60.0]}, budget=3))
    (path,) = export_run(documents.run, tmp_path / "line.nxs")
    with h5py.File(path) as file:
        group = default_plot(file)
        check_plot(group)
        assert group.attrs["signal"] == "d_1"
        assert group["d_1"].attrs["long_name"] == "d-1"
    RE(map_sample(det, [x, y], grid={"x": [0.0, 40.0], "y": [0.0, 1.0]}))
    (path,) = export_run(documents.run, tmp_path / "map.nxs")
    with h5py.File(path) as file:
        assert default_plot(file)["d_1"].shape == (2, 2)


def test_micrographs_are_exported(tmp_path: Path) -> None:
    with open_session(microscope(), data_dir=tmp_path / "data", progress=False) as session:
        uid, _ = session.run(session.take_micrographs(fields=[(0, 0), (20, 0)]))
        (path,) = session.export(uid, tmp_path / "run.nxs")
        frames = np.asarray(open_run(session.store, uid).frames)
    with h5py.File(path) as file:
        check_plot(default_plot(file))
        assert np.array_equal(file["entry/instrument/sem/data"][:], frames)


def test_the_command_names_the_files_that_it_wrote(
    raw_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(tmp_path / "data") as store:
        uid = store.add_run(raw_run())
    out = tmp_path / "run.csv"
    argv = ["export", uid[:8], "--data", str(tmp_path / "data"), "--out", str(out)]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out.split() == [str(out)]
    assert cli.main(argv) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.main([*argv, "--force"]) == 0
    shutil.rmtree(tmp_path / "data")


@pytest.mark.parametrize("target", ["total", ["total", "ref:x=0.45,R=0.9,tilt=0"]])
def test_each_cell_of_a_table_holds_one_value(
    target: Any, session: Session, tmp_path: Path
) -> None:
    plan = session.find_hotspot(grid=GRID, budget=6, target=target)
    run = open_run(session.store, session.run(plan)[0])
    files = {path.name: path for path in export_run(run, tmp_path / "run.csv")}
    several = isinstance(target, list)
    for name in ("run_decisions.csv", "run_result.csv"):
        with files[name].open(encoding="utf-8", newline="") as stream:
            names, units, *rows = csv.reader(stream)
        assert len(names) == len(units) == len(set(names))
        assert not any(cell.startswith(("[", "{")) for row in rows for cell in row)
        last = "outcomes_0_4" if several and name == "run_decisions.csv" else "outcomes_4"
        column = [row[names.index(last)] for row in rows]
        outcomes = run.result["outcomes"] if name == "run_result.csv" and not several else None
        assert column[-1]
        if outcomes is not None:
            assert float(column[0]) == outcomes[4]
    with files["run_decisions.csv"].open(encoding="utf-8", newline="") as stream:
        names, _, *rows = csv.reader(stream)
    first = names.index("outcomes_1_0" if several else "outcomes_0")
    assert [row[first] == "" for row in rows] == [True] + [False] * 5


def test_an_exported_map_is_replayed_in_its_units_and_says_what_its_values_are(
    runs: dict[str, Run], tmp_path: Path
) -> None:
    files = {path.stem: path for path in export_run(runs["map"], tmp_path / "run.csv")}
    sample = RecordedMap.load(files["run_map"])
    assert (sample.unit, sample.unit_y) == ("um", "um")
    assert sample.notes == ("values taken: 'det_total'",)
