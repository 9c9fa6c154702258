"""Readings that are those of the exposure before: told where the documents can show it."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import Component, Device, Signal
from ophyd.sim import SynAxis, SynSignal
from ophyd.status import Status

from plans import find_hotspot, map_sample

LINE = {"x": {"start": 0, "stop": 100, "step": 10}}


class Late(Device):
    """Shows, once triggered, what it measured at the trigger before; stamps as `honest` says."""

    value = Component(Signal, value=0.0, kind="hinted")
    array_counter = Component(Signal, value=0)

    def __init__(self, x: SynAxis, *, lag: int = 1, counts: bool = True) -> None:
        super().__init__("", name="det")
        self._x, self._counts, self._n = x, counts, 0
        self._shots = [(0.0, time.time(), 0)] * lag

    def trigger(self) -> Status:
        self._n += 1
        self._shots.append((1000.0 - self._x.position, time.time(), self._n))
        value, stamp, number = self._shots.pop(0)
        self.value.put(value, timestamp=stamp)
        self.array_counter.put(number if self._counts else 7)
        time.sleep(0.01)
        status = Status(self)
        status.set_finished()
        return status


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "just measured" in r.getMessage()]


@pytest.mark.parametrize(("lag", "expected"), [(0, 0), (1, 1)])
def test_a_detector_that_lags_by_a_frame_is_told_by_its_time_stamps(
    lag: int,
    expected: int,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    caplog: pytest.LogCaptureFixture,
) -> None:
    RE(map_sample(Late(axes[0], lag=lag), axes[0], grid=LINE))
    assert len(told(caplog)) == expected
    if expected:
        assert "det_value was stamped before its exposure began 3 times in a row" in told(caplog)[0]


def test_a_frame_number_that_stands_still_is_told(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis], caplog: pytest.LogCaptureFixture
) -> None:
    x, _ = axes

    class Camera(Late):
        image = Component(Signal, value=np.zeros((4, 5)))

        def trigger(self) -> Status:
            self.image.put(np.arange(20.0).reshape(4, 5) * (101 - x.position))
            return super().trigger()

    RE(map_sample(Camera(x, lag=0, counts=False), x, grid=LINE, target="total"))
    assert "frame number det_array_counter = 7 is that of the frame before" in told(caplog)[0]


@pytest.mark.parametrize(
    ("renewed", "finding"), [(False, "was stamped"), (True, "was 5.0 9 times")]
)
def test_a_number_that_is_not_renewed_is_told(
    renewed: bool,
    finding: str,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, _ = axes
    det = SynSignal(func=lambda: 5.0, name="det") if renewed else Signal(name="det", value=5.0)
    RE(find_hotspot(det, x, grid=LINE, budget=10, agent="sobol"))
    assert finding in told(caplog)[0]


@pytest.mark.parametrize("offset_s", [-30.0, 30.0])
def test_a_clock_that_is_elsewhere_says_nothing(
    offset_s: float,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, _ = axes

    class Elsewhere(Late):
        def trigger(self) -> Status:
            status = super().trigger()
            self.value.put(self.value.get(), timestamp=time.time() + offset_s)
            return status

    with caplog.at_level(logging.WARNING):
        RE(map_sample(Elsewhere(x, lag=0), x, grid=LINE))
    assert told(caplog) == []
