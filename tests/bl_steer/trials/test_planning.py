"""The plan of a beam time: what it counts, what it recommends, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.plotting import draw_plan, duration, numbers_of_plan
from bl_steer.session import open_session
from bl_steer.trials import BeamNumbers, plan_beam_time
from bl_steer.trials.hills import HillyFilm
from bl_steer.trials.ways import coarse_space, flight_exposures, fly, raster, steer_over

PLANS = ("map_sample", "fly_map", "find_hotspot", "find_hotspot")


def film(**numbers: Any) -> HillyFilm:
    return HillyFilm(BeamNumbers(**numbers).complete(), np.random.default_rng([0, 1]))


def test_all_ways_come_to_the_same_two_times_and_one_is_recommended(tmp_path: Path) -> None:
    report = plan_beam_time(BeamNumbers(grid="12x12", width=15.0), patience_s=0.0)
    ways = {way["name"]: way for way in report["ways"]}
    assert tuple(way["command"].split("(")[1] for way in ways.values()) == PLANS
    assert report["percentiles"] == [50, 75, 95]
    for way in ways.values():
        for times in (way["first_s"], way["confirmed_s"]):
            assert len(times) == 3
            assert times == sorted(times)
        assert 0.0 <= way["right_at_least"] <= way["right"] <= 1.0
        assert way["films"] >= 2
    # 144 points of .1 s of motion, .9 s, 10 s and .2 s each, but for the first, which is not moved.
    assert ways["raster"]["confirmed_s"][2] == pytest.approx(144 * 11.2 - 0.1)
    assert ways["raster"]["first_s"][2] <= ways["raster"]["confirmed_s"][2]
    best = ways[report["recommended"]]
    assert report["command"] == best["command"]
    assert all(
        best["confirmed_s"][1] <= w["confirmed_s"][1] for w in ways.values() if w["right"] == 1
    )
    draw_plan(report).savefig(tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 1000
    assert (
        "12x12 cells, on 55 µm, hills of 15 µm; assumed: every 5 µm, 10 s a frame"
        in numbers_of_plan(report)
    )


def test_the_time_counted_is_the_simulated_beamlines(tmp_path: Path) -> None:
    numbers = {"grid": "5x4", "pitch": 10.0, "exposure_s": 0.5}
    report = plan_beam_time(BeamNumbers(**numbers), patience_s=0.0)
    with open_session("smooth", seed=1, data_dir=tmp_path, progress=False) as session:
        clock = session.instrument.simulator.clock
        names = session.namespace()
        for way in report["ways"][:2]:
            began = clock.elapsed_s
            exec(way["command"], names)
            took = clock.elapsed_s - began
            assert took == pytest.approx(way["confirmed_s"][0], rel=0.1), way["name"]


def test_no_flight_is_faster_than_the_stage_and_longer_than_it_needs() -> None:
    assert flight_exposures(BeamNumbers(pitch=5, speed=50.0, exposure_s=1.0).complete()) == [
        0.1,
        0.3,
    ]
    slow = BeamNumbers(
        unit="mm", grid="40x30", pitch=0.002, speed=0.001, exposure_s=0.05, width=0.05
    )
    assert flight_exposures(slow.complete()) == [2.0]
    report = plan_beam_time(slow, patience_s=0.0)
    assert "exposure_s=2, confirm=8" in report["ways"][1]["command"]
    assert report["ways"][1]["confirmed_s"][0] > 1200 * 2.0
    assert any("the stage takes 2 s from cell to cell" in remark for remark in report["remarks"])


def test_dim_samples_and_rocking_scans_take_the_flight_out_of_the_race() -> None:
    numbers = BeamNumbers(grid="10x10", width=15.0, frames=21, exposure_s=0.5)
    report = plan_beam_time(numbers, patience_s=0.0)
    assert report["recommended"] != "flight, confirmed"
    assert "needs one frame without rocking" in report["reason"]
    assert "rocking_scan(diffractometer.eta, -1, 1, 21)" in report["ways"][0]["command"]
    full = numbers.complete()
    assert full.full_s == 10.5
    assert full.besides_s == pytest.approx(21 * 0.2 + 20 * 0.9)  # the circle settles at each step
    swept = numbers.model_copy(update={"turn_s": 0.0})
    swept_report = plan_beam_time(
        BeamNumbers(**swept.model_dump(exclude_unset=True)), patience_s=0.0
    )
    assert "rocking_sweep(" in swept_report["ways"][0]["command"]


def test_hours_that_do_not_suffice_leave_nothing_to_recommend() -> None:
    report = plan_beam_time(BeamNumbers(grid="12x12", width=15.0, hours=0.005), patience_s=0.0)
    assert report["recommended"] is None
    assert report["command"] is None
    assert all(math.isinf(t) for t in report["ways"][0]["confirmed_s"])
    assert report["reason"].startswith("no way reports A on half of the films within 0.005 h")


def test_too_few_counts_are_said_with_the_exposure_that_would_do() -> None:
    report = plan_beam_time(BeamNumbers(grid="9x9", exposure_s=0.05), patience_s=0.0)
    assert "5 counts of a point in full at the brightest" in report["remarks"][0]
    assert "exposures of 8.5 s would" in report["remarks"][0]
    few = plan_beam_time(BeamNumbers(grid="9x9", exposure_s=0.05, count_rate=5), patience_s=0.0)
    assert "exposures of 170 s would" in few["remarks"][0]
    enough = plan_beam_time(BeamNumbers(grid="9x9", exposure_s=8.6), patience_s=0.0)
    assert not enough["remarks"]


def test_a_report_is_right_where_a_is_when_it_comes() -> None:
    rng, right = np.random.default_rng(5), {}
    for drift in (0.0, 60.0):
        numbers = BeamNumbers(grid="15x15", drift=drift).complete()
        films = [HillyFilm(numbers, np.random.default_rng(i)) for i in range(8)]
        right[drift] = [
            sum(raster(film, rng).is_right for film in films),
            sum(fly(film, 1.0, rng).is_right for film in films),
        ]
    assert min(right[0.0]) >= 7
    # A raster takes 42 min, in which the sample moves by 42 µm, and a flight 6 min.
    assert right[60.0][0] <= 3
    assert right[60.0][1] > right[60.0][0]


def test_a_fine_grid_is_searched_as_coarsely_as_hills_allow_or_said_not_to_be() -> None:
    numbers = {"unit": "mm", "extent": "0.4x0.1", "pitch": 0.002, "width": 0.05, "speed": 0.1}
    fine = BeamNumbers(**numbers, exposure_s=5).complete()
    coarse = coarse_space(fine)
    assert len(fine.space) == 201 * 51
    assert coarse is not None
    assert len(coarse) == 49 * 13
    assert steer_over(HillyFilm(fine, np.random.default_rng(2)), coarse, 0, adaptive=False).is_right
    narrow = plan_beam_time(BeamNumbers(grid="100x100", pitch=1.0, width=3.0), patience_s=0.0)
    assert [way["films"] for way in narrow["ways"]] == [2, 2, 0, 0]
    assert narrow["recommended"] in ("raster", "flight, confirmed", None)
    assert "not simulated: hills so narrow" in narrow["reason"]


def test_an_agent_that_meets_no_rule_in_time_has_confirmed_nothing() -> None:
    ending = steer_over(f := film(grid="12x12", width=15.0, hours=0.01), f.space, 0, adaptive=True)
    assert math.isinf(ending.within(0.01).confirmed_s)
    assert not ending.within(0.01).is_right


@pytest.mark.parametrize(
    ("given", "grid", "pitch"),
    [
        ({}, "31x31", "5x5"),
        ({"grid": "11x21"}, "11x21", "5x5"),
        ({"extent": 150, "pitch": 5}, "31x31", "5x5"),
        ({"extent": "150x80", "pitch": "5x4"}, "31x21", "5x4"),
        ({"extent": "150x60", "grid": "31x31"}, "31x31", "5x2"),
        ({"extent": 152, "pitch": 5}, "31x31", "5x5"),  # what is left does not make a cell
        ({"unit": "mm", "extent": 0.3}, "61x61", "0.005x0.005"),
        ({"grid": "31x31", "pitch": 5, "extent": 150}, "31x31", "5x5"),
    ],
)
def test_of_cells_pitch_and_extent_one_follows_from_the_others(
    given: dict[str, Any], grid: str, pitch: str
) -> None:
    numbers = BeamNumbers(**given).complete()
    assert (numbers.grid, numbers.pitch) == (grid, pitch)
    told = {"grid", "pitch", "extent"} & set(given)
    assert len(told | set(numbers.assumed) & {"grid", "pitch", "extent"}) == max(2, len(told))
    assert not set(given) & set(numbers.assumed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grid": "31"}, "grid must be cells along x and y, 2 to 1000 each, got '31'; try 31x31"),
        ({"grid": "1x31"}, "grid must be cells along x and y"),
        ({"grid": "axb"}, "grid must be cells along x and y"),
        ({"grid": "31x31x3"}, "grid must be cells along x and y"),
        ({"grid": "900x900"}, "at most 100000 cells, got 900 × 900; plan for a coarser"),
        ({"pitch": "0"}, "pitch must be a length above 0, or one for x and one for y, got '0'"),
        ({"extent": "1x2x3"}, "extent must be a length above 0"),
        (
            {"grid": "31x31", "pitch": 5, "extent": 100},
            "agree, got 31 × 31 cells every 5 × 5 µm on",
        ),
        ({"extent": 1}, "2 to 1000 cells along each axis, got 1 × 1 over 5 × 5 µm, the default; "),
        (
            {"extent": 1, "pitch": 0.002},
            "within the sample, 1 × 1 µm, got 20 µm, the default; give",
        ),
        (
            {"pitch": 50},
            "at least the pitch, 50 µm, else hills lie between cells, got 20 µm, the d",
        ),
        ({"width": 300}, "width must lie within the sample, 150 × 150 µm, got 300 µm; give"),
        ({"least_s": 20}, "least_s must be at most exposure_s, 10 s, got 20 s; lower it"),
        ({"count_rate": math.inf}, "count_rate"),
        ({"hours": 0}, "hours"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        BeamNumbers(**given).complete()


def test_times_are_said_in_the_unit_that_people_use() -> None:
    assert [duration(s) for s in (0.5, 89, 91, 7000, 1e6)] == [
        "0.5 s",
        "89.0 s",
        "1.5 min",
        "1.9 h",
        "278 h",
    ]
    json.dumps(plan_beam_time(BeamNumbers(grid="5x5", pitch=10), patience_s=0.0)["numbers"])
