"""Searches that are told of runs of another sample."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis

from bl_steer.runs import list_runs, open_run
from bl_steer.session import open_session
from plans import find_hotspot, find_level_set, map_sample

GRID = {"x": [0.0, 50.0, 100.0], "y": [0.0, 50.0, 100.0]}


def test_a_session_refuses_a_run_of_another_film_before_it_begins(tmp_path: Path) -> None:
    with open_session("multi-domain", data_dir=tmp_path, progress=False) as opened:
        uid, _ = opened.run(opened.map_sample(grid=GRID))
    with open_session("smooth", data_dir=tmp_path, progress=False) as opened:
        plan = opened.find_hotspot(grid=GRID, budget=1, seen=uid)
        match = rf"same sample, got 'sige-multi-domain-0' in {uid[:8]} and 'sige-smooth-0' now"
        with pytest.raises(ValueError, match=match):
            opened.run(plan)
        assert [row.uid for row in list_runs(opened.store)] == [uid]
        alike = {"sample": {"name": "sige-multi-domain-0"}}
        again, _ = opened.run(opened.find_hotspot(grid=GRID, budget=1, seen=uid, md=alike))
        assert open_run(opened.store, again).steering["seen_samples"] == ["sige-multi-domain-0"]


def test_a_plain_run_engine_refuses_by_its_metadata_before_anything_moves(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    RE(map_sample(counter, axes, grid=GRID), sample="A")
    before = documents.run
    RE.md["sample"] = {"name": "B"}
    axes[0].set(5.0)
    for plan in (find_hotspot, find_level_set):
        with pytest.raises(ValueError, match=r"same sample, got 'A' in .{8} and 'B' now; leave"):
            RE(plan(counter, axes, grid=GRID, budget=1, seen=before))
    assert axes[0].position == 5.0
    finer = {"x": list(range(0, 101, 10)), "y": list(range(0, 101, 10))}
    RE(find_hotspot(counter, axes, grid=finer, budget=1, seen=before), sample="A")
    assert documents.run.n_points == 1


def test_a_run_whose_sample_has_no_name_is_told(
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
    counter: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    RE(map_sample(counter, axes, grid=GRID))
    before = documents.run
    with caplog.at_level(logging.WARNING):
        RE(find_hotspot(counter, axes, grid=GRID, budget=1, seen=before), sample="A")
    assert f"whether run {before.uid[:8]} saw the sample of this one" in caplog.text
