"""The map flown over: every cell once, in place, as if it had been measured standing still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import Msg

from bl_steer.agents import Space
from bl_steer.runs import open_run
from bl_steer.session import open_session
from plans import fly_map, map_sample
from plans.stubs.flights.collected import FlightError
from plans.stubs.messages import carried_out
from simulators.film.beamline import SimulatedBeamline
from tests.plans.pausing import run_paused

X, Y = [20.0, 25.0, 30.0, 35.0, 40.0], [0.0, 20.0, 40.0]
GRID = Space.grid(X, Y)
SNAKE = GRID.snake()


def flight(beamline: SimulatedBeamline, **options: Any) -> Any:
    settings = {"monitor": beamline.monitor, "grid": GRID, "exposure_s": 0.5, "confirm": 0}
    return fly_map(beamline.det, beamline.stage, **(settings | options))


def test_a_flight_measures_what_stops_at_each_point_would(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    speed = beamline.stage.x.velocity.get()
    flown = RE(flight(beamline)).plan_result
    run = documents.run
    assert flown.n_measured == run.n_points == 15
    np.testing.assert_allclose(run.positions, SNAKE, atol=0.3)
    assert set(run.primary["flight_place"]) == {"encoder"}
    assert run.frames is not None
    assert run.frames.shape == (15, 1, 33, 33)
    assert run.start["plan_name"] == "map_sample"
    assert (beamline.stage.x.velocity.get(), beamline.det.n_frames.get()) == (speed, 1)
    sums = run.patterns().sum(axis=1)
    np.testing.assert_allclose(run.primary["det_total"], run.frames[:].sum(axis=(1, 2, 3)))
    RE(map_sample(beamline.det, beamline.stage, monitor=beamline.monitor, grid=GRID))
    alike = np.abs(sums / documents.run.patterns().sum(axis=1) - 1.0) < 0.1
    assert alike.sum() >= 13  # cosmic rays hit some


def test_flying_takes_the_time_of_rows_and_not_of_points(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    before = beamline.clock.elapsed_s
    RE(flight(beamline, exposure_s=0.1))
    assert beamline.clock.elapsed_s - before < 15 * 1.2  # motion, settling, readout of 15 points


def test_the_brightest_spots_are_measured_again_at_full_exposure(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    flown = RE(flight(beamline, confirm=2, confirm_exposure_s=5.0, target="total")).plan_result
    assert flown.n_measured == 17
    assert len(flown.confirmed) == 2
    assert documents.run.n_points == 2  # a run of its own
    assert documents.run.exposure_s == 5.0
    assert (flown.best_x, flown.best_y) == flown.confirmed[0]
    (x1, y1), (x2, y2) = flown.confirmed
    assert max(abs(x1 - x2) / 5.0, abs(y1 - y2) / 20.0) > 1.5


def test_no_flight_enters_a_forbidden_zone(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    zone = {"box": [[28.0, 15.0], [32.0, 25.0]]}  # in the middle of the middle row
    visited: list[tuple[float, float]] = []
    beamline.stage.x.user_readback.subscribe(
        lambda value, **_: visited.append((value, beamline.stage.y.position))
    )
    RE(flight(beamline, forbidden=[zone]))
    assert documents.run.n_points == 14
    space = GRID.forbid([zone])
    np.testing.assert_allclose(documents.run.positions, space.snake(), atol=0.3)
    assert space.in_no_zone(np.array(visited)).all()


@pytest.mark.parametrize("first", [3, 5, 8])
def test_a_pause_repeats_a_row_and_no_event(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, first: int
) -> None:
    run_paused(RE, flight(beamline), first)
    numbers = [doc["seq_num"] for doc in documents.named("event")]
    assert sorted(numbers) == list(range(1, 16))
    np.testing.assert_allclose(documents.run.positions, SNAKE, atol=0.3)
    frames = documents.run.frames
    np.testing.assert_allclose(documents.run.primary["det_total"], frames[:].sum(axis=(1, 2, 3)))


def test_a_flight_that_was_broken_off_is_carried_on_within_its_row(tmp_path: Path) -> None:
    events = 0

    def break_off(message: Msg) -> Any:
        nonlocal events
        events += message.command == "save"
        if events == 8:
            raise RuntimeError("broken off")
        return (yield message)

    with open_session("smooth", seed=1, data_dir=tmp_path, progress=False) as session:
        plan = session.fly_map(grid=GRID, exposure_s=0.5, confirm=0)
        with pytest.raises(RuntimeError, match="broken off"):
            session.RE(carried_out(plan, break_off))
        broken = open_run(session.store, -1)
        assert broken.n_points == 7
        uid, flown = session.run(session.fly_map(resumes=broken.uid))
        assert flown.n_measured == 15
        assert flown.confirmed == []  # as the run that was broken off was to have it
        np.testing.assert_allclose(open_run(session.store, uid).positions, SNAKE, atol=0.3)


def test_what_cannot_fly_is_refused_before_anything_moves(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any, counter: Any, axes: Any
) -> None:
    with pytest.raises(ValueError, match=r"series by frames\(\), got counter without; use"):
        RE(fly_map(counter, axes, grid=GRID))
    wide = Space.grid([-10.0, 0.0, 10.0], Y)
    with pytest.raises(ValueError, match="stage_x must stay within its limits -10 … 160, got -15"):
        RE(flight(beamline, grid=wide))
    with pytest.raises(ValueError, match="grid of a flown map must be a grid, got 3 scattered"):
        RE(flight(beamline, grid=Space.scattered([0.0, 5.0, 9.0], [0.0, 3.0, 5.0])))
    uneven = Space.grid([0.0, 10.0, 40.0, 150.0], Y)
    with pytest.raises(ValueError, match="must have even steps, got 10 to 110; use map_sample"):
        RE(flight(beamline, grid=uneven))
    with pytest.raises(ValueError, match="confirm must be a number of spots"):
        RE(flight(beamline, confirm=-1))
    assert not documents.all


@pytest.mark.parametrize("steps", [0.3, 1.2])
def test_a_detector_that_begins_late_is_told_of_and_the_row_flown_again_from_farther_off(
    RE: RunEngine,
    beamline: SimulatedBeamline,
    documents: Any,
    caplog: pytest.LogCaptureFixture,
    steps: float,
) -> None:
    def late(value: int, **options: object) -> None:
        if value:
            beamline.clock.advance(beamline.clock.now + steps * 0.5)
        beamline._acquire(value, **options)

    beamline.det.acquire.sim_set_putter(late)
    RE(flight(beamline))
    np.testing.assert_allclose(documents.run.positions, SNAKE, atol=2.0)
    told = "a flight along stage_x must give one frame a cell, got frames at 26 for 20"
    assert (told in caplog.text) == (steps > 0.5)
    assert caplog.text.count("is flown again") <= 1  # the next rows begin where they should
    frames = documents.run.frames
    np.testing.assert_allclose(documents.run.primary["det_total"], frames[:].sum(axis=(1, 2, 3)))


def test_a_detector_that_never_fits_ends_the_run_by_name(
    RE: RunEngine, beamline: SimulatedBeamline
) -> None:
    def late(value: int, **options: object) -> None:
        if value:
            beamline.clock.advance(beamline.clock.now + 4.0 * 0.5)
        beamline._acquire(value, **options)

    beamline.det.acquire.sim_set_putter(late)
    with pytest.raises(FlightError, match=r"got frames at .* in the last of 3 flights; check"):
        RE(flight(beamline))
