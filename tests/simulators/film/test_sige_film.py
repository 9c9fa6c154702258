"""The simulated film: physics, noise, and how hard it is to search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import NMF

from bl_steer.diffraction import peak_position
from simulators.film.film_fields import EXTENT_UM, PRESETS
from simulators.film.sige_film import SigeFilm

NAMES = sorted(PRESETS)
places = st.floats(0.0, EXTENT_UM)


def reference_filter(film):
    """Matched filter (n_pixels,) of the nominal Ge-rich peak, x = .45, R = .9, no tilt."""
    centre = np.array(peak_position(0.45, 0.9))
    radial = centre / np.linalg.norm(centre)
    qx, qz = film.axes.mesh()
    along = (qx - centre[0]) * radial[0] + (qz - centre[1]) * radial[1]
    across = (qz - centre[1]) * radial[0] - (qx - centre[0]) * radial[1]
    reference = np.exp(-0.5 * ((along / 0.005) ** 2 + (across / 0.0095) ** 2))
    return reference / (reference @ reference)


def true_map(film):
    x, y = film.grid
    return film.rates(x, y).reshape(len(x), -1) @ reference_filter(film)


def spot(film, x=60.0, y=75.0):
    return film.rates(np.array([x]), np.array([y]))[0]


def test_grid_is_31_by_31_at_5_um_with_x_first():
    film = SigeFilm()
    x, y = film.grid
    assert film.grid_shape == (31, 31)
    assert x[:3].tolist() == [0.0, 5.0, 10.0]
    assert y[:3].tolist() == [0.0, 0.0, 0.0]
    assert (x.max(), y.max()) == (150.0, 150.0)
    assert film.unit == "um"
    assert film.axes.unit == "1/Å"


@pytest.mark.parametrize("preset", NAMES)
def test_rates_are_positive_finite_frames(preset):
    film = SigeFilm(preset, seed=3)
    frames = film.rates(*film.grid)
    assert frames.shape == (961, *film.axes.shape) == (961, 33, 33)
    assert np.isfinite(frames).all()
    assert frames.min() > 0


@settings(max_examples=20, deadline=None)
@given(places, places)
def test_a_spot_has_the_same_rates_alone_and_in_a_map(x, y):
    film = SigeFilm(seed=5)
    together = film.rates(np.array([0.0, x, 150.0]), np.array([150.0, y, 0.0]))[1]
    np.testing.assert_allclose(together, spot(film, x, y), rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(places, places)
def test_quadratic_form_equals_the_gaussians_written_out(x, y):
    film = SigeFilm(seed=2)
    step = 1.0 / (2 * np.sqrt(2 * np.log(2)))
    qx, qz = film.axes.mesh()
    pixel = np.diff(film.axes.qx)[0] * np.diff(film.axes.qz)[0]
    widths = np.array([[0.70, 0.55], [1.10, 1.05], [1.15, 1.10], [1.06, 1.08]]) * [0.005, 0.0095]
    expected = np.full(qx.shape, 0.05)
    for dx, dy in ((-step, -step), (-step, step), (step, -step), (step, step)):
        q, rates = film.peaks(np.array([x + dx]), np.array([y + dy]))
        for centre, rate, (radial, angular) in zip(q[0], rates[0], widths, strict=True):
            u = centre / np.linalg.norm(centre)
            along = (qx - centre[0]) * u[0] + (qz - centre[1]) * u[1]
            across = (qz - centre[1]) * u[0] - (qx - centre[0]) * u[1]
            exponent = (along / radial) ** 2 + (across / angular) ** 2
            expected += rate / 4 * pixel * np.exp(-exponent / 2) / (2 * np.pi * radial * angular)
    np.testing.assert_allclose(spot(film, x, y).ravel(), expected, rtol=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_no_peak_leaves_the_window(seed):
    film = SigeFilm(seed=seed)
    x, y = film.grid
    _, rates = film.peaks(x, y)
    seen = film.rates(x, y).sum(axis=(1, 2)) - 0.05 * 33 * 33
    np.testing.assert_allclose(seen, rates.sum(axis=1), rtol=0.02)


def test_the_ge_rich_peak_gives_about_4000_counts_a_second_on_its_hill():
    for seed in range(5):
        film = SigeFilm("smooth", seed=seed)
        assert 3200 < film.peaks(*film.grid)[1][:, 3].max() < 4800


def test_every_seed_is_another_film_and_the_same_seed_the_same():
    maps = [true_map(SigeFilm(seed=seed)) for seed in (0, 1, 0)]
    assert np.corrcoef(maps[0], maps[1])[0, 1] < 0.5
    np.testing.assert_array_equal(maps[0], maps[2])


@pytest.mark.parametrize("preset", ["smooth", "multi-domain", "rough"])
def test_the_true_map_follows_the_ge_rich_fraction(preset):
    for seed in range(2):
        film = SigeFilm(preset, seed=seed)
        fraction = film.fields.rich_fraction(*film.grid)
        assert np.corrcoef(true_map(film), fraction)[0, 1] > 0.99


def test_the_ge_rich_population_is_near_the_reference_and_never_equal_to_it():
    film = SigeFilm(seed=1)
    q = film.peaks(*film.grid)[0][:, 3]
    distance = np.linalg.norm(q - np.array(peak_position(0.45, 0.9)), axis=1)
    assert 0.0 < distance.min() < 0.002
    assert 0.0005 < np.median(distance) < 0.005


def test_domains_tilt_to_the_left_to_the_right_and_not_at_all():
    film = SigeFilm(seed=0)
    tilt = film.fields.matrix_tilt_deg(*film.grid)
    for side in (-0.3, 0.0, 0.3):
        assert np.mean(np.abs(tilt - side) < 0.05) > 0.1


def test_rough_films_have_steps_and_the_others_have_none():
    x, y = np.linspace(0.0, 150.0, 3001), np.full(3001, 70.0)

    def largest_step(preset):
        fraction = SigeFilm(preset, seed=4).fields.rich_fraction(x, y)
        return np.abs(np.diff(np.log(fraction))).max()

    assert largest_step("multi-domain") < 0.03
    assert largest_step("rough") > 0.1


@pytest.mark.parametrize(("preset", "least"), [("smooth", 0.97), ("multi-domain", 0.97)])
def test_a_factorisation_of_the_full_map_finds_the_ge_rich_pattern(preset, least):
    film = SigeFilm(preset, seed=1)
    x, y = film.grid
    frames = film.rates(x, y).reshape(len(x), -1)
    nmf = NMF(4, init="nndsvda", max_iter=200, tol=1e-3).fit(frames)
    likeness = nmf.components_ @ reference_filter(film) / np.linalg.norm(nmf.components_, axis=1)
    coefficients = nmf.transform(frames)[:, likeness.argmax()]
    assert np.corrcoef(coefficients, true_map(film))[0, 1] >= least


@pytest.mark.parametrize(
    ("preset", "low", "high"), [("smooth", 4, 24), ("multi-domain", 3, 8), ("needle", 3, 6)]
)
def test_few_cells_of_a_film_count_as_found(preset, low, high):
    for seed in range(3):
        film = SigeFilm(preset, seed=seed)
        x, y = film.grid
        truth = true_map(film)
        a = truth.argmax()
        near = np.hypot(x - x[a], y - y[a]) < 5.001
        assert low <= np.count_nonzero(near | (truth >= 0.95 * truth.max())) <= high


def test_noise_follows_seed_and_shot_alone():
    film = SigeFilm(seed=7)
    args = {"exposure_s": 10.0, "time_s": 100.0}
    first, monitor = film.expose(50.0, 50.0, shot=4, **args)
    film.expose(0.0, 0.0, shot=5, **args)
    again, monitor_again = SigeFilm(seed=7).expose(50.0, 50.0, shot=4, **args)
    np.testing.assert_array_equal(first, again)
    assert monitor == monitor_again
    assert (film.expose(50.0, 50.0, shot=6, **args)[0] != first).any()
    assert (SigeFilm(seed=8).expose(50.0, 50.0, shot=4, **args)[0] != first).any()


def test_counts_are_poisson_about_the_rates_once_the_beam_is_divided_out():
    film = SigeFilm("smooth", seed=1)
    rates = spot(film)
    bright = (rates > 5.0) & (film._hot.reshape(rates.shape) == 0)
    residuals = []
    for shot in range(40):
        frame, monitor = film.expose(60.0, 75.0, exposure_s=10.0, time_s=0.0, shot=shot)
        expected = rates * monitor / film.nominal_monitor
        residuals.append(((frame - expected) / np.sqrt(expected))[bright])
    clean = np.stack([r for r in residuals if np.abs(r).max() < 8.0])
    assert len(clean) >= 35
    assert clean.mean() == pytest.approx(0.0, abs=0.05)
    assert clean.std() == pytest.approx(1.0, abs=0.05)


def test_hot_pixels_stay_in_their_place():
    film = SigeFilm(seed=3)
    hot = film._hot.reshape(33, 33)
    assert np.count_nonzero(hot) == 3
    frame, _ = film.expose(60.0, 75.0, exposure_s=1000.0, time_s=0.0, shot=1)
    excess = frame - 1000.0 * film.beam(500.0) * spot(film)
    np.testing.assert_allclose(excess[hot > 0], 1000.0 * hot[hot > 0], rtol=0.2)
    assert np.median(np.abs(excess[hot == 0])) < 20.0


def test_zingers_and_dead_frames_come_as_often_as_stated():
    film = SigeFilm(seed=0)
    dead, zingers = 0, 0
    hot = film._hot.reshape(33, 33)
    dark = (spot(film) < 0.06) & (hot == 0)
    n = 1000
    for shot in range(n):
        frame, monitor = film.expose(60.0, 75.0, exposure_s=1.0, time_s=0.0, shot=shot)
        assert monitor > 9e5
        dead += not frame.any()
        zingers += bool(frame[dark].max(initial=0.0) > 150.0)
    assert 1 <= dead <= 10
    assert 0.003 * n < zingers < 0.03 * n


def test_the_beam_drifts_by_three_per_cent_and_is_topped_up():
    film = SigeFilm(seed=2)
    times = np.arange(0.0, 10800.0, 10.0)
    beam = np.array([film.beam(t) for t in times])
    assert 0.05 < np.ptp(beam) < 0.08
    assert np.diff(beam).max() > 0.007
    assert np.count_nonzero(np.diff(beam) > 0.005) == pytest.approx(60, abs=1)
    monitors = [
        film.expose(0.0, 0.0, exposure_s=10.0, time_s=t, shot=0)[1] / 1e7 for t in times[::100]
    ]
    np.testing.assert_allclose(monitors, [film.beam(t + 5.0) for t in times[::100]], rtol=2e-3)


def test_a_frame_scales_with_the_exposure_time():
    film = SigeFilm(seed=2)
    short, long = (
        film.expose(60.0, 75.0, exposure_s=e, time_s=0.0, shot=9)[0].sum() for e in (1.0, 100.0)
    )
    assert long / short == pytest.approx(100.0, rel=0.05)


def test_noisy_frames_scatter_by_ten_per_cent_that_the_monitor_does_not_see():
    film = SigeFilm("noisy", seed=2)
    totals = []
    for shot in range(200):
        # So long that counting statistics vanish.
        frame, monitor = film.expose(60.0, 75.0, exposure_s=1e4, time_s=0.0, shot=shot)
        if frame.any():
            totals.append(frame[film._hot.reshape(frame.shape) == 0].sum() / monitor)
    low, middle, high = np.percentile(totals, [16, 50, 84])
    assert (high - low) / (2 * middle) == pytest.approx(0.10, abs=0.02)


def test_noisy_frames_hold_few_counts():
    film = SigeFilm("noisy", seed=2)
    x, y = film.grid
    best = true_map(film).argmax()
    brightest = 10.0 * film.rates(x[best : best + 1], y[best : best + 1]).max()
    assert 3.0 < brightest < 15.0


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"preset must be one of smooth, .*rough, got 'soft'; "):
        SigeFilm("soft")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exposure_s": 0.0}, r"exposure_s must be positive and finite, got 0 s; "),
        ({"exposure_s": np.nan}, r"exposure_s must be positive and finite, got nan s; "),
        ({"shot": -1}, r"shot must be 0 or above, got -1; "),
        ({"x": np.nan}, r"x and y must be finite"),
    ],
)
def test_bad_exposures_are_refused_with_their_value(change, message):
    good = {"x": 1.0, "y": 1.0, "exposure_s": 1.0, "time_s": 0.0, "shot": 0}
    with pytest.raises(ValueError, match=message):
        SigeFilm().expose(**(good | change))


def test_a_negative_seed_is_refused():
    with pytest.raises(
        ValueError, match=r"seed must be a whole number, 0 or above and below 2⁶³, got -1; "
    ):
        SigeFilm(seed=-1)
