"""Points with unlike numbers of events, whose sums are not comparable, are told."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from ophyd.sim import SynAxis, SynSignal

from plans import map_sample

LINE = {"x": {"start": 0, "stop": 50, "step": 10}}


@pytest.mark.parametrize("more", [1, 3])
def test_a_point_with_more_events_than_the_others_is_told_once(
    more: int, RE: RunEngine, axes: tuple[SynAxis, SynAxis], caplog: pytest.LogCaptureFixture
) -> None:
    x, _ = axes
    det = SynSignal(func=lambda: 100.0 + x.position, name="det")

    def uneven(detectors: Sequence[Any], where: Mapping[Any, float]) -> MsgGenerator[None]:
        yield from bps.mv(x, where[x])
        for _ in range(more if where[x] < 25 else 1):
            yield from bps.trigger_and_read([*detectors, *where])

    with caplog.at_level(logging.WARNING):
        RE(map_sample(det, x, grid=LINE, per_point=uneven))
    told = [text for text in caplog.messages if "as many events at each point" in text]
    assert len(told) == (more > 1)
    assert not told or "got 1 after 3: what det counts in them is summed" in told[0]
