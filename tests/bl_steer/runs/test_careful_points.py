"""Flags in floating-point frames, full counters beside a hot pixel, and points judged as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.features.memory import memory_of
from bl_steer.runs.points import Points
from bl_steer.runs.readout import Exposure
from bl_steer.steering import build_steering
from plans.stubs.options import rules_of

RNG = np.random.default_rng(0)


def frame(peak: float, *, hot: float = 0.0, full: int = 1000) -> NDArray[np.uint32]:
    """A peak over a background of 2, with a hot pixel; above `full` the counters are full."""
    row, column = np.mgrid[:32, :32]
    rates = 2.0 + peak * np.exp(-0.5 * ((row - 10) ** 2 + (column - 12) ** 2) / 4.0)
    counts = RNG.poisson(rates).astype(np.uint32)
    counts[counts > full] = 2**32 - 1
    if hot:
        counts[25, 25] = hot
    return counts


def test_flags_of_floating_point_frames_are_no_counts() -> None:
    counts = RNG.poisson(1.0, (12, 16, 16)).astype(float)
    counts[:, :, 5:8] = -1.0
    points, before = Points(), Points(careful=False)
    for image in counts:
        measured = points.take([Exposure(image[None])])
        assert measured.pattern is not None
        assert np.isnan(measured.pattern.reshape(16, 16)[:, 5:8]).all()
        assert np.nanmin(measured.pattern) == 0.0
        as_it_was = before.take([Exposure(image[None])])
        assert as_it_was.pattern is not None
        assert as_it_was.pattern.min() == -1.0


@pytest.mark.parametrize("hot", [0, 1_000_000])
def test_a_hot_pixel_does_not_say_what_full_counters_show(hot: int) -> None:
    points, before = Points(), Points(careful=False)
    highest = 0.0
    for peak in (30.0, 200.0, 700.0, 900.0, 1500.0, 3000.0):
        image = frame(peak, hot=hot)
        seen = [p.take([Exposure(image[None].copy())]) for p in (points, before)]
        whole = image[:20, :20][image[:20, :20] < 2**32 - 1]
        highest = max(highest, float(whole.max()))
    shown, earlier = (s.pattern.reshape(32, 32)[10, 12] for s in seen if s.pattern is not None)
    assert seen[0].n_overflowed > 0
    assert shown == highest
    assert earlier == max(highest, hot)


def test_a_sharp_peak_that_moves_still_says_what_full_counters_show() -> None:
    points = Points()
    for number in range(6):
        image = RNG.poisson(2.0, (16, 16)).astype(np.uint32)
        image[2 + number, 8] = 800 if number < 5 else 2**32 - 1
        result = points.take([Exposure(image[None])])
    assert result.pattern is not None
    assert result.pattern.reshape(16, 16)[7, 8] == 800.0


def settings(**rules: bool) -> dict[str, Any]:
    grid = {"x": {"start": 0, "stop": 9, "num": 10}}
    own = {"target": "total", "agent": "random", "agent_options": {}, "seed": 0, "budget": 4}
    return {**own, "grid": grid, **rules}


def test_a_run_without_the_rule_is_steered_by_hot_pixels_as_it_was() -> None:
    axes = FrameAxes.channels((48, 48))
    patterns = np.random.default_rng(1).poisson(0.2, (61, 48 * 48)).astype(float)
    found = []
    for rules in ({"masks": True}, {"masks": True, "careful": True}):
        memory = memory_of(build_steering(settings(**rules), axes).feature)
        assert memory is not None
        memory.take(patterns)
        found.append(int((~memory.usable).sum()))
    assert found[0] > found[1] == 0
    assert memory_of(build_steering(settings(), axes).feature) is None
    assert memory_of(make_feature("total", axes, masks=False)) is None


def test_todays_rules_are_in_the_start_document() -> None:
    assert rules_of(None)["careful"]
    assert Points.from_start({"steering": {"source": {}, "careful": True}})._careful
    assert not Points.from_start({"steering": {"source": {}}})._careful
