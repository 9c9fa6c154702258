"""Steering on true detector frames: geometry, mask of what is out of order, grid, then a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.analysis.film import inputs_of_run
from bl_steer.diffraction import GriddedFrames, QGrid, find_bad_pixels
from bl_steer.steering import differing_decisions
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film import FilmOnDetector, SigeFilm, SimulatedBeamline

GRID = {axis: {"start": 0, "stop": 150, "num": 16} for axis in "xy"}


@pytest.fixture
def film() -> FilmOnDetector:
    return FilmOnDetector(SigeFilm("smooth", seed=1), shape=(48, 48))


def maps_of(film: FilmOnDetector) -> GriddedFrames:
    """Return the reduction, with what frames of some spots show to be out of order masked."""
    spots = enumerate(np.random.default_rng(0).uniform(0.0, 150.0, (24, 2)))
    frames = [film.expose(x, y, exposure_s=1.0, time_s=0.0, shot=i)[0] for i, (x, y) in spots]
    mask = ~find_bad_pixels(np.stack(frames)).usable
    window = (2.24, 2.345, 33)
    return GriddedFrames(film.goniometer, QGrid(window, window), angles=film.fixed, mask=mask)


def find(
    film: FilmOnDetector,
    scan: Any,
    n: int,
    options: Mapping[str, Any],
    RE: RunEngine,
    folder: Path,
    exposure_s: float,
) -> tuple[float, float]:
    beamline = SimulatedBeamline(film, frames_dir=folder, exposure_s=exposure_s)
    plan = find_hotspot(
        beamline.det,
        beamline.stage,
        monitor=beamline.monitor,
        per_point=scan(beamline.diffractometer.mu, 1.0, 3.0, n),
        reduction=maps_of(film),
        grid=GRID,
        **options,
    )
    result = RE(plan).plan_result
    return result.best_x, result.best_y


def test_a_run_on_maps_of_frames_is_verified_and_reduced_by_its_record_alone(
    film: FilmOnDetector, RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    find(film, rocking_scan, 5, {"budget": 5}, RE, tmp_path, 1.0)
    run = documents.run
    assert differing_decisions(run) == []
    assert run.axes.shape == (33, 33)
    assert np.asarray(run.frames).dtype == np.int32, "gaps are told by being below 0"
    assert run.axes.unit == "1/Å"
    again = [result.pattern for result in run.results(maps_of(film))]
    np.testing.assert_array_equal(run.patterns(), again)
    inputs = inputs_of_run(run)
    np.testing.assert_array_equal(inputs.arrays["qx"], np.linspace(2.24, 2.345, 33))
    assert inputs.arrays["patterns"].shape == (5, 33 * 33)


def test_point_a_is_found_from_frames_of_rocking_scans(
    film: FilmOnDetector, RE: RunEngine, tmp_path: Path
) -> None:
    best = find(film, rocking_scan, 11, {"budget": 20}, RE, tmp_path, 1.0)
    rich = film.film.fields.rich_fraction
    assert rich(*np.array(best)[:, None])[0] > 0.95 * rich(*film.grid).max()


def test_hot_pixels_that_nobody_masked_are_left_out_before_the_grid(
    film: FilmOnDetector, RE: RunEngine, tmp_path: Path, documents: Any
) -> None:
    beamline = SimulatedBeamline(film, frames_dir=tmp_path, exposure_s=1.0)
    window = (2.24, 2.345, 33)
    maps = GriddedFrames(film.goniometer, QGrid(window, window), angles=film.fixed)
    scan = rocking_sweep(beamline.diffractometer.mu, 1.0, 3.0, 41)
    options: dict[str, Any] = {"target": "total", "grid": GRID, "budget": 3}
    RE(find_hotspot(beamline.det, beamline.stage, per_point=scan, reduction=maps, **options))
    run = documents.run
    known = GriddedFrames(maps.goniometer, maps.grid, angles=maps.angles, mask=film.detector.hot)
    masked = np.array([result.pattern for result in run.results(known)])
    as_taken = {**run.start, "steering": {**run.steering, "rays": False}}
    raw = replace(run, start=as_taken, _results=[]).patterns()
    excess = np.nansum(raw - masked, axis=1)
    assert excess.sum() > 1000.0, "a hot pixel is in the map"
    assert np.abs(np.nansum(run.patterns() - masked, axis=1)).sum() < 0.05 * excess.sum()
    assert differing_decisions(run) == []


@pytest.mark.parametrize("tilt", [-0.3, 0.3])
def test_a_domain_tilted_to_one_side_is_found_and_told_from_the_other(
    tilt: float, film: FilmOnDetector, RE: RunEngine, tmp_path: Path
) -> None:
    target = {"target": f"ref:x=0.18,R=0.86,tilt={tilt}", "budget": 14}
    best = find(film, rocking_sweep, 11, target, RE, tmp_path, 10.0)
    found = film.film.fields.matrix_tilt_deg(*np.array(best)[:, None])[0]
    np.testing.assert_allclose(found, tilt, atol=0.1)
