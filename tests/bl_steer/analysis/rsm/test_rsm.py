"""Maps of scans: peaks where the geometry and xrayutilities put them, contradictions said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bl_steer.analysis.rsm import ReciprocalSpaceMap, RsmParams, inputs_from_files
from bl_steer.cli import main
from bl_steer.diffraction import Detector, find_bad_pixels, goniometer
from bl_steer.processing.digest import digest_of
from bl_steer.protocols import Inputs
from simulators.film import FilmOnDetector, SigeFilm

RSM = Path(__file__).parents[5] / "shared" / "data" / "rsm"
K = 2 * np.pi * 8.0478 / 12.398419843320026
OMEGA, TWO_THETA = np.linspace(43, 45, 41), np.linspace(87, 89, 81)


def q_of(omega, two_theta):
    """Closed form of the coplanar geometry, 1/Å."""
    length = 2 * K * np.sin(np.radians(two_theta / 2))
    tilt = np.radians(omega - two_theta / 2)
    return length * np.sin(tilt), length * np.cos(tilt)


def mesh(omega_0=44.2, two_theta_0=88.1, *, height=1e4, width=0.2, seed=0):
    """A round Gaussian in q on a background of 2, with counting noise."""
    omega, two_theta = np.meshgrid(OMEGA, TWO_THETA, indexing="ij")
    par, perp = q_of(omega, two_theta)
    par_0, perp_0 = q_of(omega_0, two_theta_0)
    sigma = width / 2.3548
    rate = 2 + height * np.exp(-((par - par_0) ** 2 + (perp - perp_0) ** 2) / (2 * sigma**2))
    counts = np.random.default_rng(seed).poisson(rate)
    return {
        "counts": counts,
        "omega": OMEGA,
        "two_theta": np.tile(TWO_THETA, (len(OMEGA), 1)),
    }


def result_of(arrays, metadata=None, **params):
    metadata = {"energy_kev": 8.0478} | (metadata or {})
    return ReciprocalSpaceMap().run(Inputs(arrays, metadata), RsmParams(**params))


def test_a_peak_is_where_it_was_put_with_its_width_and_counts():
    arrays = mesh(width=0.02)
    peaks = result_of(arrays).tables["peaks"]
    assert len(peaks["q_par"]) == 1
    par, perp = q_of(44.2, 88.1)
    assert peaks["q_par"][0] == pytest.approx(par, abs=2e-4)
    assert peaks["q_perp"][0] == pytest.approx(perp, abs=2e-4)
    assert peaks["width"][0] == pytest.approx(0.02, rel=0.1)
    assert peaks["width_par"][0] == pytest.approx(0.02, rel=0.1)
    assert peaks["width_perp"][0] == pytest.approx(0.02, rel=0.1)
    # Half of a Gaussian's volume lies above half its height.
    volume = (arrays["counts"] - 2).sum()
    assert peaks["counts"][0] == pytest.approx(0.5 * volume, rel=0.05)


def test_two_peaks_are_listed_the_higher_first():
    arrays = mesh(43.6, 87.6, width=0.012)
    arrays["counts"] = (
        arrays["counts"] + mesh(44.4, 88.5, height=500, width=0.012, seed=1)["counts"]
    )
    peaks = result_of(arrays).tables["peaks"]
    np.testing.assert_allclose(
        np.column_stack([peaks["q_par"], peaks["q_perp"]]),
        [q_of(43.6, 87.6), q_of(44.4, 88.5)],
        atol=5e-4,
    )
    assert len(result_of(arrays, n_peaks=1).tables["peaks"]["q_par"]) == 1


def test_noise_alone_is_no_peak():
    result = result_of(mesh(height=0))
    assert not len(result.tables["peaks"]["q_par"])
    assert result.warnings[-1].startswith("no peak stands out")


def test_the_map_keeps_all_counts_and_marks_where_nothing_fell():
    arrays = mesh()
    result = result_of(arrays, cells=40)
    n, mean = result.arrays["n"], result.arrays["map"]
    assert n.sum() == arrays["counts"].size
    assert np.nansum(mean * n) == pytest.approx(arrays["counts"].sum())
    assert result.arrays["counts"].sum() == arrays["counts"].sum()
    assert np.array_equal(np.isnan(mean), n == 0)
    assert (n == 0).any()


def test_counts_are_divided_by_time_and_multiplied_by_attenuation_once():
    arrays = mesh(width=0.02)
    arrays["attenuation"] = np.where(np.arange(41) > 20, 10.0, 1.0)
    arrays["counts"] = arrays["counts"] // arrays["attenuation"][:, None].astype(int)
    arrays["count_time_s"] = np.full(41, 0.5)
    result = result_of(arrays)
    assert result.provenance["unit"] == "counts/s"
    assert result.tables["peaks"]["height"][0] == pytest.approx(2e4, rel=0.05)


def test_an_energy_that_contradicts_hkl_and_two_theta_is_refused_with_both():
    q_hkl = 2 * K * 1.402 * np.sin(np.radians(44))
    with pytest.raises(ValueError, match=r"got 8\.048 keV where hkl .* 11\.\d+ keV") as refusal:
        result_of(mesh(), {"q_hkl": q_hkl})
    assert len(str(refusal.value)) <= 300
    told = result_of(mesh(), {"q_hkl": q_hkl}, energy_kev=8.0478 * 1.402)
    assert not told.warnings
    assert told.provenance["energy_kev"] == pytest.approx(11.283, abs=1e-3)
    contradicting = result_of(mesh(), {"q_hkl": q_hkl}, energy_kev=8.0478)
    assert "contradicts hkl and two-theta" in contradicting.warnings[0]


def test_an_energy_in_another_unit_is_refused_and_another_than_the_files_told():
    with pytest.raises(ValueError, match="energy"):
        RsmParams(energy_kev=8047)
    (told,) = result_of(mesh(), energy_kev=10.0).warnings
    assert told.startswith("the file states an energy of 8.0478 keV; 10 keV was given")
    assert not result_of(mesh(), energy_kev=8.048).warnings


def test_what_is_not_known_is_asked_for():
    with pytest.raises(ValueError, match="give energy_kev"):
        ReciprocalSpaceMap().run(Inputs(mesh(), {}), RsmParams())
    frames = {"counts": np.ones((3, 4, 4)), "mu": np.arange(3.0), "delta": np.full(3, 20.0)}
    with pytest.raises(ValueError, match="none of pixel_size_mm, distance_mm, beam_column"):
        result_of(frames)
    with pytest.raises(ValueError, match="got chi; name it with goniometer=NAME"):
        result_of({"counts": np.ones(3), "chi": np.arange(3.0)})
    with pytest.raises(ValueError, match="must span q_par and q_perp"):
        result_of({"counts": np.ones(3), "omega": np.full(3, 20.0), "two_theta": np.full(3, 40.0)})


def test_frames_of_an_area_detector_give_the_peak_at_its_q_and_leave_out_gaps():
    detector = Detector((60, 60), ("z-", "x+"), (0.5, 0.5), 600.0, (29.5, 29.5))
    frame_of = goniometer("4S+2D", energy_kev=11.0, detector=detector)
    mu = np.linspace(1.6, 2.4, 9)
    still = {"eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
    facing = frame_of.facing({"mu": 2.0, **still})
    along, _, normal = facing.components(facing.q({"mu": mu, **still}))
    counts = 1e5 * np.exp(-((along - 2.31) ** 2 + (normal - 2.30) ** 2) / (2 * 0.004**2))
    counts = np.random.default_rng(1).poisson(counts).astype(np.uint32)
    counts[:, 10] = 2**32 - 1
    arrays = {"counts": counts, "mu": mu, **{k: np.full(9, v) for k, v in still.items()}}
    facts = {"pixel_size_mm": 0.5, "distance_mm": 600.0, "beam_centre": [29.5, 29.5]}
    result = result_of(arrays, {"energy_kev": 11.0, "detector": facts})
    peaks = result.tables["peaks"]
    assert peaks["q_par"][0] == pytest.approx(2.31, abs=1e-3)
    assert peaks["q_perp"][0] == pytest.approx(2.30, abs=1e-3)
    assert any("540 pixels (1.7 %) hold no counts" in text for text in result.warnings)
    assert any("4S+2D was taken" in text for text in result.warnings)
    assert any("orientation of the detector is not proven" in text for text in result.warnings)


def test_the_same_inputs_give_the_same_digest():
    assert digest_of(result_of(mesh())) == digest_of(result_of(mesh()))


XRAYUTILITIES = {
    "RSM_111_sdd=350.rasx": (
        ((-0.184267495005, 0.153006896774), (2.552820016989, 2.959267837357)),
        [(-0.0021393, 2.7560439)],
    ),
    "m82762_rc1mm_1_16dg_src_slit_phi-101_3dg_-420_mesh_long.xrdml": (
        ((2.049480673106, 2.143369781099), (3.989434507336, 4.202622659270)),
        [(2.1170808, 4.1322706)],
    ),
}
"""Of xrayutilities 1.8: range of q_par and q_perp (HXRD.Ang2Q), and the highest cell of 101 × 101
(Gridder2D)."""


@pytest.mark.parametrize("name", XRAYUTILITIES)
def test_real_maps_have_their_peak_where_xrayutilities_puts_it(name, tmp_path, monkeypatch, capsys):
    if not (RSM / name).exists():
        pytest.skip(f"the real file {name} is not at ../shared/data/rsm")
    monkeypatch.chdir(tmp_path)
    assert (
        main(["rsm", str(RSM / name), "--json", "rsm.json", "--out", "out", "--cells", "101"]) == 0
    )
    report = json.loads((tmp_path / "rsm.json").read_text())
    (par, perp), ((peak_par, peak_perp),) = XRAYUTILITIES[name]
    np.testing.assert_allclose(report["q_par"], par, atol=1e-6)
    np.testing.assert_allclose(report["q_perp"], perp, atol=1e-6)
    peak = report["peaks"][0]
    assert abs(peak["q_par"] - peak_par) <= np.ptp(par) / 100
    assert abs(peak["q_perp"] - peak_perp) <= np.ptp(perp) / 100
    assert peak["width"] > 0
    assert peak["counts"] > 1000
    assert not report["warnings"]
    assert (tmp_path / report["figure"]).stat().st_size > 10_000
    assert "peaks, 1/Å:" in capsys.readouterr().out


def test_several_files_make_one_map_and_others_are_refused(tmp_path):
    arrays = mesh(width=0.02)
    whole = tmp_path / "whole.npz"
    np.savez(whole, energy_kev=8.0478, **arrays)
    for part, rows in (("a", slice(0, 20)), ("b", slice(20, None))):
        half = {name: array[rows] for name, array in arrays.items()}
        np.savez(tmp_path / f"{part}.npz", energy_kev=8.0478, **half)
    halves = inputs_from_files([tmp_path / "a.npz", tmp_path / "b.npz"])
    together = ReciprocalSpaceMap().run(halves, RsmParams())
    alone = ReciprocalSpaceMap().run(inputs_from_files([whole]), RsmParams())
    np.testing.assert_allclose(together.arrays["map"], alone.arrays["map"])
    np.savez(tmp_path / "c.npz", energy_kev=8.1, **arrays)
    with pytest.raises(ValueError, match=r"one energy, got 8\.1 keV in c\.npz and 8\.0478 keV"):
        inputs_from_files([whole, tmp_path / "c.npz"])


def test_a_broken_file_is_one_line_of_the_command(tmp_path, capsys):
    path = tmp_path / "a.xrdml"
    path.write_text("<xrdMeasurements/>")
    assert main(["rsm", str(path)]) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith("bl-steer: a.xrdml must hold scans")
    assert "\n" not in line
    assert len(line) <= 300


def test_points_without_beam_do_not_change_what_the_others_are_divided_by():
    arrays = mesh(width=0.02)
    monitor = np.full(len(arrays["counts"]), 100.0)
    whole = result_of(arrays | {"monitor": monitor}).arrays["map"]
    monitor[3], monitor[7] = 0.0, np.nan
    dark = result_of(arrays | {"monitor": monitor})
    both = np.isfinite(whole) & np.isfinite(dark.arrays["map"]) & (whole > 0.1 * np.nanmax(whole))
    assert both.any()
    assert np.median(dark.arrays["map"][both] / whole[both]) == pytest.approx(1.0, abs=1e-9)


def test_pixels_that_are_hot_in_all_frames_are_named():
    film = FilmOnDetector(SigeFilm("smooth", seed=1), shape=(96, 96))
    mu = np.linspace(1.0, 3.0, 41)
    frames = np.stack(
        [
            film.expose(75, 75, exposure_s=2, time_s=0, shot=n, rocking_deg=angle - 2.0)[0]
            for n, angle in enumerate(mu)
        ]
    )
    frames[:, 31, 20] = np.random.default_rng(0).poisson(40_000, len(mu))
    detector = film.goniometer.detector
    facts = {
        "pixel_size_mm": list(detector.pixel_size_mm),
        "distance_mm": detector.distance_mm,
        "beam_centre": list(detector.beam_centre),
    }
    arrays = {"counts": frames, "mu": mu}
    arrays |= {circle: np.full(len(mu), angle) for circle, angle in film.fixed.items()}
    told, options = {}, {"goniometer": "4S+2D", "cells": 81}
    for name in ("hot", "masked"):
        result = result_of(arrays, {"energy_kev": 11.0, "detector": facts}, **options)
        told[name] = [w for w in result.warnings if "hot in all frames" in w]
        arrays["mask"] = ~find_bad_pixels(frames).usable
    assert len(told["hot"]) == 1
    assert "such as row 31, column 20: each draws a line" in told["hot"][0]
    assert told["masked"] == []
    # The matrix' broad peak reaches to the substrate's sharp one, and is still where it is.
    matrix = film.film.peaks(np.array([75.0]), np.array([75.0]))[0][0, 1:3].mean(axis=0)
    places = np.stack([result.tables["peaks"][name] for name in ("q_par", "q_perp")], axis=1)
    assert np.linalg.norm(places - matrix, axis=1).min() < 0.006
