"""Simulated instruments by their names: on the command line, in the environment, in a script."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import get_args

import pytest

from bl_steer.cli.session import INSTRUMENTS
from bl_steer.session import SIMULATED, simulated
from bl_steer.settings import Settings
from tests import fork_server


def test_the_command_line_and_the_environment_offer_every_simulated_instrument() -> None:
    options = {name for name, _ in INSTRUMENTS.values()}
    assert options - {"epics"} == set(SIMULATED)
    assert set(get_args(Settings.model_fields["instrument"].annotation)) == set(SIMULATED)


@pytest.mark.parametrize("name", SIMULATED)
def test_the_environment_says_which_sample_and_seed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_STEER_SAMPLE", "smooth")  # a film, which no microscope has
    monkeypatch.setenv("BL_STEER_SEED", "3")
    instrument = simulated(name)
    assert "seed 3" in instrument.title
    assert ("'smooth'" in instrument.title) == (name == "beamline")
    assert "seed 4" in simulated(name, seed=4).title


STARTUP = """
from bl_steer.startup import *
print(banner)
print("all done:", session.wait_for_analyses(1.0), len(list_runs()), callable(open_analysis))
"""


@pytest.mark.parametrize("route", ["command", "startup"])
def test_a_fibsem_stands_at_the_prompt(route: str, tmp_path: Path) -> None:
    arguments, typed = {
        "command": (["-m", "bl_steer", "session", "--fibsem", "--sample", "network"], "exit\n"),
        "startup": (["-c", STARTUP], ""),
    }[route]
    done = fork_server.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "BL_STEER_INSTRUMENT": "fibsem",
            "IPYTHONDIR": str(tmp_path / "ipython"),
        },
    )
    assert done.returncode == 0, done.stderr
    specimen = "network" if route == "command" else "grains"
    assert f"simulated FIB-SEM, specimen '{specimen}', seed 0" in done.stdout
    assert "devices: sem, mill" in done.stdout
    assert route == "command" or "all done: True 0 True" in done.stdout
