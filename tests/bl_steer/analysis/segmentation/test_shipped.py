"""The model that comes with bl_steer, on specimens and a family that it was never shown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.filters import threshold_multiotsu

from bl_steer.analysis.segmentation import (
    ONE_PASS,
    Acquisition,
    Passes,
    Score,
    SegmentationModel,
    find_model,
    score,
    segment,
    shipped_models,
)
from bl_steer.analysis.segmentation.tiles import iterate_tiles, standardise
from bl_steer.analysis.segmentation.training.boundaries import boundary_densities, one_hot
from simulators.electron.imaging import ImagingConditions
from simulators.electron.micrographs import Micrograph, field

UNSEEN = range(900, 906)


@cache
def micrographs(family: str) -> Sequence[Micrograph]:
    return [field(family, seed) for seed in UNSEEN]


@cache
def segmented(family: str) -> Sequence[NDArray[np.uint8]]:
    """Segment unseen specimens with the shipped model."""
    model = find_model("fibsem")
    return [segment(model, one.image, keep_probability=False).labels for one in micrographs(family)]


@cache
def scored(family: str) -> Score:
    """Score the shipped model on unseen specimens."""
    truths = [one.labels for one in micrographs(family)]
    return score(truths, segmented(family), 3)


def boundaries(labels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Return the boundary of each pair of phases, and the triple points, of all fields."""
    shown = torch.from_numpy(np.stack(labels).astype(np.int64))
    return boundary_densities(one_hot(shown, 3)).sum(dim=0).double().numpy()


@pytest.fixture(scope="module")
def fibsem() -> SegmentationModel:
    return find_model("fibsem")


@pytest.mark.parametrize(("family", "least"), [("grains", 0.95), ("network", 0.90)])
def test_the_shipped_model_segments_what_it_never_saw(family: str, least: float) -> None:
    result = scored(family)
    assert result.miou >= least
    errors = abs(result.fraction_bias).max(axis=1)
    assert np.median(errors) <= 0.01
    assert errors.max() <= 0.03


@pytest.mark.parametrize("family", ["grains", "network"])
def test_boundaries_and_triple_points_are_those_of_the_truth(family: str) -> None:
    true = boundaries([one.labels for one in micrographs(family)])
    *pairs, triple = abs(boundaries(segmented(family)) / true - 1)
    assert max(pairs) < 0.04
    assert triple < 0.15


@pytest.mark.parametrize("family", ["grains", "network"])
def test_thresholds_do_much_worse(family: str) -> None:
    fields = micrographs(family)
    otsu = [2 - np.digitize(f.image, threshold_multiotsu(f.image, 3)) for f in fields]
    by_otsu = score([f.labels for f in fields], [labels.astype(np.uint8) for labels in otsu], 3)
    assert by_otsu.miou < 0.8 < scored(family).miou


def test_half_precision_costs_less_than_a_thousandth(fibsem: SegmentationModel) -> None:
    one = micrographs("network")[0]  # a processor without units for it is slow

    def miou(passes: Passes) -> float:
        labels = segment(fibsem, one.image, keep_probability=False, passes=passes).labels
        return score([one.labels], [labels], 3).miou

    assert miou(Passes(precision="bf16")) > miou(ONE_PASS) - 0.001


def test_tiles_give_the_probability_of_the_whole(fibsem: SegmentationModel) -> None:
    image = standardise(micrographs("grains")[0].image[:160, :500])

    def probability(tile_px: int) -> NDArray[np.float32]:
        out = np.empty((3, *image.shape), np.float32)
        for place, here in iterate_tiles(fibsem.network, image, Passes(tile_px)):
            out[:, *place] = here
        return out

    narrow = 2 * fibsem.network.halo + 4 * fibsem.network.stride
    assert narrow < 500
    np.testing.assert_allclose(probability(narrow), probability(1024), atol=1e-4)


def test_a_wrong_pixel_is_more_often_an_uncertain_one(fibsem: SegmentationModel) -> None:
    sample = micrographs("grains")[1]
    segmented = segment(fibsem, sample.image)
    wrong = segmented.labels != sample.labels
    assert segmented.uncertainty[wrong].mean() > 3 * segmented.uncertainty[~wrong].mean()


def test_a_magnified_micrograph_is_brought_to_the_models_pixel_size(
    fibsem: SegmentationModel,
) -> None:
    sample = field("grains", 900, conditions=ImagingConditions(pixel_size_nm=6.0))
    blind = segment(fibsem, sample.image)
    informed = segment(fibsem, sample.image, pixel_size_nm=6.0)
    agree = [(segmented.labels == sample.labels).mean() for segmented in (blind, informed)]
    assert agree[1] > max(0.94, agree[0] - 0.02)


def test_the_card_says_what_the_model_comes_from(fibsem: SegmentationModel) -> None:
    card = fibsem.card
    assert {row["name"].split("_")[0] for row in card["data"]["train"]} == {"grains"}
    assert card["validation"]["miou"][0] > 0.9
    assert card["settings"]["seed"] == 0
    assert card["conditions"]
    assert shipped_models() == ["fibsem"]


def test_small_fields_of_the_trained_family_are_not_called_unlike_the_training(
    fibsem: SegmentationModel,
) -> None:
    known = Acquisition.from_dict(fibsem.card["conditions"])
    small = [field("grains", seed, shape=(256, 256)).image for seed in range(900, 912)]
    assert [known.warnings_for(image) for image in small] == [[]] * len(small)
    coarse = field("grains", 900, shape=(512, 512), conditions=ImagingConditions(pixel_size_nm=20))
    assert "features look smaller" in known.warnings_for(coarse.image)[0]
