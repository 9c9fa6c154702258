"""Circles that turn at each point: in steps, and in a sweep."""

from __future__ import annotations

import json
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.agents import Space
from bl_steer.steering import differing_decisions
from plans import find_hotspot, map_sample
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film import SimulatedBeamline

N = 5


def search(beamline: SimulatedBeamline, per_point: Any, **options: Any) -> Any:
    return find_hotspot(
        beamline.det,
        beamline.stage,
        monitor=beamline.monitor,
        per_point=per_point,
        target="total",
        exposure_s=0.5,
        **options,
    )


def test_a_scan_in_steps_has_an_event_for_each_angle(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, coarse_grid: Space
) -> None:
    scan = rocking_scan(beamline.diffractometer.eta, -1, 1, N)
    RE(search(beamline, scan, grid=coarse_grid, budget=3))
    run = documents.run
    assert run.n_points == 3
    angles = run.primary["diffractometer_eta"].reshape(3, N)
    np.testing.assert_allclose(angles, np.tile(np.linspace(-1, 1, N), (3, 1)), atol=1e-9)
    curves = run.primary["det_total"].reshape(3, N)
    assert (curves.max(axis=1) > 2 * curves.min(axis=1)).all()
    assert run.steering["per_point"] == {
        "name": "rocking_scan",
        "axis": "diffractometer_eta",
        "start": -1.0,
        "stop": 1.0,
        "n": N,
    }
    assert differing_decisions(run) == []


def test_a_sweep_takes_the_series_while_the_circle_turns(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, coarse_grid: Space
) -> None:
    eta = beamline.diffractometer.eta
    speed = eta.velocity.get()
    RE(search(beamline, rocking_sweep(eta, -1, 1, N), grid=coarse_grid, budget=3))
    run = documents.run
    assert run.frames is not None
    assert run.frames.shape[:2] == (3, N)
    (source,) = set(run.primary["diffractometer_eta_angles_source"])
    assert source == "encoder"
    angles = np.array([json.loads(text) for text in run.primary["diffractometer_eta_angles"]])
    np.testing.assert_allclose(angles, np.tile([-0.8, -0.4, 0, 0.4, 0.8], (3, 1)), atol=0.02)
    assert (eta.velocity.get(), beamline.det.n_frames.get()) == (speed, 1)
    assert differing_decisions(run) == []


def test_steps_and_sweep_see_the_same_rocking_curve(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    eta, grid = beamline.diffractometer.eta, {"x": [0.0, 75.0], "y": [75.0]}
    options = {"monitor": beamline.monitor, "grid": grid, "exposure_s": 0.5}
    RE(map_sample(beamline.det, beamline.stage, per_point=rocking_scan(eta, -1, 1, 9), **options))
    steps = documents.run.patterns().sum(axis=1)
    sweep = rocking_sweep(eta, -1.125, 1.125, 9)
    RE(map_sample(beamline.det, beamline.stage, per_point=sweep, **options))
    np.testing.assert_allclose(documents.run.patterns().sum(axis=1), steps, rtol=0.05)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [((-1, -1, 5), "must be two angles"), ((-1, 1, 1), "n must be a whole number of frames")],
)
def test_a_scan_that_is_none_is_refused(
    arguments: Any, problem: str, beamline: SimulatedBeamline
) -> None:
    with pytest.raises(ValueError, match=problem):
        rocking_scan(beamline.diffractometer.eta, *arguments)


def test_angles_beyond_the_circles_limits_are_refused_before_anything_moves(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, coarse_grid: Space
) -> None:
    scan = rocking_scan(beamline.diffractometer.eta, -200, 1, N)
    with pytest.raises(ValueError, match="diffractometer_eta must stay within its limits -180"):
        RE(search(beamline, scan, grid=coarse_grid))
    assert not documents.all


def records_nothing(detectors: Any, position: Any) -> Any:
    for axis, target in position.items():
        yield from bps.mv(axis, target)


def records_elsewhere(detectors: Any, position: Any) -> Any:
    yield from bps.trigger_and_read(detectors, name="elsewhere")


def is_no_plan(detectors: Any, position: Any) -> None:
    records_nothing(detectors, position)


@pytest.mark.parametrize(
    ("per_point", "message"),
    [
        (records_nothing, r"an event in the stream 'primary' at each point, got none of records_n"),
        (records_elsewhere, r"stream 'primary' at each point, got none of records_elsewhere; end"),
        (is_no_plan, "per_point must give a plan, got None of is_no_plan; write it with 'yield"),
        (lambda detectors: None, r"per_point must take \(detectors, position\), got <lambda>: too"),
    ],
)
@pytest.mark.parametrize("plan", [find_hotspot, map_sample])
def test_a_stub_that_measures_nothing_is_named(
    RE: RunEngine, beamline: SimulatedBeamline, plan: Any, per_point: Any, message: str
) -> None:
    grid = {"x": [0.0, 75.0], "y": [75.0]}
    options = {"budget": 2} if plan is find_hotspot else {}
    with pytest.raises((TypeError, ValueError), match=message):
        RE(plan(beamline.det, beamline.stage, grid=grid, per_point=per_point, **options))
