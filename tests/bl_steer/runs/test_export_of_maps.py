"""Maps in reciprocal space in a NeXus file, read back with h5py alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.diffraction import GriddedFrames, QGrid
from bl_steer.runs import Run, export_run
from bl_steer.runs.judging import usable
from bl_steer.steering import differing_decisions
from plans import find_hotspot
from plans.stubs.per_point import rocking_scan, rocking_sweep
from simulators.film import FilmOnDetector, SigeFilm, SimulatedBeamline

N = 5
WINDOW = (2.24, 2.345, 17)
GRID = {axis: {"start": 0, "stop": 150, "num": 4} for axis in "xy"}
FILM = FilmOnDetector(SigeFilm("smooth", seed=1), shape=(24, 32))
MASK = FILM.detector.gaps | FILM.detector.hot


def maps(**settings: Any) -> GriddedFrames:
    return GriddedFrames(
        FILM.goniometer, QGrid(WINDOW, WINDOW), angles=FILM.fixed, mask=MASK, empty=0.0, **settings
    )


def steered(
    RE: RunEngine, documents: Any, folder: Path, scan: Any, reduction: GriddedFrames
) -> Run:
    beamline = SimulatedBeamline(FILM, frames_dir=folder, exposure_s=1.0)
    RE(
        find_hotspot(
            beamline.det,
            beamline.stage,
            monitor=beamline.monitor,
            per_point=scan(beamline.diffractometer.mu, 1.0, 3.0, N),
            reduction=reduction,
            target="total",
            grid=GRID,
            budget=3,
        )
    )
    run: Run = documents.run
    return run


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def placed(file: Any, path: str, row: int, place: np.ndarray) -> np.ndarray:
    """Move places (…, 3) along a chain of transformations, as any reader of NeXus does."""
    while path != ".":
        step = file[path]
        way = step.attrs["vector"]
        value = float(np.broadcast_to(step[()], (row + 1,))[row] if step.ndim == 0 else step[row])
        if text(step.attrs["transformation_type"]) == "translation":
            place = place + value * way
        else:
            angle, (x, y, z) = np.radians(value), way
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
            place = place @ turn.T
        path = text(step.attrs["depends_on"])
    return place


@pytest.mark.parametrize("scan", [rocking_scan, rocking_sweep])
def test_the_maps_of_a_steered_run_are_read_back_by_h5py_alone(
    scan: Any, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    reduction = maps()
    run = steered(RE, documents, tmp_path, scan, reduction)
    (path,) = export_run(run, tmp_path / "run.nxs", frames="none")
    expected = [maps().begin() for _ in range(3)]
    frames = np.asarray(run.frames).reshape(3, N, 24, 32)
    with h5py.File(path) as file:
        group = file["entry/maps"]
        assert [text(a) for a in group.attrs["axes"]] == ["point", "q_perp", "q_par"]
        assert group[group.attrs["signal"]].shape == (3, 17, 17)
        np.testing.assert_array_equal(group["q_par"][:], np.linspace(*WINDOW))
        assert group["q_par"].attrs["units"] == "1/angstrom"
        mu = file["entry/sample/transformations/mu"][:].reshape(3, N)
        for point, exact in enumerate(expected):
            exact.add(frames[point], angles=mu[point])
            np.testing.assert_array_equal(group["count"][point], exact.n_pixels)
            np.testing.assert_array_equal(group["mask"][point], exact.n_pixels == 0)
        sums, counts = group["sum"][:], group["count"][:]
        lit = sums > 0
        ratio = sums[lit] / np.array([exact.sums for exact in expected])[lit]
        assert 0.9 < ratio.min() <= ratio.max() < 1.1  # scaled to the nominal beam
        np.testing.assert_allclose(group["mean"][:][lit], sums[lit] / counts[lit])
        assert np.isnan(group["mean"][:][counts == 0]).all()
        results = run.results(reduction)
        patterns = np.array([r.pattern for r in results]).reshape(3, 17, 17)
        np.testing.assert_array_equal(np.nan_to_num(group["mean"][:]), patterns)
        assert usable(results).all()
        np.testing.assert_array_equal(file["entry/instrument/det/pixel_mask"][:] > 0, MASK)
        stored = json.loads(file["entry/instrument/goniometer/data"][()])
        assert stored == json.loads(json.dumps(FILM.goniometer.to_dict()))


def test_the_chains_of_turns_give_the_q_of_every_pixel(
    RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    """With nothing but the file's own vectors; they are in the frame of NeXus."""
    run = steered(RE, documents, tmp_path, rocking_scan, maps())
    (path,) = export_run(run, tmp_path / "run.nxs", frames="none")
    row = 3
    with h5py.File(path) as file:
        entry = file["entry"]
        module = entry["instrument/det/module"]
        rows, columns = np.indices(module["data_size"][:])
        places = np.zeros((*rows.shape, 3))
        for name, number in (("fast_pixel_direction", columns), ("slow_pixel_direction", rows)):
            step = module[name]
            places += number[..., None] * step[()] * step.attrs["vector"]
        offset = module["slow_pixel_direction"].attrs["depends_on"]
        places = placed(file, text(offset), row, places)
        k = 2.0 * np.pi / entry["instrument/beam/incident_wavelength"][()]
        out = places / np.linalg.norm(places, axis=-1, keepdims=True)
        lab = k * (out - [0.0, 0.0, 1.0])
        axes = placed(file, text(entry["sample/depends_on"][()]), row, np.eye(3))
        x, y, z = np.moveaxis(lab @ axes.T, -1, 0)  # along the sample's own axes
        mu = entry["sample/transformations/mu"][row]
    expected = FILM.goniometer.q({**FILM.aligned, "mu": mu})
    np.testing.assert_allclose(np.stack([-x, z, y], axis=-1), expected, atol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_flat_field_is_stored_with_the_run_and_used_from_there(
    kind: Any, RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    flat = np.random.default_rng(0).uniform(0.5, 1.5, (24, 32)).astype(kind)
    flat[3, 4] = np.nan
    run = steered(RE, documents, tmp_path, rocking_sweep, maps(flat=flat))
    (path,) = export_run(run, tmp_path / "run.nxs", frames="none")
    expected = [result.pattern for result in run.results(maps(flat=flat))]
    np.testing.assert_array_equal(run.patterns(), expected)
    without = [result.pattern for result in run.results(maps())]
    assert not np.allclose(without, expected)
    assert differing_decisions(run) == []
    with h5py.File(path) as file:
        mean = np.nan_to_num(file["entry/maps/mean"][:]).reshape(3, -1)
    np.testing.assert_array_equal(mean, expected)


def test_a_flat_field_that_an_earlier_version_did_not_store_must_be_given(
    RE: RunEngine, documents: Any, tmp_path: Path
) -> None:
    flat = np.full((24, 32), 0.5)
    run = steered(RE, documents, tmp_path, rocking_sweep, maps(flat=flat))
    del run.start["steering"]["reduction_settings"]["flat_bits"]
    with pytest.raises(ValueError, match="give the flat field"):
        export_run(run, tmp_path / "run.nxs")
    (path,) = export_run(run, tmp_path / "run.nxs", reduction=maps(flat=flat), frames="none")
    with h5py.File(path) as file:
        assert np.nanmax(file["entry/maps/mean"][:]) > 0.0
