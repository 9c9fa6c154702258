"""``bl-steer segment`` where results cannot go: one line and status 2, and nothing good is lost."""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

from bl_steer.analysis.segmentation import FIBSEM_PHASES, SegmentationModel, paint
from bl_steer.analysis.segmentation.model import prepared
from bl_steer.analysis.segmentation.networks import build_network
from bl_steer.analysis.segmentation.training import TrainingSet, TrainingSettings, train
from bl_steer.cli import main

SETTINGS = TrainingSettings(widths=(4, 6), steps=4, batch=1, patch_px=32, evaluate_every=2)


def field(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a micrograph in noisy bands and its labels."""
    rng = np.random.default_rng(number)
    labels = ((np.indices((96, 112))[number % 2] // 12) % 3).astype(np.uint8)
    grey = np.array([190.0, 110.0, 30.0])[labels] + rng.normal(0, 12, labels.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), labels


def untrained() -> SegmentationModel:
    """Return a network that was never trained, with an opinion on each pixel."""
    torch.manual_seed(5)
    network = build_network("segnet", 3, widths=(4, 6))
    *_, last = network.parameters()
    *_, weight = (p for p in network.parameters() if p.ndim == 4)
    with torch.no_grad():
        weight.mul_(30.0)
        last.zero_()
    return SegmentationModel(prepared(network), "segnet", (4, 6), FIBSEM_PHASES)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with painted micrographs, a stack, a model; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "painted").mkdir()
    for number in range(4):
        image, labels = field(number)
        Image.fromarray(image).save(f"painted/s{number}_0.png")
        Image.fromarray(paint(image, labels, FIBSEM_PHASES)).save(f"painted/s{number}_0_mask.png")
    noise = np.random.default_rng(0).integers(0, 256, (3, 192, 224), dtype=np.uint8)
    zarr.save_array("stack.zarr", noise)
    untrained().save("model")
    (tmp_path / "file.txt").touch()
    return tmp_path


@contextmanager
def restored_limit() -> Iterator[Callable[[int], None]]:
    """Give a function that limits the size, bytes, of a file that this process may write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # it would be cut, too
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = before


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a disk that is nearly full."""
    with restored_limit() as limit:
        limit(size)
        yield


NOWHERE = [
    ("run painted/s0_0.png --model model --out {}", "results must go where"),
    ("run stack.zarr --model model --out {}", "results must go where"),
    ("train painted --steps 1 --out {}", "results must go where"),
    ("plan painted --steps 1 --sizes 1,2 --out {}", "results must go where"),
    ("evaluate painted --model model --json {}/r.json", "must go"),
]


@pytest.mark.parametrize("out", ["file.txt/below", "/proc", "/proc/below"])
@pytest.mark.parametrize(("command", "text"), NOWHERE, ids=[c.split()[0] for c, _ in NOWHERE])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    workdir: Path, capsys: pytest.CaptureFixture[str], command: str, text: str, out: str
) -> None:
    assert main(["segment", *command.format(out).split()]) == 2
    lines = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()
    (message,) = [line for line in lines if line.startswith("bl-steer: ")]
    assert text in message
    assert out in message
    assert "; " in message  # the remedy


def test_a_disk_that_fills_while_a_result_is_written_is_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_up_to(10_000):
        command = "segment run painted/s0_0.png --model model --out out"
        assert main(command.split()) == 2
    (message,) = [li for li in capsys.readouterr().err.splitlines() if li.startswith("bl-steer: ")]
    assert re.search(r"got '(a short write: .*|File too large)' for out/field_000", message)
    assert "; free some space there, or give another place" in message
    complete = {path.name for path in (workdir / "out").iterdir()}
    assert complete <= {"fractions.csv", "sample.csv", "field_000_labels.tif"}


def test_a_disk_that_fills_while_a_stack_is_written_keeps_the_planes_before(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "segment run stack.zarr --model model --out out --json r.json"
    with files_up_to(5_000):
        assert main(command.split()) == 2
    assert "got 'File too large' for out/labels.zarr; free some" in capsys.readouterr().err
    assert main(command.split()) == 0
    assert json.loads((workdir / "r.json").read_text())["n_planes"] == 3


def test_a_full_disk_never_costs_a_good_checkpoint_or_model(workdir: Path) -> None:
    data = TrainingSet.read(workdir / "painted", FIBSEM_PHASES)
    out, complete = workdir / "new", workdir / "whole"
    expected = train(data, SETTINGS, out=complete)

    with (
        restored_limit() as limit,
        pytest.raises(OSError, match=r"'File too large' for .*new/checkpoint\.pt; free some"),
    ):
        train(
            data,
            SETTINGS,
            out=out,
            # The checkpoint of step 2 is on disk.
            progress=lambda done, total: limit(10_000) if done == 2 else None,
        )
    assert [path.name for path in out.iterdir()] == ["checkpoint.pt"]
    again = train(data, SETTINGS, out=out)
    assert again["weights_sha256"] == expected["weights_sha256"]
    model = SegmentationModel.load(out)
    with files_up_to(10_000), pytest.raises(OSError, match=r"weights\.safetensors; free some"):
        untrained().save(out)
    assert SegmentationModel.load(out).weights_sha256 == model.weights_sha256


def test_a_training_that_fills_the_disk_ends_with_status_2(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with files_up_to(100_000):
        assert main(["segment", "train", "painted", "--steps", "1", "--out", "new"]) == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    assert "got 'File too large' for new/checkpoint.pt; free some space there" in errors
