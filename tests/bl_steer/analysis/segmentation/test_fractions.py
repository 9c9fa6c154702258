from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation import phase_fractions


def texture(rng: np.random.Generator, share: float = 0.3) -> np.ndarray:
    field = gaussian_filter(rng.standard_normal((1024, 1024)), 6, mode="wrap")
    return (field < np.quantile(field, share)).astype(np.uint8)


def test_fractions_are_shares_of_the_pixels() -> None:
    labels = np.array([[0, 1], [1, 1]], np.uint8)
    fractions = phase_fractions([labels], 3)
    np.testing.assert_allclose(fractions.fraction, [[0.25, 0.75, 0.0]])
    np.testing.assert_allclose(fractions.mean, [0.25, 0.75, 0.0])


def test_fields_count_by_their_pixels() -> None:
    fractions = phase_fractions([np.zeros((10, 10), np.uint8), np.ones((10, 30), np.uint8)], 2)
    np.testing.assert_allclose(fractions.mean, [0.25, 0.75])


def test_the_interval_of_a_field_holds_the_fraction_of_the_sample() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(30):
        sample = texture(rng)
        row, column = rng.integers(0, 768, 2)
        field = sample[row : row + 256, column : column + 256]
        fractions = phase_fractions([field], 2)
        covered += fractions.low[0, 1] <= 0.3 <= fractions.high[0, 1]
    assert covered >= 26


def test_the_interval_of_many_fields_holds_it_too_and_is_narrower() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(30):
        sample = texture(rng)
        corners = rng.integers(0, 768, (6, 2))
        fractions = phase_fractions([sample[r : r + 256, c : c + 256] for r, c in corners], 2)
        covered += fractions.mean_low[1] <= 0.3 <= fractions.mean_high[1]
        assert (
            fractions.mean_high[1] - fractions.mean_low[1]
            < (fractions.high - fractions.low)[:, 1].mean()
        )
    assert covered >= 26


def test_the_error_of_the_network_widens_the_interval() -> None:
    labels = texture(np.random.default_rng(1))
    narrow = phase_fractions([labels], 2)
    wide = phase_fractions([labels], 2, model_sd=np.array([0.05, 0.05]))
    assert (wide.high - wide.low > narrow.high - narrow.low + 0.1).all()


def test_an_interval_stays_within_nothing_and_all() -> None:
    fractions = phase_fractions([np.zeros((5, 5), np.uint8)], 2, model_sd=np.array([0.1, 0.1]))
    assert fractions.low.min() >= 0
    assert fractions.high.max() <= 1


def test_a_field_that_is_no_measurement_has_no_interval_nor_has_its_sample() -> None:
    labels = [texture(np.random.default_rng(seed)) for seed in range(3)]
    sound, spoilt = phase_fractions(labels, 2), phase_fractions(labels, 2, no_measurement=[1])
    np.testing.assert_array_equal(spoilt.fraction, sound.fraction)
    np.testing.assert_array_equal(spoilt.mean, sound.mean)
    assert np.isnan([spoilt.low, spoilt.high]).all(axis=(0, 2)).tolist() == [False, True, False]
    np.testing.assert_array_equal(spoilt.low[[0, 2]], sound.low[[0, 2]])
    assert np.isnan([spoilt.mean_low, spoilt.mean_high]).all()
