"""Correlation of a box for every displacement, against the formula and places that are known."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from bl_steer.slicing.box_search import correlation_by_displacement, likely_displacements

RNG = np.random.default_rng(2)
FIELD = gaussian_filter(RNG.standard_normal((60, 80)), 2.0)


def test_the_correlation_is_pearsons_of_what_both_have() -> None:
    box = RNG.standard_normal((20, 24))
    correlation, share = correlation_by_displacement(box, FIELD)
    for y, x in ((5, 9), (-6, 30), (50, -10), (46, 70)):
        rows, columns = slice(max(y, 0), min(y + 20, 60)), slice(max(x, 0), min(x + 24, 80))
        part = box[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        expected = np.corrcoef(part.ravel(), FIELD[rows, columns].ravel())[0, 1]
        np.testing.assert_allclose(correlation[19 + y, 23 + x], expected, atol=1e-9)
        np.testing.assert_allclose(share[19 + y, 23 + x], part.size / box.size)


def test_a_box_is_found_where_it_was_cut_out() -> None:
    places, alike = likely_displacements(FIELD[30:50, 11:44], FIELD, least_px=16)
    np.testing.assert_allclose(places, [[30.0, 11.0]], atol=0.05)
    np.testing.assert_allclose(alike, [1.0])


def test_all_places_of_a_pattern_that_repeats_are_likely() -> None:
    pattern = np.tile(gaussian_filter(RNG.standard_normal((60, 20)), 2.0, mode="wrap"), (1, 4))
    places, _ = likely_displacements(pattern[20:40, 20:40], pattern, least_px=16)
    assert {tuple(np.rint(p).astype(int)) for p in places} >= {(20, 0), (20, 20), (20, 40)}


def test_nothing_is_found_in_one_grey_level() -> None:
    for box, field in ((np.zeros((20, 20)), FIELD), (FIELD[:20, :20], np.zeros((60, 80)))):
        places, alike = likely_displacements(box, field, least_px=16)
        assert places.shape == (0, 2)
        assert not len(alike)
