"""How long a training goes on, and what it says when it ends too early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bl_steer.analysis.segmentation import FIBSEM_PHASES, UNLABELLED
from bl_steer.analysis.segmentation.checks import warnings_for, weak_phase_warnings
from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.training import (
    Augmentation,
    Labelled,
    LabelledField,
    PatchSampler,
    Training,
    TrainingSet,
    TrainingSettings,
    train,
)
from bl_steer.analysis.segmentation.training.loop import _schedule

SHORT = TrainingSettings(
    widths=(4, 6), steps=8, batch=1, patch_px=32, evaluate_every=2, rounds=3, calibrate=False
)


def scored(training: Training, miou: list[float]) -> Training:
    """Return a training as if its evaluations had come to these scores."""
    every = training.settings.evaluate_every
    training.history = [
        {"step": every * (n + 1), "loss": 1.0, "miou": value} for n, value in enumerate(miou)
    ]
    training.step = every * len(miou)
    return training


@pytest.fixture
def training(pairs: list[Labelled]) -> Training:
    return Training(SHORT, FIBSEM_PHASES, pairs[:3], pairs[3:])


def test_a_training_goes_on_while_the_validation_rises(training: Training) -> None:
    assert not scored(training, [0.3, 0.4, 0.5, 0.6]).finished
    assert scored(training, [0.3, 0.4, 0.6, 0.601]).finished
    second = [0.3, 0.4, 0.5, 0.6, 0.2, 0.3, 0.6]
    assert not scored(training, second).finished
    assert scored(training, [*second, 0.6]).finished
    assert not scored(training, [*second, 0.7]).finished


def test_a_training_goes_on_where_a_phase_is_hardly_found(training: Training) -> None:
    scored(training, [0.5, 0.5, 0.6, 0.5])
    assert training.finished
    training.history[2]["least"] = 0.05
    assert not training.finished


def test_rounds_after_the_first_have_larger_patches_and_fewer(
    pairs: list[Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SHORT.model_copy(update={"batch": 6, "steps": 1, "evaluate_every": 1})
    training = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:])
    drawn = []
    descend = training._descend
    monkeypatch.setattr(
        training,
        "_descend",
        lambda x, y, **which: (drawn.append(x.shape), descend(x, y, **which))[1],
    )
    for _ in range(2):
        training.advance()
    assert drawn == [(6, 1, 32, 32), (2, 1, 64, 64)]
    assert training.history[0].keys() == {"step", "loss", "miou", "least"}


def test_no_training_goes_on_longer_than_its_rounds(training: Training) -> None:
    rising = np.linspace(0.1, 0.9, 12).tolist()
    assert scored(training, rising).finished
    assert training.rising


def test_each_round_begins_with_a_high_learning_rate_again() -> None:
    first = [_schedule(step, 40) for step in range(40)]
    assert first == [_schedule(step, 40) for step in range(40, 80)]
    assert first[2] > 0.95 > 0.01 > first[39]


def test_patience_is_lost_in_the_first_round_alone(pairs: list[Labelled]) -> None:
    settings = SHORT.model_copy(update={"patience": 2, "steps": 20})
    training = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:])
    assert scored(training, [0.5, 0.4, 0.4]).finished
    training.history[0]["least"] = 0.1
    assert not training.finished
    assert not scored(training, [0.1] * 9 + [0.5] + [0.3] * 4).finished


def test_what_ends_while_it_rises_is_said_with_what_to_do(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    fields = [LabelledField(*pair, f"s{n}", {}, f"s{n}") for n, pair in enumerate(pairs)]
    data = TrainingSet(FIBSEM_PHASES, fields[:2], fields[2:], [])
    longer = {"steps": 30, "evaluate_every": 3, "rounds": 2, "batch": 4, "widths": (8, 12)}
    report = train(data, SHORT.model_copy(update=longer), out=tmp_path)
    assert report["steps_done"] == 60
    told = "the validation was still rising when the training ended after 60 steps: give steps=60"
    assert told in report["warnings"][0]


def test_a_phase_that_a_model_hardly_finds_is_named_wherever_it_is_used(
    model: SegmentationModel,
) -> None:
    iou = {"oxide": [0.9, 0.8, 1.0], "carbon": [0.04, 0.0, 0.1], "void": [None, None, None]}
    sound = {name: [0.8, 0.7, 0.9] for name in iou}
    for card in (
        {"validation": {"iou": iou}, "test": None},
        {"validation": {"iou": sound}, "test": {"iou": iou}},
    ):
        (told,) = weak_phase_warnings(replace(model, card=card))
        assert told.startswith("the model hardly finds carbon: ")
        assert "4% agree (IoU 0.04); its share is no measurement" in told


def test_a_pixel_size_that_a_model_does_not_know_is_told_to_be_unused(
    model: SegmentationModel,
) -> None:
    without = replace(model, pixel_size_nm=None, card={})
    told = "the pixel size of 20 nm is not used: the model was trained with none"
    assert any(told in said for said in warnings_for(without, [], {"pixel_size_nm": 20.0}))
    for known in (
        warnings_for(without, [], {"pixel_size_nm": [20.0]}),
        warnings_for(replace(without, pixel_size_nm=5.0), [], {"pixel_size_nm": 20.0}),
    ):
        assert not any("is not used" in said for said in known)


def scribbles(pair: Labelled) -> Labelled:
    image, labels = pair
    lines = np.full_like(labels, UNLABELLED)
    lines[40:43, 50:53] = labels[40:43, 50:53]
    return image, lines


def test_every_patch_of_scribbles_holds_something_to_learn_from(pairs: list[Labelled]) -> None:
    image, lines = scribbles(pairs[0])
    sampler = PatchSampler(
        [image.astype(np.float32)],
        [lines],
        n_phases=3,
        patch_px=32,
        batch=8,
        augmentation=Augmentation(warp_share=1.0),
        rare_share=0.0,
    )
    for step in range(10):
        assert all((patch != UNLABELLED).any() for patch in sampler(step)[1])


def test_a_batch_without_a_label_changes_nothing(training: Training) -> None:
    logits = torch.randn(1, 3, 32, 32, requires_grad=True)
    loss = training._loss_of(logits, torch.full((1, 32, 32), UNLABELLED))
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_epochs_are_steps_whose_patches_cover_the_micrographs_as_often() -> None:
    settings = TrainingSettings(batch=4, patch_px=64).for_epochs(3, 512 * 512)
    assert settings.steps * 4 * 64**2 == 3 * 512 * 512
    assert settings.evaluate_every == 4
