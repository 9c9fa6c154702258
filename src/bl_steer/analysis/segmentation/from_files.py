"""What the commands ``bl-steer segment …`` do; they return what is printed and written as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bl_steer.files.atomic import UnwritableError, check_place, draft_of
from bl_steer.protocols import Progress

if TYPE_CHECKING:
    from bl_steer.analysis.segmentation.scores import Score
    from bl_steer.analysis.segmentation.tiles import Passes
    from bl_steer.analysis.segmentation.training.loop import TrainingSettings
    from bl_steer.analysis.segmentation.training.training_set import TrainingSet

__all__ = ["design", "evaluate", "learning_curve", "rank", "run", "run_stack", "train"]


def train(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model, save it in `out` with its card and a figure of the training."""
    from bl_steer.analysis.segmentation.figures import plot_training
    from bl_steer.analysis.segmentation.training.card import train_model

    check_place(out)
    with _resumable(out, "checkpoint.pt", "training"):
        model = train_model(data, settings, folder=out, progress=progress)
    figure, ax = _figure()
    plot_training(model.card["history"], ax=ax)
    with draft_of(out / "training.png") as draft:
        figure.savefig(draft, dpi=130)
    return {
        "model": str(out),
        "weights_sha256": model.weights_sha256,
        "steps_done": model.card["steps_done"],
        "pairs": {part: len(rows) for part, rows in model.card["data"].items()},
        "validation": model.card["validation"],
        "test": model.card["test"],
        "figure": str(out / "training.png"),
    }


def run(
    paths: Sequence[Path],
    *,
    params: Mapping[str, Any],
    conditions: Mapping[str, Any],
    out: Path,
    progress: Progress | None = None,
    writing: Progress | None = None,
) -> dict[str, Any]:
    """Segment the micrographs of files and folders; write label maps, tables and figures.

    Many fields take as long to be drawn as to be segmented: `progress` is told of the one, and
    `writing` of the other.
    """
    from bl_steer.analysis.segmentation.files import inputs_from_files, write_result, write_table
    from bl_steer.processing.digest import digest_of
    from bl_steer.processing.registry import find_analysis, make_params

    check_place(out)
    analysis = find_analysis("segment")
    inputs, notes = inputs_from_files(paths, conditions)
    result = analysis.run(inputs, make_params(analysis, params), progress)
    sample = {key: column.tolist() for key, column in result.tables["sample"].items()}
    written = write_result(result, out, writing)
    names = [str(Path(file).resolve()) for file in inputs.source["files"]]
    of_files = {"field": np.array(list(inputs.arrays)), "file": np.array(names)}
    written.append(write_table(of_files, out / "fields.csv"))
    notes += _strange_conditions(result.provenance["model"], conditions)
    notes += _left_over(out, written)
    return {
        "n_fields": len(inputs.arrays),
        "sample": sample,
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "warnings": [*notes, *result.warnings],
        "files": [str(path) for path in written],
    }


def _strange_conditions(model: str, conditions: Mapping[str, Any]) -> list[str]:
    """Name conditions that the model's training set does not record, with the likely meaning."""
    from difflib import get_close_matches

    from bl_steer.analysis.segmentation.shipped import find_model

    known = {"pixel_size_nm", *find_model(model).card.get("conditions", {}).get("recorded", {})}
    notes = []
    for name in conditions:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else f"it knows {', '.join(sorted(known))}"
            notes.append(f"The model knows no condition {name!r}: it changes nothing; {meant}")
    return notes


def _left_over(out: Path, written: Sequence[Path]) -> list[str]:
    """Name the results of earlier fields that are still in a folder."""
    left = sorted(path.name for path in out.glob("field_*") if path not in written)
    if not left:
        return []
    return [
        f"{len(left)} files of an earlier result, such as {left[0]}, are still in {out}; give "
        "another folder with --out, or remove them"
    ]


