"""What the command ``bl-steer segment plan`` does: a design, a learning curve, what to label next.

Functions return what is printed and written as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bl_steer.analysis.segmentation.conditions.appearance import ASPECTS, appearance
from bl_steer.analysis.segmentation.from_files import inputs_from_files
from bl_steer.analysis.segmentation.planning.learning import (
    curve_of,
    learning_sizes,
    measure_learning,
)
from bl_steer.analysis.segmentation.planning.learning_figures import plot_learning_curve
from bl_steer.analysis.segmentation.planning.planner import design_acquisition, next_to_label
from bl_steer.analysis.segmentation.scores import Score
from bl_steer.analysis.segmentation.segmentation import segment
from bl_steer.analysis.segmentation.shipped import find_model
from bl_steer.analysis.segmentation.training.card import score_to_dict
from bl_steer.analysis.segmentation.training.checkpoint import resumable
from bl_steer.analysis.segmentation.training.settings import TrainingSettings
from bl_steer.analysis.segmentation.training.training_set import TrainingSet
from bl_steer.files.atomic import check_place, draft_of
from bl_steer.protocols import Progress

__all__ = ["check_sizes", "plan_acquisition", "plan_number_of_pairs", "rank_unlabelled"]


def plan_number_of_pairs(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    sizes: Sequence[int],
    out: Path,
    on_size: Callable[[int, Score], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on growing numbers of pairs; say what more would bring, with a figure."""
    check_sizes(sizes, data)
    check_place(out)
    with resumable(out, "pairs_*/checkpoint.pt", "learning curve"):
        scores = measure_learning(
            data, settings, sizes, folder=out, on_size=on_size, progress=progress
        )
    curve = curve_of(sizes, scores)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    plot_learning_curve(curve, ax=figure.subplots())
    with draft_of(out / "learning_curve.png") as draft:
        figure.savefig(draft, dpi=130)
    most = max(sizes)
    return {
        "sizes": list(sizes),
        "miou": [score_to_dict(score, data.phases.names)["miou"] for score in scores],
        "predicted": {str(n): list(curve.predict(n)) for n in (most, 2 * most, 4 * most)},
        "advice": curve.advice(most),
        "figure": str(out / "learning_curve.png"),
    }


def check_sizes(sizes: Sequence[int], data: TrainingSet) -> None:
    """Refuse what makes no learning curve, before anything is trained."""
    n_pairs, held_back = len(data.train), len(data.validation) + len(data.test)
    if n_pairs < 2:
        raise ValueError(
            f"a learning curve must have two pairs or more to train on, got {n_pairs} beside the "
            f"{held_back} that are held back to validate and to test; paint more, or give pairs of "
            "their own with validation=PAIRS"
        )
    if len(set(sizes)) < 2:
        raise ValueError(
            f"a learning curve must have two sizes or more, got {list(sizes)}; give "
            f"sizes={','.join(map(str, learning_sizes(n_pairs)))}"
        )


def plan_acquisition(
    factors: Mapping[str, Sequence[Any]],
    n: int,
    *,
    acquired: Sequence[Mapping[str, Any]] = (),
    seed: int,
) -> dict[str, Any]:
    """Choose how micrographs for labelling should be acquired.

    Parameters
    ----------
    acquired : metadata of the micrographs at hand
    """
    chosen = design_acquisition(factors, n, acquired=acquired, seed=seed)
    return {
        "rows": list(chosen.rows),
        "efficiency": chosen.efficiency,
        "random_efficiency": chosen.random_efficiency,
        "terms": list(chosen.terms),
    }


def rank_unlabelled(
    model: str, paths: Sequence[Path], n: int, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Rank unlabelled micrographs: which to label next."""
    network = find_model(model)
    inputs = inputs_from_files(paths, every=True)
    uncertainty, features = [], []
    for number, image in enumerate(inputs.arrays.values(), 1):
        uncertainty.append(float(segment(network, image).uncertainty.mean()))
        row = appearance(image)
        features.append(np.zeros(len(ASPECTS)) if row is None else row)
        if progress is not None:
            progress(number, len(inputs.arrays))
    names = inputs.source["files"]
    chosen = next_to_label(
        np.array(uncertainty), features=np.array(features), n=min(n, len(uncertainty))
    )
    return [{"file": names[i], "mean_uncertainty": uncertainty[i]} for i in chosen]
