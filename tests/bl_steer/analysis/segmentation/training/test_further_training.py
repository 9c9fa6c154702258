"""A training that goes on from a model: what it sees, and what it leaves alone."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bl_steer.analysis.segmentation import FIBSEM_PHASES, ONE_PASS, SegmentationModel
from bl_steer.analysis.segmentation.shading import even_levels
from bl_steer.analysis.segmentation.tiles import standardise
from bl_steer.analysis.segmentation.training import (
    Labelled,
    LabelledField,
    Training,
    TrainingSet,
    TrainingSettings,
    train_model,
)

SETTINGS = TrainingSettings(
    network="segnet",
    widths=(4, 6),
    steps=2,
    batch=2,
    patch_px=32,
    evaluate_every=2,
    rounds=1,
    calibrate=False,
)


@pytest.mark.parametrize(("even", "weight"), [(False, 5.0), (True, 5.0), (True, 0.0)])
def test_a_model_that_removes_shading_learns_boundaries_where_it_draws_them(
    model: SegmentationModel, pairs: list[Labelled], even: bool, weight: float
) -> None:
    sure = deepcopy(model.network)
    sure.head.weight.mul_(100)  # what it is unsure of is no shading
    start = replace(model, network=sure, even_levels=even)
    settings = SETTINGS.model_copy(update={"boundary_weight": weight})
    training = Training(settings, FIBSEM_PHASES, pairs[:2], pairs[3:], start=start)
    margin = training._samplers[0].margin
    seen = [
        [one[margin:-margin, margin:-margin] for one in sampler.images]
        for sampler in training._samplers
    ]
    raw = [standardise(image) for image, _ in pairs[:2]]
    evened = even_levels(start.network, raw[0], 3, ONE_PASS)
    assert abs(evened - raw[0]).max() > 0.01
    expected = [[evened], [raw[1]]] if even and weight else [raw]
    for part, images in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(part, images)


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_boundaries_are_trained_as_the_network_will_draw_them(
    model: SegmentationModel, pairs: list[Labelled], weight: float
) -> None:
    settings = SETTINGS.model_copy(update={"boundary_weight": weight})
    training = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:], start=model)
    before, after = model.network.state_dict(), training.run().state_dict()
    means = [key for key in before if key.endswith("running_mean")]
    assert means
    alike = [torch.equal(before[key], after[key]) for key in means]
    assert all(alike) if weight else not any(alike)
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_the_card_says_from_which_model_a_training_went_on(
    model: SegmentationModel, pairs: list[Labelled]
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:3], fields[3:], [])
    start = replace(model, card={"settings": {"seed": 7}, "steps_done": 12})
    assert train_model(data, SETTINGS, start=start).card["start"] == {
        "weights_sha256": model.weights_sha256,
        "settings": {"seed": 7},
        "steps_done": 12,
    }
    assert "start" not in train_model(data, SETTINGS).card
