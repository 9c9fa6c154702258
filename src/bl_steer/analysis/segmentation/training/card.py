"""Make a model: its weights, and a card that says what they come from and how good they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.analysis.segmentation.model import SegmentationModel, prepared
from bl_steer.analysis.segmentation.scores import Score, score
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.tiles import ONE_PASS, Passes
from bl_steer.analysis.segmentation.training.loop import Training, TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.files.atomic import alone_in, made_folder
from bl_steer.protocols import Progress

__all__ = ["evaluate", "score_to_dict", "train_model"]

WORTH = 0.001
"""Gain in intersection over union for which a quick look at each micrograph is taken."""


def train_model(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    start: SegmentationModel | None = None,
) -> SegmentationModel:
    """Train a model and score it; take up an unfinished training of the same folder.

    Parameters
    ----------
    folder : where the checkpoint is kept, and the model is saved at the end; None keeps nothing
    start : a trained model of the same network and phases, to be trained further

    Raises
    ------
    FileExistsError
        When another process trains into the folder.
    """
    place = None if folder is None else Path(folder)
    with made_folder(place), alone_in(place):
        model = _trained(data, settings, folder, progress, start)
        if folder is not None:
            model.save(folder)
    return model


def evaluate(
    model: SegmentationModel, fields: Sequence[LabelledField], *, passes: Passes = ONE_PASS
) -> Score:
    """Score a model on labelled micrographs that it was not trained with."""
    found = [
        segment(model, one.image, keep_probability=False, passes=passes).labels for one in fields
    ]
    return score([one.labels for one in fields], found, len(model.phases))


def score_to_dict(result: Score, names: Sequence[str]) -> dict[str, Any]:
    """Return a score as JSON-compatible data, each number with its interval."""
    return {
        "miou": [result.miou, result.miou_low, result.miou_high],
        "iou": {
            name: [_number(result.iou[i]), _number(result.iou_low[i]), _number(result.iou_high[i])]
            for i, name in enumerate(names)
        },
        "accuracy": result.accuracy,
        "largest_fraction_error": float(np.abs(result.fraction_bias).max()),
        "interval": "95 %, bootstrap over images and blocks of 64×64 px",
    }


def _trained(
    data: TrainingSet,
    settings: TrainingSettings,
    folder: str | os.PathLike[str] | None,
    progress: Progress | None,
    start: SegmentationModel | None,
) -> SegmentationModel:
    from bl_steer.analysis.segmentation.training.calibration import calibrated
    from bl_steer.processing.single_thread import single_thread

    training = Training(
        settings,
        data.phases,
        [one.pair for one in data.train],
        [one.pair for one in data.validation],
        folder=folder,
        start=start,
    )
    pairs = [one.pair for one in data.validation]
    with single_thread():
        network = prepared(training.run(progress))
        if settings.calibrate:
            network = prepared(calibrated(network, pairs, len(data.phases)))
    model = SegmentationModel(
        network,
        settings.network,
        tuple(settings.widths or _default_widths(settings)),
        data.phases,
        data.pixel_size_nm,
    )
    return _with_card(model, data, training)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _default_widths(settings: TrainingSettings) -> tuple[int, ...]:
    from bl_steer.analysis.segmentation.networks import NETWORKS

    return NETWORKS[settings.network]


def _with_card(
    model: SegmentationModel, data: TrainingSet, training: Training
) -> SegmentationModel:
    from dataclasses import replace

    from bl_steer.analysis.segmentation.conditions import Conditions

    names = data.phases.names
    validation = evaluate(model, data.validation)
    evened = replace(model, even_levels=True)
    scored = evaluate(evened, data.validation)
    if scored.miou > validation.miou + WORTH:
        model, validation = evened, scored
    card: dict[str, Any] = {
        "settings": training.settings.model_dump(mode="json"),
        "steps_done": training.step,
        "history": training.history,
        "data": data.describe(),
        "validation": score_to_dict(validation, names),
        "test": score_to_dict(evaluate(model, data.test), names) if data.test else None,
        "fraction_error_sd": np.sqrt((validation.fraction_bias**2).mean(axis=0)).tolist(),
        "conditions": Conditions.of(
            [one.image for one in data.train], [one.conditions for one in data.train]
        ).to_dict(),
        "versions": _versions(),
    }
    return replace(model, card=card)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("bl-steer", "torch", "monai", "numpy")}
