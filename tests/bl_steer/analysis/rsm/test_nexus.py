"""A map of detector frames as a NeXus file, read back with h5py alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bl_steer.analysis.rsm import map_files
from bl_steer.diffraction import peak_position
from simulators.film import FilmOnDetector, SigeFilm

MUS = np.linspace(1.0, 3.0, 21)


def scan(path: Path) -> tuple[FilmOnDetector, np.ndarray]:
    """Write a rocking scan of the film as a file; return the film and the frames."""
    film = FilmOnDetector(SigeFilm("multi-domain", seed=10), shape=(64, 64))
    frames = np.stack(
        [
            film.expose(75.0, 75.0, exposure_s=1.0, time_s=0.0, shot=i, angles={"mu": mu})[0]
            for i, mu in enumerate(MUS)
        ]
    )
    frames[:, film.detector.hot] = -1  # as a detector does that knows them
    pixels = film.goniometer.detector
    np.savez(
        path,
        counts=frames,
        **{name: np.full(len(MUS), angle) for name, angle in film.fixed.items()},
        mu=MUS,
        energy_kev=film.goniometer.energy_kev,
        pixel_size_mm=pixels.pixel_size_mm[0],
        distance_mm=pixels.distance_mm,
        beam_centre=pixels.beam_centre,
    )
    return film, frames


def test_sum_count_mask_peaks_and_goniometer_are_in_one_file(tmp_path: Path) -> None:
    film, frames = scan(tmp_path / "scan.npz")
    params: dict[str, Any] = {"goniometer": "4S+2D", "cells": 65}
    report = map_files([tmp_path / "scan.npz"], params=params, out=tmp_path / "out")
    assert report["written"][-1] == str(tmp_path / "out/map.nxs")
    with h5py.File(tmp_path / "out/map.nxs") as file:
        entry = file[file.attrs["default"]]
        group = entry[entry.attrs["default"]]
        assert [*group.attrs["axes"]] == ["q_perp", "q_par"]
        assert group[group.attrs["signal"]].shape == (65, 65)
        counted = frames[frames >= 0]
        assert group["sum"][:].sum() == counted.sum()
        assert group["count"][:].sum() == counted.size
        assert np.array_equal(group["mask"][:] == 1, group["count"][:] == 0)
        assert np.array_equal(np.isnan(group["mean"][:]), group["mask"][:] == 1)
        assert group["q_par"].attrs["units"] == "1/angstrom"
        q_par, q_perp = group["q_par"][:], group["q_perp"][:]
        row, column = np.unravel_index(np.nanargmax(group["mean"][:]), (65, 65))
        silicon = peak_position(0.0, 1.0)
        np.testing.assert_allclose((q_par[column], q_perp[row]), silicon, atol=0.006)
        assert entry["peaks/q_par"][0] == report["peaks"][0]["q_par"]
        mask = entry["instrument/detector/pixel_mask"][:] > 0
        assert np.array_equal(mask, film.detector.gaps | film.detector.hot)
        assert np.array_equal(entry["sample/transformations/mu"][:], MUS)
        stored = json.loads(entry["instrument/goniometer/data"][()])
        assert stored == report["goniometer"]
        assert entry["instrument/goniometer/digest"][()].decode() == report["goniometer_digest"]
