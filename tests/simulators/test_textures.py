"""Random textures: their moments, their wavelengths, and that a place keeps its value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import j0

from simulators.textures import GaussianField, WaveTexture, smooth_noise

LINE = np.array([0.0])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_gaussian_field_has_the_shape_of_its_axes() -> None:
    field = GaussianField(rng(), 10.0, n_waves=4)
    assert field(np.arange(2.0), np.arange(3.0), np.arange(5.0)).shape == (2, 3, 5)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_a_gaussian_field_has_one_value_at_a_place_whatever_box_is_cut(
    seed: int, z: float, y: float, x: float
) -> None:
    field = GaussianField(rng(seed), 30.0)
    alone = field(np.array([z]), np.array([y]), np.array([x]))[0, 0, 0]
    box = field(np.array([z - 7.0, z]), np.array([y - 1.0, y, y + 2.0]), np.array([x, x + 3.0]))
    assert box[1, 1, 0] == pytest.approx(alone, abs=1e-9)


def test_a_gaussian_field_is_the_sum_of_its_waves() -> None:
    # The same numbers drawn in the same order, and summed as cosines instead of matrix products.
    field = GaussianField(rng(5), 20.0, spread=0.3, n_waves=7)
    again = rng(5)
    directions = again.standard_normal((7, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = 20.0 * np.exp(0.3 * again.standard_normal(7))
    phases = again.uniform(0.0, 2.0 * np.pi, 7)
    z, y, x = np.array([0.0, 3.0]), np.array([-4.0, 1.0, 9.0]), np.array([2.5, 30.0])
    places = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    waves = np.cos(places @ (2.0 * np.pi / lengths * directions.T) + phases)
    np.testing.assert_allclose(field(z, y, x), np.sqrt(2.0 / 7.0) * waves.sum(axis=-1), atol=1e-12)


def test_over_many_fields_the_value_at_a_place_has_mean_0_and_variance_1() -> None:
    fields = (GaussianField(rng(n), 10.0, n_waves=8) for n in range(2000))
    values = [field(LINE, LINE, LINE)[0, 0, 0] for field in fields]
    assert np.mean(values) == pytest.approx(0.0, abs=4 / np.sqrt(2000))
    assert np.var(values) == pytest.approx(1.0, abs=0.13)


def test_a_field_of_one_wavelength_correlates_as_a_sinc_in_space() -> None:
    lags = np.array([0.0, 2.0, 5.0, 8.0])
    rows = [GaussianField(rng(n), 10.0, spread=0.0)(LINE, LINE, lags)[0, 0] for n in range(2000)]
    values = np.array(rows)
    correlation = (values * values[:, :1]).mean(axis=0)
    np.testing.assert_allclose(correlation, np.sinc(2.0 * lags / 10.0), atol=0.13)


def test_a_surface_texture_of_one_wavelength_correlates_as_a_bessel_function() -> None:
    lags = np.array([0.0, 2.0, 5.0, 8.0])
    rows = [WaveTexture((10.0, 10.0), rng(n))(lags, np.zeros(4)) for n in range(2000)]
    values = np.array(rows)
    correlation = (values * values[:, :1]).mean(axis=0)
    np.testing.assert_allclose(correlation, j0(2.0 * np.pi * lags / 10.0), atol=0.13)


def test_a_surface_texture_of_one_wave_repeats_at_its_wavelength() -> None:
    texture = WaveTexture((12.0, 12.0), rng(3), n_waves=1)
    kx, ky = texture._waves[:, 0]
    step = 12.0 * np.array([kx, ky]) / np.hypot(kx, ky)
    here, there = texture(np.array([4.0, 4.0 + step[0]]), np.array([7.0, 7.0 + step[1]]))
    assert there == pytest.approx(here, abs=1e-12)


def test_a_surface_texture_answers_each_point_for_itself() -> None:
    texture = WaveTexture((12.0, 80.0), rng(1))
    x, y = rng(2).uniform(0.0, 150.0, (2, 6))
    apart = [texture(x[n : n + 1], y[n : n + 1])[0] for n in range(6)]
    np.testing.assert_allclose(texture(x, y), apart, atol=1e-12)


@pytest.mark.parametrize("size_px", [1.0, 3.0, 6.0, 12.5])
@pytest.mark.parametrize("shape", [(1, 1), (40, 17), (33, 64)])
def test_smooth_noise_fills_any_image(shape: tuple[int, int], size_px: float) -> None:
    noise = smooth_noise(shape, size_px, rng())
    assert noise.shape == shape
    assert np.isfinite(noise).all()


@pytest.mark.parametrize("size_px", [2.0, 3.0])
def test_smooth_noise_has_mean_0_and_variance_1(size_px: float) -> None:
    noise = smooth_noise((400, 400), size_px, rng(4))
    assert noise.mean() == pytest.approx(0.0, abs=0.05)
    assert noise.var() == pytest.approx(1.0, abs=0.15)


def test_larger_spots_make_neighbours_more_alike() -> None:
    def neighbours(size_px: float) -> float:
        noise = smooth_noise((200, 200), size_px, rng(6))
        return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])

    small, middle, large = map(neighbours, (2.0, 4.0, 12.0))
    assert small < middle < large


def test_a_seed_stands_for_one_texture() -> None:
    x = np.linspace(0.0, 50.0, 5)
    np.testing.assert_array_equal(
        WaveTexture((5.0, 20.0), rng(8))(x, x), WaveTexture((5.0, 20.0), rng(8))(x, x)
    )
    assert not np.allclose(
        WaveTexture((5.0, 20.0), rng(8))(x, x), WaveTexture((5.0, 20.0), rng(9))(x, x)
    )
    np.testing.assert_array_equal(
        smooth_noise((9, 9), 4.0, rng(8)), smooth_noise((9, 9), 4.0, rng(8))
    )
