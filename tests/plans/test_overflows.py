"""A search with a detector that overflows where the sample is brightest."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis
from ophyd.status import Status

from plans import find_hotspot


class Saturating:
    """A detector of 8 × 9 pixels whose counters are full near (60, 100)."""

    name, parent, hints = "image", None, {"fields": []}

    def __init__(self, x: SynAxis, y: SynAxis, seed: int) -> None:
        self._x, self._y = x, y
        self._random = np.random.default_rng(seed)

    def trigger(self) -> Status:
        distance = np.hypot(self._x.position - 60, self._y.position - 100)
        rates = np.full((8, 9), 2.0)
        rates[3:6, 4:7] += 1000 * np.exp(-0.5 * (distance / 30) ** 2)
        self._image = self._random.poisson(rates).astype("uint32")
        self._image[self._image > 600] = 2**32 - 1
        status = Status()
        status.set_finished()
        return status

    def read(self) -> dict[str, Any]:
        return {self.name: {"value": self._image, "timestamp": time.time()}}

    def describe(self) -> dict[str, Any]:
        return {self.name: {"source": "image", "dtype": "array", "shape": [8, 9]}}

    def read_configuration(self) -> dict[str, Any]:
        return {}

    describe_configuration = read_configuration


@pytest.mark.parametrize("seed", range(4))
def test_full_counters_lead_to_the_spot_and_are_told(
    RE: RunEngine, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    grid = {name: {"start": 0, "stop": 150, "num": 31} for name in "xy"}
    plan = find_hotspot(Saturating(x, y, seed), [x, y], grid=grid, budget=30, seed=seed)
    hotspot = RE(plan).plan_result
    # They are full within 30 µm of it, and tell no more.
    assert np.hypot(hotspot.best_x - 60, hotspot.best_y - 100) < 35
    assert "image must count without overflow, got" in caplog.text
