from __future__ import annotations

import numpy as np
import pytest
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


def test_fields_count_by_their_area_where_all_pixel_sizes_are_known() -> None:
    fields = [np.zeros((10, 10), np.uint8), np.ones((10, 10), np.uint8)]
    for sizes, share in (([20.0, 10.0], 0.8), ([20.0, None], 0.5), ([20.0, 20.0], 0.5)):
        mean = phase_fractions(fields, 2, pixel_nm=sizes).mean
        np.testing.assert_allclose(mean, [share, 1 - share])


def test_fields_with_nearly_one_fraction_keep_the_interval_that_their_blocks_give() -> None:
    rng = np.random.default_rng(8)
    fields = []
    for _ in range(3):
        field = gaussian_filter(rng.standard_normal((256, 256)), 6, mode="wrap")
        fields.append((field < np.quantile(field, 0.3 + rng.normal(0, 0.005))).astype(np.uint8))
    each = np.mean([width([field]) for field in fields])
    assert width(fields) > 0.7 * each / 3**0.5


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
        corners = 256 * np.stack(np.divmod(rng.choice(16, 6, replace=False), 4), axis=1)
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


CORNERS = range(0, 1024, 256)


def width(fields: list[np.ndarray]) -> float:
    fractions = phase_fractions(fields, 2)
    return float(fractions.mean_high[1] - fractions.mean_low[1])


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("shift", [0, 5, 20])
def test_copies_of_a_field_have_the_interval_of_one(n: int, shift: int) -> None:
    sample = texture(np.random.default_rng(2))
    copies = [sample[k * shift : k * shift + 512, 100 + k * shift :][:, :512] for k in range(n)]
    assert width(copies) == pytest.approx(np.mean([width([c]) for c in copies]), rel=0.2)


def test_copies_turned_round_by_more_than_a_block_have_the_interval_of_one() -> None:
    field = texture(np.random.default_rng(2))[:512, :512]
    copies = [np.roll(field, (90 * k, 170 * k), (0, 1)) for k in range(6)]
    assert width(copies) == pytest.approx(width([field]), rel=0.2)


def test_slices_of_a_stack_count_as_its_blocks() -> None:
    rng = np.random.default_rng(4)
    covered, ratios = 0, []
    for _ in range(12):
        volume = gaussian_filter(rng.standard_normal((24, 64, 64)), (6, 3, 3), mode="wrap")
        stack = list((volume / volume.std() < -0.5).astype(np.uint8))
        fractions = phase_fractions(stack, 2)
        covered += fractions.mean_low[1] <= 0.3085 <= fractions.mean_high[1]
        ratios.append(width(stack) / (fractions.high - fractions.low)[:, 1].mean())
    assert covered >= 10
    assert 24**-0.5 < np.mean(ratios) < 1


def test_independent_fields_are_narrower_by_the_root_of_their_number() -> None:
    rng = np.random.default_rng(6)
    samples = [texture(rng) for _ in range(6)]
    fields = [s[r : r + 256, c : c + 256] for s in samples for r in CORNERS for c in CORNERS]
    groups = [fields[k::8] for k in range(8)]
    ratio = np.mean([width(group) for group in groups]) / np.mean([width([f]) for f in fields])
    assert ratio == pytest.approx(12**-0.5, rel=0.2)


def test_layers_that_fields_share_do_not_make_them_copies() -> None:
    rng = np.random.default_rng(7)
    fields = []
    for _ in range(8):
        edge = 128 + gaussian_filter(rng.standard_normal(256), 8, mode="wrap") * 40
        fields.append((np.arange(256)[:, None] > edge).astype(np.uint8))
    assert width(fields) < 0.2 * width([fields[0]])


def test_fields_that_overlap_count_as_one_of_whatever_size() -> None:
    rng = np.random.default_rng(9)
    samples = [texture(rng)[:512, :512] for _ in range(4)]
    window = samples[0][60:400, 140:]
    found = phase_fractions([*samples, window], 2)
    assert found.same_place == ((0, 4),)
    alone = phase_fractions(samples, 2)
    widths = [f.mean_high[1] - f.mean_low[1] for f in (found, alone)]
    assert widths[0] == pytest.approx(widths[1], rel=0.3)
    assert not alone.same_place
    other_size = phase_fractions([*samples, window], 2, pixel_nm=[10.0] * 4 + [20.0])
    assert not other_size.same_place


def test_two_copies_shifted_by_more_than_a_block_have_the_interval_of_one() -> None:
    sample = texture(np.random.default_rng(2))
    copies = [sample[:512, :512], sample[200:712, 150:662]]
    assert phase_fractions(copies, 2).same_place == ((0, 1),)
    assert width(copies) == pytest.approx(np.mean([width([c]) for c in copies]), rel=0.05)


def test_neither_periodic_fields_nor_tiny_ones_are_taken_for_one_place() -> None:
    y, x = np.indices((300, 200))
    periods = [np.sin((x + a) / 9) + np.sin((y + 2 * a) / 9) > 0.3 for a in (0, 13, 31)]
    tiny = [np.eye(5, dtype=np.uint8), np.ones((2, 900), np.uint8), np.zeros((40, 40), np.uint8)]
    fields = [field.astype(np.uint8) for field in [*periods, *tiny]]
    assert phase_fractions(fields, 2).same_place == ()


def test_independent_places_along_a_layer_are_not_taken_for_one() -> None:
    rng = np.random.default_rng(21)
    row = np.arange(512)[:, None]
    for _ in range(2):
        edges = gaussian_filter(rng.standard_normal((6, 2, 512)), (0, 0, 40), mode="wrap")
        edges *= 25 / edges.std(axis=2, keepdims=True)
        fields = [(row > 180 + top) & (row < 330 + bottom) for top, bottom in edges]
        assert phase_fractions([f.astype(np.uint8) for f in fields], 2).same_place == ()
