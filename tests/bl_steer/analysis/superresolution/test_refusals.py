"""What ``superres`` refuses, in one line and before any work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.superresolution.model import SuperResolutionModel
from bl_steer.analysis.superresolution.zarr_volume import super_resolve_zarr
from bl_steer.cli import main
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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--pitch-nm 10 --pixel-size-nm 10", "--pitch-nm must be finite, and larger than"),
        ("--pitch-nm 10 --pixel-size-nm 0", "--pixel-size-nm: must be greater than 0, got '0'"),
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


def test_a_missing_stack_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["superres", "run", "nothing.tif", *VOXEL, "--model", "none"]) == 2
    assert "superres train" in capsys.readouterr().err
