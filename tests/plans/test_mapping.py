"""Plans whose goal is the whole map, or the outline of a level."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import Syn2DGauss, SynAxis
from scipy.special import ndtr

from bl_steer.agents import Space
from bl_steer.files.maps import read_any_map
from bl_steer.runs import Run, export_run, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import ResumeError, differing_decisions, outline_points
from plans import find_level_set, map_adaptively

GRID = Space.grid(np.linspace(0.0, 150.0, 13), np.linspace(0.0, 150.0, 13))
ZONE = {"circle": [100.0, 40.0, 15.0]}
QUICK: dict[str, Any] = {"budget": 14, "grid": GRID, "target": "total", "seed": 3}
GRAINS = "ref:x=0.45,R=0.9,tilt=0"
PLANS: list[tuple[str, dict[str, Any]]] = [
    ("map_adaptively", {}),
    ("find_level_set", {"level": "40%"}),
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("data")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as opened:
        yield opened


@pytest.mark.parametrize(("plan", "options"), PLANS)
def test_a_goal_is_in_the_record_its_decisions_verify_and_it_can_be_carried_on(
    plan: str, options: dict[str, Any], session: Session, tmp_path: Path
) -> None:
    uid, whole = session.run(getattr(session, plan)(**QUICK, **options, forbidden=[ZONE]))
    run = open_run(session.store, uid)
    assert run.steering["goal"] == ("map" if plan == "map_adaptively" else "level=40%")
    assert set(run.decisions["reason"]) == {"start", run.steering["goal"].partition("=")[0]}
    assert differing_decisions(run) == []
    forbidden = GRID.forbid([ZONE])
    assert forbidden.in_no_zone(run.positions).all()

    lines = (session.store.record_dir / f"{uid}.jsonl").read_text().splitlines()
    kept = [n for n, line in enumerate(lines) if json.loads(line)[0] == "event"][30]
    broken = tmp_path / f"{uid}.jsonl"
    broken.write_text("\n".join(lines[: kept + 1]) + "\n")
    _, again = session.run(getattr(session, plan)(resumes=Run.from_record(broken)))
    np.testing.assert_array_equal(again.outcomes, whole.outcomes)
    np.testing.assert_array_equal(again.predicted.mean, whole.predicted.mean)


@pytest.mark.parametrize(("plan", "options"), PLANS)
def test_what_is_predicted_is_stored_cell_by_cell(
    plan: str, options: dict[str, Any], session: Session
) -> None:
    uid, result = session.run(getattr(session, plan)(**QUICK, **options))
    row = open_run(session.store, uid).streams["predicted"]
    for name in ("mean", "sd"):
        stored = np.array(json.loads(row[name][0]), dtype=float)
        np.testing.assert_array_equal(stored, getattr(result.predicted, name))
        assert stored.shape == (len(GRID),)
    assert ("above" in row) == (plan == "find_level_set")
    assert "outline_z" not in row


def test_a_level_set_says_how_much_is_inside_and_where_its_outline_is(session: Session) -> None:
    _, found = session.run(session.find_level_set(**(QUICK | {"budget": 40}), level="50%"))
    x, y = found.predicted.outline_x, found.predicted.outline_y
    assert 0.0 < found.inside_low <= found.inside <= found.inside_high < 1.0
    assert len(x) == len(y) > 4
    steps = np.stack([x, y], axis=1) / GRID.steps
    assert (np.abs(steps - np.round(steps)) < 1e-9).any(axis=1).all()


def test_a_measured_cell_is_predicted_as_it_was_read_but_for_counting(session: Session) -> None:
    """Grains finer than the points lie apart are the film's, and known where it was measured."""
    uid, found = session.run(session.map_adaptively(**(QUICK | {"budget": 40, "target": GRAINS})))
    run = open_run(session.store, uid)
    cells = [GRID.index_of(*place) for place in run.positions]
    off = np.abs(found.predicted.mean[cells] - found.outcomes)
    others = np.delete(found.predicted.sd, cells)
    assert np.nanmedian(off) < 0.05 * np.median(others)
    assert np.median(found.predicted.sd[cells]) < 0.6 * np.median(others)


def test_a_run_of_another_level_is_not_carried_on(session: Session) -> None:
    uid, _ = session.run(session.find_level_set(**QUICK, level="40%"))
    with pytest.raises(ResumeError, match="goal must be that of the run to resume, 'level=40%'"):
        session.run(session.find_level_set(resumes=uid, level="60%", budget=20))


