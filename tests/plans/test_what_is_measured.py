"""What is steered on and what normalises it must be measured, not moved, and be two things."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd import EpicsMotor
from ophyd.sim import SynAxis, SynSignal, make_fake_device

from bl_steer.agents import Space, make_agent
from bl_steer.diffraction import FrameAxes
from bl_steer.features import make_feature
from bl_steer.steering import Steering
from plans import find_hotspot
from plans.stubs import rocking_scan

GRID = {"x": [0, 50, 100], "y": [0, 50, 100]}


def test_what_the_run_moves_is_neither_target_nor_monitor(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, y = axes
    eta = SynAxis(name="eta")
    rocking = rocking_scan(eta, -1, 1, 3)
    other = SynAxis(name="other")
    cases = [
        ((counter, axes), {"target": "field:other", "also_read": [other]}, "'other' of other"),
        ((counter, axes), {"target": "field:mx"}, "target must be measured, not moved, got 'mx'"),
        ((counter, axes), {"target": "field:my_setpoint"}, "got 'my_setpoint' of my"),
        ((x, axes), {}, "the target must be measured, not moved, got 'mx' of mx"),
        ((counter, axes), {"monitor": x.readback}, "monitor must count the beam and be measured"),
        ((counter, axes), {"monitor": eta.readback, "per_point": rocking}, "got 'eta' of eta"),
        ((counter, axes), {"monitor": x}, "the monitor must count the beam, got the motor mx"),
        ((counter, axes), {"monitor": counter}, "must be different numbers, got 'counter' for"),
    ]
    for devices, options, problem in cases:
        with pytest.raises(ValueError, match=problem):
            RE(find_hotspot(*devices, grid=GRID, **options))
    assert not documents.all
    assert (x.position, y.position) == (0, 0)


@pytest.mark.parametrize("n", [10**9, 2.5, True, 1])
def test_a_rocking_scan_has_a_number_of_frames_that_a_point_can_hold(n: Any) -> None:
    with pytest.raises(ValueError, match=r"n must be a whole number of frames in 2 … 100000, got"):
        rocking_scan(SynAxis(name="eta"), -1, 1, n)


def test_a_budget_that_no_memory_holds_is_refused_wherever_steering_is_built() -> None:
    space = Space.grid([0, 1, 2])
    feature = make_feature("total", FrameAxes.channels((1, 1)))
    with pytest.raises(ValueError, match=r"budget must be a whole number .* got 1000000000; try"):
        Steering(make_agent("sobol", space, seed=0), feature, budget=10**9)


def test_a_range_whose_step_leads_nowhere_is_refused() -> None:
    written = {"x": {"start": 0, "stop": 150, "step": 200}}
    with pytest.raises(ValueError, match=r"from 0 to 150, got 200, which measures the first place"):
        Space.from_dict(written)
    assert len(Space.from_dict({"x": {"start": 0, "stop": 150, "step": 150}})) == 2


def test_a_detector_that_counts_another_axis_is_fine(
    RE: RunEngine, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = SynSignal(func=lambda: np.float64(axes[0].position), name="det")
    assert RE(find_hotspot(det, axes, grid=GRID, budget=4)).plan_result.n_measured == 4


@pytest.mark.parametrize("key", ["point", "setting", "seq_num", "time", "ts_mx"])
def test_data_keys_that_runs_have_already_are_refused(
    key: str, RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis]
) -> None:
    det = SynSignal(func=lambda: 1.0, name=key)
    with pytest.raises(ValueError, match=f"which runs have already, got '{key}' of {key}; give"):
        RE(find_hotspot(det, axes, grid=GRID))
    assert not documents.all


def test_the_scan_of_a_point_turns_no_axis(
    RE: RunEngine, documents: Any, axes: tuple[SynAxis, SynAxis], counter: Any
) -> None:
    x, _ = axes
    for scan in (
        rocking_scan(x, -1, 1, 3),
        rocking_scan(SynAxis(name="eta"), -1, 1, 3, at={x: 1}),
    ):
        with pytest.raises(ValueError, match="other circles than the axes, got mx for both; name"):
            RE(find_hotspot(counter, axes, grid=GRID, per_point=scan))
    assert not documents.all


def test_two_objects_of_one_motor_are_one_axis(counter: Any) -> None:
    motor = make_fake_device(EpicsMotor)
    with pytest.raises(TypeError, match="axes must be different devices, got a, b; name each"):
        list(find_hotspot(counter, [motor("BL:SX", name="a"), motor("BL:SX", name="b")]))
