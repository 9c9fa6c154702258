"""Plans on axes of unlike units: x in µm, y in mm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.steering import differing_decisions
from plans import find_hotspot
from plans.stubs.axes import StageError

GRID = {"x": {"start": 0, "stop": 100, "num": 21}, "y": {"start": 0, "stop": 0.1, "num": 21}}


def searched(RE: RunEngine, *, off: tuple[float, float] = (0.0, 0.0)) -> Any:
    x, y = (
        SynAxis(name=name, readback_func=lambda at, by=by: at + by)
        for name, by in zip("xy", off, strict=True)
    )
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 1.0), Imax=1000, sigma=20)
    det.val.sim_set_func(
        lambda: 1000 * np.exp(-((x.position - 60) ** 2 + (1000 * y.position - 40) ** 2) / 800)
    )
    return RE(find_hotspot(det, [x, y], grid=GRID, budget=18)).plan_result


def test_a_peak_is_found_and_its_run_verified(RE: RunEngine, documents: Any) -> None:
    hotspot = searched(RE)
    assert (hotspot.best_x, hotspot.best_y) == pytest.approx((60.0, 0.04))
    assert differing_decisions(documents.run) == []
    assert documents.run.steering["scales"] is True


def test_a_readback_is_judged_by_the_step_of_its_own_axis(RE: RunEngine) -> None:
    searched(RE, off=(2.0, 0.002))
    with pytest.raises((StageError, FailedStatus), match="y must be where it was sent"):
        searched(RE, off=(0.0, 0.004))
