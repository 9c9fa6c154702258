"""Two azimuths at each point: scans at several settings of other circles, in one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.analysis.film import FilmMap, FilmParams, inputs_of_runs
from bl_steer.diffraction import GriddedFrames, QGrid
from bl_steer.runs import Run, export_run, scans_of
from bl_steer.steering import ResumeError, differing_decisions
from plans import find_hotspot, map_sample
from plans.stubs import rocking_scan, rocking_sweep
from plans.stubs.written import per_point_of
from simulators.film import FilmOnDetector, SigeFilm, SimulatedBeamline

GRID = {axis: {"start": 10, "stop": 140, "num": 3} for axis in "xy"}
WINDOW = (2.24, 2.345, 17)
EXPOSURE_S = 0.5


@pytest.fixture(scope="module")
def film() -> FilmOnDetector:
    return FilmOnDetector(SigeFilm("multi-domain", seed=10), shape=(48, 48))


def maps_of(film: FilmOnDetector) -> GriddedFrames:
    bad = film.detector.gaps | film.detector.hot
    return GriddedFrames(film.goniometer, QGrid(WINDOW, WINDOW), angles=film.fixed, mask=bad)


def azimuths(beamline: SimulatedBeamline, scan: Any, n: int) -> list[Any]:
    circles = beamline.diffractometer
    return [scan(circles.mu, 1.0, 3.0, n, at={circles.phi: phi}) for phi in (0.0, 180.0)]


def beamline_of(film: FilmOnDetector, folder: Path) -> SimulatedBeamline:
    return SimulatedBeamline(film, frames_dir=folder, exposure_s=EXPOSURE_S)


def test_one_run_of_two_azimuths_tells_the_tilts_of_the_film(
    film: FilmOnDetector, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    beamline = beamline_of(film, tmp_path)
    scans = azimuths(beamline, rocking_sweep, 41)
    RE(
        map_sample(
            beamline.det,
            beamline.stage,
            monitor=beamline.monitor,
            per_point=scans,
            reduction=maps_of(film),
            grid=GRID,
        )
    )
    run: Run = documents.run
    assert run.n_points == 9
    np.testing.assert_array_equal(run.primary["setting"], [0, 1] * 9)
    np.testing.assert_allclose(run.primary["diffractometer_phi"], [0.0, 180.0] * 9)
    first, second = scans_of(run)
    assert not np.array_equal(first.patterns(), second.patterns())
    inputs = inputs_of_runs([run])
    table = FilmMap().run(inputs, FilmParams(hkl="0,2,2;0,-2,2")).tables["points"]
    matrix = np.asarray(table["peak"]) == 0
    x, y, tilt = (np.asarray(table[name])[matrix] for name in ("x", "y", "tilt_deg"))
    # A swapped or twice used azimuth would tell no tilt, or half of it.
    np.testing.assert_allclose(tilt, film.film.fields.matrix_tilt_deg(x, y), atol=0.04)


@pytest.mark.parametrize("scan", [rocking_scan, rocking_sweep])
def test_steering_takes_the_first_scan_and_is_verified_from_the_record(
    scan: Any, film: FilmOnDetector, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    beamline, n = beamline_of(film, tmp_path), 5
    scans = azimuths(beamline, scan, n)
    options: dict[str, Any] = {"monitor": beamline.monitor, "grid": GRID, "target": "total"}
    maps = maps_of(film)
    devices = beamline.det, beamline.stage
    RE(find_hotspot(*devices, per_point=scans, reduction=maps, budget=4, **options))
    run: Run = documents.run
    assert run.n_points == run.n_complete == 4
    in_steps = scan is rocking_scan
    assert run.steering["per_point"]["n"] == (2 * n if in_steps else 2)
    assert [s["at"] for s in run.steering["per_point"]["scans"]] == [
        {"diffractometer_phi": 0.0},
        {"diffractometer_phi": 180.0},
    ]
    assert differing_decisions(run) == []
    frames = np.asarray(run.frames).reshape(4, 2, n, 48, 48)
    each = [maps, maps.at({"phi": 180.0})]
    angles = np.linspace(1.0, 3.0, n)
    if not in_steps:
        angles = np.array([json.loads(text) for text in run.primary["diffractometer_mu_angles"]])[0]
    scale = run.steering["nominal_counts"] / run.primary["monitor_counts"]
    for number, (shown, gridded) in enumerate(zip(scans_of(run), each, strict=True)):
        scales = scale.reshape(4, 2, -1)[0, number]
        expected = gridded.reduce(
            np.where(frames[0, number] < 0, np.nan, frames[0, number]),
            scales=np.broadcast_to(scales, n),
            angles=angles,
        )
        np.testing.assert_allclose(shown.patterns()[0], expected, rtol=1e-3)


def test_a_run_of_two_azimuths_is_carried_on_with_its_own_reductions(
    film: FilmOnDetector, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    beamline = beamline_of(film, tmp_path)
    devices = beamline.det, beamline.stage
    options: dict[str, Any] = {"monitor": beamline.monitor}
    options["per_point"] = azimuths(beamline, rocking_sweep, 5)
    maps = maps_of(film)
    RE(find_hotspot(*devices, reduction=maps, grid=GRID, target="total", budget=3, **options))
    first: Run = documents.run
    other = GriddedFrames(maps.goniometer, maps.grid, angles=maps.angles)
    with pytest.raises(ResumeError, match="the reductions' settings must be"):
        RE(find_hotspot(*devices, resumes=first, reduction=other, budget=5, **options))
    RE(find_hotspot(*devices, resumes=first, budget=5, **options))
    second: Run = documents.run
    assert second.steering["further_reductions"] == first.steering["further_reductions"]
    assert second.start["uid"] != first.uid
    assert differing_decisions(second.carrying_on(first)) == []


def test_the_export_holds_the_maps_of_both_azimuths(
    film: FilmOnDetector, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    beamline = beamline_of(film, tmp_path)
    scans = azimuths(beamline, rocking_sweep, 5)
    maps = maps_of(film)
    RE(map_sample(beamline.det, beamline.stage, per_point=scans, reduction=maps, grid=GRID))
    (path,) = export_run(documents.run, tmp_path / "run.nxs", frames="none")
    with h5py.File(path) as file:
        for name, scan in zip(("maps", "maps_2"), scans_of(documents.run), strict=True):
            mean = file[f"entry/{name}/mean"][:].reshape(9, -1)
            np.testing.assert_allclose(mean, scan.patterns())


def refused(scans: Sequence[Any], reduction: Any, film: FilmOnDetector, folder: Path) -> str:
    beamline = beamline_of(film, folder)
    with pytest.raises((ValueError, TypeError)) as error:
        next(map_sample(beamline.det, beamline.stage, per_point=scans, reduction=reduction))
    return str(error.value)


def test_scans_that_are_no_parts_of_one_point_are_refused(
    film: FilmOnDetector, tmp_path: Path
) -> None:
    d = beamline_of(film, tmp_path).diffractometer
    here, there = ({d.phi: 0.0}, {d.phi: 180.0})
    scan = rocking_scan(d.mu, 1.0, 3.0, 5, at=here)
    cases: list[tuple[list[Any], str]] = [
        ([scan, rocking_scan(d.eta, 1, 3, 5, at=there)], "turn the same circle"),
        ([scan, rocking_scan(d.mu, 1, 3, 5)], "say where the same circles stand"),
        ([scan, rocking_sweep(d.mu, 1, 3, 5, at=there)], "be all in steps or all in sweeps"),
        ([scan, scan], "must differ in where circles stand"),
        ([scan, None], "must hold rocking_scan or rocking_sweep"),
    ]
    for scans, problem in cases:
        with pytest.raises(ValueError, match=problem):
            per_point_of(scans)
    with pytest.raises(ValueError, match="circles other than diffractometer_mu stand"):
        rocking_scan(d.mu, 1, 3, 5, at={d.mu: 2.0})
    pair = [scan, rocking_scan(d.mu, 1, 3, 5, at=there)]
    maps = maps_of(film)
    assert "must be for the angles of its scan, phi = 180°, got 0°" in refused(
        pair, [maps, maps], film, tmp_path
    )
    assert "one for each of the 2 scans" in refused(pair, [maps], film, tmp_path)
    assert per_point_of(pair) == per_point_of(
        [
            {"name": "rocking_scan", "axis": d.mu, "start": 1, "stop": 3, "n": 5, "at": [at]}
            for at in ([d.phi, 0], [d.phi, 180])
        ]
    )
