from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bl_steer.analysis.segmentation import FIBSEM_PHASES, UNLABELLED
from bl_steer.analysis.segmentation.model import hash_of
from bl_steer.analysis.segmentation.training import (
    Augmentation,
    Labelled,
    PatchSampler,
    Training,
    TrainingSettings,
)
from bl_steer.analysis.segmentation.training import loop as module
from bl_steer.analysis.segmentation.training.loss import WEIGHT_RANGE, class_weights
from tests import fork_server

SETTINGS = TrainingSettings(
    widths=(4, 6), steps=8, batch=2, patch_px=32, evaluate_every=3, learning_rate=0.01
)

STILL = Augmentation(warp_share=0, gain=0, offset=0, gamma=0, noise=0, blur_px=0, shading=0)
"""Turns and mirrors alone: a few steps suffice to learn."""


def train(pairs: list[Labelled], settings: TrainingSettings = SETTINGS) -> Training:
    training = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:])
    training.run()
    return training


def weights(training: Training) -> str:
    return hash_of(training.run().state_dict())


def test_a_network_learns_the_phases(pairs: list[Labelled]) -> None:
    settings = SETTINGS.model_copy(
        update={
            "network": "unet",
            "widths": (8, 12),
            "steps": 40,
            "evaluate_every": 20,
            "averaging": 0.8,
            "augmentation": STILL,
        }
    )
    assert max(row["miou"] for row in train(pairs, settings).history) > 0.9


def test_equal_seeds_give_equal_weights_and_others_do_not(pairs: list[Labelled]) -> None:
    first, second = train(pairs), train(pairs)
    other = train(pairs, SETTINGS.model_copy(update={"seed": 1}))
    assert weights(first) == weights(second) != weights(other)


@pytest.mark.parametrize(("at", "weight"), [(1, 0.0), (3, 5.0), (5, 0.0), (7, 5.0)])
def test_a_training_stopped_after_any_step_ends_the_same(
    pairs: list[Labelled], tmp_path: Path, at: int, weight: float
) -> None:
    settings = SETTINGS.model_copy(update={"boundary_weight": weight, "boundary_persistence": 0.5})
    broken = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path)
    for _ in range(at):
        broken.advance()
    broken.save()
    resumed = Training(settings, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path)
    assert resumed.step == at
    uninterrupted = train(pairs, settings)
    assert weights(resumed) == weights(uninterrupted)
    assert resumed.history == uninterrupted.history


CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path[:0] = {here!r}
from conftest import stripes
from test_training import SETTINGS
from bl_steer.analysis.segmentation import FIBSEM_PHASES
from bl_steer.analysis.segmentation.training import loop as module
module.SAVE_EVERY_S = 0.0
pairs = [stripes(seed) for seed in range(4)]
t = module.Training(SETTINGS.model_copy(update=dict(steps=400, patience=1000)),
                    FIBSEM_PHASES, pairs[:3], pairs[3:], folder={folder!r})
while True:
    t.advance()
