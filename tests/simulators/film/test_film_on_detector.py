"""Detector frames of the film: where peaks fall, what they count, and what is out of order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine

from bl_steer.diffraction import (
    Detector,
    FrameAxes,
    GriddedFrames,
    QGrid,
    find_bad_pixels,
    find_sentinels,
    goniometer,
)
from bl_steer.diffraction.sige import A_SILICON
from simulators.film import Effects, FilmOnDetector, PixelDetector, SigeFilm, SimulatedBeamline
from simulators.film.film_on_detector import ALIGNED
from simulators.film.sige_film import _quadratic_basis

CENTRE = (30.0, 30.0)
"""Off the middle, so that the film's peaks, which lie below the substrate's, fall on it."""
PIXEL_MM, DISTANCE_MM = 0.11, 600.0
SURFACE = goniometer(
    "4S+2D", detector=Detector((120, 120), ("z-", "x+"), (PIXEL_MM,) * 2, DISTANCE_MM, CENTRE)
).facing(ALIGNED)
MUS = np.linspace(1.0, 3.0, 41)
PERFECT = PixelDetector((120, 120), modules=(1, 1), hot_share=0.0, dead_share=0.0)
WINDOW, ACROSS = (2.24, 2.345, 17), (-0.03, 0.03, 11)


def film_of(effects: Effects, detector: PixelDetector | None = PERFECT) -> FilmOnDetector:
    film = SigeFilm("multi-domain", seed=10)
    return FilmOnDetector(film, goniometer=SURFACE, effects=effects, detector=detector)


def photons(film: FilmOnDetector, spot: tuple[float, float], mus: np.ndarray = MUS) -> np.ndarray:
    """Return what pixels receive along a rocking scan, (n, H, W), counts/s."""
    x, y = np.array(spot)[:, None]
    return np.concatenate([film.rates(x, y, angles={"mu": mu}) for mu in mus])


def turn(axis: int, degrees: float) -> np.ndarray:
    """Return a right-handed rotation about x, y or z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


@pytest.mark.parametrize(("nu", "delta"), [(24.88, 24.16), (25.1, 24.16), (24.88, 24.36)])
def test_the_substrate_falls_where_the_scattered_beam_goes(nu: float, delta: float) -> None:
    """By rotations of this test alone: the crystal's azimuth is where |k_i + q| = |k_i|."""
    k, q = 2.0 * np.pi * 11.0 / 12.3984198, 4.0 * np.pi / A_SILICON
    azimuths = np.radians(np.linspace(90.0, 270.0, 180001))
    crystal = q * np.stack([np.cos(azimuths), np.sin(azimuths), np.ones_like(azimuths)])
    scattered = turn(0, ALIGNED["mu"]) @ crystal + np.array([[0.0], [k], [0.0]])
    k_f = scattered[:, abs(np.linalg.norm(scattered, axis=0) - k).argmin()]
    right, along, up = turn(0, -delta) @ turn(2, -nu) @ k_f
    row = CENTRE[0] - up / along * DISTANCE_MM / PIXEL_MM
    column = CENTRE[1] + right / along * DISTANCE_MM / PIXEL_MM
    film = film_of(Effects(substrate_gain=100.0))
    rates = film.rates(np.array([75.0]), np.array([75.0]), angles={"nu": nu, "delta": delta})[0]
    assert np.unravel_index(rates.argmax(), rates.shape) == (round(row), round(column))


