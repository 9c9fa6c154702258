"""Maps flown by a flyer of the beamline's own: frames belong to cells by where they were taken."""

from __future__ import annotations

import logging
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import MockFlyer, SynAxis, SynGauss, TrivialFlyer

from bl_steer.agents import Space
from plans import fly_map
from plans.stubs.flights.by_flyer import FlightRow
from plans.stubs.flights.collected import FlightError
from tests.plans.line_flyer import LineFlyer
from tests.plans.pausing import run_paused

GRID = Space.grid(np.arange(0.0, 50.0, 5.0), [0.0, 40.0, 80.0])


def hill(x: float, y: float) -> float:
    return float(1000.0 * np.exp(-((x - 20.0) ** 2 + (y - 40.0) ** 2) / 800.0))


def devices(**options: Any) -> tuple[Any, list[Any], LineFlyer]:
    x, y = SynAxis(name="x"), SynAxis(name="y")
    det = SynGauss("det", x, "x", center=20, Imax=1000, sigma=20)
    return det, [x, y], LineFlyer([x, y], det, hill, **options)


def flown(RE: RunEngine, **options: Any) -> tuple[Any, LineFlyer]:
    det, axes, flyer = devices(**options)
    return RE(fly_map(det, axes, flyer=flyer, grid=GRID, confirm=0)).plan_result, flyer


def is_the_map(run: Any) -> None:
    np.testing.assert_allclose(run.positions, GRID.snake(), atol=2.5)
    expected = [hill(*place) for place in GRID.snake()]
    np.testing.assert_allclose(run.primary["det"], expected)


@pytest.mark.parametrize("apart", [False, True])
def test_a_frame_belongs_to_the_cell_where_it_was_taken(
    RE: RunEngine, documents: Any, apart: bool
) -> None:
    result, flyer = flown(RE, apart=apart)
    run = documents.run
    assert result.n_measured == run.n_points == 30
    is_the_map(run)
    assert (result.best_x, result.best_y) == (20.0, 40.0)
    source = "flyer's time stamps" if apart else "flyer"
    assert set(run.primary["flight_place"]) == {source}
    assert run.steering["per_point"]["flyer"] == "line_flyer"
    assert [(row.start, row.stop, row.num) for row in flyer.rows] == [
        (0.0, 45.0, 10),
        (45.0, 0.0, 10),
        (0.0, 45.0, 10),
    ]
    assert [row.place for row in flyer.rows] == [{"y": y} for y in (0.0, 40.0, 80.0)]


