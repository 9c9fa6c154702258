"""Trials of maps and outlines, beside an even grid of points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bl_steer.agents import Space
from bl_steer.agents.mapping.goal import Goal
from bl_steer.cli import main
from bl_steer.runs import open_run
from bl_steer.store import Store
from bl_steer.trials.mapping import even_grid, even_maps, map_score

SPACE = Space.grid(np.arange(31.0), np.arange(31.0))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    x, y = np.meshgrid(np.arange(12.0), np.arange(10.0))
    values = 100.0 * np.exp(-((x - 4) ** 2 + (y - 5) ** 2) / 8.0) + 10.0
    values[9, 11] = np.nan
    np.savez(tmp_path / "map.npz", x=x, y=y, map=values)
    return tmp_path / "map.npz"


@pytest.mark.parametrize(("budget", "most"), [(4, 4), (115, 115), (100, 100)])
def test_an_even_grid_has_as_many_points_as_fit_and_reaches_the_edges(
    budget: int, most: int
) -> None:
    columns, rows = even_grid(SPACE, budget)
    assert 0.9 * most <= len(columns) * len(rows) <= most
    assert columns[0] == rows[0] == 0
    assert columns[-1] == rows[-1] == 30


def test_an_even_grid_of_scattered_points_is_refused() -> None:
    with pytest.raises(ValueError, match="regular map"):
        even_grid(Space.scattered(*SPACE.points.T), 100)


def test_the_maps_of_an_even_grid_are_exact_where_the_field_is_linear() -> None:
    truth = 5.0 + SPACE.points @ [1.0, 2.0]
    n, maps = even_maps(SPACE, 60, truth)
    assert n <= 60
    for kind in ("linear", "cubic"):
        np.testing.assert_allclose(maps[kind], truth, rtol=1e-9)
    assert map_score(Goal("map"), maps["model"], truth) < 0.01
    assert map_score(Goal.at_level("45.5%"), maps["linear"], truth) == 0.0


@pytest.mark.parametrize("goal", ["map", "level=50%"])
def test_replay_and_find_take_a_goal(
    goal: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    arguments = ["replay", str(recorded), "--goal", goal, "--seeds", "0:1", "--budget", "25"]
    assert main([*arguments, "--agent", "bayesian", "--json", str(out)]) == 0
    (record,) = json.loads(out.read_text())
    assert record["goal"] == goal
    assert record["error"] < 0.06
    assert main(["find", "--sample", "smooth", "--goal", goal, "--budget", "14",
                 "--data", str(tmp_path / "d"), "--json", str(out)]) == 0  # fmt: skip
    report = json.loads(out.read_text())
    assert "even grid" in capsys.readouterr().out
    with Store.open_existing(tmp_path / "d") as store:
        assert open_run(store, report["run_uid"]).steering["goal"] == goal
    assert main(["show", "-1", "--data", str(tmp_path / "d"), "--figure", str(tmp_path / "f.png"),
                 "--verify"]) == 0  # fmt: skip
    assert (tmp_path / "f.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--goal", "minimum"], "goal must be maximum, map or level"),
        (["--goal", "map", "--stop", "W=20"], "--goal must stand without --stop"),
        (["--goal", "map", "--exposure", "adaptive"], "--goal must stand without --exposure"),
        (["--goal", "map", "--epics", "--sample", "smooth"], "--sample must be left out with"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", "--data", str(tmp_path / "d"), *more]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("goal", ["map", "level=50%"])
def test_a_map_starts_from_earlier_runs_of_the_store(goal: str, tmp_path: Path) -> None:
    out, data = tmp_path / "r.json", str(tmp_path / "d")
    film = ["find", "--sample", "smooth", "--data", data, "--json", str(out)]
    assert main([*film, "--budget", "12"]) == 0
    before = json.loads(out.read_text())["run_uid"]
    assert main([*film, "--goal", goal, "--budget", "6", "--seen", before[:8]]) == 0
    with Store.open_existing(tmp_path / "d") as store:
        run = open_run(store, json.loads(out.read_text())["run_uid"])
    assert run.steering["seen"] == [before]
    assert (run.n_points, run.steering["goal"]) == (6, goal)
    assert "start" not in run.decisions["reason"]
