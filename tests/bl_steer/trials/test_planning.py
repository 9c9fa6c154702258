"""The plan of a beam time: what it counts, what it recommends, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bl_steer.plotting import draw_plan
from bl_steer.trials import BeamNumbers, plan_beam_time


def test_a_plan_compares_what_exists_and_recommends_one(tmp_path: Path) -> None:
    report = plan_beam_time(BeamNumbers(grid="12x12", width=15.0), patience_s=0.0)
    ways = {way["name"]: way for way in report["ways"]}
    assert [way.split("(")[1] for way in (w["command"] for w in ways.values())] == [
        "map_sample",
        "fly_map",
        "find_hotspot",
        "find_hotspot",
    ]
    assert report["command"] == ways[report["recommended"]]["command"]
    fastest = ways[report["recommended"]]["percentiles_s"][2]
    assert all(fastest <= way["percentiles_s"][2] for way in ways.values() if not way["p_missed"])
    for way in ways.values():
        finite = [v for v in way["percentiles_s"] if math.isfinite(v)]
        assert finite == sorted(finite)
        assert way["films"] >= 4
    # A raster needs at most all its points: .1 s of motion, .9 s, 10 s and .2 s each.
    assert ways["raster"]["percentiles_s"][3] <= 144 * 11.2 + 1e-6
    draw_plan(report).savefig(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 1000


def test_dim_samples_and_rocking_scans_take_the_flight_out_of_the_race() -> None:
    numbers = BeamNumbers(grid="10x10", width=15.0, frames=21, exposure_s=0.5)
    report = plan_beam_time(numbers, patience_s=0.0)
    assert report["recommended"] != "fast raster"
    assert "needs one frame without rocking" in report["reason"]
    assert numbers.full_s == 10.5


def test_hours_that_do_not_suffice_count_as_missed() -> None:
    report = plan_beam_time(BeamNumbers(grid="12x12", width=15.0, hours=0.005), patience_s=0.0)
    raster = report["ways"][0]
    assert raster["p_missed"] > 0.5
    assert np.isinf(raster["percentiles_s"][3])


@pytest.mark.parametrize("grid", ["31", "1x31", "axb", "31x31x3"])
def test_a_grid_that_is_none_is_refused(grid: str) -> None:
    with pytest.raises(ValueError, match="grid must be cells along x and y, 2 to 200 each, got"):
        plan_beam_time(BeamNumbers(grid=grid), patience_s=0.0)
