"""Micrographs that the shipped network cannot judge are named, those like its training are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.analysis import find_analysis, make_params
from bl_steer.analysis.segmentation.checks import doubt_warnings, doubtful
from bl_steer.analysis.segmentation.phases import Phase, Phases
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.shipped import DEFAULT_MODEL, find_model
from bl_steer.analysis.segmentation.training.card import train_model
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.protocols import AnalysisResult, Inputs
from simulators.electron.micrographs import DEFAULT, field

ANALYSIS = find_analysis("segment")


def segmented(*images: NDArray[Any]) -> AnalysisResult:
    fields = {f"field_{n:03d}": image for n, image in enumerate(images)}
    return ANALYSIS.run(Inputs(fields, {"pixel_size_nm": 10.0}), make_params(ANALYSIS))


def said(result: AnalysisResult, words: str) -> bool:
    return any(words in warning for warning in result.warnings)


@pytest.mark.parametrize("edge", [96, 160, 256])
@pytest.mark.parametrize("family", ["grains", "network"])
def test_unseen_specimens_like_those_of_the_training_are_no_doubt(family: str, edge: int) -> None:
    result = segmented(*(field(family, seed, shape=(edge, edge)).image for seed in range(610, 614)))
    assert not said(result, "in doubt")
    assert not said(result, "negative")
    assert np.isfinite(result.tables["fractions"]["fraction_low"]).all()


@pytest.mark.parametrize("change", [{"dwell_us": 0.3}, {"accelerating_voltage_kV": 20.0}])
def test_other_conditions_are_doubt_and_have_no_interval(change: dict[str, float]) -> None:
    known = field("grains", 620).image
    other = field("grains", 621, conditions=replace(DEFAULT, **change)).image
    result = segmented(known, other)
    assert said(result, "in doubt about field_001: its mean uncertainty is")
    low = result.tables["fractions"]["fraction_low"].reshape(2, -1)
    assert np.isnan(low).all(axis=1).tolist() == [False, True]
    assert np.isnan(result.tables["sample"]["fraction_low"]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("family", ["grains", "network"])
def test_exchanged_bright_and_dark_are_named(family: str, dtype: Any) -> None:
    image = field(family, 630, shape=(256, 256)).image
    inverted = segmented((255 - image).astype(dtype))
    assert said(inverted, "bright and dark may be exchanged")
    assert said(inverted, "field_000 looks to the model like a negative, by details and ")
    assert not said(segmented(image.astype(dtype)), "bright and dark may be exchanged")


def test_a_field_without_one_of_the_phases_is_not_said_to_be_a_negative() -> None:
    image, labels, _ = field("network", 612, shape=(96, 96))
    assert not (labels == 1).any()
    assert not said(segmented(image), "negative")


@pytest.mark.parametrize("shape", [(5, 5), (20, 300)])
def test_an_image_of_few_pixels_has_no_interval(shape: tuple[int, int]) -> None:
    result = segmented(field("grains", 640, shape=(300, 300)).image[: shape[0], : shape[1]])
    assert np.isnan(result.tables["fractions"]["fraction_low"]).all()
    assert np.isnan(result.tables["sample"]["fraction_high"]).all()
    assert said(result, f"field_000 has {shape[0]} x {shape[1]} px, too few")


def test_a_model_saved_without_its_uncertainty_is_said_to_have_no_alarm() -> None:
    model = find_model(DEFAULT_MODEL)
    earlier = replace(model, card={k: v for k, v in model.card.items() if k != "uncertainty"})
    (told,) = doubt_warnings(earlier, {})
    assert "no alarm tells images that it does not know" in told
    assert not list(doubt_warnings(model, {}))


def test_an_image_that_is_given_twice_is_named() -> None:
    image, other = (field("grains", seed, shape=(96, 96)).image for seed in (650, 651))
    assert said(
        segmented(image, other, image),
        "field_002 and field_000 are the same image, pixel by pixel: it counts twice",
    )
    assert not said(segmented(image, other), "the same image")


def test_a_forest_of_few_pairs_knows_images_of_its_kind_and_doubts_blurred_ones() -> None:
    def painted(seed: int, quantile: float = 0.7, blur: float = 0.0) -> LabelledField:
        rng = np.random.default_rng(seed)
        smooth = gaussian_filter(rng.normal(size=(160, 160)), 6)
        labels = (smooth > np.quantile(smooth, quantile)).astype(np.uint8)
        grey = gaussian_filter(90.0 + 80.0 * labels, blur) + rng.normal(0, 12, labels.shape)
        return LabelledField(np.clip(grey, 0, 255).astype(np.uint8), labels, str(seed))

    phases = Phases((Phase("a", (255, 0, 0), (1, 1, 1)), Phase("b", None, (2, 2, 2))))
    data = TrainingSet(phases, [painted(k) for k in range(4)], [painted(4)], [painted(5)])
    model = train_model(data, TrainingSettings(network="forest"))

    def doubts(*fields: LabelledField) -> set[str]:
        results = {f.sample: segment(model, f.image, keep_probability=False) for f in fields}
        found = {name: (result.mean_uncertainty, 160.0) for name, result in results.items()}
        return set(doubtful(model, found))

    # Far less uncertain than what is wrong, if thrice as uncertain as the two held out.
    assert not doubts(painted(50), painted(51, 0.6), painted(52, 0.6))
    assert doubts(painted(53, blur=3.0), painted(54, blur=3.0)) == {"53", "54"}
