"""Where the axes were must be in the record, as a number, and be where they were sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import SoftPositioner
from ophyd.sim import SynAxis, SynSignal

from plans import find_hotspot, map_sample
from plans.stubs.axes import StageError

LINE = {"x": {"start": 0, "stop": 100, "step": 10}}


class Encoded(SoftPositioner):
    """An axis whose readback is what `encoder` makes of its place."""

    def __init__(self, encoder: Callable[[float], Any]) -> None:
        super().__init__(name="a")
        self._encoder = encoder
        self._set_position(0.0)

    def read(self) -> Any:
        return {"a": {"value": self._encoder(self.position), "timestamp": time.time()}}

    def describe(self) -> Any:
        return {"a": {"source": "encoder", "dtype": "number", "shape": []}}


@pytest.fixture
def detector() -> SynSignal:
    return SynSignal(func=lambda: np.random.default_rng().random(), name="det")


@pytest.mark.parametrize(
    ("encoder", "found"),
    [
        (lambda p: float("nan"), "nan"),
        (str, "'0.0'|'80.0'|'40.0'"),
        (lambda p: np.float32(p + 6), r"\d+"),
        (lambda p: np.array([p - 6]), r"-?\d+"),
        (lambda p: None, "None"),
    ],
)
def test_an_axis_that_is_elsewhere_or_nowhere_ends_the_run(
    encoder: Callable[[float], Any], found: str, RE: RunEngine, detector: SynSignal
) -> None:
    with pytest.raises(StageError, match=rf"a must be where it was sent, \d+, got ({found}) in"):
        RE(find_hotspot(detector, Encoded(encoder), grid=LINE, budget=4))


@pytest.mark.parametrize(("step", "n_told"), [(0.5, 0), (4, 1)])
def test_a_readback_that_is_coarse_beside_the_grid_is_told_once(
    step: float,
    n_told: int,
    RE: RunEngine,
    detector: SynSignal,
    caplog: pytest.LogCaptureFixture,
) -> None:
    axis = Encoded(lambda p: step * (p // step))
    grid = {"x": [0, 11, 22, 33, 43, 54, 66, 77]}
    RE(map_sample(detector, axis, grid=grid))
    assert caplog.text.count("a must stand where it is sent, got a readback off by") == n_told


def test_a_point_that_does_not_record_its_place_ends_the_run(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    def blind(detectors: Any, position: Any) -> Any:
        for axis, value in position.items():
            yield from bps.mv(axis, value)
        yield from bps.trigger_and_read([counter])

    grid = {"x": [0, 10], "y": [0, 10]}
    with pytest.raises(ValueError, match=r"must record where mx is, got an event without 'mx'"):
        RE(map_sample(counter, axes, grid=grid, per_point=blind))


def test_counters_that_are_not_reset_are_told(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], caplog: pytest.LogCaptureFixture
) -> None:
    x, _ = axes
    counts = iter(np.arange(1, 1000) * 100.0)
    det = SynSignal(func=lambda: np.exp(-((x.position - 60) ** 2) / 800), name="det")
    i0 = SynSignal(func=lambda: next(counts), name="i0")
    RE(find_hotspot(det, x, monitor=i0, grid=LINE, budget=9, agent="sobol"))
    assert caplog.text.count("i0 must count anew at each point, got 200 to 900, more at") == 1
    total = iter(np.cumsum(np.random.default_rng(0).random(100)))
    det = SynSignal(func=lambda: next(total), name="det")
    RE(find_hotspot(det, x, grid=LINE, budget=9, agent="sobol"))
    assert "det must count anew at each point, got more at each of 9 points" in caplog.text
