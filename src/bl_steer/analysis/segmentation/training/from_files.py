"""What the commands ``bl-steer segment train`` and ``evaluate`` do.

Functions return what is printed and written as JSON. The pairs are read by `TrainingSet.read`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bl_steer.analysis.segmentation.checks import weak_phase_warnings
from bl_steer.analysis.segmentation.figures import plot_training
from bl_steer.analysis.segmentation.model import SegmentationModel
from bl_steer.analysis.segmentation.passes import Passes
from bl_steer.analysis.segmentation.shipped import find_model
from bl_steer.analysis.segmentation.training.card import evaluate_model, score_to_dict, train_model
from bl_steer.analysis.segmentation.training.checkpoint import resumable
from bl_steer.analysis.segmentation.training.forest import advice
from bl_steer.analysis.segmentation.training.orientation import axis_across_layers
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import TrainingSet
from bl_steer.files.atomic import check_place, draft_of
from bl_steer.protocols import Progress

__all__ = ["evaluate", "train"]


def train(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model, save it in `out` with its card and a figure of the training."""
    check_place(out)
    with resumable(out, "checkpoint.pt", "training"):
        model = train_model(data, settings, folder=out, progress=progress)
    history = model.card["history"]
    if history:
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        plot_training(history, ax=figure.subplots())
        with draft_of(out / "training.png") as draft:
            figure.savefig(draft, dpi=130)
    return {
        "model": str(out),
        "weights_sha256": model.weights_sha256,
        "notes": [*data.notes, *_direction(data, settings)],
        "steps_done": model.card["steps_done"],
        "pairs": {part: len(rows) for part, rows in model.card["data"].items()},
        "validation": model.card["validation"],
        "test": model.card["test"],
        "figure": str(out / "training.png") if history else None,
        "warnings": [*_unfinished(model), *weak_phase_warnings(model)],
        "advice": None if history else advice(settings),
    }


def _direction(data: TrainingSet, settings: TrainingSettings) -> Iterator[str]:
    """Say where a network has learnt that layers follow each other in one direction."""
    across = axis_across_layers([one.labels for one in data.train], len(data.phases))
    if across is not None and settings.network != "forest":
        yield (
            f"The phases lie in layers: patches were not turned, nor mirrored "
            f"{('upside down', 'sideways')[across]}. Micrographs to segment must lie as these do."
        )


def _unfinished(model: SegmentationModel) -> Iterator[str]:
    """Say where a training ended before its validation did."""
    if model.card["still_rising"]:
        steps = model.card["settings"]["steps"]
        yield (
            f"the validation was still rising when the training ended after "
            f"{model.card['steps_done']} steps: give steps={2 * steps}, or more rounds"
        )


def evaluate(model: str, data: TrainingSet, *, views: int = 1) -> dict[str, Any]:
    """Score a model on all pairs of a set.

    Parameters
    ----------
    views : of the test-time augmentation
    """
    network = find_model(model)
    if network.phases.names != data.phases.names:
        raise ValueError(
            f"the pairs' phases must be the model's {', '.join(network.phases.names)}, got "
            f"{', '.join(data.phases.names)}; give phases=NAMES in the model's order"
        )
    fields = [*data.train, *data.validation, *data.test]
    result = evaluate_model(network, fields, passes=Passes(views=views))
    return {
        "model": model,
        "weights_sha256": network.weights_sha256,
        "notes": list(data.notes),
        "n_fields": len(fields),
        **score_to_dict(result, network.phases.names),
    }
