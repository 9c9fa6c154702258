"""Points with unlike numbers of events are told, and brought to as many as the first has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from ophyd.sim import SynAxis, SynSignal
from ophyd_async.core import StandardReadable, soft_signal_rw
from ophyd_async.core import StandardReadableFormat as Format

from bl_steer.runs import open_run
from bl_steer.runs.points import Points
from bl_steer.runs.readout import Exposure, sum_key
from bl_steer.store import Store
from plans import map_sample
from plans.stubs.detectors import hinted_keys, number_of
from plans.stubs.options import rules_of

LINE = {"x": {"start": 0, "stop": 50, "step": 10}}


@pytest.mark.parametrize("more", [1, 3])
def test_a_point_with_more_events_than_the_others_is_told_once_and_evened(
    more: int,
    RE: RunEngine,
    axes: tuple[SynAxis, SynAxis],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, _ = axes
    det = SynSignal(func=lambda: 100.0 + x.position, name="det")

    def uneven(detectors: Sequence[Any], where: Mapping[Any, float]) -> MsgGenerator[None]:
        yield from bps.mv(x, where[x])
        for _ in range(more if where[x] < 25 else 1):
            yield from bps.trigger_and_read([*detectors, *where])

    with caplog.at_level(logging.WARNING), Store.open(tmp_path) as store:
        RE(map_sample(det, x, grid=LINE, per_point=uneven), store)
        run = open_run(store, -1)
        expected = more * (100.0 + run.x)
        np.testing.assert_allclose(run.patterns()[:, 0], expected)
        np.testing.assert_allclose(run.total, expected)
        noise = np.where(run.x < 25, 1.0, more)
        np.testing.assert_allclose([result.noise_ratio for result in run.results()], noise)
    told = [text for text in caplog.messages if "as many events at each point" in text]
    assert len(told) == (more > 1)
    assert not told or "got 1 after 3: the sum of what det counts is brought to" in told[0]


def test_a_run_of_an_earlier_version_is_judged_by_its_sums() -> None:
    points = Points.from_start({"steering": {"source": {"kind": "field", "key": "det"}}})
    exposure = Exposure(np.full((1, 1, 1), 100.0))
    assert [points.take([exposure] * n).pattern for n in (3, 1)] == [300.0, 100.0]
    assert rules_of(None)["even"]


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_hinted_numbers_of_ophyd_async_the_same_is_taken_in_each_process(
    first: str,
) -> None:
    signals = {key: soft_signal_rw(float, 1.0) for key in ("a", "b")}

    class Two(StandardReadable):
        def __init__(self) -> None:
            self.a, self.b = signals["a"], signals["b"]
            order = sorted(signals, key=lambda key: key != first)
            self.add_readables([signals[key] for key in order], Format.HINTED_SIGNAL)
            super().__init__(name="two")

    device = Two()
    asyncio.run(device.connect(mock=True))
    assert hinted_keys(device) == ["two-a", "two-b"]
    described = {key: {"dtype": "number"} for key in device.hints["fields"]}
    assert number_of(device, described) == "two-a"


def test_a_sum_that_another_device_has_is_not_the_detectors() -> None:
    assert sum_key("det", {"det_total": {"object_name": "det"}}) == "det_total"
    assert sum_key("det", {"det_total": {"object_name": "det_total"}}) == ""
    assert sum_key("det", {}) == "det_total"
