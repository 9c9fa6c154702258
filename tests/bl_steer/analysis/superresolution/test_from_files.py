from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

from bl_steer.analysis import digest_of, find_analysis, make_params
from bl_steer.analysis.superresolution import even_subset, isotropy
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.verdict import NETWORKS, verdict
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
from bl_steer.cli import main
from bl_steer.files import planes
from bl_steer.protocols import Inputs
from tests import fork_server

VOXEL = ("--pitch-nm", "40", "--pixel-size-nm", "10")
LIMITED = """
import resource, signal, sys
from bl_steer.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4500, 4500))
sys.exit(main(sys.argv[1:]))
"""
"""No file may be larger than a probe; a disk that is full looks the same.

Run it with ``-B``: Python would leave cut bytecode beside modules that it compiles, which none can
import any more (https://github.com/python/cpython/issues/126606).
"""


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
) -> None:
    monkeypatch.setattr(planes, "MOST_BYTES", 20_000)  # several planes at a time, not all
    label_model.save(tmp_path / "model")
    zarr.save_array(str(tmp_path / "stack.zarr"), labels[::4])
    np.save(tmp_path / "stack.npy", labels[::4])
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
    for key in ("digest", "mean_uncertainty", "fractions", "warnings", "limit", "voxel_nm"):
        assert reports[0][key] == reports[1][key], key
    told = " ".join(reports[0]["warnings"])
    assert "learnt a pitch of 4 px and the stack has 8" in told
    assert "the pitch is wrong, or the sample is not isotropic" in told
    assert reports[0]["isotropy_tested_on"] == [11, 41, 41]
    volume = zarr.open_array(str(tmp_path / "of_stack.zarr" / "volume.zarr" / "volume"), mode="r")
    np.testing.assert_array_equal(np.asarray(volume[::4]), labels[::4])


def test_of_a_large_stack_on_disk_the_middle_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isotropy, "BOX_VOXELS", 16 * 10 * 10)
    monkeypatch.setattr(isotropy, "BOX_SLICES", 16)
    stack = np.arange(20 * 30 * 8).reshape(20, 30, 8)
    np.testing.assert_array_equal(isotropy.middle_box(stack, 2.0, 1), stack[2:18, 10:20])
    np.testing.assert_array_equal(isotropy.middle_box(stack, 5.0, 1), stack[2:18, 5:24])


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