def test_gridded_frames_are_the_maps_of_the_fast_mode_within_counting_noise() -> None:
    exposure_s, repeats = 0.25, 8
    film = film_of(Effects.none(), detector=PixelDetector((120, 120), modules=(2, 1)))
    mus = np.linspace(1.0, 3.0, 81)  # finer than the cells, which else average too few places
    pixels, rng = film.detector, np.random.default_rng(0)
    masks = np.zeros((120, 120), dtype=bool), pixels.gaps | pixels.hot | pixels.dead
    grid = QGrid(WINDOW, WINDOW, q_across=ACROSS)
    bare, masked = (
        GriddedFrames(SURFACE, grid, angles=film.fixed, mask=m, solid_angle=True) for m in masks
    )
    step = (ACROSS[1] - ACROSS[0]) / (ACROSS[2] - 1)
    x, y = film.grid
    tilts = film.film.fields.matrix_tilt_deg(x, y)
    squared = []
    for spot in (tilts.argmin(), tilts.argmax()):
        place = x[spot], y[spot]
        rates = photons(film, place, mus)
        exact = bare.begin()
        exact.add(rates, angles={"mu": mus}, scale=exposure_s)
        noise = exact.variance.sum(axis=1) / exposure_s * step**2
        expected = (per_area(film, place) + background(film) * ACROSS[2] * step) * exposure_s
        for _ in range(repeats):
            measured = masked.begin()
            for mu, rate in zip(mus, rates, strict=True):
                measured.add(pixels.count(rate, exposure_s, rng), angles={"mu": mu})
            seen = measured.mean.sum(axis=1) * step
            interior = (measured.n_pixels == exact.n_pixels).all(axis=1)  # no gap cuts it
            interior &= (exact.n_pixels > 0).all(axis=1) & (expected**2 > 20.0 * noise)
            squared.append((seen - expected)[interior] ** 2 / noise[interior])
    assert len(np.concatenate(squared)) > 400
    assert 0.9 < np.concatenate(squared).mean() < 1.1


