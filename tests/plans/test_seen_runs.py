"""Searches that start from earlier runs: their points are known, and the budget is for new ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from matplotlib.figure import Figure
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.agents import Space
from bl_steer.plotting import draw_run
from bl_steer.plotting.live import LiveMap
from bl_steer.runs import Run, open_run
from bl_steer.session import Session, open_session
from bl_steer.steering import differing_decisions, points_of_runs, replay
from bl_steer.store import StoreError
from plans import find_hotspot, map_sample

GRID = Space.grid(np.linspace(0.0, 150.0, 16), np.linspace(0.0, 150.0, 16))
COARSE = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))
SIM = {"x": list(range(0, 101, 10)), "y": list(range(0, 101, 10))}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A store with a coarse map, and with Bluesky's own at a fifth of the exposure."""
    folder = tmp_path_factory.mktemp("mapped")
    with open_session("smooth", seed=1, data_dir=folder, progress=False) as opened:
        ours, _ = opened.run(opened.map_sample(grid=COARSE))
        det, stage, monitor = (opened.devices[name] for name in ("det", "stage", "monitor"))
        opened.RE(bps.mv(det.exposure_time, 2.0))
        lines = [stage.y, 0.0, 150.0, 4, stage.x, 0.0, 150.0, 4]
        theirs, _ = opened.run(bp.grid_scan([det, monitor], *lines))
    return folder, ours, theirs


@pytest.fixture
def session(mapped: tuple[Path, str, str], tmp_path: Path) -> Iterator[Session]:
    """A session on a copy of that store."""
    shutil.copytree(mapped[0], tmp_path / "data")
    with open_session("smooth", seed=1, data_dir=tmp_path / "data", progress=False) as opened:
        yield opened


def started(session: Session, **options: Any) -> Run:
    uid, _ = session.run(session.find_hotspot(grid=GRID, budget=4, seed=2, **options))
    return open_run(session.store, uid)


def test_a_search_starts_from_a_coarse_map_and_verifies(
    session: Session, mapped: tuple[Path, str, str]
) -> None:
    _, ours, _ = mapped
    figures: list[Figure] = []
    session.watch(LiveMap(figures.append))
    run = started(session, seen=ours[:8])
    before = open_run(session.store, ours)
    assert run.steering["seen"] == [ours]
    assert run.result is not None
    assert (run.n_points, run.result["n_measured"]) == (4, 4)
    assert "start" not in run.decisions["reason"]  # the map is start enough
    measured = {tuple(place) for place in before.positions.tolist()}
    assert measured.isdisjoint(zip(run.decisions["x"], run.decisions["y"], strict=True))
    assert run.decisions["best_so_far"][0] > 0.0
    assert len(json.loads(run.streams["seen"]["outcomes"][0])) == before.valid.sum()
    assert differing_decisions(run) == []
    left, *_, progress = draw_run(run).axes
    assert left.get_title() == f"predicted from 4 points and {before.valid.sum()} of earlier runs"
    (hollow,) = (line for line in left.lines if line.get_label() == "of earlier runs")
    assert {*zip(*hollow.get_data(), strict=True)} == measured
    assert progress.lines[0].get_ydata()[0] >= run.decisions["best_so_far"][0]
    assert figures


def test_verification_names_an_earlier_run_that_is_missing(
    session: Session, mapped: tuple[Path, str, str]
) -> None:
    _, ours, _ = mapped
    run, before = started(session, seen=[ours]), open_run(session.store, ours)
    (session.store.record_dir / f"{ours}.jsonl").unlink()
    with pytest.raises(StoreError, match=rf"told of \(seen\) must be in its store, got .*{ours}"):
        differing_decisions(run)
    assert differing_decisions(run, seen=[before]) == []
    earlier = points_of_runs([before], run.start)
    told = (earlier.positions, earlier.scaled(run.steering["seen_scales"]))
    again = list(replay(run.steering, run.axes, run.results(), seen=told))
    assert [d.x for d in again] == run.decisions["x"].tolist()


