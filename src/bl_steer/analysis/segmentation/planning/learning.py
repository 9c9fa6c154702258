"""Measure how a model gets better with more pairs, and predict what more would bring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bl_steer.analysis.segmentation.planning.learning_curve import LearningCurve
from bl_steer.analysis.segmentation.scores import Score
from bl_steer.analysis.segmentation.training.card import evaluate_model, train_model
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import LabelledField, TrainingSet
from bl_steer.protocols import Progress

__all__ = ["curve_of", "learning_sizes", "measure_learning"]


def learning_sizes(n_pairs: int) -> tuple[int, ...]:
    """Return numbers of pairs to train on: halves of halves, down to 2, or to 1 of two or three.

    >>> learning_sizes(10), learning_sizes(3)
    ((2, 5, 10), (1, 3))
    """
    sizes = [n_pairs]
    while sizes[-1] // 2 >= (2 if n_pairs > 3 else 1) and len(sizes) < 4:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes[::-1])


def measure_learning(
    data: TrainingSet,
    settings: TrainingSettings,
    sizes: Sequence[int],
    *,
    folder: Path | None = None,
    on_size: Callable[[int, Score], None] | None = None,
    progress: Progress | None = None,
) -> list[Score]:
    """Train on the first pairs of growing numbers and score each model on the same fields.

    Parameters
    ----------
    data : its test fields are scored, or the validation fields where there is no test
    sizes : numbers of pairs, ascending
    folder : for the checkpoints, one folder a size; a killed measurement resumes there

    Raises
    ------
    ValueError
        When a size is more than there are pairs.
    """
    if not sizes or min(sizes) < 1 or max(sizes) > len(data.train):
        raise ValueError(
            f"sizes must be between 1 and the {len(data.train)} pairs to train on, got "
            f"{list(sizes)}; try {list(learning_sizes(len(data.train)))}"
        )
    order = _spread_over_samples(data.train)
    scores = []
    for size in sizes:
        model = train_model(
            replace(data, train=order[:size]),
            settings,
            folder=None if folder is None else folder / f"pairs_{size}",
            progress=progress,
        )
        scores.append(evaluate_model(model, data.test or data.validation))
        if on_size is not None:
            on_size(size, scores[-1])
    return scores


def curve_of(sizes: Sequence[int], scores: Sequence[Score]) -> LearningCurve:
    """Fit a learning curve to scores that were measured on the same fields.

    Their intervals tell how other fields would score, which moves the whole curve; beside each
    other the scores are as certain as trainings are alike.
    """
    return LearningCurve.fit(list(sizes), [score.miou for score in scores])


def _spread_over_samples(fields: Sequence[LabelledField]) -> list[LabelledField]:
    """Return the fields with the first of each sample, then the second of each, and so on."""
    count: dict[str, int] = {}
    turn = []
    for labelled in fields:
        turn.append(count.get(labelled.sample, 0))
        count[labelled.sample] = turn[-1] + 1
    return [fields[i] for i in np.argsort(turn, kind="stable")]
