"""Frames that a detector puts into its own readings: stacks, colour images, several arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis, SynSignal

from bl_steer.runs import Run, export_run, open_run
from bl_steer.steering import differing_decisions
from bl_steer.store import Store
from plans import find_hotspot, map_sample

LINE = {"x": {"start": 0, "stop": 100, "step": 10}}


def detector(x: SynAxis, image: Callable[[float], Any]) -> SynSignal:
    return SynSignal(func=lambda: image(x.position), name="det")


@pytest.mark.parametrize(
    ("shape", "frame"), [((8,), (1, 8)), ((3, 4, 5), (4, 5)), ((6, 7, 3), (6, 7))]
)
def test_a_stack_is_summed_over_its_frames_and_a_colour_image_over_its_colours(
    shape: tuple[int, ...],
    frame: tuple[int, int],
    tmp_path: Path,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
) -> None:
    x, _ = axes
    image = np.arange(np.prod(shape)).reshape(shape)
    with Store.open(tmp_path) as store:
        RE.subscribe(store)
        det = detector(x, lambda p: image * (100 - p) + 1)
        hotspot = RE(find_hotspot(det, x, grid=LINE, budget=12, target="total")).plan_result
        store.settle()
        for run in (documents.run, open_run(store, -1)):
            assert run.axes.shape == frame
            summed = image.reshape(-1, *frame).sum(0) if shape[-1] != 3 else image.sum(-1)
            parts = image.size // summed.size
            expected = summed.ravel() * (100 - run.x[:, None]) + parts
            np.testing.assert_array_equal(run.patterns()[run.valid], expected[run.valid])
            np.testing.assert_array_equal(run.total, expected.sum(axis=1))
            assert differing_decisions(run) == []
    assert hotspot.best_x == 0.0


def test_the_map_of_frames_within_the_events_is_that_of_their_counts(
    tmp_path: Path, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = detector(axes[0], lambda p: np.full((2, 4, 5), 1.0 + p))
    RE(map_sample(det, axes, grid={"x": [0, 10], "y": [0, 10]}))
    files = export_run(documents.run, tmp_path / "map.csv")
    lines = files[1].read_text().splitlines()
    assert lines[1] == "0.0,40.0,440.0"


def test_a_full_counter_of_16_bits_is_one_in_the_stored_run_too(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    x, _ = axes
    image = np.arange(20, dtype=np.uint16).reshape(4, 5)
    image[0, 0] = 65535
    RE(find_hotspot(detector(x, lambda p: image + np.uint16(p) * (image < 65535)), x, grid=LINE))
    assert np.isnan(documents.run.patterns()[0, 0])
    assert differing_decisions(documents.run) == []


class Camera(Device):
    """A camera that says how large its image is, in an array too."""

    size = Component(Signal, value=np.array([2, 3]))
    image = Component(Signal, value=np.zeros((2, 3)))

    def __init__(self, x: SynAxis) -> None:
        super().__init__("", name="camera")
        self._x = x

    def trigger(self) -> Any:
        self.image.put(np.arange(6.0).reshape(2, 3) * (1 + self._x.position))
        return super().trigger()


def test_of_several_arrays_the_image_is_steered_on(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    RE(map_sample(Camera(axes[0]), axes[0], grid={"x": [0, 10]}))
    np.testing.assert_array_equal(documents.run.total, [15, 165])
    assert documents.run.start["steering"]["source"]["key"] == "camera_image"


@pytest.mark.parametrize("other", [(1, 3, 5), (2, 4, 5)])
def test_frames_that_change_their_shape_end_the_run_and_leave_the_points_before(
    other: tuple[int, ...],
    tmp_path: Path,
    RE: RunEngine,
    documents: Any,
    axes: tuple[SynAxis, SynAxis],
) -> None:
    x, _ = axes
    det = detector(x, lambda p: np.full((1, 4, 5) if p < 25 else other, 1.0 + p))
    with Store.open(tmp_path) as store:
        RE.subscribe(store)
        with pytest.raises(
            ValueError, match=r"must have one shape, got .* after \(1, 4, 5\) from det; set"
        ):
            RE(map_sample(det, x, grid=LINE))
        store.settle()
        runs: list[Run] = [documents.run, open_run(store, -1)]
    for run in runs:
        assert run.valid.tolist() == [True, True, True, False]
        np.testing.assert_array_equal(run.total[:3], [20, 220, 420])
