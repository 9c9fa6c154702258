"""Images of one recording are found, whatever was done to them; others are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.shared_pixels import (
    Fingerprint,
    SharedPixels,
    chained,
    orientations,
    shared_pixels,
)
from bl_steer.protocols import AnalysisResult, Inputs
from simulators.electron import coating_field, field


def pairs_of(*images: NDArray[Any]) -> list[SharedPixels]:
    return shared_pixels({str(n): Fingerprint.of(image) for n, image in enumerate(images)})


IMAGE = field("grains", 1, shape=(256, 256)).image


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (IMAGE[100:148, 60:108], 1.0),
        (np.concatenate([IMAGE[100:], field("grains", 2, shape=(100, 256)).image]), 156 / 256),
        (IMAGE / 255.0, 1.0),
        (IMAGE.astype(np.uint16) * 257, 1.0),
        ((IMAGE * 0.6 + 30).astype(np.uint8), 1.0),
    ],
)
def test_what_was_cut_shifted_or_saved_otherwise_is_found(
    other: NDArray[Any], share: float
) -> None:
    (pair,) = pairs_of(IMAGE, other)
    assert (pair.first, pair.second, pair.same) == ("0", "1", False)
    assert pair.share == pytest.approx(share)


@pytest.mark.parametrize("gain", [0.9, 0.8, 0.7, 0.6])
def test_a_copy_with_less_contrast_in_whole_grey_levels_is_found(gain: float) -> None:
    noise = np.random.default_rng(3).normal(size=IMAGE.shape)
    faint = (100 + 0.1 * IMAGE + 6.0 * noise).astype(np.uint8)
    (pair,) = pairs_of(faint, (faint * gain + 90).astype(np.uint8))
    assert (pair.share, pair.same) == (1.0, False)


@pytest.mark.parametrize("filtered", [0.0, 1.5])
def test_slices_with_noise_are_not_one_image_filtered_along_the_stack_or_not(
    filtered: float,
) -> None:
    noise = np.random.default_rng(4).normal(size=(8, *IMAGE.shape))
    structure = 60.0 * gaussian_filter(
        field("grains", 1, shape=IMAGE.shape).labels.astype(float), 1
    )
    stack = structure + 60 + gaussian_filter(12.0 * noise, (filtered, 0, 0))
    assert not pairs_of(*np.clip(stack, 0, 255).astype(np.uint8))


def test_large_images_of_which_some_keys_are_kept_are_compared_by_those() -> None:
    large = np.random.default_rng(0).normal(size=(1200, 1300)).astype(np.float32)
    (pair,) = pairs_of(large[:1000], large[300:, 100:])
    assert pair.share == pytest.approx(700 / 900)
    (pair,) = pairs_of(large, large[500:600, 400:500])
    assert pair.share == 1.0


def test_an_image_is_found_in_all_its_orientations() -> None:
    for turned in orientations(IMAGE):
        found = [pairs_of(IMAGE, form) for form in (turned, *orientations(turned))]
        assert not found[0]
        assert sum(map(len, found)) == 1


def test_copies_that_were_mirrored_or_turned_are_found_where_these_are_looked_for() -> None:
    other = field("grains", 2, shape=(96, 128)).image
    for number, turned in enumerate(orientations(other)):
        copy = turned if number % 2 else turned / 255.0
        images = {"a": other, "b": copy, "c": IMAGE[:96, :128], "d": other}
        prints = {name: Fingerprint.of(image) for name, image in images.items()}
        forms = {n: [Fingerprint.of(form) for form in orientations(images[n])] for n in images}
        found = shared_pixels(prints, forms)
        assert chained(found) == [{"a", "b", "d"}]
        (pair,) = (pair for pair in found if pair.turned)
        assert (pair.first, pair.second, pair.share) == ("a", "b", 1.0)
        assert pair.same == bool(number % 2)


def test_other_places_flat_parts_and_smooth_patterns_are_not_one_image() -> None:
    assert not pairs_of(*(field("network", seed, shape=(160, 160)).image for seed in range(6)))
    rows, columns = np.indices((128, 128))
    wave = np.sin(rows / 5) * np.cos(columns / 7)
    assert not pairs_of(wave, np.roll(wave, 9), (rows + columns) % 16, np.zeros((9, 9)))
    bar = np.zeros((256, 256), np.uint8)
    bar[200:] = field("grains", 3, shape=(56, 256)).image  # as a bar below each image
    first, second = (np.where(bar > 0, bar, field("grains", n, shape=(256, 256)).image) for n in
                     (4, 5))  # fmt: skip
    assert not pairs_of(first, second)


def test_pairs_are_chained_to_groups() -> None:
    pairs = [SharedPixels(a, b, 1.0, True) for a, b in ("ab", "cd", "bc", "ef")]
    assert chained(pairs) == [{"a", "b", "c", "d"}, {"e", "f"}]


def segmented(*images: NDArray[Any]) -> AnalysisResult:
    analysis = find_analysis("segment")
    fields = {f"field_{n:03d}": image for n, image in enumerate(images)}
    return analysis.run(Inputs(fields, {"pixel_size_nm": 10.0}), make_params(analysis))


def test_copies_of_a_layered_field_count_as_one_in_the_interval() -> None:
    layered = [coating_field(seed, shape=(256, 96)).image for seed in range(3)]
    shifted = np.concatenate([layered[0][40:], coating_field(7, shape=(256, 96)).image[:40]])
    alone, copied = segmented(*layered), segmented(*layered, layered[0] / 255.0, shifted)
    (told,) = [w for w in copied.warnings if "share pixels" in w]
    assert told.startswith("field_003 and field_000 share pixels, 100% of the smaller one, as do 1")
    width = [
        (result.tables["sample"]["fraction_high"] - result.tables["sample"]["fraction_low"]).max()
        for result in (alone, copied)
    ]
    assert not [w for w in alone.warnings if "share" in w]
    assert width[1] > 0.6 * width[0]


def test_a_mirrored_copy_is_named_and_counts_as_one_in_the_interval() -> None:
    images = [field("network", seed, shape=(96, 96)).image for seed in range(3)]
    result = segmented(*images, images[0][:, ::-1])
    (told,) = [w for w in result.warnings if "mirrored or turned" in w]
    assert told.startswith("field_003 is field_000 mirrored or turned, 100% of the smaller one:")
    assert not any("seem to show one place" in w for w in result.warnings)
    wide, narrow = (
        float(np.sum(r.tables["sample"]["fraction_high"] - r.tables["sample"]["fraction_low"]))
        for r in (result, segmented(*images))
    )
    assert wide == pytest.approx(narrow, rel=0.5)


def test_fields_of_unlike_pixels_are_said_to_count_by_their_area() -> None:
    analysis = find_analysis("segment")
    fields = {f"field_{n:03d}": field("network", n, shape=(96, 96)).image for n in range(2)}

    def told(*sizes: float | None) -> list[str]:
        result = analysis.run(Inputs(fields, {"pixel_size_nm": list(sizes)}), make_params(analysis))
        return [w for w in result.warnings if "fractions of all together" in w]

    assert told(10.0, 10.0) == told(10.0, 10.1) == []
    (by_area,) = told(20.0, 10.0)
    assert by_area.startswith("the fields have pixels of 10 nm to 20 nm: ")
    assert "counts by its area, one with the largest pixels 4 times as much" in by_area
    (by_pixels,) = told(20.0, None)
    assert by_pixels.startswith("1 of 2 fields have no known pixel size: ")
