"""The map: every point of the grid, in the order asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.agents import Space
from bl_steer.steering import DetectorDeadError
from plans import map_sample
from simulators.film.beamline import SimulatedBeamline
from tests.plans.pausing import paused_runs, run_paused

GRID = Space.grid([0.0, 5.0, 10.0], [0.0, 20.0, 40.0])


def mapping(beamline: SimulatedBeamline, **options: Any) -> Any:
    return map_sample(
        beamline.det, beamline.stage, **({"monitor": beamline.monitor, "grid": GRID} | options)
    )


def way(documents: Any) -> list[tuple[float, float]]:
    columns = (documents.column("primary", key) for key in ("stage_x", "stage_y"))
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("snake", [True, False])
def test_map_measures_every_point_once_in_order(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, snake: bool
) -> None:
    n_measured = RE(mapping(beamline, snake=snake)).plan_result
    forth, back = [0.0, 5.0, 10.0], [10.0, 5.0, 0.0]
    rows = zip((0.0, 20.0, 40.0), (forth, back if snake else forth, forth), strict=True)
    assert n_measured == 9
    assert way(documents) == [(x, y) for y, row in rows for x in row]


def test_map_says_in_its_start_document_what_was_asked_for(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(mapping(beamline, md={"operator": "me"}))
    start = documents.named("start")[0]
    assert start["plan_name"] == "map_sample"
    assert start["operator"] == "me"
    assert start["motors"] == ["stage_x", "stage_y"]
    assert start["num_points"] == 9
    assert Space.from_dict(start["steering"]["grid"]).fingerprint == GRID.fingerprint
    assert start["steering"]["nominal_counts"] == 1e7


def test_map_of_scattered_points_keeps_their_order(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    grid = Space.scattered([3.0, 120.0, 44.0], [5.0, 7.0, 100.0])
    RE(mapping(beamline, grid=grid))
    assert way(documents) == [(3.0, 5.0), (120.0, 7.0), (44.0, 100.0)]


def test_dead_frame_is_measured_again_at_its_place(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = {2, 5, 6}
    n_measured = RE(mapping(mortal)).plan_result
    assert n_measured == 12
    valid = np.array(documents.column("primary", "det_valid"), dtype=bool)
    assert np.flatnonzero(~valid).tolist() == [2, 5, 6]
    snake = [tuple(place) for place in GRID.snake()]
    assert [place for place, good in zip(way(documents), valid, strict=True) if good] == snake
    assert way(documents)[2] == way(documents)[3]
    assert np.isnan(documents.run.patterns()).all(axis=1).tolist() == (~valid).tolist()


def test_point_that_stays_dead_is_left_out_after_three_repeats(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = range(2, 6)
    assert RE(mapping(mortal)).plan_result == 12
    assert documents.stop["exit_status"] == "success"


def test_map_stops_when_two_points_in_a_row_stay_dead_and_keeps_the_earlier_ones(
    RE: RunEngine, mortal: SimulatedBeamline, documents: Any
) -> None:
    mortal.sample.dead = range(3, 100)
    with pytest.raises(DetectorDeadError, match=r"got 8 dead ones in a row at x = .*; check"):
        RE(mapping(mortal))
    assert documents.stop["exit_status"] == "fail"
    assert np.isfinite(documents.run.patterns()).all(axis=1).tolist() == [True] * 3 + [False] * 8


def test_pause_at_any_message_of_a_map_repeats_no_event(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    grid = Space.grid([0.0, 5.0], [0.0])
    n_messages = run_paused(RE, mapping(beamline, grid=grid)).messages
    expected = way(documents)
    for first in paused_runs(RE, lambda: mapping(beamline, grid=grid), n_messages):
        assert way(documents) == expected, f"paused from message {first} on"
        assert [e["seq_num"] for e in documents.events("primary")] == [1, 2]
        assert documents.run.frames.shape[0] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": Space.grid([0.0, 200.0], [0.0])}, "stage_x must stay within its limits"),
        ({"exposure_s": -1.0}, "exposure_s must be positive and finite, got -1 s"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_message(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RE(mapping(beamline, **options))
    assert documents.all == []
    assert beamline.clock.elapsed_s == 0.0


def test_points_are_measured_in_their_order_in_place_of_the_grid(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    RE(mapping(beamline, points=[(7.0, 31.0), (0.0, 40.0)]))
    assert way(documents) == [(7.0, 31.0), (0.0, 40.0)]
    assert documents.named("start")[0]["num_points"] == 2


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([(5.0, 20.0), (10.5, 20.0)], r"\(10\.5, 20\.0\) lies outside"),
        ([(float("nan"), 20.0)], "lies outside"),
        ([(9.0, 39.0)], r"lies in the forbidden zone \{'box'"),
        ([(5.0,)], "has 1 coordinates, not 2"),
        ([], "got: none"),
    ],
)
def test_points_beyond_the_grid_or_in_a_zone_are_refused_before_anything_moves(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    documents: Any,
    points: list[tuple[float, ...]],
    problem: str,
) -> None:
    zones = [{"box": [[8.0, 35.0], [10.0, 40.0]]}]
    with pytest.raises(ValueError, match=problem):
        RE(mapping(beamline, points=points, forbidden=zones))
    assert not documents.named("start")
    assert beamline.stage.x.position == 0.0
