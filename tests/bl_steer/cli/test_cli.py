"""The command line as a user has it, in an empty folder; mostly in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer import __version__
from bl_steer.cli import main
from bl_steer.cli.options import write_json
from tests import fork_server

FIND_KEYS = [
    "preset", "seed", "grid_points", "n_measured", "n_distinct", "n_to_found", "n_to_95",
    "n_to_best_cell", "found", "best_x_um", "best_y_um", "true_x_um", "true_y_um", "confirmed",
    "time_to_found_s", "beam_time_s", "grid_time_s", "speedup", "decision_cpu_s_median",
    "stop_reason", "run_uid",
]  # fmt: skip
REPLAY_KEYS = {
    "agent", "seed", "n_to_95", "n_to_best_cell", "n_distinct", "path", "beam_time_s",
    "decision_cpu_s_median",
}  # fmt: skip


def bl_steer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return fork_server.run(
        [sys.executable, "-m", "bl_steer", *arguments],
        cwd=folder,
        capture_output=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        check=False,
    )


@pytest.fixture
def bl_steer_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command in a folder, in this process, which need not import torch again."""

    def run(folder: Path, *arguments: str) -> int:
        monkeypatch.chdir(folder)
        return main(arguments)

    return run


@pytest.fixture(scope="module")
def found_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which `find` has run once, and its report."""
    folder = tmp_path_factory.mktemp("find")
    done = bl_steer(folder, "find", "--sample", "smooth", "--budget", "25", "--json", "found.json")
    assert done.returncode == 0, done.stderr
    assert "found" in done.stdout
    return folder, json.loads((folder / "found.json").read_text())


def test_find_finds_point_a_and_reports_the_stable_keys(
    found_once: tuple[Path, dict[str, Any]],
) -> None:
    _, report = found_once
    assert list(report) == FIND_KEYS
    assert report["found"]
    assert report["n_to_found"] <= 25
    assert report["n_measured"] == 25
    assert report["grid_points"] == 961
    assert report["speedup"] == pytest.approx(report["grid_time_s"] / report["beam_time_s"])
    assert report["grid_time_s"] == pytest.approx(961 * 11.2, rel=0.001)
    assert 10.0 * report["n_to_found"] < report["time_to_found_s"] < report["beam_time_s"]


def test_runs_lists_it_and_show_draws_it_and_repeats_its_decisions_in_another_process(
    found_once: tuple[Path, dict[str, Any]],
    bl_steer_here: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, report = found_once
    assert bl_steer_here(folder, "runs", "--json", "runs.json") == 0
    assert report["run_uid"][:8] in capsys.readouterr().out
    assert json.loads((folder / "runs.json").read_text())[0]["status"] == "success"
    uid = report["run_uid"][:8]
    options = ("--verify", "--figure", "a.png", "--json", "show.json")
    assert bl_steer_here(folder, "show", uid, *options) == 0
    shown = json.loads((folder / "show.json").read_text())
    assert shown["decisions_that_differ"] == shown["masks_that_differ"] == []
    assert (shown["best_x"], shown["best_y"]) == (report["best_x_um"], report["best_y_um"])
    assert (folder / "a.png").stat().st_size > 10_000


def test_the_same_seed_finds_the_same_way_again(
    found_once: tuple[Path, dict[str, Any]], bl_steer_here: Callable[..., int], tmp_path: Path
) -> None:
    _, report = found_once
    options = ("--sample", "smooth", "--budget", "25", "--json", "again.json")
    assert bl_steer_here(tmp_path, "find", *options) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    changing = {"decision_cpu_s_median", "run_uid", "time_to_found_s", "beam_time_s", "speedup"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in report.items() if k not in changing
    }
    assert again["beam_time_s"] == pytest.approx(report["beam_time_s"], abs=0.001)


def test_replay_steers_over_a_recorded_map_of_scattered_points(
    bl_steer_here: Callable[..., int], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.0, 10.0, (2, 60))
    np.savez(tmp_path / "map.npz", x=x, y=y, map=np.exp(-((x - 4) ** 2 + (y - 6) ** 2) / 8))
    status = bl_steer_here(
        tmp_path, "replay", "map.npz", "--target", "map", "--agent", "bayesian", "raster",
        "--seeds", "0:2", "--budget", "20", "--json", "replay.json",
    )  # fmt: skip
    assert status == 0
    records = json.loads((tmp_path / "replay.json").read_text())
    assert [(r["agent"], r["seed"]) for r in records] == [
        ("bayesian", 0), ("bayesian", 1), ("raster", 0), ("raster", 1),
    ]  # fmt: skip
    assert all(set(record) >= REPLAY_KEYS for record in records)
    assert all(record["n_to_best_cell"] <= 20 for record in records[:2])
    assert not (tmp_path / "bl_steer_data").exists()


INTO = ("--out", "new/out")
STACK = ("--pitch-nm", "100", "--pixel-size-nm", "10", *INTO)
BAD = [
    (("replay", "missing.npz"), "must exist, got 'missing.npz'"),
    (("replay", "truncated.npz"), "must be a whole .npz file"),
    (("replay", "nan.npz"), "must be finite, got 1 NaN"),
    (("replay", "pickle.npz"), "without pickled objects"),
    (("replay", "one.npz"), "at least 4 points, got 1"),
    (("replay", "good.npz", "--clip-percentile", "300"), "clip must be"),
    (("replay", "good.npz", "--stride", "0"), "stride must be"),
    (("replay", "good.npz", "--seeds", "5:2"), "seeds must be FIRST:END"),
    (("replay", "good.npz", "--agent", "oracle"), "agent must be one of"),
    (("replay", "smooth", "--stride", "2"), "must be left out for a preset"),
    (("find", "--sample", "flat"), "preset must be one of smooth"),
    (("find", "--budget", "0"), "budget must lie in 1 … 961"),
    (("find", "--budget", "962"), "budget must lie in 1 … 961"),
    (("find", "--budget", "some"), "invalid int value: 'some'"),
    (("find", "--exposure-s", "-1"), "exposure must be positive and finite, got -1 s"),
    (("find", "--target", "brightest"), "target must be total, map, field:KEY, roi"),
    (("find", "--target", "nmf:60@x=0.4"), "60 components"),
    (("find", "--target", "roi:1,2,1,2"), "must hold a pixel of the frame's window"),
    (("find", "--target", "total", "--target", "total"), "several targets must differ"),
    (("find", "--pareto"), "pareto must come with several targets"),
    (("replay", "smooth", "--pareto"), "pareto must come with several targets"),
    (("find", "--json", "nowhere/a.json"), "must go to a folder that exists"),
    (("find", "--json", "."), "must go to a file, got the folder ."),
    (("find", "--seed", "99999999999999999999"), "below 2⁶³"),
    (("paper", "--out", "good.npz"), "must go to a folder, got the file"),
    (("demo", "--figure", "nowhere/a.png"), "must go to a folder that exists"),
    (("demo", "--figure", "a.txt"), "must end in .png, .pdf or .svg"),
    (("runs",), "must be a folder that exists"),
    (("show", "abc"), "must be a folder that exists"),
    (("dmo",), "invalid choice: 'dmo'"),
    (("superres", "train", "missing.tif", *STACK), "'missing.tif', which does not exist"),
    (("superres", "train", "small.npy", *STACK), "got 0 in every pixel"),
    (("superres", "train", "narrow.npy", *STACK), "slices must span at least 3 pitches"),
    (("superres", "run", "small.npy", "--model", "missing", *STACK), "a model must be a folder"),
    (("structure", "small.npy", "--voxel-nm", "100,10,10", *INTO), "two to 16 phases"),
    (("structure", "small.npy", "--voxel-nm", "-1,1,1", *INTO), "got -1, 1, 1"),
    (("segment", "run", "missing.png", "--out", "out"), "'missing.png', which does not exist"),
    (("segment", "train", "missing", "--out", "out"), "missing"),
    (("segment", "train", "good.npz", "--out", "out"), "good.npz"),
    (("slice-and-view", "--simulate", "--resume", "a", "--data", "new/out"), "got no new/out/sim"),
    (("paper", "--scale", "2"), "scale must lie within 0.12 … 1, got 2"),
    (("analyse", "abc", "segment", "--figures", "out"), "must be a folder that exists"),
    (("package", "run", "missing", "missing.png"), "missing"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_one_line_and_status_2_and_nothing_is_written(
    arguments: tuple[str, ...], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = np.meshgrid(np.arange(8.0), np.arange(8.0))
    values = np.ones((8, 8))
    np.savez(tmp_path / "good.npz", x=grid[0], y=grid[1], map=values)
    complete = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "truncated.npz").write_bytes(complete[: len(complete) // 2])
    np.savez(tmp_path / "pickle.npz", x=grid[0], y=grid[1], map=values.astype(object))
    values[2, 2] = np.nan
    np.savez(tmp_path / "nan.npz", x=grid[0], y=grid[1], map=values)
    np.savez(tmp_path / "one.npz", x=[1.0], y=[2.0], map=[3.0])
    np.save(tmp_path / "small.npy", np.zeros((4, 9, 9), np.uint8))
    np.save(tmp_path / "narrow.npy", np.arange(4 * 81, dtype=np.uint16).reshape(4, 9, 9))
    before = sorted(path.name for path in tmp_path.iterdir())
    home = Path.cwd()
    os.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    finally:
        os.chdir(home)
    captured = capsys.readouterr()
    assert status == 2
    assert text in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("bl-steer: ")
    assert captured.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_plans_py_of_the_users_own_does_no_harm_or_is_named(tmp_path: Path) -> None:
    (tmp_path / "plans.py").write_text("mine = True\n")
    typed = "RE(find_hotspot(det, stage, monitor=monitor, budget=3)); import plans; plans.__file__"
    command = "import sys; from bl_steer.cli import main; sys.exit(main(['session', '--simulate']))"
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "OMP_NUM_THREADS": "1"}
    installed = Path(sys.executable).with_name("bl-steer")
    done = subprocess.run(
        [str(installed), "session", "--simulate"],
        cwd=tmp_path, input=typed + "\nexit\n", capture_output=True, text=True, timeout=300,
        env=environment, check=False,
    )  # fmt: skip
    assert "plans/__init__.py" in done.stdout, done.stdout + done.stderr
    assert "reported:" in done.stderr
    collided = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path, input="exit\n", capture_output=True, text=True, timeout=300,
        env=environment, check=False,
    )  # fmt: skip
    assert collided.returncode == 2
    assert f"'plans' must be bl_steer's, got {tmp_path / 'plans.py'}; rename" in collided.stderr


def test_the_startup_module_gives_the_usual_names(tmp_path: Path) -> None:
    code = (
        "from bl_steer.startup import *\n"
        "RE(find_hotspot(det, stage, monitor=monitor, budget=4))\n"
        "assert db[-1].metadata['start']['plan_name'] == 'find_hotspot'\n"
        "assert open_run(-1).n_points == 4\n"
        "assert session.devices['stage'] is stage\n"
        "print(banner)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "BL_STEER_SAMPLE": "smooth", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr  # nor at the end of the process
    assert "RE(find_hotspot(det, stage, monitor=monitor, budget=48))" in done.stdout
    assert (tmp_path / "bl_steer_data" / "live_map.png").exists()


def test_ctrl_c_keeps_what_was_measured(bl_steer_here: Callable[..., int], tmp_path: Path) -> None:
    import signal
    import time

    process = fork_server.Popen(
        [sys.executable, "-m", "bl_steer", "find", "--budget", "900"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    record = tmp_path / "bl_steer_data" / "record"
    deadline = time.monotonic() + 300.0
    while time.monotonic() < deadline:
        lines = [len(f.read_text().splitlines()) for f in record.glob("*.jsonl")]
        if lines and lines[0] > 40:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert bl_steer_here(tmp_path, "runs", "--json", "runs.json") == 0
    row = json.loads((tmp_path / "runs.json").read_text())[0]
    assert row["n_points"] >= 5
    assert row["status"] == "abort"
    assert errors.rstrip().splitlines()[-1] == (
        f"bl-steer: interrupted; run {row['uid'][:8]} is kept, with {row['n_points']} points; "
        f"'bl-steer resume {row['uid'][:8]} --data bl_steer_data' goes on"
    )


def test_a_server_that_gets_no_port_leaves_no_folder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        done = bl_steer(tmp_path, "serve", "--folder", "out", "--port", port, "--trust-packages")
    assert done.returncode == 2
    assert f"a port of its own, got 'Address already in use' for 127.0.0.1:{port}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_json_also_where_a_number_is_none(tmp_path: Path) -> None:
    where = argparse.Namespace(json=tmp_path / "report.json")
    write_json(where, {"a": [1.5, float("nan")], "b": ({"c": np.float64("inf")}, "NaN", 3)})
    assert json.loads(where.json.read_text(), parse_constant=pytest.fail) == {
        "a": [1.5, None],
        "b": [{"c": None}, "NaN", 3],
    }


def test_version_is_that_of_the_installed_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"bl-steer {version('bl-steer')}\n"
    assert __version__ == version("bl-steer")


def test_output_whose_reader_has_gone_ends_without_an_error_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "bl_steer", "analyse"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
