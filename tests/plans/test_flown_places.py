"""Where the frames of a flight are recorded: as was read on each axis, and in the right cell."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from ophyd.sim import SynAxis, SynGauss

from bl_steer.agents import Space
from bl_steer.plotting.runs import map_outcomes
from bl_steer.runs import export_run
from plans import fly_map
from simulators.film.beamline import SimulatedBeamline
from tests.plans.line_flyer import LineFlyer

ROWS = [0.0, 40.0, 80.0]
GRID = Space.grid(np.arange(45.0, -5.0, -5.0), ROWS)  # descending, as files may have it


def hill(x: float, y: float) -> float:
    return float(1000.0 * np.exp(-((x - 20.0) ** 2 + (y - 40.0) ** 2) / 800.0))


def flown(RE: RunEngine, *, off: float = 0.0, **options: Any) -> Any:
    x, y = SynAxis(name="x"), SynAxis(name="y", readback_func=lambda place: place + off)
    det = SynGauss("det", x, "x", center=20, Imax=1000, sigma=20)
    flyer = LineFlyer([x, y], det, lambda x, y: hill(x, y - off), **options)
    return RE(fly_map(det, [x, y], flyer=flyer, grid=GRID, confirm=0)).plan_result


def test_the_axis_across_a_flight_is_recorded_as_it_was_read(RE: RunEngine, documents: Any) -> None:
    flown(RE, off=0.75)
    run = documents.run
    np.testing.assert_allclose(run.primary["y"], GRID.snake()[:, 1] + 0.75)
    np.testing.assert_allclose(run.primary["y_setpoint"], GRID.snake()[:, 1])


def test_an_axis_that_stood_in_another_row_ends_the_map(RE: RunEngine) -> None:
    with pytest.raises(RuntimeError, match=r"y must be where it was sent, 0, got 30 in 'y'"):
        flown(RE, off=30.0)


def test_a_row_of_a_series_names_the_cells_of_its_frames(
    RE: RunEngine, beamline: SimulatedBeamline, documents: Any
) -> None:
    grid = Space.grid([20.0, 25.0, 30.0], [0.0, 20.0])
    settings: dict[str, Any] = {"grid": grid, "exposure_s": 0.5, "confirm": 0}
    RE(fly_map(beamline.det, beamline.stage, monitor=beamline.monitor, **settings))
    run = documents.run
    assert run.primary["flight_cell"].tolist() == [0, 1, 2, 5, 4, 3]


@pytest.mark.parametrize("ahead", [0.0, 0.5])
def test_a_frame_on_the_edge_of_its_cell_is_exported_there(
    RE: RunEngine, documents: Any, tmp_path: Path, ahead: float
) -> None:
    flown(RE, ahead=ahead)
    run = documents.run
    expected = np.array([hill(*place) for place in GRID.points])
    np.testing.assert_allclose(map_outcomes(run, "field:det"), expected)
    *_, file = export_run(run, tmp_path / "map.csv")
    with file.open(encoding="utf-8", newline="") as stream:
        _, *rows = csv.reader(stream)
    exported = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_allclose(exported, expected.reshape(GRID.shape)[:, ::-1])
