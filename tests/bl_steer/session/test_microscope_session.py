"""The simulated microscope at a prompt; `test_simulated` opens one by the startup module."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bl_steer.cli import main
from tests import fork_server

TYPED = """
RE(take_micrographs(sem, stage, fields=[(0, 0)], analyses=["segment"]))
print("all done:", session.wait_for_analyses(300.0))
print("phases:", *open_analysis(-1).tables["sample"]["phase"])
print("raw run:", open_run(-2).start["plan_name"], len(list_runs()))
"""


def test_micrographs_are_taken_and_segmented_at_the_prompt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = fork_server.run(
        [sys.executable, "-m", "bl_steer", "session", "--microscope", "--seed", "1"],
        cwd=tmp_path,
        input=TYPED + "exit\n",
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={
            **os.environ,
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    assert "simulated electron microscope, specimen 'grains', seed" in done.stdout
    for line in ("all done: True", "phases: oxide carbon void", "raw run: take_micrographs 2"):
        assert line in done.stdout, done.stdout + done.stderr
    # The run has no grid: show tells of it without a figure.
    assert main(["show", "-2", "--data", str(tmp_path / "bl_steer_data")]) == 0
    shown = capsys.readouterr().out
    assert "take_micrographs" in shown
    assert "segment" in shown


def test_a_specimen_that_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bl_steer.cli import main

    data = ["--data", str(tmp_path / "data")]
    assert main(["session", "--microscope", "--sample", "smooth", *data]) == 2
    assert "got 'smooth'" in capsys.readouterr().err
