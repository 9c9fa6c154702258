from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation import phase_fractions


def texture(rng: np.random.Generator, share: float = 0.3) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal((1024, 1024)), 6, mode="wrap")
    return (field < np.quantile(field, share)).astype(np.uint8)


def test_fractions_are_shares_of_the_pixels() -> None:
    labels = np.array([[0, 1], [1, 1]], np.uint8)
    found = phase_fractions([labels], 3)
    np.testing.assert_allclose(found.fraction, [[0.25, 0.75, 0.0]])
    np.testing.assert_allclose(found.mean, [0.25, 0.75, 0.0])


def test_fields_count_by_their_pixels() -> None:
    found = phase_fractions([np.zeros((10, 10), np.uint8), np.ones((10, 30), np.uint8)], 2)
    np.testing.assert_allclose(found.mean, [0.25, 0.75])


def test_the_interval_of_a_field_holds_the_fraction_of_the_sample() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(30):
        whole = texture(rng)
        row, column = rng.integers(0, 768, 2)
        field = whole[row : row + 256, column : column + 256]
        found = phase_fractions([field], 2)
        held += found.low[0, 1] <= 0.3 <= found.high[0, 1]
    assert held >= 26


def test_the_interval_of_many_fields_holds_it_too_and_is_narrower() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(30):
        whole = texture(rng)
        places = rng.integers(0, 768, (6, 2))
        found = phase_fractions([whole[r : r + 256, c : c + 256] for r, c in places], 2)
        held += found.mean_low[1] <= 0.3 <= found.mean_high[1]
        assert found.mean_high[1] - found.mean_low[1] < (found.high - found.low)[:, 1].mean()
    assert held >= 26


def test_the_error_of_the_network_widens_the_interval() -> None:
    labels = texture(np.random.default_rng(1))
    narrow = phase_fractions([labels], 2)
    wide = phase_fractions([labels], 2, model_sd=np.array([0.05, 0.05]))
    assert (wide.high - wide.low > narrow.high - narrow.low + 0.1).all()


def test_an_interval_stays_within_nothing_and_all() -> None:
    found = phase_fractions([np.zeros((5, 5), np.uint8)], 2, model_sd=np.array([0.1, 0.1]))
    assert found.low.min() >= 0
    assert found.high.max() <= 1
