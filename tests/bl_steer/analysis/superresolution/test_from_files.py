"""The commands ``superres train``, ``run`` and ``check`` on files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from bl_steer import progress
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.cli import main
from bl_steer.files import planes

VOXEL = ("--pitch-nm", "40", "--pixel-size-nm", "10")


def test_train_run_and_check_on_a_tiff(
    grey: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, model, out = tmp_path / "stack.tif", tmp_path / "model", tmp_path / "out"
    tifffile.imwrite(stack, grey[::4], photometric="minisblack")
    common = [str(stack), *VOXEL]
    short = ["--factor", "4", "--steps", "2"]
    assert main(["superres", "train", *common, *short, "--out", str(model)]) == 0
    report = tmp_path / "run.json"
    command = ["superres", "run", *common, "--model", str(model), "--out", str(out)]
    assert main([*command, "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["shape"] == list(grey.shape)
    assert found["voxel_nm"] == [10.0, 10.0, 10.0]
    volume = tifffile.imread(out / "volume.tif")
    np.testing.assert_array_equal(volume[::4], grey[::4])
    assert (out / "section.png").stat().st_size > 10_000
    assert "features thinner than the pitch of 40 nm" in capsys.readouterr().out
    checked = tmp_path / "check.json"
    assert main(["superres", "check", *common, *short, "--json", str(checked)]) == 0
    found = json.loads(checked.read_text())
    scores = found["leave_out"]
    methods = ["super-resolved", "nearest", "linear", "lanczos", "smoothed", "mean"]
    assert scores["method"] == methods
    assert all(0 < error < 100 for error in scores["rms_error"])
    ours, *simple = scores["rms_error"]
    apart = 20 * np.log10(min(simple) / ours)
    words = "better than" if apart > 0.1 else "not better than" if apart < -0.1 else "like"
    assert found["verdict"].startswith(words)
    assert f"{min(simple):.3f})" in found["verdict"]
    assert "verdict       " in capsys.readouterr().out


def test_a_zarr_stack_gives_what_the_same_stack_in_memory_gives(
    label_model: SuperResolutionModel,
    labels: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(planes, "MOST_BYTES", 20_000)  # several planes at a time, not all
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    label_model.save(tmp_path / "model")
    white = labels[::4] * np.uint8(255)  # as Fiji saves two phases
    zarr.save_array(str(tmp_path / "stack.zarr"), white)
    np.save(tmp_path / "stack.npy", white)
    reports = []
    for name in ("stack.zarr", "stack.npy"):
        out, report = tmp_path / f"of_{name}", tmp_path / "report.json"
        command = [
            "superres",
            "run",
            str(tmp_path / name),
            "--pitch-nm",
            "80",
            "--pixel-size-nm",
            "10",
        ]
        command += ["--model", str(tmp_path / "model"), "--out", str(out), "--json", str(report)]
        assert main(command) == 0
        reports.append(json.loads(report.read_text()))
        assert (out / "section.png").stat().st_size > 10_000
        assert "super-resolution, 3 of 3: inserting planes: 100 %" in capsys.readouterr().err
    for key in ("digest", "mean_uncertainty", "fractions", "warnings", "limit", "voxel_nm"):
        assert reports[0][key] == reports[1][key], key
    told = " ".join(reports[0]["warnings"])
    assert told.count("labels 0 and 255 are read as the phases 0 and 1") == 1
    assert "learnt a pitch of 4 px and the stack has 8" in told
    assert "the pitch is wrong, or the sample is not isotropic" in told
    assert reports[0]["isotropy_tested_on"] == [11, 41, 41]
    volume = zarr.open_array(str(tmp_path / "of_stack.zarr" / "volume.zarr" / "volume"), mode="r")
    np.testing.assert_array_equal(np.asarray(volume[::4]), labels[::4])


def test_another_voxel_than_the_models_and_labels_that_do_not_occur_are_told(
    labels: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, model = str(tmp_path / "stack.npy"), str(tmp_path / "model")
    np.save(stack, labels[::4])
    train = ["superres", "train", stack, *VOXEL, "--factor", "2", "--steps", "1"]
    assert main([*train, "--n-phases", "257", "--out", model]) == 2
    assert "--n-phases: must be less than or equal to 254, got '257'" in capsys.readouterr().err
    assert main([*train, "--n-phases", "4", "--out", model]) == 0
    assert "of labels 0 … 3, 2, 3 do not occur" in capsys.readouterr().out
    run = ["superres", "run", stack, "--model", model, "--out", str(tmp_path / "out")]
    assert main([*run, *VOXEL]) == 0
    assert "the model learnt" not in capsys.readouterr().out
    assert main([*run, "--pitch-nm", "80", "--pixel-size-nm", "20"]) == 0
    told = "learnt from voxels of 40 × 10 × 10 nm and the stack has 80 × 20 × 20"
    assert told in capsys.readouterr().out
    assert main([*run, "--pitch-nm", "80", "--pixel-size-nm", "10"]) == 0
    assert "learnt a pitch of 4 px and the stack has 8" in capsys.readouterr().out


def test_png_slices_are_taken_and_a_gap_among_them_is_told(
    grey: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for z, plane in enumerate(grey[::4]):
        Image.fromarray(plane).save(tmp_path / f"s{z + (z > 4)}.png")
    command = ["superres", "check", str(tmp_path), *VOXEL, "--factor", "2"]
    assert main([*command, "--steps", "1"]) == 0
    told = f"warning: the names of the slices in {tmp_path} lack the number 5:"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (1, "whole numbers 0, 1 alone, as labels do, and are taken as grey levels; if they are"),
        (
            255,
            r"numbers 0, 255 alone.*if they are labels, train with --n-phases 2",
        ),
    ],
)
@pytest.mark.parametrize("name", ["train", "run", "check"])
def test_labels_taken_as_grey_levels_are_told(
    grey_model: SuperResolutionModel,
    labels: NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    scale: int,
    told: str,
) -> None:
    np.save(tmp_path / "stack.npy", labels[::4] * np.uint8(scale))
    model = ["--model", str(grey_model.save(tmp_path / "grey")), "--out", str(tmp_path / "out")]
    train = ["--factor", "2", "--steps", "1"]
    options = {"run": model, "check": train, "train": [*train, "--out", str(tmp_path / "new")]}
    command = ["superres", name, str(tmp_path / "stack.npy"), *VOXEL]
    assert main([*command, *options[name]]) == 0
    assert re.search(told, capsys.readouterr().out)


def test_the_voxel_is_that_of_the_file_where_none_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = tmp_path / "s.npz"
    labels = np.random.default_rng(0).integers(0, 2, (6, 16, 16)).astype(np.uint8) * 255
    np.savez(stack, slices=labels, voxel_size_nm=(40, 10, 10))
    out = ["--out", str(tmp_path / "model")]
    train = ["superres", "train", str(stack), "--n-phases", "2", "--factor", "2", "--steps", "1"]
    assert main([*train, *out]) == 0
    assert "labels 0 and 255 are read as the phases 0 and 1" in capsys.readouterr().out
    np.savez(stack, slices=labels)
    assert main([*train, *out]) == 2
    told = "slices must have --pixel-size-nm and --pitch-nm, which their files do not state"
    assert told in capsys.readouterr().err
