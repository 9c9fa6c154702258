"""Readings that are none: None, text, numbers of any size; and runs in which nothing differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynSignal, SynSignalWithRegistry

from bl_steer.runs import open_run
from bl_steer.steering import differing_decisions
from bl_steer.store import Store
from plans import find_hotspot, map_sample

LINE = {"x": {"start": 0, "stop": 100, "step": 10}}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("busy", r"'det' must be a number, got 'busy'; name another"),
        (np.ones((20, 30)), r"'det' must be a number, got an array of shape \(20, 30\); name"),
    ],
)
def test_what_is_no_number_ends_the_run_and_leaves_the_points_before(
    value: Any,
    problem: str,
    tmp_path: Path,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
) -> None:
    x, _ = axes
    det = SynSignal(func=lambda: x.position if x.position < 25 else value, name="det")
    with Store.open(tmp_path) as store:
        RE.subscribe(store)
        with pytest.raises(ValueError, match=problem):
            RE(map_sample(det, x, grid=LINE))
        store.settle()
        for run in (documents.run, open_run(store, -1)):
            assert run.valid.tolist() == [True, True, True, False]
            np.testing.assert_array_equal(run.total, [0, 10, 20, np.nan])


def test_a_reading_of_none_is_an_invalid_point(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    shots = iter(range(100))
    det = SynSignal(func=lambda: None if next(shots) == 4 else x.position, name="det")
    RE(find_hotspot(det, x, grid=LINE, budget=8, target="field:det"))
    run = documents.run
    assert run.valid.sum() == 7
    assert differing_decisions(run) == []


def test_a_number_of_any_size_is_one(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = SynSignal(func=lambda: 2**70 + int(axes[0].position) * 2**60, name="det")
    RE(find_hotspot(det, axes[0], grid=LINE, budget=6))
    assert documents.run.total.max() > 2.0**70
    assert differing_decisions(documents.run) == []


def test_an_array_with_none_in_it_was_not_measured_there(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    det = SynSignal(func=lambda: [1.0, None, x.position], name="det")
    RE(map_sample(det, x, grid=LINE, target="total"))
    assert documents.run.valid.all()
    assert np.isnan(documents.run.patterns()[:, 1]).all()


@pytest.mark.parametrize("image", [lambda p: np.zeros((0, 5)), lambda p: np.array("text")])
def test_arrays_without_numbers_are_refused_before_anything_moves(
    image: Callable[[float], Any], RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = SynSignal(func=lambda: image(0.0), name="det")
    with pytest.raises(ValueError, match="the detector must read a number or frames, got"):
        RE(map_sample(det, axes[0], grid=LINE))
    assert not documents.all


@pytest.mark.parametrize("number", [0, 5.0])
def test_a_search_in_which_nothing_differs_says_that_it_found_none(
    number: float,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    caplog: pytest.LogCaptureFixture,
) -> None:
    det = SynSignal(func=lambda: number, name="det")
    RE(find_hotspot(det, axes[0], grid=LINE, budget=5))
    assert f"got {number:g} at all 5 points: the reported spot is none" in caplog.text


def test_frames_that_tiled_may_not_read_are_read_from_where_the_record_has_them(
    tmp_path: Path, RE: RunEngine, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    camera = SynSignalWithRegistry(
        func=lambda: np.arange(20.0).reshape(4, 5) * (1 + x.position),
        name="camera",
        save_path=str(tmp_path),
    )
    with Store.open(tmp_path / "store") as store:
        RE.subscribe(store)
        RE(map_sample(camera, x, grid=LINE))
        store.settle()
        assert open_run(store, -1).total.tolist() == [190.0 * (1 + p) for p in LINE_POINTS]


LINE_POINTS = range(0, 101, 10)
