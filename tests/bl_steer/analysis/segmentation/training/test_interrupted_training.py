"""Ctrl-C in ``bl-steer segment train``: what is said, and what the same command makes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bl_steer.analysis.segmentation import FIBSEM_PHASES, paint
from bl_steer.analysis.segmentation.networks import NETWORKS
from bl_steer.analysis.segmentation.training import TrainingSet, TrainingSettings, train
from bl_steer.cli import main
from tests import fork_server

SMALL = """
import sys
from bl_steer.analysis.segmentation.training import loop as training
from bl_steer.analysis.segmentation.networks import NETWORKS
from bl_steer.cli import main

training.SAVE_EVERY_S = 0.0
NETWORKS["unet"] = (4, 6)
sys.exit(main(sys.argv[1:]))
"""
"""The command line as it is, but for a smaller network and the pace of the checkpoints."""
COMMAND = "segment train painted --steps 12 --out {out} --json {out}.json"


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A folder with painted micrographs of four samples, three phases in noisy bands."""
    (tmp_path / "painted").mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        labels = ((np.indices((96, 112))[number % 2] // 12) % 3).astype(np.uint8)
        grey = np.array([190.0, 110.0, 30.0])[labels] + rng.normal(0, 12, labels.shape)
        image = np.clip(grey, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "painted" / f"s{number}_0.png")
        mask = Image.fromarray(paint(image, labels, FIBSEM_PHASES))
        mask.save(tmp_path / "painted" / f"s{number}_0_mask.png")
    return tmp_path


def start(workdir: Path, out: str) -> subprocess.Popen[str]:
    return fork_server.Popen(
        [sys.executable, "-c", SMALL, *COMMAND.format(out=out).split()],
        cwd=workdir,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300.0
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def last_line(errors: str) -> str:
    return errors.replace("\r", "\n").rstrip().splitlines()[-1].strip()


def test_ctrl_c_says_where_the_checkpoint_is_and_the_same_command_ends_with_the_same_weights(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(workdir, "model")
    wait_for(workdir / "model" / "checkpoint.pt", first)
    time.sleep(0.2)  # somewhere in a step or in the midst of writing
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 130, errors
    assert "Traceback" not in errors
    assert last_line(errors) == (
        "bl-steer: interrupted; the training so far is in model/checkpoint.pt; the same command "
        "goes on from there"
    )
    assert not (workdir / "model" / "weights.safetensors").exists()
    monkeypatch.chdir(workdir)
    monkeypatch.setitem(NETWORKS, "unet", (4, 6))
    reports = {}
    for out in ("model", "anew"):
        assert main(COMMAND.format(out=out).split()) == 0
        reports[out] = json.loads((workdir / f"{out}.json").read_text())
    assert reports["model"]["weights_sha256"] == reports["anew"]["weights_sha256"]
    assert reports["model"]["steps_done"] == reports["anew"]["steps_done"]


def test_ctrl_c_before_the_first_checkpoint_says_that_nothing_is_kept(workdir: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    data = TrainingSet.read(workdir / "painted", FIBSEM_PHASES)
    with pytest.raises(KeyboardInterrupt, match=r"nothing of the training is in .*model yet; the"):
        train(
            data,
            TrainingSettings(widths=(4, 6), batch=1, patch_px=32),
            out=workdir / "model",
            progress=interrupt,
        )