def run_stack(
    source: Path,
    *,
    model: str,
    pixel_size_nm: float | None,
    passes: Passes,
    scheduler: str | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment a Zarr stack plane by plane; write label maps and a row of fractions a plane."""
    from time import perf_counter

    from bl_steer.analysis.segmentation.files import write_table
    from bl_steer.analysis.segmentation.shipped import find_model
    from bl_steer.analysis.segmentation.stacks import segment_stack

    check_place(out)
    began = perf_counter()
    found = find_model(model)
    with _resumable(out, "labels.zarr", "stack"):
        fractions = segment_stack(
            model,
            source,
            out / "labels.zarr",
            pixel_size_nm=pixel_size_nm,
            passes=passes,
            scheduler=scheduler,
            progress=progress,
        )
    table = {name: fractions[:, label] for label, name in enumerate(found.phases.names)}
    path = write_table({"plane": np.arange(len(fractions)), **table}, out / "fractions.csv")
    return {
        "n_planes": len(fractions),
        "mean_fraction": dict(
            zip(found.phases.names, fractions.mean(axis=0).tolist(), strict=True)
        ),
        "weights_sha256": found.weights_sha256,
        "duration_s": perf_counter() - began,
        "files": [str(out / "labels.zarr"), str(path)],
    }


def evaluate(model: str, data: TrainingSet, *, views: int = 1) -> dict[str, Any]:
    """Score a model on all pairs of a set."""
    from bl_steer.analysis.segmentation.shipped import find_model
    from bl_steer.analysis.segmentation.tiles import Passes
    from bl_steer.analysis.segmentation.training.card import evaluate as evaluate_model
    from bl_steer.analysis.segmentation.training.card import score_to_dict

    found = find_model(model)
    if found.phases.names != data.phases.names:
        raise ValueError(
            f"the pairs' phases must be the model's {', '.join(found.phases.names)}, got "
            f"{', '.join(data.phases.names)}; give --phases in the model's order"
        )
    fields = [*data.train, *data.validation, *data.test]
    scored = evaluate_model(found, fields, passes=Passes(views=views))
    return {
        "model": model,
        "weights_sha256": found.weights_sha256,
        "n_fields": len(fields),
        **score_to_dict(scored, found.phases.names),
    }


def learning_curve(
    data: TrainingSet,
    settings: TrainingSettings,
    *,
    sizes: Sequence[int],
    out: Path,
    on_size: Any = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train on growing numbers of pairs; say what more would bring, with a figure."""
    from bl_steer.analysis.segmentation.planning.learning import curve_of, measure_learning
    from bl_steer.analysis.segmentation.planning.learning_figures import plot_learning_curve

    if len(set(sizes)) < 2:
        raise ValueError(
            f"a learning curve must have two sizes or more, got {list(sizes)} of {len(data.train)} "
            "pairs to train on; paint four pairs or more, or give --sizes 1,2"
        )
    check_place(out)
    with _resumable(out, "pairs_*/checkpoint.pt", "learning curve"):
        scores: list[Score] = measure_learning(
            data, settings, sizes, folder=out, on_size=on_size, progress=progress
        )
    curve = curve_of(sizes, scores)
    figure, ax = _figure()
    plot_learning_curve(curve, ax=ax)
    with draft_of(out / "learning_curve.png") as draft:
        figure.savefig(draft, dpi=130)
    most = max(sizes)
    return {
        "sizes": list(sizes),
        "miou": [[one.miou, one.miou_low, one.miou_high] for one in scores],
        "predicted": {str(n): list(curve.predict(n)) for n in (most, 2 * most, 4 * most)},
        "advice": curve.advice(most),
        "figure": str(out / "learning_curve.png"),
    }


def design(
    factors: Mapping[str, Sequence[Any]], n: int, *, taken: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """Choose the conditions under which micrographs for labelling should be taken."""
    from bl_steer.analysis.segmentation.planning.planner import design_conditions

    chosen = design_conditions(factors, n, taken=taken, seed=seed)
    return {
        "rows": list(chosen.rows),
        "efficiency": chosen.efficiency,
        "random_efficiency": chosen.random_efficiency,
        "terms": list(chosen.terms),
    }


def rank(
    model: str, paths: Sequence[Path], n: int, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Rank unlabelled micrographs: which to label next."""
    from bl_steer.analysis.segmentation.appearance import ASPECTS, appearance
    from bl_steer.analysis.segmentation.files import inputs_from_files
    from bl_steer.analysis.segmentation.planning.planner import next_to_label
    from bl_steer.analysis.segmentation.segmentation import segment
    from bl_steer.analysis.segmentation.shipped import find_model

    found = find_model(model)
    inputs, _ = inputs_from_files(paths)
    uncertainty, features = [], []
    for number, image in enumerate(inputs.arrays.values()):
        uncertainty.append(float(segment(found, image).uncertainty.mean()))
        looks = appearance(image)
        features.append(np.zeros(len(ASPECTS)) if looks is None else looks)
        if progress is not None:
            progress(number + 1, len(inputs.arrays))
    names = inputs.source["files"]
    chosen = next_to_label(
        np.array(uncertainty), features=np.array(features), n=min(n, len(uncertainty))
    )
    return [{"file": names[i], "mean_uncertainty": uncertainty[i]} for i in chosen]


@contextmanager
def _resumable(out: Path, name: str, work: str) -> Iterator[None]:
    """Have Ctrl-C say what of the work is kept in `out`, and a full disk where it is."""
    try:
        yield
    except KeyboardInterrupt:
        if any(out.glob(name)):
            kept = f"the {work} so far is in {out / name}; the same command goes on from there"
        else:
            kept = f"nothing of the {work} is in {out} yet; the same command begins again"
        raise KeyboardInterrupt(kept) from None
    except OSError as error:
        if error.errno is None:  # it says where and what to do already
            raise
        raise UnwritableError.at(out / name, error) from error


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    return figure, figure.subplots()
