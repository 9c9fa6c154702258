"""Ctrl-C in long commands: one line says what is kept, and what goes on."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bl_steer.cli import main
from bl_steer.cli.interrupted import in_place_of_parts, keeps, kept_of_paper
from bl_steer.cli.options import Parser
from bl_steer.progress import Bar

VOXEL = ("--pitch-nm", "40", "--pixel-size-nm", "10")
TRAIN = ("--factor", "4", "--blocks", "1", "--channels", "4", "--steps", "4", "--out", "model")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stack of two phases in the working folder."""
    monkeypatch.chdir(tmp_path)
    z, y, x = np.indices((12, 72, 72))
    grey = np.where(np.sin(y / 6 + z / 3) + np.sin(x / 7) > 0, 170, 60)
    noise = np.random.default_rng(0).normal(0, 8, grey.shape)
    tifffile.imwrite("stack.tif", (grey + noise).astype(np.uint8))
    return "stack.tif"


@pytest.fixture
def interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return what a command says at Ctrl-C when its progress has come so far."""

    def line(after: int, *command: str) -> str:
        def show(self: Any, done: int, total: int | None) -> None:
            if done >= after:
                raise KeyboardInterrupt

        monkeypatch.setattr(Bar, "show", show)
        assert main(command) == 130
        return capsys.readouterr().err.rstrip().splitlines()[-1]

    return line


def test_a_training_of_super_resolution_says_what_goes_on(
    stack: str, interrupted: Callable[..., str]
) -> None:
    command = ("superres", "train", stack, *VOXEL, *TRAIN)
    nothing = "nothing of the training is in model yet; the same command begins again"
    assert interrupted(1, *command) == f"bl-steer: interrupted; {nothing}"
    kept = "the training so far is in model/checkpoint.pt; the same command goes on from there"
    assert interrupted(9, *command) == f"bl-steer: interrupted; {kept}"


def test_what_keeps_nothing_says_so_and_names_files_that_are_there(
    stack: str, interrupted: Callable[..., str]
) -> None:
    again = "the same command begins again"
    command = ("structure", stack, "--voxel-nm", "40,10,10")
    labels = (np.asarray(tifffile.imread(stack)) > 100).astype(np.uint8)
    tifffile.imwrite(stack, labels)
    line = interrupted(0, *command)
    assert line == f"bl-steer: interrupted; nothing of it is kept; {again}"
    Path("out").mkdir()
    Path("out/volumes.csv").write_text("")
    line = interrupted(0, *command, "--out", "out")
    assert line.endswith(f"but files that are in out already, each of them whole; {again}")


def test_the_paper_names_its_figures_not_the_part_that_was_under_way(tmp_path: Path) -> None:
    (tmp_path / "figure_1.png").touch()
    parser = Parser(prog="paper")
    keeps(parser, kept_of_paper)
    arguments = argparse.Namespace(out=tmp_path, data=tmp_path, kept=parser.get_default("kept"))
    expected = f"kept are figure_1.png in {tmp_path}, and the runs in {tmp_path}; the same command "
    with pytest.raises(KeyboardInterrupt) as stop, in_place_of_parts(arguments):
        raise KeyboardInterrupt("the slices of run 01234567 are kept")
    assert str(stop.value) == f"{expected}begins again"
    (tmp_path / "simulated_fibsem.json").touch()
    assert kept_of_paper(arguments) == f"{expected}with another --data begins again"


def test_a_command_that_ends_looks_for_no_garbage() -> None:
    """Which takes Python seconds where torch is loaded, and Ctrl-C would seem not to end it."""
    lines = (
        "import atexit, gc",
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 100))",
        "from bl_steer.cli import main",
        "main(['--version'])",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "True True"
