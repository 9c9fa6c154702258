from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bl_steer.analysis.segmentation import (
    ONE_PASS,
    Passes,
    SegmentationModel,
    count_steps,
    find_model,
    segment,
)
from bl_steer.analysis.segmentation.shading import even_levels
from bl_steer.analysis.segmentation.tiles import standardise
from simulators.electron.micrographs import Micrograph, field


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return find_model("fibsem")


@pytest.fixture(scope="module")
def shaded() -> Micrograph:
    """A micrograph whose left side is darker by more than phases differ."""
    image, labels, conditions = field("grains", 501, shape=(256, 320))
    fall = np.linspace(-45.0, 45.0, image.shape[1])
    return Micrograph(np.float32(image) + np.float32(fall), labels, conditions)


def agreement(model: SegmentationModel, sample: Micrograph) -> float:
    return float((segment(model, sample.image).labels == sample.labels).mean())


def test_the_shipped_model_sees_through_shading(
    model: SegmentationModel, shaded: Micrograph
) -> None:
    assert model.even_levels
    assert agreement(model, shaded) > agreement(replace(model, even_levels=False), shaded) + 0.02


def test_levels_of_a_phase_are_evened(model: SegmentationModel, shaded: Micrograph) -> None:
    grey = standardise(shaded.image)
    evened = even_levels(model.first_network, grey, len(model.phases), ONE_PASS)
    assert evened.shape == grey.shape
    oxide = shaded.labels == 0
    assert evened[oxide].std() < 0.7 * grey[oxide].std()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 240)])
def test_small_and_odd_micrographs_are_taken(
    model: SegmentationModel, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).normal(100.0, 20.0, shape)
    segmented = segment(model, image, keep_probability=False)
    assert segmented.labels.shape == shape
    assert np.isfinite(segmented.expected).all()


@pytest.fixture(scope="module")
def strip() -> np.ndarray:
    """A micrograph that tiles of 512 px cut into six."""
    return field("grains", 502, shape=(64, 576)).image


def test_tiles_and_the_whole_agree(model: SegmentationModel, strip: np.ndarray) -> None:
    segmented = segment(model, strip)
    tiles = segment(model, strip, passes=Passes(tile_px=512))
    assert segmented.probability is not None
    assert tiles.probability is not None
    # What is kept has half precision.
    assert np.abs(segmented.probability - tiles.probability).max() < 1e-3


def test_the_quick_look_counts_as_steps(model: SegmentationModel, strip: np.ndarray) -> None:
    calls: list[tuple[int, int]] = []
    passes = Passes(tile_px=512)
    segment(model, strip, passes=passes, progress=lambda a, b: calls.append((a, b)))
    steps = count_steps(model, strip, passes=passes)
    assert steps == 1 + 6
    assert calls == [(n + 1, steps) for n in range(steps)]