def per_area(film: FilmOnDetector, place: tuple[float, float], fine: int = 5) -> np.ndarray:
    """Return the mean density over each cell of what the fast mode draws, as frames count it."""
    fast = SigeFilm(film.film.preset, film.film.seed)
    background = fast.settings.background_rate
    x, y = np.array(place)[:, None]
    (drawn,), own = fast.rates(x, y) - background, fast.axes.qx
    centres = own[::2]
    step = (centres[1] - centres[0]) / fine
    axis = (centres[:, None] + (np.arange(fine) - (fine - 1) / 2) * step).ravel()
    fast.axes = FrameAxes(axis, axis)
    fast._basis = _quadratic_basis(fast.axes)
    density = (fast.rates(x, y)[0] - background) / step**2
    cells = density.reshape(len(centres), fine, len(centres), fine)
    middles = cells[:, fine // 2, :, fine // 2] * (own[1] - own[0]) ** 2
    np.testing.assert_allclose(middles, drawn[::2, ::2], atol=1e-9)
    return np.asarray(cells.mean(axis=(1, 3)) * film._volume.max())


def background(film: FilmOnDetector) -> float:
    return film.film.settings.background_rate * 33**2 / 120**2


def test_gaps_show_a_sentinel_and_bad_pixels_are_found_in_frames_of_many_spots() -> None:
    film = FilmOnDetector(SigeFilm("noisy", seed=3), shape=(96, 96))
    spots = np.random.default_rng(0).uniform(0.0, 150.0, (40, 2))
    frames = np.stack(
        [
            film.expose(x, y, exposure_s=1.0, time_s=0.0, shot=i, rocking_deg=0.05 * (i - 20))[0]
            for i, (x, y) in enumerate(spots)
        ]
    )
    assert np.array_equal(find_sentinels(frames), np.broadcast_to(film.detector.gaps, frames.shape))
    bad = find_bad_pixels(frames)
    assert np.array_equal(bad.stuck, film.detector.gaps)
    assert np.array_equal(bad.hot, film.detector.hot)
    assert (frames[:, film.detector.dead] == 0).all()
    assert min(film.detector.hot.sum(), film.detector.dead.sum()) >= 2


def test_the_substrate_is_sharp_and_has_a_rod_along_the_surface_normal() -> None:
    spot, mus = (75.0, 75.0), np.linspace(1.9, 2.1, 21)
    film = film_of(Effects(streak=0.0, tails=0.0))
    bare = film_of(replace(film.effects, rod=0.0))
    rod = photons(film, spot, mus) - photons(bare, spot, mus)
    q = SURFACE.components(SURFACE.q({**ALIGNED, "mu": mus}))
    along, across, normal = (part.ravel() for part in q)
    peak = 4.0 * np.pi / A_SILICON
    far = (abs(normal - peak) > 0.01) & (abs(normal - peak) < 0.03)
    apart = np.hypot(along - peak, across)[far]
    assert np.sqrt(np.average(apart**2, weights=rod.ravel()[far])) < 0.002
    assert rod.ravel()[far & (normal > peak)].sum() > 5.0  # counts/s, above and below
    assert rod.ravel()[far & (normal < peak)].sum() > 5.0


def test_a_twist_moves_peaks_across_the_map_and_leaves_the_map_as_it_is() -> None:
    twisted, plain = (
        film_of(replace(Effects.none(), twist_deg=twist, substrate_gain=0.0))
        for twist in (0.1, 0.0)
    )
    x, y = plain.grid
    spot = int(abs(plain.film.fields.of_domains(plain._twists, x, y)).argmax())
    place = x[spot], y[spot]
    twist = 0.1 * plain.film.fields.of_domains(plain._twists, *np.array(place)[:, None])[0]
    along, across, normal = SURFACE.components(SURFACE.q({**ALIGNED, "mu": MUS}))
    means = []
    for film in (plain, twisted):
        weights = photons(film, place) - background(film) * film._solid_angle
        means.append(
            [np.average(v, weights=weights) for v in (np.hypot(along, across), across, normal)]
        )
    moved = np.subtract(means[1], means[0])
    np.testing.assert_allclose(moved[[0, 2]], 0.0, atol=3e-4)
    rich = plain.film.fields.rich_fraction(*np.array(place)[:, None])[0]
    share = 1.0 - 0.9 * rich  # the Ge-rich population follows its domain by a tenth
    np.testing.assert_allclose(moved[1], means[0][0] * np.radians(twist) * share, rtol=0.1)


def test_half_a_turn_about_the_normal_shows_tilts_with_the_other_sign() -> None:
    film = film_of(replace(Effects.none(), substrate_gain=0.0))
    x, y = film.grid
    spot = int(film.film.fields.matrix_tilt_deg(x, y).argmax())
    place = x[[spot]], y[[spot]]
    _, rates = film.film.peaks(*place)
    tilt = film.film.tilts(*place)
    leans = []
    for phi in (0.0, 180.0):
        frames = np.concatenate([film.rates(*place, angles={"mu": mu, "phi": phi}) for mu in MUS])
        stand = {**ALIGNED, "phi": phi}
        along, across, normal = SURFACE.facing(stand).components(SURFACE.q({**stand, "mu": MUS}))
        weights = frames - background(film) * film._solid_angle
        par = np.average(np.hypot(along, across), weights=weights)
        leans.append(np.degrees(np.arctan2(par, np.average(normal, weights=weights))))
        assert weights.sum() > 1000.0
    expected = np.average(tilt[0, 1:], weights=rates[0, 1:])
    assert expected > 0.1
    np.testing.assert_allclose(leans[0] - leans[1], 2.0 * expected, rtol=0.1)


def test_a_film_that_is_aligned_with_phi_turned_shows_its_other_azimuth() -> None:
    """Built by itself, without the goniometer of a first one."""
    fast = SigeFilm("multi-domain", seed=10)
    none = replace(Effects.none(), substrate_gain=0.0)
    films = [
        FilmOnDetector(fast, shape=(120, 120), aligned={**ALIGNED, "phi": phi}, effects=none)
        for phi in (0.0, 180.0, 30.0)
    ]
    x, y = fast.grid
    spot = int(fast.fields.matrix_tilt_deg(x, y).argmax())
    first, turned, front = (photons(film, (x[spot], y[spot])) for film in films)
    known = FilmOnDetector(fast, goniometer=films[0].goniometer, effects=none)
    stand = {**ALIGNED, "phi": 180.0}
    place = x[[spot]], y[[spot]]
    other = np.concatenate([known.rates(*place, angles={**stand, "mu": mu}) for mu in MUS])
    np.testing.assert_allclose(turned, other, atol=1e-6 * other.max())
    np.testing.assert_allclose(front, first, atol=1e-6 * first.max())
    assert abs(turned - first).max() > 0.3 * first.max()


@pytest.mark.parametrize(
    ("effects", "ratio"),
    [
        ({"structure_factor": True}, (1.0 + 0.985 * 0.18 - 0.098 * 0.18**2) ** 2 / 2.03),
        ({"tails": 0.2}, 1.0),
        ({"mosaic_spread": 0.3}, 1.0),
        ({"tilt_across_deg": 0.2}, 1.0),
    ],
)
def test_an_effect_changes_the_scattered_intensity_as_it_should(
    effects: dict[str, float], ratio: float
) -> None:
    film, plain = (film_of(replace(Effects.none(), substrate_gain=0.0, **e)) for e in (effects, {}))
    x, y = plain.grid
    spot = int(plain.film.fields.rich_fraction(x, y).argmin())
    sums = [
        float((photons(f, (x[spot], y[spot])) - background(f) * f._solid_angle).sum())
        for f in (film, plain)
    ]
    np.testing.assert_allclose(sums[0] / sums[1], ratio, rtol=0.06)
    different = photons(film, (x[spot], y[spot]), MUS[20:21])
    assert not np.allclose(different, photons(plain, (x[spot], y[spot]), MUS[20:21]), rtol=0.01)


def test_a_flatter_angle_lights_more_of_the_film_and_the_lit_spot_drifts() -> None:
    flat = film_of(replace(Effects.none(), beam_height_um=0.1))
    nodes, lit = flat._lit({**ALIGNED, "mu": 1.0})
    np.testing.assert_allclose(lit, np.sin(np.radians(2.0)) / np.sin(np.radians(1.0)))
    length, width = np.ptp(nodes[:, 1]), np.ptp(nodes[:, 0])
    np.testing.assert_allclose(length / width, 0.1 / np.sin(np.radians(1.0)))
    drifting = film_of(replace(Effects.none(), drift_um_per_deg=(0.0, 20.0)))
    steady = film_of(Effects.none())
    here, there = (photons(drifting, (60.0, y), np.array([2.5])) for y in (60.0, 50.0))
    np.testing.assert_allclose(here, photons(steady, (60.0, 70.0), np.array([2.5])))
    np.testing.assert_allclose(there, photons(steady, (60.0, 60.0), np.array([2.5])))


def test_the_beamline_exposes_frames_at_the_angles_where_its_circles_stand(
    RE: RunEngine, tmp_path: Path
) -> None:
    film = FilmOnDetector(SigeFilm("smooth", seed=1), shape=(48, 48))
    beamline = SimulatedBeamline(film, frames_dir=tmp_path)
    assert {n: c.position_at(0.0) for n, c in beamline.circles.items()} == dict(ALIGNED)
    RE(bps.mv(beamline.diffractometer.mu, 1.7, beamline.diffractometer.nu, 24.5))
    RE(bps.trigger(beamline.det, wait=True))
    frame = beamline.det.image.get()[0]
    x, y = beamline.stage.x.position, beamline.stage.y.position
    stand = {**ALIGNED, "mu": 1.7, "nu": 24.5}
    expected = film.rates(np.array([x]), np.array([y]), angles=stand)[0] * 10.0
    usable = ~(film.detector.gaps | film.detector.hot | film.detector.dead)
    chance = abs(frame - expected)[usable] / np.sqrt(expected[usable] + 1.0)
    assert frame.dtype == np.int32
    assert expected[usable].sum() > 1000.0
    assert chance.max() < 6.0
    aligned = film.rates(np.array([x]), np.array([y]))[0] * 10.0
    assert (abs(frame - aligned)[usable] / np.sqrt(aligned[usable] + 1.0)).max() > 6.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exposure_s": 0.0, "shot": 0}, "exposure_s must be positive and finite, got 0 s; give"),
        ({"exposure_s": 1.0, "shot": -1}, "shot must be 0 or above, got -1; count"),
        ({"x": np.nan, "exposure_s": 1.0, "shot": 0}, "x and y must be finite"),
        ({"exposure_s": 1.0, "shot": 0, "angles": {"omega": 1.0}}, "omega"),
    ],
)
def test_impossible_exposures_are_refused(settings: dict[str, Any], message: str) -> None:
    film = FilmOnDetector(SigeFilm("smooth", seed=1), shape=(32, 32))
    with pytest.raises(ValueError, match=message):
        film.expose(**({"x": 0.0, "y": 0.0, "time_s": 0.0} | settings))
