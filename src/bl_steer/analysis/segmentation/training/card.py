"""Train a model, and write the card that says what it comes from and how good it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.conditions.acquisition import Acquisition
from bl_steer.analysis.segmentation.conditions.polarity import Polarity
from bl_steer.analysis.segmentation.model import SegmentationModel, prepared, uncorrected
from bl_steer.analysis.segmentation.networks import (
    NETWORKS,
    FilmNetwork,
    SegmentationNetwork,
)
from bl_steer.analysis.segmentation.passes import ONE_PASS, Passes
from bl_steer.analysis.segmentation.scores import Score, score
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.training.calibration import calibrated_if_better
from bl_steer.analysis.segmentation.training.forest import grown
from bl_steer.analysis.segmentation.training.loop import Training, check_pairs
from bl_steer.analysis.segmentation.training.orientation import axis_across_layers
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.files.atomic import alone_in, made_folder
from bl_steer.protocols import Progress
from bl_steer.single_thread import single_thread

__all__ = ["evaluate_model", "score_to_dict", "train_model", "uncertainty_of"]

SMALLEST_PX = 64
"""Edge of the smallest windows of which the uncertainty is learnt."""

WORTH = 0.001
"""Gain in intersection over union for which shading is removed, at the cost of a first pass."""


def train_model(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    start: SegmentationModel | None = None,
) -> SegmentationModel:
    """Train a model and score it; resume an unfinished training of the same folder.

    Parameters
    ----------
    folder : for the checkpoint, and for the model at the end; None saves nothing
    start : a trained model of the same network and phases, to be trained further; its step for
        films is kept where `settings` say nothing of it, and stands in the card's settings

    Raises
    ------
    FileExistsError
        When another process trains into the folder.
    """
    path = None if folder is None else Path(folder)
    with made_folder(path), alone_in(path):
        model = _trained(data, settings, folder, progress, start)
        if folder is not None:
            model.save(folder)
    return model


def evaluate_model(
    model: SegmentationModel, fields: Sequence[LabelledField], *, passes: Passes = ONE_PASS
) -> Score:
    """Score a model on labelled micrographs that it was not trained with."""
    predictions = [
        segment(model, labelled.image, keep_probability=False, passes=passes).labels
        for labelled in fields
    ]
    return score([labelled.labels for labelled in fields], predictions, len(model.phases))


def score_to_dict(result: Score, names: Sequence[str]) -> dict[str, Any]:
    """Return a score as JSON-compatible data, each number with its interval."""
    return {
        "miou": [result.miou, _number(result.miou_low), _number(result.miou_high)],
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
    if settings.film_log_odds is None and start is not None:
        settings = settings.model_copy(update={"film_log_odds": start.film_log_odds})
    _check_film_log_odds(settings, len(data.phases))
    train, validation = ([row.pair for row in part] for part in (data.train, data.validation))
    history: list[dict[str, float]] = []
    rising, quick_look = False, None
    with single_thread():
        if settings.network == "forest":
            check_pairs(data.phases, train, validation)
            network: SegmentationNetwork = grown(settings, data.phases, train, progress)
        else:
            training = Training(
                settings, data.phases, train, validation, folder=folder, start=start
            )
            network, history = training.run(progress), training.history
            rising, quick_look = training.rising, training.quick_look
            validation = training.validation
            if start is not None:
                network = _mixed(network, start, settings.start_share)
        network = prepared(network)
        if settings.calibrate:
            network = prepared(calibrated_if_better(network, validation, len(data.phases)))
        if settings.film_log_odds:
            network = prepared(FilmNetwork(network, settings.film_log_odds))
    model = SegmentationModel(
        network,
        settings.network,
        tuple(settings.widths or NETWORKS[settings.network]),
        data.phases,
        data.pixel_size_nm,
        even_levels=quick_look is not None,
        quick_look=quick_look,
    )
    return _with_card(model, data, settings, history, rising, start)


def _check_film_log_odds(settings: TrainingSettings, n_phases: int) -> None:
    given = settings.film_log_odds
    if given and len(given) != n_phases:
        raise ValueError(
            f"film_log_odds must have a number for each of the {n_phases} phases, got "
            f"{len(given)}; give 0 for those that are no films"
        )


def _mixed(
    network: SegmentationNetwork, start: SegmentationModel, share: float
) -> SegmentationNetwork:
    """Return a network whose weights are part of the way back to those that it began with.

    The network between is often better than either (M. Wortsman and others, 2022, "Robust
    fine-tuning of zero-shot models", arXiv:2109.01903).
    """
    before = uncorrected(start.network).state_dict()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(before[key], share)
    return network


def uncertainty_of(model: SegmentationModel, fields: Sequence[LabelledField]) -> dict[str, Any]:
    """Return the largest mean uncertainty of fields, and of windows cut from them, by their size.

    Returns
    -------
    known : ``edge_px``, root of the area, increasing; ``largest`` at each; ``count`` of the fields
    """
    largest: dict[float, float] = {}
    for labelled in fields:
        for window in _windows(labelled.image):
            edge = window.size**0.5
            value = segment(model, window, keep_probability=False).mean_uncertainty
            largest[edge] = max(value, largest.get(edge, 0.0))
    edges = sorted(largest)
    return {"edge_px": edges, "largest": [largest[edge] for edge in edges], "count": len(fields)}


def _windows(image: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield an image, and its corners with half the edge, a quarter, …, down to `SMALLEST_PX`."""
    yield image
    height, width = image.shape
    while min(height := height // 2, width := width // 2) >= SMALLEST_PX:
        for rows in (slice(height), slice(-height, None)):
            for columns in (slice(width), slice(-width, None)):
                yield image[rows, columns]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _with_card(
    model: SegmentationModel,
    data: TrainingSet,
    settings: TrainingSettings,
    history: list[dict[str, float]],
    rising: bool,
    start: SegmentationModel | None,
) -> SegmentationModel:
    names = data.phases.names
    validation = evaluate_model(model, data.validation)
    if not model.even_levels:
        without_shading = replace(model, even_levels=True)
        scored = evaluate_model(without_shading, data.validation)
        if scored.miou > validation.miou + WORTH:
            model, validation = without_shading, scored
    test = evaluate_model(model, data.test) if data.test else None
    biases = np.concatenate([one.fraction_bias for one in (validation, test) if one is not None])
    held_out = [*data.validation, *data.test]
    polarity = Polarity.of(*([one.image for one in part] for part in (data.train, held_out)))
    card: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "steps_done": int(history[-1]["step"]) if history else 0,
        "history": history,
        "still_rising": rising,
        "layers_across": axis_across_layers([one.labels for one in data.train], len(data.phases)),
        "data": data.describe(),
        "validation": score_to_dict(validation, names),
        "test": None if test is None else score_to_dict(test, names),
        "fraction_error_sd": np.sqrt((biases**2).mean(axis=0)).tolist(),
        "uncertainty": uncertainty_of(model, held_out),
        "polarity": None if polarity is None else polarity.to_dict(),
        "conditions": Acquisition.of(
            [labelled.image for labelled in data.train],
            [labelled.metadata for labelled in data.train],
        ).to_dict(),
        "versions": _versions(),
    }
    if start is not None:
        card["start"] = {
            "weights_sha256": start.weights_sha256,
            "settings": start.card.get("settings"),
            "steps_done": start.card.get("steps_done"),
            **({"start": start.card["start"]} if "start" in start.card else {}),
        }
    return replace(model, card=card)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("bl-steer", "torch", "monai", "numpy")}
