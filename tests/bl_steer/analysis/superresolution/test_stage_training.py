from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.model import ModelError
from bl_steer.analysis.superresolution.decimation import Decimation
from bl_steer.analysis.superresolution.model import SuperResolutionModel, train_model
from bl_steer.analysis.superresolution.training import StageTraining, TrainingSettings
from bl_steer.files.atomic import alone_in

SETTINGS = TrainingSettings(
    factor=4,
    decimation=Decimation(pitch_px=4),
    blocks=1,
    channels=6,
    steps=3,
    batch=2,
    rows=9,
    columns=16,
)


def values(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    return ((grey[::4].astype(np.float32) - 120) / 60)[..., None]


def digest(training: StageTraining) -> str:
    return SuperResolutionModel(tuple(training.run()), SETTINGS).weights_sha256


def test_every_stage_learns(grey_model: SuperResolutionModel) -> None:
    last = {row["stage"]: row for row in grey_model.card["history"]}
    assert sorted(last) == [0, 1]
    assert all(row["loss"] < row["loss_between"] for row in last.values())


def test_equal_seeds_give_equal_weights_and_others_do_not(grey: NDArray[np.uint8]) -> None:
    first, second = (digest(StageTraining(SETTINGS, values(grey))) for _ in range(2))
    other = digest(StageTraining(SETTINGS.model_copy(update={"seed": 1}), values(grey)))
    assert first == second != other


@pytest.mark.parametrize("at", [1, 5, 6, 7, 9])
def test_a_training_stopped_after_any_step_ends_the_same(
    grey: NDArray[np.uint8], tmp_path: Path, at: int
) -> None:
    broken = StageTraining(SETTINGS, values(grey), folder=tmp_path)
    for _ in range(at):
        broken.advance()
    broken.save()
    resumed = StageTraining(SETTINGS, values(grey), folder=tmp_path)
    assert resumed.n_done == at
    whole = StageTraining(SETTINGS, values(grey))
    assert digest(resumed) == digest(whole)
    assert resumed.history == whole.history
    assert resumed.n_done == resumed.n_steps == 9


def test_a_checkpoint_of_another_training_is_refused(
    grey: NDArray[np.uint8], tmp_path: Path
) -> None:
    StageTraining(SETTINGS, values(grey), folder=tmp_path).save()
    with pytest.raises(ValueError, match="got a change of blocks"):
        StageTraining(SETTINGS.model_copy(update={"blocks": 2}), values(grey), folder=tmp_path)


def test_two_trainings_do_not_share_a_folder(labels: NDArray[np.uint8], tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(FileExistsError, match="another at work there"):
        train_model(labels, SETTINGS, n_phases=2, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_comes_back_from_its_folder(
    grey_model: SuperResolutionModel, tmp_path: Path
) -> None:
    found = SuperResolutionModel.load(grey_model.save(tmp_path))
    assert found.weights_sha256 == grey_model.weights_sha256
    assert (found.kind, found.factor, found.mean) == ("grey", 4, grey_model.mean)


def test_damaged_weights_are_refused(grey_model: SuperResolutionModel, tmp_path: Path) -> None:
    grey_model.save(tmp_path)
    weights = bytearray((tmp_path / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(bytes(weights))
    with pytest.raises(ModelError, match="must be those of its card"):
        SuperResolutionModel.load(tmp_path)


def test_labels_beyond_the_phases_are_refused(labels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers 0 … 1, got uint8 from 0 up to 3"):
        train_model(labels * 3, SETTINGS, n_phases=2)