@pytest.mark.parametrize("name", ["train", "check"])
@pytest.mark.parametrize(
    ("dtype", "sign", "options", "text"),
    [
        ("int8", -1, ["--n-phases", "2"], "got int8 from -1 up to 0; number the phases from 0"),
        ("complex64", 1, [], "grey levels must be real numbers, got complex64"),
        ("datetime64[s]", 1, [], "grey levels must be real numbers, got datetime64[s]"),
        ("complex64", 1, ["--n-phases", "2"], "whole numbers 0 … 1, got complex64"),
    ],
)
def test_values_that_cannot_be_learnt_are_refused(
    labels: NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    dtype: str,
    sign: int,
    options: list[str],
    text: str,
) -> None:
    np.save(tmp_path / "stack.npy", (sign * labels[::4].astype(np.int8)).astype(dtype))
    command = ["superres", name, str(tmp_path / "stack.npy"), *VOXEL, *options]
    command += ["--out", str(tmp_path / "model")] if name == "train" else []
    assert main([*command, "--factor", "2", "--steps", "1"]) == 2
    assert text in capsys.readouterr().err


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
    ("options", "text"),
    [
        ("--pitch-nm 10 --pixel-size-nm 10", "--pitch-nm must be finite, and larger than"),
        ("--pitch-nm 10 --pixel-size-nm 0", "--pixel-size-nm: must be greater than 0, got '0'"),
        (
            "--pixel-size-nm 10",
            "must be given --pitch-nm X, got stack.npy --pixel-size-nm 10; add it",
        ),
        ("--pitch-nm nan --pixel-size-nm 10", "--pitch-nm: must be a finite number, got 'nan'"),
        (
            "--pitch-nm 40 --pixel-size-nm 10 --profile-nm inf",
            "--profile-nm must be finite, 0 at least, got inf",
        ),
        (
            "--pitch-nm 40 --pixel-size-nm 10 --pitch-jitter nan",
            "--pitch-jitter must be 0 … 0.3, got nan",
        ),
        (
            "--pitch-nm 40 --pixel-size-nm 10 --steps 0",
            "--steps: must be greater than or equal to 1, got '0'",
        ),
        (
            "--pitch-nm 40 --pixel-size-nm 10 --seed -1",
            "--seed: must be greater than or equal to 0, got '-1'",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_named_with_its_rule(
    capsys: pytest.CaptureFixture[str], options: str, text: str
) -> None:
    assert main(["superres", "check", "stack.npy", *options.split()]) == 2
    assert text in capsys.readouterr().err


def test_negative_labels_in_zarr_are_refused(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    label_model.save(tmp_path / "model")
    zarr.save_array(str(tmp_path / "stack.zarr"), -labels[::4].astype(np.int8))
    with pytest.raises(ValueError, match="from -1 up to 0"):
        super_resolve_zarr(tmp_path / "model", tmp_path / "stack.zarr", tmp_path / "volume.zarr")


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_a_full_disk_names_the_file_and_leaves_no_part_of_it(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path, suffix: str
) -> None:
    label_model.save(tmp_path / "model")
    stack, out = tmp_path / f"stack{suffix}", tmp_path / "out"
    save = zarr.save_array if suffix == ".zarr" else np.save
    save(str(stack), labels[::4])
    child = fork_server.run(
        [sys.executable, "-B", "-c", LIMITED, "superres", "run", str(stack), *VOXEL,
         "--model", str(tmp_path / "model"), "--out", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 2
    name = "volume.zarr" if suffix == ".zarr" else "volume.tif"
    assert f"for {out / name}; free some space there" in child.stderr, child.stderr
    assert not list(out.glob("*.tif"))


def test_the_analysis_repeats_and_warns_of_a_wrong_pitch(
    label_model: SuperResolutionModel, labels: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = str(label_model.save(tmp_path))
    analysis = find_analysis("superres")
    params = make_params(analysis, {"model": folder, "n_phases": 2, "factor": 4})
    inputs = Inputs({"slices": labels[::4]}, {"pitch_nm": 40.0, "pixel_size_nm": 10.0})
    first, second = (analysis.run(inputs, params) for _ in range(2))
    assert digest_of(first) == digest_of(second)
    assert first.warnings == (first.provenance["limit"],)
    shares = first.tables["fractions"]
    np.testing.assert_allclose(
        shares["fraction_of_volume"], shares["fraction_of_slices"], atol=0.01
    )
    wrong = Inputs(inputs.arrays, {"pitch_nm": 80.0, "pixel_size_nm": 10.0})
    assert "pitch" in analysis.run(wrong, params).warnings[0]


def test_the_analysis_learns_from_the_stack_where_no_model_is_given(
    grey: NDArray[np.uint8],
) -> None:
    analysis = find_analysis("superres")
    params = make_params(analysis, {"factor": 2, "steps": 1, "blocks": 1, "channels": 4})
    inputs = Inputs({"slices": grey[::4]}, {"pitch_nm": 40.0, "pixel_size_nm": 10.0})
    result = analysis.run(inputs, params)
    assert result.arrays["volume"].shape == (21, 41, 41)
    assert result.provenance["weights"]


def test_an_unknown_voxel_is_refused(grey: NDArray[np.uint8]) -> None:
    analysis = find_analysis("superres")
    with pytest.raises(ValueError, match="slices must have pixel_size_nm and pitch_nm, which"):
        analysis.run(Inputs({"slices": grey}), make_params(analysis, {}))


@pytest.mark.parametrize(
    ("measure", "networks", "expected"),
    [
        ("miou", 0.323, "like flat (mean IoU 0.323 against 0.321): train longer"),
        ("miou", 0.319, "like flat"),
        ("miou", 0.33, "better than flat (mean IoU 0.330 against 0.321)"),
        ("miou", 0.31, "not better than flat"),
        ("rms_error", 0.32, "like flat"),
        ("rms_error", 0.3, "better than flat"),
        ("rms_error", 0.33, "not better than flat"),
    ],
)
def test_a_method_is_better_beyond_a_margin_alone(
    measure: str, networks: float, expected: str
) -> None:
    scores = {"method": np.array([NETWORKS, "flat"]), measure: np.array([networks, 0.321])}
    assert verdict(scores).startswith(expected)


@pytest.mark.parametrize(
    ("stack", "out"),
    [
        ("slices", "slices"),
        ("s.zarr", "s.zarr"),
        ("s.zarr", "s.zarr/out"),
        ("volume.tif", "."),
        ("volume.zarr/volume", "."),
        ("slices", "other.zarr/out"),
    ],
)
def test_results_in_the_stacks_place_are_refused_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stack: str,
    out: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("s.zarr", "other.zarr"):
        zarr.save_array(name, np.zeros((5, 9, 9), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    assert main(["superres", "run", stack, *VOXEL, "--model", "m", "--out", out]) == 2
    assert f"apart from the stack {stack} and from any Zarr" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("shape", "text"),
    [((1, 41, 41), "two slices at least, got 1"), ((5, 41, 41), "got 7 in every pixel")],
)
def test_a_stack_that_teaches_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: tuple[int, ...], text: str
) -> None:
    np.save(tmp_path / "stack.npy", np.full(shape, 7, np.uint8))
    command = ["superres", "train", str(tmp_path / "stack.npy"), *VOXEL]
    assert main([*command, "--steps", "1", "--out", str(tmp_path / "model")]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    inputs = Inputs({"slices": np.full(shape, 7)}, {"pitch_nm": 40.0, "pixel_size_nm": 10.0})
    analysis = find_analysis("superres")
    with pytest.raises(ValueError, match=text):
        analysis.run(inputs, make_params(analysis, {"steps": 1}))


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (1, "whole numbers 0, 1 alone, as labels do, and are taken as grey levels; if they are"),
        (
            255,
            r"numbers 0, 255 alone.*number them from 0 as uint8, and train with n_phases=2",
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


def test_a_missing_stack_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["superres", "run", "nothing.tif", *VOXEL, "--model", "none"]) == 2
    assert "superres train" in capsys.readouterr().err


def test_a_model_is_taught_by_slices_spread_evenly() -> None:
    chosen = even_subset(np.arange(100)[:, None, None])
    assert len(chosen) == 32
    assert (chosen.min(), chosen.max()) == (0, 99)
