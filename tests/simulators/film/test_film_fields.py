"""Fields of the simulated film: their limits, the hills' closed form, and domains of one tilt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.film.film_fields import EXTENT_UM, PRESETS, FilmFields, FilmSettings

GRID = np.linspace(0.0, EXTENT_UM, 31)
X, Y = (axis.ravel() for axis in np.meshgrid(GRID, GRID))
FIELDS = (
    "rich_fraction",
    "rich_ge",
    "rich_relaxation",
    "rich_tilt_deg",
    "matrix_ge",
    "matrix_tilt_deg",
    "thickness",
)
PLAIN = FilmSettings(hill_fwhm_um=(20.0, 20.0), texture=0.0)
"""One round hill and no texture."""


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", FIELDS)
def test_every_field_has_a_value_at_every_place(preset: str, name: str) -> None:
    values = getattr(FilmFields(PRESETS[preset], seed=1), name)(X, Y)
    assert values.shape == X.shape
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", FIELDS)
def test_a_place_has_one_value_whatever_else_is_asked(name: str) -> None:
    field = getattr(FilmFields(PRESETS["rough"], seed=2), name)
    whole = field(X, Y)
    np.testing.assert_allclose(field(X[40:45], Y[40:45]), whole[40:45], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FIELDS)
def test_a_seed_is_a_film_and_another_seed_another_film(name: str) -> None:
    film, same, other = (
        getattr(FilmFields(PRESETS["multi-domain"], seed=seed), name)(X, Y) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(film, same)
    assert not np.allclose(film, other, rtol=1e-6, atol=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(sorted(PRESETS)))
def test_the_ge_rich_fraction_stays_within_its_limits(seed: int, preset: str) -> None:
    fraction = FilmFields(PRESETS[preset], seed).rich_fraction(X, Y)
    assert fraction.min() >= 0.0
    assert fraction.max() <= 0.95


def test_a_fraction_above_the_limit_is_cut_down_to_it() -> None:
    film = FilmFields(replace(PLAIN, base_fraction=0.99, peak_fraction=2.0), seed=0)
    np.testing.assert_array_equal(film.rich_fraction(X, Y), 0.95)


@pytest.mark.parametrize("angle", np.linspace(0.0, np.pi, 5))
def test_a_round_hill_falls_to_half_at_half_its_width_in_every_direction(angle: float) -> None:
    film = FilmFields(PLAIN, seed=7)
    (cx, cy) = film._hills._centres[0]
    reach = np.array([0.0, 10.0, 1e4])
    top, half, far = film.rich_fraction(cx + reach * np.cos(angle), cy + reach * np.sin(angle))
    assert top == pytest.approx(PLAIN.peak_fraction)
    assert far == pytest.approx(PLAIN.base_fraction)
    assert half - far == pytest.approx(0.5 * (top - far))


@pytest.mark.parametrize("seed", range(6))
def test_the_main_hill_is_the_highest_and_inside_the_square(seed: int) -> None:
    film = FilmFields(replace(PRESETS["multi-domain"], texture=0.0), seed)
    centres, heights = film._hills._centres, film._hills._heights
    assert heights[0] == 1.0
    assert (heights[1:] <= 0.86).all()
    assert ((centres > 0.0) & (centres < EXTENT_UM)).all()
    assert 6 <= len(heights) - 1 <= 9


def test_a_film_of_one_domain_is_tilted_alike_everywhere() -> None:
    tilt = FilmFields(replace(PLAIN, n_domains=(1, 1)), seed=3).matrix_tilt_deg(X, Y)
    np.testing.assert_allclose(tilt, tilt[0], atol=1e-15)


def test_sharp_borders_leave_as_many_tilts_as_domains() -> None:
    settings_ = replace(PLAIN, n_domains=(5, 5), domain_border_um=1e-6)
    tilt = FilmFields(settings_, seed=3).matrix_tilt_deg(X, Y)
    assert len(np.unique(tilt.round(9))) == 5


def test_tilts_lie_to_the_left_to_the_right_and_between() -> None:
    tilt = FilmFields(PRESETS["multi-domain"], seed=0).matrix_tilt_deg(X, Y)
    assert tilt.min() < -0.2 < 0.2 < tilt.max()
    assert (np.abs(tilt) < 0.05).any()


def test_without_texture_relaxed_grains_follow_a_tenth_of_their_domain() -> None:
    film = FilmFields(PLAIN, seed=1)
    difference = film.rich_tilt_deg(X, Y) - 0.1 * film.matrix_tilt_deg(X, Y)
    np.testing.assert_allclose(difference, film.thickness(X, Y) - 1.0, atol=1e-12)


def test_grains_only_lower_the_fraction_by_at_most_their_step() -> None:
    smooth = FilmFields(PLAIN, seed=8).rich_fraction(X, Y)
    rough = FilmFields(replace(PLAIN, n_grains=60, grain_step=0.3), seed=8).rich_fraction(X, Y)
    ratio = rough / smooth
    assert ratio.max() <= 1.0
    assert ratio.min() >= 0.7
    assert 10 < len(np.unique(ratio.round(9))) <= 60
