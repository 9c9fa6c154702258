"""New micrographs that are unlike those in training are noticed, and others are left in peace."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis.segmentation import ASPECTS, Acquisition
from bl_steer.analysis.segmentation.conditions.appearance import appearance

RECORDED = {"pixel_size_nm": [8.0, 10.0, 12.0], "accelerating_voltage_kV": 2.0, "staining": "none"}


def micrograph(
    seed: int, *, scale: float = 1.0, blur: float = 1.0, middle: float = 0.4, noise: float = 0.05
) -> NDArray[Any]:
    """Return a specimen of three phases of its own, with gain, offset and shading of its own."""
    rng = np.random.default_rng(seed)
    size = 7.0 * scale * rng.uniform(0.9, 1.1)
    fields = [gaussian_filter(rng.normal(size=(192, 192)), size, mode="wrap") for _ in range(2)]
    first, second = (f / f.std() for f in fields)
    grey = np.where(first > rng.uniform(-0.1, 0.1), 0.8, np.where(second > 0.4, middle, 0.1))
    grey = gaussian_filter(grey, blur) + rng.normal(0, noise, grey.shape)
    grey += rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, 192)
    return np.asarray(rng.uniform(0.7, 1.2) * 150 * grey + rng.uniform(20, 50)).clip(0, 255)


@cache
def trained() -> Acquisition:
    return Acquisition.of([micrograph(seed) for seed in range(48)], RECORDED)


def test_numbers_do_not_depend_on_gain_and_offset() -> None:
    image = micrograph(0)
    numbers = appearance(image)
    assert numbers is not None
    assert len(numbers) == len(ASPECTS)
    np.testing.assert_allclose(appearance(3.0 * image - 1000.0), numbers, atol=1e-6)


@pytest.mark.parametrize("image", [np.zeros((99, 99)), np.full((99, 99), np.nan), np.eye(20)])
def test_images_without_structure_have_no_numbers(image: NDArray[Any]) -> None:
    assert appearance(image) is None
    (warning,) = trained().warnings_for(image)
    assert "no structure" in warning


def test_few_unseen_specimens_acquired_alike_are_flagged() -> None:
    flagged = [bool(trained().warnings_for(micrograph(seed))) for seed in range(100, 140)]
    assert np.mean(flagged) <= 0.05  # 1 % expected


def test_small_fields_of_the_same_kind_are_left_in_peace() -> None:
    corners = [micrograph(seed)[:96, :96] for seed in range(100, 140)]
    assert np.mean([bool(trained().warnings_for(corner)) for corner in corners]) <= 0.05


def test_fields_of_one_specimen_are_no_specimens_of_their_own() -> None:
    halves = [np.hsplit(micrograph(seed), 2) for seed in range(100, 140)]
    assert np.mean([bool(trained().warnings_for(pair)) for pair in halves]) <= 0.05


CHANGES: dict[str, tuple[dict[str, float], str]] = {
    "magnification halved": ({"scale": 0.5}, "magnification"),
    "magnification doubled": ({"scale": 2.0}, "magnification"),
    "voltage": ({"blur": 2.0}, "accelerating voltage"),
    "staining": ({"middle": 0.54}, "staining"),
    "dwell time": ({"noise": 0.12}, "dwell time"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_acquisition_is_noticed_without_any_metadata(change: str) -> None:
    how, cause = CHANGES[change]
    batches = [[micrograph(200 + 4 * b + i, **how) for i in range(4)] for b in range(5)]
    warnings = [trained().warnings_for(batch) for batch in batches]
    # Specimens differ as much in their middle greys as staining moves them.
    assert np.mean(list(map(bool, warnings))) >= (0.4 if change == "staining" else 0.9)
    assert any(cause in sentence for sentences in warnings for sentence in sentences)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pixel_size_nm", 40.0, "magnification: pixel_size_nm = 40 nm is outside 8-12 nm in train"),
        ("pixel_size_nm", 20.0, "within a factor of 2 the image is resampled"),
        ("accelerating_voltage_kV", 10, "accelerating voltage.* = 10 kV is outside 2 kV"),
        ("staining", "osmium", r"staining = osmium was not in training \(none\)"),
    ],
)
def test_metadata_outside_training_are_named_with_unit_and_remedy(
    key: str, value: Any, words: str
) -> None:
    (warning,) = Acquisition.of([], RECORDED).warnings_for([], {key: value})
    assert re.search(words, warning)


def test_metadata_within_training_or_unknown_to_it_are_accepted() -> None:
    training = Acquisition.of([], RECORDED)
    fitting = {"pixel_size_nm": 9.0, "accelerating_voltage_kV": 2, "staining": "None", "who": "me"}
    assert training.warnings_for([], fitting) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pixelsize", r"did you mean pixel_size_nm\?"),
        ("stain", r"did you mean staining\?"),
        ("who", "it knows accelerating_voltage_kV, pixel_size_nm, staining$"),
    ],
)
def test_a_name_that_means_nothing_is_named_with_the_likely_meaning(name: str, hint: str) -> None:
    (warning,) = Acquisition.of([], RECORDED).unknown_names({"staining": "none", name: 1.0})
    assert re.search(f"no acquisition metadata {name!r}: it changes nothing; {hint}", warning)


def test_what_instruments_record_by_themselves_is_no_slip_of_the_user() -> None:
    recorded = {"file": "a.tif", "pixel_size_nm": 10.0, "working_distance_mm": 4.0}
    assert Acquisition({}).unknown_names(recorded | {"accelerating_voltage_kV": 2.0}) == []


def test_what_was_learnt_comes_back_from_json() -> None:
    restored = Acquisition.from_dict(json.loads(json.dumps(trained().to_dict())))
    assert restored == trained()
