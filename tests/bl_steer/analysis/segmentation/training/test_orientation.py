"""Phases that lie in layers keep their direction, in training and in views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.segmentation import (
    FIBSEM_PHASES,
    UNLABELLED,
    Passes,
    SegmentationModel,
    segment,
)
from bl_steer.analysis.segmentation.training import (
    Augmentation,
    LabelledField,
    PatchSampler,
    TrainingSet,
    TrainingSettings,
    train,
)
from bl_steer.analysis.segmentation.training.orientation import axis_across_layers
from simulators.electron import coating_field, field

LAYERS = np.repeat(np.arange(3, dtype=np.uint8), 60)[:, None] * np.ones((1, 170), np.uint8)
AFFINE_ALONE = {"gain": 0.0, "offset": 0.0, "gamma": 0.0, "noise": 0.0, "blur_px": 0.0}


def test_layers_are_told_whether_they_lie_or_stand() -> None:
    coatings = [coating_field(seed, shape=(256, 200)).labels for seed in range(2)]
    assert axis_across_layers(coatings, 3) == 0
    assert axis_across_layers([labels.T for labels in coatings], 3) == 1


def test_grains_and_scattered_layers_are_no_layers() -> None:
    grains = [field("grains", seed, shape=(192, 192)).labels for seed in range(2)]
    assert axis_across_layers(grains, 3) is None
    assert axis_across_layers([LAYERS, LAYERS.T], 3) is None


def test_small_fields_tell_no_layers_and_flat_ones_are_judged_by_their_shape() -> None:
    flat = field("network", 11, shape=(256, 768)).labels
    assert axis_across_layers([flat[:96]], 3) is None
    assert axis_across_layers([flat[:160]], 3) is None


def test_scribbles_tell_layers_and_what_is_unlabelled_tells_none() -> None:
    lines = np.where(np.indices(LAYERS.shape)[0] % 10 == 0, LAYERS, UNLABELLED).astype(np.uint8)
    assert axis_across_layers([lines], 3) == 0
    assert axis_across_layers([np.full_like(lines, UNLABELLED)], 3) is None


@pytest.mark.parametrize("stand", [False, True])
def test_patches_of_layers_never_exchange_them(stand: bool) -> None:
    labels = LAYERS.T.copy() if stand else LAYERS
    grey = labels.astype(np.float32)
    sampler = PatchSampler(
        [grey],
        [labels],
        n_phases=3,
        patch_px=32,
        batch=8,
        augmentation=Augmentation(warp_share=0.5, shading=0.0, **AFFINE_ALONE),
    )
    for step in range(4):
        images, patches = sampler(step)
        for image, patch in zip(images[:, 0], patches, strict=True):
            assert rises(inner(patch), axis=int(stand))
            assert np.array_equal(image[8:-8, 8:-8].round(), inner(patch))


def inner(patch: NDArray[np.uint8]) -> NDArray[np.int64]:
    return patch[8:-8, 8:-8].astype(np.int64)


def rises(patch: NDArray[np.int64], *, axis: int) -> bool:
    """Return whether phases follow each other in their order, as far as nothing is mirrored."""
    return bool((np.diff(patch, axis=axis) >= 0).all())


def test_a_training_on_layers_says_that_micrographs_must_lie_alike(tmp_path: Path) -> None:
    fields = [
        LabelledField((LAYERS * 80).astype(np.uint8), LAYERS, f"s{n}", {}, f"s{n}")
        for n in range(2)
    ]
    data = TrainingSet(FIBSEM_PHASES, fields[:1], fields[1:], [])
    settings = TrainingSettings(
        widths=(4, 6), steps=1, rounds=1, batch=1, patch_px=32, calibrate=False
    )
    (note,) = train(data, settings, out=tmp_path)["notes"]
    assert "not turned, nor mirrored upside down. Micrographs to segment must lie as these" in note


@pytest.mark.parametrize(("across", "views"), [(None, 8), (0, 2), (1, 1)])
def test_views_that_turn_layers_round_are_left_out(
    model: SegmentationModel, image: NDArray[np.uint8], across: int | None, views: int
) -> None:
    layered = replace(model, card={"layers_across": across})
    eight = segment(layered, image, passes=Passes(views=8)).uncertainty
    assert np.array_equal(eight, segment(model, image, passes=Passes(views=views)).uncertainty)