"""


def test_a_training_killed_at_any_time_resumes_and_ends_the_same(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    long = SETTINGS.model_copy(update={"steps": 400, "patience": 1000})
    here = [str(folder) for folder in Path(__file__).parents[:2]]
    code = CHILD.format(here=here, folder=str(tmp_path))
    child = fork_server.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    checkpoint = tmp_path / "checkpoint.pt"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)  # somewhere in a step or in the midst of writing
    child.send_signal(signal.SIGKILL)
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors

    def steps_to(training: Training, step: int) -> dict[str, torch.Tensor]:
        while training.step < step:
            training.advance()
        return training._state()["averaged"]

    resumed = Training(long, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path)
    reached = resumed.step
    assert reached > 0
    uninterrupted = Training(long, FIBSEM_PHASES, pairs[:3], pairs[3:])
    expected = steps_to(uninterrupted, reached + 3)
    assert hash_of(steps_to(resumed, reached + 3)) == hash_of(expected)
    assert not list(tmp_path.glob("*.tmp")) or os.path.getsize(checkpoint)


def test_a_checkpoint_of_other_settings_or_data_is_refused(
    pairs: list[Labelled], tmp_path: Path
) -> None:
    Training(SETTINGS, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path).save()
    other = SETTINGS.model_copy(update={"batch": 3, "seed": 4})
    with pytest.raises(ValueError, match=r"got a change of batch, seed for .*checkpoint\.pt; undo"):
        Training(other, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path)
    with pytest.raises(ValueError, match="got a change of the pairs"):
        Training(SETTINGS, FIBSEM_PHASES, pairs[:2], pairs[3:], folder=tmp_path)


def test_a_damaged_checkpoint_is_named(pairs: list[Labelled], tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"must be sound, got .* delete it to train"):
        Training(SETTINGS, FIBSEM_PHASES, pairs[:3], pairs[3:], folder=tmp_path)


def test_training_stops_when_the_validation_gets_no_better(
    pairs: list[Labelled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_IOU", 0.0)
    settings = SETTINGS.model_copy(
        update={"steps": 500, "evaluate_every": 1, "patience": 3, "learning_rate": 1e-12}
    )
    assert train(pairs, settings).step < 100


def test_the_weights_that_scored_best_are_kept(pairs: list[Labelled]) -> None:
    training = train(pairs, SETTINGS.model_copy(update={"steps": 30, "learning_rate": 0.05}))
    training._averaged.load_state_dict(training._best)
    training._evaluate()
    assert training.history[-1]["miou"] == max(row["miou"] for row in training.history)


def test_unlabelled_pixels_change_nothing(pairs: list[Labelled]) -> None:
    image, labels = pairs[0]
    hidden = labels.copy()
    hidden[:, :40] = UNLABELLED
    training = Training(SETTINGS, FIBSEM_PHASES, [(image, hidden)], pairs[3:])
    logits = torch.randn(2, 3, 32, 32)
    target = torch.randint(0, 3, (2, 32, 32))
    target[:, :10] = UNLABELLED
    before = training._loss_of(logits, target)
    logits[:, :, :10] += torch.randn(3, 10, 32) * 9
    torch.testing.assert_close(training._loss_of(logits, target), before)


def test_a_phase_that_nobody_painted_is_refused_by_name(pairs: list[Labelled]) -> None:
    image, labels = pairs[0]
    with pytest.raises(ValueError, match="no pixel of carbon; paint it"):
        Training(SETTINGS, FIBSEM_PHASES, [(image, np.where(labels == 1, 0, labels))], pairs[3:])


def test_a_training_without_validation_is_refused(pairs: list[Labelled]) -> None:
    with pytest.raises(ValueError, match="got 3 and 0; label at least two samples"):
        Training(SETTINGS, FIBSEM_PHASES, pairs[:3], [])


def test_rare_phases_weigh_more_within_limits() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[0, :50] = 1
    even = class_weights([labels], 2, power=0.0)
    rare = class_weights([labels], 2, power=0.5)
    np.testing.assert_array_equal(even, 1)
    assert rare[0] < 1 < rare[1] == WEIGHT_RANGE[1]


def sampler(pairs: list[Labelled], augmentation: Augmentation, seed: int = 0) -> PatchSampler:
    return PatchSampler(
        [image.astype(np.float32) for image, _ in pairs],
        [labels for _, labels in pairs],
        n_phases=3,
        patch_px=32,
        batch=3,
        augmentation=augmentation,
        seed=seed,
    )


def test_a_patch_depends_on_seed_and_step_alone(pairs: list[Labelled]) -> None:
    first, second = sampler(pairs, Augmentation()), sampler(pairs, Augmentation())
    first(0)
    for own, other in zip(first(7), second(7), strict=True):
        np.testing.assert_array_equal(own, other)
    assert (first(7)[0] != first(8)[0]).any()
    assert (first(7)[0] != sampler(pairs, Augmentation(), seed=1)(7)[0]).any()


@pytest.mark.parametrize(("warp_share", "agreement"), [(0.0, 1.0), (1.0, 0.97)])
def test_labels_move_with_the_image(
    pairs: list[Labelled], warp_share: float, agreement: float
) -> None:
    """Turned by any angle, the image is interpolated and the labels are not: edges may differ."""
    still = STILL.model_copy(update={"warp_share": warp_share})
    levels = [(labels.astype(np.float32) * 50, labels) for _, labels in pairs]
    images, labels = sampler(levels, still)(3)
    assert np.mean(abs(images[:, 0] - 50.0 * labels) < 26) >= agreement
    assert len(np.unique(labels)) == 3


def test_foreshortened_patches_lose_what_is_fine_along_columns(pairs: list[Labelled]) -> None:
    seen = STILL.model_copy(update={"turn": False, "flip": False})
    tilted = seen.model_copy(update={"foreshortened_share": 1.0})
    # What follows in a batch is drawn by the same generator: the first patch alone is the same.
    (flat, labels), (steep, same) = (
        (images[0, 0], found[0])
        for images, found in (sampler(pairs, seen)(0), sampler(pairs, tilted)(0))
    )
    np.testing.assert_array_equal(labels, same)
    assert steep.shape == flat.shape
    assert steep.dtype == np.float32
    down, across = (
        np.diff(steep, axis=axis).std() / np.diff(flat, axis=axis).std() for axis in (0, 1)
    )
    assert 0.4 < down < 0.95 * across
    whole, some = (
        sampler(pairs, seen),
        sampler(pairs, seen.model_copy(update={"foreshortened_share": 0.5})),
    )
    changed = [(whole(n)[0][0] != some(n)[0][0]).any() for n in range(24)]
    assert 0.2 < np.mean(changed) < 0.8


def test_without_augmentation_patches_are_cut_as_they_are(pairs: list[Labelled]) -> None:
    none = STILL.model_copy(update={"turn": False, "flip": False})
    patches, labels = sampler(pairs, none)(0)
    for patch, label in zip(patches[:, 0], labels, strict=True):
        assert any(
            (np.lib.stride_tricks.sliding_window_view(padded, (32, 32)) == patch)
            .all(axis=(2, 3))
            .any()
            for image, _ in pairs
            if (padded := np.pad(image.astype(np.float32), 24, mode="reflect")) is not None
        )
        assert label.shape == (32, 32)