def test_a_run_of_blueskys_own_counts_at_its_own_exposure(
    session: Session, mapped: tuple[Path, str, str]
) -> None:
    _, ours, theirs = mapped
    run = started(session, seen=[ours, theirs], exposure_s=10.0)
    one, other = run.steering["seen_scales"]
    assert one == 1.0
    assert other == pytest.approx(5.0, rel=0.1)  # its beam by the monitor of its first point
    earlier = points_of_runs([open_run(session.store, uid) for uid in (ours, theirs)], run.start)
    ratios = np.array([r.noise_ratio for r in earlier.scaled([one, other])])
    n_ours = int(open_run(session.store, ours).valid.sum())
    assert ratios[:n_ours].max() < 2.0 < 4.0 < ratios[n_ours:].min()
    corner = [r.pattern for r in earlier.scaled([one, other])]
    at = [i for i, place in enumerate(earlier.positions) if tuple(place) == (150.0, 150.0)]
    totals = [float(np.nansum(corner[i])) for i in at]
    assert totals[1] == pytest.approx(totals[0], rel=0.1)
    assert differing_decisions(run) == []


def test_a_search_with_earlier_runs_is_resumed(
    session: Session, mapped: tuple[Path, str, str]
) -> None:
    _, ours, theirs = mapped
    first = started(session, seen=[ours, theirs])
    uid, hotspot = session.run(session.find_hotspot(resumes=first.uid, budget=6))
    run = open_run(session.store, uid)
    assert run.steering["seen"] == [ours, theirs]
    assert (run.n_points, hotspot.n_measured) == (6, 6)
    assert differing_decisions(run) == []
    with pytest.raises(ValueError, match=r"seen must be that of the run to resume"):
        session.run(session.find_hotspot(resumes=uid, budget=7, seen=ours))


def test_points_beside_the_grid_are_known_and_never_reported(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    RE(map_sample(counter, axes, grid={"x": [0, 15, 30], "y": [55, 70, 85]}))
    before = documents.run
    RE(map_sample(counter, axes, grid={"x": [-10, 0], "y": [0, 10]}))
    dim = documents.run
    right = {"x": list(range(40, 101, 10)), "y": list(range(0, 101, 10))}
    hotspot = RE(find_hotspot(counter, axes, grid=right, budget=6, seen=[before, dim])).plan_result
    assert (hotspot.best_x, hotspot.best_y) == (40.0, 70.0)  # the brightest is at (30, 70)
    assert differing_decisions(documents.run, seen=[before, dim]) == []


def test_a_count_at_a_place_is_a_point_and_axes_in_another_order_are_told_by_name(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, y = axes
    RE(bps.mv(x, 30, y, 70))
    RE(bp.count([counter, x, y], num=1))
    one = documents.run
    RE(bp.list_scan([counter], y, [0, 100, 50], x, [100, 0, 50]))
    some = documents.run
    for agent in ("bayesian", "sobol", "botorch"):
        plan = find_hotspot(counter, axes, grid=SIM, budget=2, seen=[one, some], agent=agent)
        hotspot = RE(plan).plan_result
        assert hotspot.best_value > 900.0
        assert (hotspot.best_x, hotspot.best_y) == (30.0, 70.0)
        assert differing_decisions(documents.run, seen=[one, some]) == []


def test_what_cannot_be_seen_is_refused_before_anything_moves(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, y = axes
    other = Syn2DGauss("other", x, "mx", y, "my", center=(0, 0), Imax=9, sigma=9)
    RE(bp.scan([other], x, 0, 9, 3))
    line = documents.run
    RE(bp.grid_scan([other], x, 0, 9, 2, y, 0, 9, 2))
    others = documents.run
    x.set(5.0)
    for seen, match in (
        (line, r"must have the axes of this one, mx, my, in its events, got mx in .{8} \(scan\)"),
        (others, r"must have measured what is steered on, 'counter', got .*other"),
        ([line, line], rf"must be given once, got {line.uid[:8]} twice: its points would count"),
        (others.uid, r"seen must be runs, got '.*'; open it with open_run"),
    ):
        with pytest.raises(ValueError, match=match):
            RE(find_hotspot(counter, axes, grid=SIM, budget=2, seen=seen))
    assert x.position == 5.0


def test_frames_of_another_shape_are_refused(session: Session, mapped: Any) -> None:
    _, ours, _ = mapped
    before = open_run(session.store, ours)
    small = open_session("smooth", seed=1, data_dir=session.store.path / "b", progress=False)
    with small as opened:
        opened.devices["det"].name = "det2"
        with pytest.raises(ValueError, match=r"frames of the detector that is steered on, det2"):
            opened.run(opened.find_hotspot(budget=2, seen=before))
