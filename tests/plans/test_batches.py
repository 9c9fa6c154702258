"""Several points decided together: recorded, verified, carried on."""

from __future__ import annotations

from typing import Any

import pytest
from bluesky import RunEngine
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.steering import differing_decisions
from plans import find_hotspot

GRID = {"x": {"start": 0, "stop": 100, "num": 21}, "y": {"start": 0, "stop": 100, "num": 21}}


def _search(**options: Any) -> Any:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 40), Imax=1000, sigma=15)
    return find_hotspot(det, [x, y], grid=GRID, **options)


def test_a_search_by_batches_finds_the_peak_verifies_and_is_carried_on(
    RE: RunEngine, documents: Any
) -> None:
    hotspot = RE(_search(budget=18, batch=4)).plan_result
    assert (hotspot.best_x, hotspot.best_y) == (60.0, 40.0)
    run = documents.run
    assert run.steering["batch"] == 4
    assert differing_decisions(run) == []
    RE(_search(budget=23, resumes=run))
    carried = documents.run
    assert carried.steering["batch"] == 4
    RE(_search(budget=23, batch=4))
    for name in ("x", "y"):
        assert carried.decisions[name].tolist() == documents.run.decisions[name][18:].tolist()


@pytest.mark.parametrize(
    "options",
    [{"agent": "botorch"}, {"target": ["total", "roi:0,4,0,4"]}, {"exposure": "adaptive"}],
)
def test_options_that_need_each_outcome_are_refused(RE: RunEngine, options: Any) -> None:
    with pytest.raises(ValueError, match="batch must come with one target, one exposure time"):
        RE(_search(batch=4, **options))
    with pytest.raises(ValueError, match="batch must be a whole number"):
        RE(_search(batch=0))
