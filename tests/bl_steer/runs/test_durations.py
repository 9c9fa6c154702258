"""What a run spent its time on, from its events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynSignal

from bl_steer.agents import Space
from bl_steer.runs import Run, durations_of
from plans import find_hotspot, map_sample
from simulators.film.beamline import SimulatedBeamline
from tests.conftest import Documents

START = {"time": 100.0, "hints": {"dimensions": [[["x"], "primary"], [["y"], "primary"]]}}
STOP = {"time": 140.0}


def primary(**columns: Any) -> dict[str, Any]:
    return {key: np.array(values, dtype=float) for key, values in columns.items()}


def test_each_second_of_a_run_is_accounted_for() -> None:
    points = primary(seq_num=[1, 2], time=[110, 130], ts_x=[104, 103], ts_y=[105, 121])
    decisions = primary(seq_num=[1, 2], time=[102, 118], think_s=[1, 5])
    lasted = durations_of(Run(START, STOP, {"primary": points, "decisions": decisions}))
    # Decided at 102, arrived at 105, recorded at 110; decided at 118, arrived at 121, … at 130.
    assert lasted.to_dict() == {
        "moving_s": 6.0,
        "exposing_s": 14.0,
        "thinking_s": 6.0,
        "waiting_s": 14.0,
        "total_s": 40.0,
    }
    assert str(lasted) == (
        "moving 6.0 s, exposing 14.0 s, thinking 6.0 s, waiting 14.0 s: 40.0 s in all"
    )


def test_a_map_moves_from_point_to_point_and_a_clock_that_is_off_makes_no_time() -> None:
    points = primary(seq_num=[1, 2], time=[110, 130], ts_x=[9e9, 0], ts_y=[105, 0])
    lasted = durations_of(Run(START, STOP, {"primary": points}))
    assert (lasted.moving_s, lasted.exposing_s, lasted.total_s) == (10.0, 20.0, 40.0)


def test_steps_of_a_rocking_scan_are_one_point_and_earlier_runs_are_left_out() -> None:
    points = primary(
        seq_num=[1, 2, 3, 4], time=[50, 105, 107, 109], ts_x=[40, 102, 102, 102], point=[0, 1, 1, 1]
    )
    lasted = durations_of(Run(START, {"time": 110.0}, {"primary": points}))
    assert (lasted.moving_s, lasted.exposing_s, lasted.total_s) == (2.0, 7.0, 10.0)


def test_a_run_that_measured_nothing_waited() -> None:
    assert durations_of(Run(START, STOP, {})).to_dict() == {
        "moving_s": 0.0,
        "exposing_s": 0.0,
        "thinking_s": 0.0,
        "waiting_s": 40.0,
        "total_s": 40.0,
    }
    assert durations_of(Run(START, None, {})).total_s == 0.0


def test_a_simulated_run_tells_simulated_motion_and_exposure(
    RE: RunEngine, documents: Documents, beamline: SimulatedBeamline, coarse_grid: Space
) -> None:
    RE(
        find_hotspot(
            beamline.det, beamline.stage, monitor=beamline.monitor, grid=coarse_grid, budget=4
        )
    )
    run = documents.run
    lasted = durations_of(run)
    assert lasted.simulated
    took = np.diff(run.sim_time)  # of all points but the first, whose motion nothing shows
    alone = run.exposure_s * run.configuration.get("det_n_frames", 1)
    assert lasted.moving_s + lasted.exposing_s == pytest.approx(took.sum() + alone, rel=0.05)
    assert lasted.thinking_s == pytest.approx(sum(run.decisions["think_s"]))
    assert "simulated time" in str(lasted)


def test_a_real_map_lasts_as_long_as_its_documents_say(RE: RunEngine, documents: Documents) -> None:
    axis = SynAxis(name="a", delay=0.05)
    det = SynSignal(name="det", func=lambda: 1.0, exposure_time=0.1)
    RE(map_sample(det, axis, grid={"x": [0.0, 1.0, 2.0]}))
    lasted = durations_of(documents.run)
    start = documents.named("start")[0]["time"]
    assert lasted.total_s == pytest.approx(documents.stop["time"] - start)
    assert lasted.exposing_s >= 0.3