def test_a_surplus_frame_shifts_no_other_and_is_named(
    RE: RunEngine, documents: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flown(RE, extra=[3])
    is_the_map(documents.run)
    assert "1 of 11 frames of a flight along x, y = 0 lie in no cell" in caplog.text
    assert "do not count: at 16.5" in caplog.text


def test_a_cell_without_a_frame_is_flown_over_again(RE: RunEngine, documents: Any) -> None:
    _, flyer = flown(RE, lose=[13])
    is_the_map(documents.run)
    assert [(row.start, row.num) for row in flyer.rows[1:3]] == [(45.0, 10), (30.0, 7)]


def test_cells_that_no_flight_has_frames_of_are_named(RE: RunEngine) -> None:
    with pytest.raises(FlightError, match=r"got none at 15, 40 of 7 cells, y = 0 in 3 flights"):
        flown(RE, lose=[3, 8, *range(10, 60)])


def test_a_detector_that_is_late_by_frames_is_told_of(
    RE: RunEngine, caplog: pytest.LogCaptureFixture
) -> None:
    flown(RE, late=2.0)
    assert "stamped 2.0 frames later than the places beside them" in caplog.text
    caplog.clear()
    flown(RE, late=0.4)
    assert "stamped" not in caplog.text


@pytest.mark.parametrize("late", [0.0, 3.0, -1.0])
def test_rows_that_do_not_match_those_beside_them_tell_of_a_late_detector(
    RE: RunEngine, caplog: pytest.LogCaptureFixture, late: float
) -> None:
    det, axes, flyer = devices()
    flyer.late, flyer.stamps_are_late = late, False
    grid = Space.grid(np.arange(0.0, 50.0, 2.0), np.arange(10.0, 70.0, 10.0))
    RE(fly_map(det, axes, flyer=flyer, grid=grid, confirm=0))
    told = "rows flown to and fro are displaced by {:g} cells each: the detector seems to be {} by"
    expected = told.format(abs(late), "late" if late > 0 else "early")
    assert (expected in caplog.text) == (late != 0.0)
    assert late or not caplog.records


def test_ophyds_own_flyer_maps_a_grid(RE: RunEngine) -> None:
    det, (x, y), _ = devices()
    flyer, streams = MockFlyer("mock", det, x, 0.0, 45.0, 10), []
    RE.subscribe(lambda _, doc: streams.append(doc["name"]), "descriptor")
    result = RE(fly_map(det, [x, y], flyer=flyer, grid=GRID, confirm=2)).plan_result
    assert result.n_measured == 32
    assert result.best_x == 20.0
    assert len(result.confirmed) == 2
    assert streams.count("mock") == 1  # the flyer's own events stay


def test_a_function_makes_a_flyer_of_each_row_also_as_a_plan(RE: RunEngine, documents: Any) -> None:
    det, (x, y), _ = devices()
    zone = {"box": [[18.0, 30.0], [27.0, 50.0]]}

    def flyer(row: FlightRow) -> Any:
        yield from bps.mv(x, row.start)
        return MockFlyer("mock", det, x, row.start, row.stop, row.num)

    RE(fly_map(det, [x, y], flyer=flyer, grid=GRID, confirm=0, forbidden=[zone]))
    space = GRID.forbid([zone])
    np.testing.assert_allclose(documents.run.positions, space.snake())


@pytest.mark.parametrize("first", [2, 5, 9])
def test_a_pause_repeats_no_event_and_no_flight(RE: RunEngine, documents: Any, first: int) -> None:
    det, axes, flyer = devices()
    run_paused(RE, fly_map(det, axes, flyer=flyer, grid=GRID, confirm=0), first)
    is_the_map(documents.run)


def test_what_is_no_flyer_or_collects_nothing_is_refused_before_anything_moves(
    RE: RunEngine, documents: Any
) -> None:
    det, axes, flyer = devices()
    for what, message in (
        (3, "flyer must have kickoff and complete, or be a function of a row, got 3"),
        (TrivialFlyer(), "got no data keys of trivial_flyer; give another flyer"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            RE(fly_map(det, axes, flyer=what, grid=GRID))
    fixed = MockFlyer("mock", det, axes[0], 0.0, 45.0, 10)
    zone = [{"box": [[20.0, 30.0], [27.0, 50.0]]}]
    with pytest.raises(ValueError, match="flies its own way knows no forbidden zones, got mock"):
        RE(fly_map(det, axes, flyer=fixed, grid=GRID, forbidden=zone))
    with pytest.raises(ValueError, match="exposure_s must be left out where the detector has no"):
        RE(fly_map(det, axes, flyer=flyer, grid=GRID, confirm_exposure_s=5.0))
    assert not documents.all


def test_a_flyer_elsewhere_gives_no_cell_a_frame(
    RE: RunEngine, caplog: pytest.LogCaptureFixture
) -> None:
    det, (x, y), _ = devices()
    flyer = MockFlyer("mock", det, x, 100.0, 145.0, 10)
    with caplog.at_level(logging.WARNING), pytest.raises(FlightError, match="got none at 0, 5, 10"):
        RE(fly_map(det, [x, y], flyer=flyer, grid=GRID, confirm=0))
    assert "10 of 10 frames" in caplog.text


def edges(det: Any, x: Any, n_frames: int) -> Any:
    """Return what makes flyers that take so few frames that one lies on an edge of cells."""
    return lambda row: MockFlyer("mock", det, x, row.start, row.stop, n_frames)


EDGE_GRID = {
    "x": {"start": 2.0, "stop": 1.0, "num": 6},
    "y": {"start": 0.0, "stop": 0.5, "num": 2},
}


def test_a_frame_on_a_cells_edge_counts_and_is_no_stage_that_went_astray(
    RE: RunEngine, documents: Any, caplog: pytest.LogCaptureFixture
) -> None:
    det, (x, y), _ = devices()
    plan = fly_map(det, [x, y], flyer=edges(det, x, 3), grid=EDGE_GRID, confirm=0)
    assert RE(plan).plan_result.n_measured == 12
    run = documents.run
    np.testing.assert_allclose(run.primary["x_setpoint"], run.primary["x"], atol=0.1 + 1e-9)
    assert 1.5 in np.round(run.primary["x"], 9)  # between the cells at 1.6 and 1.4
    assert "must stand where it is sent" not in caplog.text


@pytest.mark.parametrize(("n_frames", "lacking"), [(3, "1.8, 1.4, 1.2"), (2, "1.8, 1.6, 1.4, 1.2")])
def test_cells_between_too_few_frames_are_named_after_three_flights(
    RE: RunEngine, n_frames: int, lacking: str
) -> None:
    det, (x, y), _ = devices()
    flyer = MockFlyer("mock", det, x, 2.0, 1.0, n_frames)
    with pytest.raises(FlightError, match=f"got none at {lacking} of 5 cells, y = 0 in 3 flights"):
        RE(fly_map(det, [x, y], flyer=flyer, grid=EDGE_GRID, confirm=0))
