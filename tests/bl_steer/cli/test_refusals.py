"""What the command line refuses at once: one line, status 2, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bl_steer.cli import main

REFUSED = [
    (["segment", "plan"], "a plan must have something to plan with, got nothing; give PAIRS"),
    (
        ["segment", "plan", "--levels", "staining"],
        "a condition must be NAME=VALUE, got 'staining'; try staining=none",
    ),
    (["segment", "plan", "--levels", "=none,osmium"], "must be NAME=VALUE, got '=none,osmium'"),
    (["segment", "train", "pairs", "--network", "vgg"], "got 'vgg'; give one"),
    (["segment", "train", "pairs", "--steps", "0"], "a training's settings must fit, got --steps "),
    (["segment", "train", "pairs", "--steps", "x"], "argument --steps: invalid int value: 'x'"),
    (
        ["segment", "run", "a.tif", "--model", "m", "--condition", "staining="],
        "a condition must be NAME=VALUE, got 'staining='; try staining=none",
    ),
    (
        ["segment", "run", "a.tif", "--model", "m", "--condition", "pixel_size_nm=5"],
        "the pixel size must be given by its own option, got --condition pixel_size_nm=5.0",
    ),
    (
        ["segment", "run", "a.tif", "--model", "m", "--dask", "tcp://1.2.3.4:1"],
        "--dask must come with a Zarr stack, got a.tif",
    ),
    (
        ["segment", "run", "a.zarr", "b.zarr", "--model", "m"],
        "a Zarr stack must be segmented by itself, without --keep-probability and --format, got 2",
    ),
    (["server", "add-user", "nobody"], "EMAIL must be an e-mail address, got 'nobody'"),
    (
        ["segment"],
        "segment must be given one of train, run, evaluate, plan, got nothing; add it; see ",
    ),
    (["segment", "plan", "--levls", "a=1,2"], "unrecognized arguments: --levls"),
    (["segment", "plan", "--level", "a=1,2"], "unrecognized arguments: --level"),
    (["find", "--budg", "6"], "unrecognized arguments: --budg"),
    (["find", "--sample", "cheese"], "smooth, multi-domain, needle, noisy, rough, got 'cheese'"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_work_is_refused_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_report_goes_to_a_folder_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["segment", "plan", "--levels", "a=1,2", "--json", "lost/plan.json"]) == 2
    assert "the JSON file must go to a folder that exists, got lost" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_a_file_and_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "plan", "--levels", "a=1,2", "--json", str(tmp_path)]) == 2
    assert "the JSON report must go to a file, got the folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--sim", "--simulate"])
def test_the_simulated_session_has_a_short_name_too(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["session", option, "--epics"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