def test_any_device_in_any_unit_will_do_on_one_axis_too() -> None:
    x = SynAxis(name="x")
    det = Syn2DGauss("det", x, "x", SynAxis(name="y"), "y", center=(0.06, 0), Imax=1000, sigma=0.01)
    engine = RunEngine(call_returns_result=True)
    grid = {"x": {"start": 0, "stop": 0.15, "num": 61}}
    result = engine(find_level_set(det, [x], grid=grid, budget=25, level=500.0)).plan_result
    half = 0.01 * np.sqrt(2 * np.log(2))
    assert sorted(result.predicted.outline_x) == pytest.approx([0.06 - half, 0.06 + half], abs=3e-4)
    assert len(result.predicted.outline_y) == 0


@pytest.mark.parametrize(
    ("level", "remark"),
    [
        (5000.0, "value reaches the level of 5000; the largest is"),
        (-5.0, "are above the level of -5"),
    ],
)
def test_a_level_that_is_never_crossed_is_told(level: float, remark: str) -> None:
    x = SynAxis(name="x")
    det = Syn2DGauss("det", x, "x", SynAxis(name="y"), "y", center=(0.06, 0), Imax=1000, sigma=0.1)
    engine = RunEngine(call_returns_result=True)
    grid = {"x": {"start": 0, "stop": 0.15, "num": 31}}
    result = engine(find_level_set(det, [x], grid=grid, budget=6, level=level)).plan_result
    assert remark in result.remark


@pytest.mark.parametrize("agent", ["random", "raster"])
def test_points_of_another_agent_are_predicted_by_the_default_model(agent: str) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 100), Imax=1000, sigma=30)
    engine = RunEngine(call_returns_result=True)
    options: dict[str, Any] = {"grid": GRID.to_dict(), "budget": 20, "agent": agent}
    mapped = engine(map_adaptively(det, [x, y], **options)).plan_result
    assert 0.0 < mapped.map_error < mapped.map_range


def test_too_few_points_predict_nothing_and_end_in_good_order() -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 100), Imax=1000, sigma=30)
    engine = RunEngine(call_returns_result=True)
    options: dict[str, Any] = {"grid": GRID.to_dict(), "budget": 1}
    assert np.isnan(engine(map_adaptively(det, [x, y], **options)).plan_result.map_error)
    assert np.isnan(engine(find_level_set(det, [x, y], **options)).plan_result.inside)


@pytest.mark.parametrize("level", ["half", "120%", float("inf")])
def test_a_level_that_is_none_is_refused_before_anything_moves(level: Any) -> None:
    x = SynAxis(name="x")
    det = Syn2DGauss("det", x, "x", x, "x", center=(0, 0), Imax=1000, sigma=1)
    with pytest.raises(ValueError, match="try level='50%'"):
        list(find_level_set(det, [x], level=level))


@pytest.mark.parametrize("points", [GRID, Space.scattered(*GRID.points.T)])
def test_the_outline_of_a_linear_field_lies_on_its_line(points: Space) -> None:
    height = points.points @ [1.0, 0.0] - 80.0
    outline = outline_points(points, ndtr(height / 40.0), height)
    straight = outline[np.isin(outline[:, 1], GRID.axis("y"))]
    assert straight[:, 0] == pytest.approx(80.0)
    assert len(straight) == 13


def test_a_predicted_map_and_its_outline_are_tables_that_can_be_read_as_maps(
    session: Session, tmp_path: Path
) -> None:
    before, _ = session.run(session.map_sample(grid=GRID.to_dict() | {"x": [0.0, 75.0, 150.0]}))
    uid, found = session.run(session.find_level_set(**QUICK, level="40%", seen=before))
    run = open_run(session.store, uid)
    files = {path.stem: path for path in export_run(run, tmp_path / "run.csv")}
    predicted = read_any_map(files["run_predicted"])
    np.testing.assert_array_equal(np.stack([predicted.x, predicted.y], axis=1), GRID.points)
    np.testing.assert_array_equal(predicted.values, found.predicted.mean)
    assert predicted.unit == "um"
    header, units, *rows = csv.reader(files["run_outline"].read_text().splitlines())
    assert (header, units) == (["x", "y"], ["um", "um"])
    assert np.array(rows, dtype=float).shape == (len(found.predicted.outline_x), 2)
    header, _, *rows = csv.reader(files["run_seen"].read_text().splitlines())
    assert header == ["x", "y", "outcomes", "noise_ratios"]
    assert len(rows) == 39
