"""Plans on axes of unlike units: x in µm, y in mm."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from ophyd.sim import Syn2DGauss, SynAxis

from bl_steer.analysis.advice import AdviceParams, SteeringAdvice
from bl_steer.plotting import draw_run
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


def test_a_circle_on_axes_in_unlike_units_is_refused_before_anything_moves(
    RE: RunEngine, documents: Any
) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    for axis, unit in ((x, "micron"), (y, "deg")):
        described = axis.describe
        axis.describe = lambda d=described, u=unit: {k: {**e, "units": u} for k, e in d().items()}
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 60), Imax=1000, sigma=20)
    grid = {axis: {"start": 0, "stop": 100, "num": 21} for axis in "xy"}
    circle = [{"circle": [30, 30, 10]}]
    with pytest.raises(ValueError, match=r"circle must lie on axes of one unit, got .* µm and deg"):
        RE(find_hotspot(det, [x, y], grid=grid, budget=4, forbidden=circle))
    assert not documents.all
    RE(find_hotspot(det, [x, y], grid=grid, budget=4, forbidden=[{"ellipse": [30, 30, 10, 5]}]))
    assert documents.run.n_points == 4


def test_one_width_on_axes_in_unlike_units_is_refused_before_anything_moves(
    RE: RunEngine, documents: Any
) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    for axis, unit in ((x, "mm"), (y, "um")):
        described = axis.describe
        axis.describe = lambda d=described, u=unit: {k: {**e, "units": u} for k, e in d().items()}
    det = Syn2DGauss("det", x, "x", y, "y", center=(0.05, 50), Imax=1000, sigma=20)
    grid = {"x": GRID["y"], "y": GRID["x"]}
    refused = r"got W=20,p=0.05 on axes in mm and µm; give .* such as stop='W=0.02x20'"
    with pytest.raises(ValueError, match=refused):
        RE(find_hotspot(det, [x, y], grid=grid, budget=4, stop="W=20"))
    assert not documents.all
    RE(find_hotspot(det, [x, y], grid=grid, budget=30, stop="W=0.08x80,p=0.9"))
    assert re.search(r"narrower than \S+ mm x \S+ µm could hide", documents.run.reason)


@pytest.mark.parametrize(
    ("units", "labels"),
    [
        (("um", "mm"), ("x (µm)", "y (mm)")),
        (("", "mm"), ("x", "y (mm)")),
        (("um", "um"), ("x (µm)", "y (µm)")),
        (("", ""), ("x", "y")),
    ],
)
def test_each_axis_of_a_figure_shows_its_own_unit(
    RE: RunEngine, documents: Any, units: tuple[str, str], labels: tuple[str, str]
) -> None:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    for axis, unit in ((x, units[0]), (y, units[1])):
        described = axis.describe
        axis.describe = lambda d=described, u=unit: {k: {**e, "units": u} for k, e in d().items()}
    det = Syn2DGauss("det", x, "x", y, "y", center=(60, 0.05), Imax=1000, sigma=20)
    RE(find_hotspot(det, [x, y], grid=GRID, budget=13))
    run = documents.run
    drawn = [(ax.get_xlabel(), ax.get_ylabel()) for ax in draw_run(run).axes[:2]]
    assert drawn == [labels] * 2
    suggested = SteeringAdvice().run(SteeringAdvice().inputs_of(run), AdviceParams())
    figure = suggested.figures["advice"]()
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == labels
