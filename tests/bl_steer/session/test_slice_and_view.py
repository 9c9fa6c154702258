"""From ``bl-steer slice-and-view --simulate`` to the report, on a tiny specimen."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bluesky.preprocessors import msg_mutator
from bluesky.utils import Msg

from bl_steer.analysis import analyses_of, digest_of, find_analysis, make_params, open_analysis
from bl_steer.analysis.reconstruction.rendering import can_render
from bl_steer.cli import main
from bl_steer.files.atomic import alone_in
from bl_steer.processing.publish import publish
from bl_steer.protocols import AnalysisResult
from bl_steer.runs import RecordsAlone, Run, list_runs, open_run
from bl_steer.session import fibsem, open_session
from bl_steer.session.reports import true_volume
from bl_steer.session.slice_and_view import CAP_PX, STATE_FILE, recorded_options
from bl_steer.stages import STAGES, stage_of
from bl_steer.store import Store
from tests import fork_server

pytestmark = pytest.mark.usefixtures("forked_worker")

PARAMS = {"factor": 2, "blocks": 1, "channels": 4, "steps": 3, "interval_blocks": 2}


class Reported(NamedTuple):
    folder: Path
    report: dict[str, Any]
    run: Run
    result: AnalysisResult

    @property
    def html(self) -> str:
        return (self.folder / "report" / "report.html").read_text()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    folder = tmp_path_factory.mktemp("slices")
    options = [f"--{key.replace('_', '-')}={value}" for key, value in PARAMS.items()]
    status = main(
        ["slice-and-view", "--simulate", "--seed", "3", "--slices", "6", "--pitch-nm", "40",
         "--edge-px", "112", "--faults", "severe", *options, "--data", str(folder / "data"),
         "--out", str(folder / "report"), "--json", str(folder / "report.json")]
    )  # fmt: skip
    assert status == 0
    report = json.loads((folder / "report.json").read_text())
    with Store.open(folder / "data") as store:
        run = open_run(store, report["run_uid"])
        assert analyses_of(store, run.uid) == [report["analysis_uid"]]
        result = open_analysis(store, report["analysis_uid"])
    return Reported(folder, report, run, result)


def test_the_callback_and_a_direct_call_give_one_digest(reported: Reported) -> None:
    analysis = find_analysis("reconstruct")
    told: list[tuple[int, int]] = []
    again = analysis.run(
        analysis.inputs_of(reported.run),
        make_params(analysis, PARAMS),
        lambda *steps: told.append(steps),
    )
    assert digest_of(again) == digest_of(reported.result) == reported.report["digest"]
    assert told == sorted(told)
    assert stage_of(*told[-1], len(STAGES["reconstruct"])).share == 1.0


def test_the_volume_is_even_and_holds_every_phase(reported: Reported) -> None:
    arrays = reported.result.arrays
    n = len(arrays["z_nm"])
    assert arrays["volume"].shape == arrays["uncertainty"].shape == (n, *arrays["labels"].shape[1:])
    assert set(np.unique(arrays["volume"])) <= {0, 1, 2}
    np.testing.assert_allclose(np.diff(arrays["z_nm"]), reported.result.provenance["voxel_nm"][0])
    # The first plane is the first slice, as it was segmented.
    np.testing.assert_array_equal(arrays["volume"][0], arrays["labels"][0])


def test_volumes_are_near_the_truth_that_the_simulator_knows(reported: Reported) -> None:
    truth = true_volume(reported.run.start, reported.result)
    assert truth is not None
    assert truth.shape == reported.result.arrays["volume"].shape
    table = reported.report["table_1"]
    rows = zip(table["method"], table["quantity"], table["ratio_to_truth"], strict=True)
    for method, phase, ratio in rows:
        if method == "super-resolved" and phase == "oxide":
            assert ratio == pytest.approx(1.0, abs=0.1)
    counts = np.bincount(truth.ravel(), minlength=3)
    true = [v for m, v in zip(table["method"], table["volume_um3"], strict=True) if m == "truth"]
    voxel_um3 = np.prod(reported.result.provenance["voxel_nm"]) * 1e-9
    np.testing.assert_allclose(true, counts * voxel_um3)


def test_the_report_is_one_file_that_needs_no_other(reported: Reported) -> None:
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", reported.html)
    assert "<script" not in reported.html
    assert "url(" not in re.sub(r"data:[^\"]+", "", reported.html)
    pictures = re.findall(r'src="data:image/(png|svg\+xml);base64,', reported.html)
    assert pictures.count("png") == 3 * can_render() + 5  # and panels of figure 5
    assert pictures.count("svg+xml") == 6


def test_the_report_tells_tables_warnings_and_limits(reported: Reported) -> None:
    for text in ("Table 1", "Table 2", "Figure 5", "oxide – carbon", "carbon – void"):
        assert text in reported.html
    assert reported.html.count("<th>off the truth</th>") == 2  # triple lines, connectivity
    assert any("cannot be recovered" in warning for warning in reported.report["warnings"])
    assert "cannot be recovered" in reported.html
    for name in ("table_1", "table_2", "volumes", "areas", "slices", "leave_out", "scores"):
        rows = (reported.folder / "report" / f"{name}.csv").read_text().splitlines()
        assert len(rows) > 2
    head = (reported.folder / "report" / "table_2.csv").read_text().splitlines()[0]
    assert head == (
        "quantity,method,area_um2,area_low_um2,area_high_um2,ratio_to_conventional,ratio_to_truth"
    )


def test_a_stored_run_is_reported_again_alike(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    out = reported.folder / "again"
    data = str(reported.folder / "data")
    assert main(["report", reported.run.uid[:8], "--data", data, "--out", str(out)]) == 0
    assert reported.report["digest"] in capsys.readouterr().out
    assert (out / "report.html").read_text() == reported.html


def test_slices_are_not_taken_without_saying_that_it_is_a_simulation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["slice-and-view"]) == 2
    assert "give it, or run the plan slice_and_view" in capsys.readouterr().err


def test_a_run_is_resumed_only_on_its_own_instrument(
    tmp_path: Path, reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = reported.run.uid[:8]
    resume = ["slice-and-view", "--simulate", "--resume", uid, "--out", str(tmp_path / "report")]
    assert main([*resume, "--data", str(tmp_path)]) == 2
    assert "must stand where the run left it" in capsys.readouterr().err
    other = ["--seed", "4", "--edge-px", "256", "--slices", "9"]
    assert main([*resume, "--data", str(reported.folder / "data"), *other]) == 2
    told = capsys.readouterr().err
    assert "--seed must be that of the run to resume, 3, got 4; " in told
    assert "--edge-px must be that of the run to resume, 112, got 256; leave it out" in told


def test_a_run_tells_the_options_to_carry_it_on_with(reported: Reported) -> None:
    options, params = recorded_options(reported.run.uid[:8], reported.folder / "data")
    assert options == {
        "sample": "grains", "seed": 3, "slices": 6, "pitch_nm": 40.0, "edge_px": 112,
        "faults": "severe",
    }  # fmt: skip
    assert params == PARAMS
    with pytest.raises(ValueError, match="--resume must name a run of slice_and_view, got"):
        recorded_options(reported.report["analysis_uid"], reported.folder / "data")


def test_a_broken_run_is_carried_on_without_repeating_its_options(tmp_path: Path) -> None:
    take(tmp_path, n_slices=4, stop_after=2)
    params = [f"--{key.replace('_', '-')}={value}" for key, value in PARAMS.items()]
    command = ["slice-and-view", "--simulate", "--resume", "-1", "--data", str(tmp_path)]
    assert main([*command, *params, "--out", str(tmp_path / "report")]) == 0
    runs = [row for row in list_runs(RecordsAlone(tmp_path)) if row.plan == "slice_and_view"]
    assert [row.n_points for row in runs] == [2, 2]
    assert open_run(RecordsAlone(tmp_path), runs[-1].uid).frames.shape[2:] == (208, 112)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--edge-px 5", "--edge-px must be 100 px at least at a pitch of 100 nm, got 5"),
        (
            "--edge-px 70 --pitch-nm 60",
            "--edge-px must be 76 px at least at a pitch of 60 nm, got 70",
        ),
        ("--pitch-nm -5", "--pitch-nm must be finite and more than a pixel's 10 nm, got -5"),
        ("--pitch-nm nan", "--pitch-nm must be finite and more than a pixel's 10 nm, got nan"),
        ("--slices 1", "--slices must be 2 at least to have a volume between them, got 1"),
        ("--edge-px 100000", "for --edge-px 100000 and --slices 24; give less of one"),
        ("--out file/report", "results must go where a folder can be made, got file/report"),
        ("--out file", "results must go to a folder, got the file file"),
    ],
)
def test_what_cannot_be_done_is_told_before_slices_are_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert main(["slice-and-view", "--simulate", *options.split()]) == 2
    assert text in capsys.readouterr().err
    assert not Path("bl_steer_data").exists()


def test_resuming_a_whole_run_points_to_its_report(
    tmp_path: Path, reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "slice-and-view --simulate --seed 3 --slices 6 --pitch-nm 40 --edge-px 112 --faults severe"
    )
    places = ["--data", str(reported.folder / "data"), "--out", str(tmp_path)]
    uid = reported.run.uid[:8]
    assert main([*command.split(), "--resume", uid, *places]) == 2
    told = f"'bl-steer report {uid} --data {reported.folder / 'data'}' writes its report"
    assert told in capsys.readouterr().err


def test_resuming_a_whole_run_that_was_not_reconstructed_says_how(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = take(tmp_path, n_slices=2)
    assert main([*command, "--slices", "2", "--resume", "-1"]) == 2
    (row,) = list_runs(RecordsAlone(tmp_path))
    told = f"'bl-steer analyse {row.uid[:8]} reconstruct --data {tmp_path}' reconstructs it"
    assert told in capsys.readouterr().err


def test_a_broken_run_keeps_its_instrument_until_it_is_carried_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = take(tmp_path, n_slices=4, stop_after=2)
    (broken,) = list_runs(RecordsAlone(tmp_path))
    state = (tmp_path / STATE_FILE).read_bytes()
    assert main(command) == 2
    assert f"carry it on with --resume {broken.uid[:8]}, or" in capsys.readouterr().err
    assert (tmp_path / STATE_FILE).read_bytes() == state
    take(tmp_path, n_slices=4, resumes=broken.uid)
    last = list_runs(RecordsAlone(tmp_path))[-1]
    assert main([*command, "--slices", "4", "--resume", broken.uid]) == 2
    assert f"already carried on by {last.uid[:8]}" in capsys.readouterr().err


def test_slices_are_taken_by_one_process_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"slice-and-view --simulate --data {tmp_path / 'data'} --out {tmp_path / 'report'}"
    with alone_in(tmp_path / "data"):
        assert main(command.split()) == 2
    told = capsys.readouterr().err
    assert "one process at a time" in told
    assert told.count("\n") == 1


def take(
    folder: Path, *, n_slices: int, stop_after: int | None = None, resumes: str | None = None
) -> list[str]:
    """Take slices without an analysis, whole or broken off; return the command to go on with."""
    state = folder / STATE_FILE
    instrument: Any = {"seed": 3, "shape": (112 + CAP_PX, 112), "state_file": state}
    with open_session(fibsem(**instrument), data_dir=folder, progress=False) as session:
        plan = session.slice_and_view(
            n_slices=n_slices,
            marks=session.instrument.simulator.marks,
            resumes=None if resumes is None else open_run(session.store, resumes),
        )
        begun: list[Msg] = []

        def break_off(message: Msg) -> Msg:
            if message.command == "create" and message.kwargs.get("name") == "primary":
                begun.append(message)
            if stop_after is not None and len(begun) > stop_after:
                raise RuntimeError("broken off")
            return message

        with contextlib.suppress(RuntimeError):
            session.run(msg_mutator(plan, break_off))
    command = f"slice-and-view --simulate --seed 3 --edge-px 112 --data {folder}"
    return [*command.split(), "--out", str(folder / "report")]


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = f"slice-and-view --simulate --pitch-nm 40 --edge-px 112 --slices 40 --data {data}"
    child = fork_server.Popen(
        [sys.executable, "-m", "bl_steer", *command.split(), "--out", str(tmp_path / "report")],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120.0
    while child.poll() is None and time.monotonic() < deadline:
        if sum(row.n_points for row in list_runs(RecordsAlone(data))) >= 2:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=300.0)
    assert child.returncode == 130
    (row,) = list_runs(RecordsAlone(data))
    assert f"with --resume {row.uid[:8]} goes on" in errors


def test_a_run_without_reconstruction_cannot_be_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instrument = fibsem(seed=3, shape=(96, 112))
    with open_session(instrument, data_dir=tmp_path, progress=False) as session:
        session.run(session.slice_and_view(n_slices=1, marks=instrument.simulator.marks))
    assert main(["report", "-1", "--data", str(tmp_path)]) == 2
    assert "must be reconstructed to be reported" in capsys.readouterr().err


def test_structure_follows_a_stored_analysis(reported: Reported) -> None:
    structure = find_analysis("structure")
    with Store.open(reported.folder / "data") as store:
        inputs = structure.inputs_of(open_run(store, reported.report["analysis_uid"]))
    params = make_params(structure, {"blocks": 2})
    found = structure.run(inputs, params).tables["areas"]
    table = reported.result.tables["areas"]
    ours = table["method"] == "super-resolved"
    np.testing.assert_array_equal(found["area_um2"], table["area_um2"][ours])
    np.testing.assert_array_equal(found["phase_a"], table["phase_a"][ours])


def test_structure_follows_segmented_slices(reported: Reported) -> None:
    structure = find_analysis("structure")
    segment = find_analysis("segment")
    with Store.open(reported.folder / "data") as store:
        labels = segment.run(segment.inputs_of(reported.run), make_params(segment))
        uid = publish(store, labels, raw_uid=reported.run.uid)
        inputs = structure.inputs_of(open_run(store, uid))
    assert inputs.metadata == {
        "voxel_size_nm": [40.0, 10.0, 10.0],
        "phases": ["oxide", "carbon", "void"],
    }
    assert inputs.arrays["labels"].shape == (reported.run.n_points, 208, 112)
