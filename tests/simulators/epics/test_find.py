"""``bl-steer find --epics`` against a fresh soft IOC, beside ``bl-steer find`` in process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.cli import main
from bl_steer.runs import Run, open_run
from bl_steer.store import Store
from tests.simulators.epics.soft_ioc import PREFIX, private_environment, run_client, serving

pytest.importorskip("caproto", reason="the soft IOC is served by caproto: pip install caproto")


def latest(folder: Path) -> Run:
    with Store.open(folder) as store:
        return open_run(store, -1)


@pytest.mark.parametrize("goal", ["maximum", "level=40%"])
def test_epics_and_the_beamline_in_process_give_the_same_points(
    goal: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = private_environment(tmp_path_factory.mktemp("ipython"))
    command: list[Any] = [sys.executable, "-m", "bl_steer"]
    steering = [
        "find",
        "--goal",
        goal,
        "--seed",
        "1",
        "--budget",
        "16",
        "--json",
        str(tmp_path / "report.json"),
        "--data",
    ]
    with serving(tmp_path, environment, speedup=100.0):
        at_the_ioc = [*steering, "epics", "--epics", "--prefix", PREFIX]
        client = run_client([*command, *at_the_ioc], environment, folder=tmp_path)
    assert client.returncode == 0, client.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert main([*steering, str(tmp_path / "here"), "--sample", "smooth"]) == 0
    over_epics, here = latest(tmp_path / "epics"), latest(tmp_path / "here")
    for axis in "xy":
        np.testing.assert_array_equal(over_epics.decisions[axis], here.decisions[axis])
    np.testing.assert_array_equal(over_epics.total, here.total)
    if goal == "maximum":
        assert (report["best_x_um"], report["best_y_um"]) == (125.0, 55.0)
    else:
        assert over_epics.steering["goal"] == report["goal"] == goal
        assert 0.0 <= report["inside_low"] <= report["inside"] <= report["inside_high"] <= 1.0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--epics", "--sample", "smooth"], "--sample must be left out with --epics"),
        (["--prefix", "X:"], "must come with --epics"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", *options]) == 2
    assert problem in capsys.readouterr().err
