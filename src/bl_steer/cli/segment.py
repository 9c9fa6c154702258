"""Commands on micrographs: segment train, run, evaluate, plan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bl_steer.analysis.segmentation import SegmentParams, from_files, from_zarr, planning, training
from bl_steer.cli.options import (
    Failed,
    Parser,
    command,
    format_option,
    group,
    out_option,
    print_notes,
    print_row,
    print_warnings,
    with_interval,
)
from bl_steer.cli.params import add_params, read_params
from bl_steer.cli.training_options import (
    data_options,
    params_of,
    to_train_with,
    training_options,
    training_set_of,
)
from bl_steer.files.errors import listed
from bl_steer.progress import Bar

__all__ = ["add_segment"]

PIXEL_SIZE = "pixel_size_nm"


def add_segment(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``segment``."""
    segment = group(parser)
    train = command(segment, "train", _train, "train a model on painted micrographs")
    train.add_argument("pairs", type=Path, help="folder of pairs, or a catalogue (CSV)")
    data_options(train)
    training_options(train)
    out_option(train, "model", "folder of the model")

    text = "segment micrographs: label maps, fractions, figures"
    run = command(segment, "run", _run, text)
    run.add_argument(
        "paths", nargs="+", type=Path, metavar="IMAGE", help="micrographs, or folders of them"
    )
    run.add_argument(
        "--condition",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="condition under which the micrographs were taken, e.g. accelerating_voltage_kV=2, "
        "staining=none; may be repeated",
    )
    run.add_argument(
        "--dask", metavar="ADDRESS", help="cluster that shares the work on a Zarr stack"
    )
    format_option(
        run,
        "one stack of all label maps in this form, and one of their uncertainty, in place of "
        "files and figures of each field",
        None,
    )
    out_option(run, "segmented")
    add_params(run, SegmentParams)

    evaluate = command(segment, "evaluate", _evaluate, "score a model on painted micrographs")
    evaluate.add_argument("pairs", type=Path, help="folder of pairs, or a catalogue (CSV)")
    data_options(evaluate)
    add_params(evaluate, SegmentParams, only=("model", "views"))

    text = "plan the training set: conditions to image, how many pairs, which image to label next"
    plan = command(segment, "plan", _plan, text)
    plan.add_argument("pairs", nargs="?", type=Path, help="pairs to train on in growing numbers")
    data_options(plan)
    training_options(plan)
    plan.add_argument(
        "--sizes", metavar="N,N", help="numbers of pairs to train on; halves of halves by default"
    )
    plan.add_argument(
        "--levels",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="condition and its levels, e.g. staining=none,osmium; may be repeated",
    )
    plan.add_argument("--n", type=int, default=8, help="number of micrographs to take or to label")
    plan.add_argument(
        "--unlabelled", nargs="+", type=Path, metavar="IMAGE", help="micrographs to choose among"
    )
    out_option(plan, "plan", "folder of the learning curve")
    add_params(plan, SegmentParams, only=("model",))


def _train(arguments: argparse.Namespace) -> Any:
    data, settings = to_train_with(arguments)
    print_notes(arguments, data.notes)
    with Bar("training", "step") as bar:
        report = training.train(
            data, settings, out=arguments.out, progress=partial(_show_round, bar, settings)
        )
    pairs = report["pairs"]
    counts = (
        f"{pairs['train']} to train, {pairs['validation']} to validate, {pairs['test']} to test"
    )
    print_row("pairs", counts)
    if report["steps_done"]:
        print_row("steps", report["steps_done"])
    _print_score("validation", report["validation"])
    if report["test"]:
        _print_score("test", report["test"])
    print_warnings(arguments, report)
    model = report["model"]
    if report["advice"]:
        print_notes(arguments, [report["advice"]])
    print_row("model", f"{model} (bl-steer segment run --model {model} IMAGE)")
    return report


def _show_round(bar: Bar, settings: Any, done: int, total: int) -> None:
    """Show the round under way, and what follows the last step, which counts nothing."""
    if settings.network == "forest":
        bar.show(done, total)
        return
    rounds, steps = total // settings.steps, settings.steps
    of = f", round {rounds} of {settings.rounds} at most" if settings.rounds > 1 else ""
    bar.stage(f"training{of}", "step")(done - (rounds - 1) * steps, steps)


def _run(arguments: argparse.Namespace) -> Any:
    conditions = dict(_assignment(text) for text in arguments.condition)
    if PIXEL_SIZE in conditions:
        raise ValueError(
            f"the pixel size must be given by its own option, got --condition {PIXEL_SIZE}="
            f"{conditions[PIXEL_SIZE]}; give --pixel-size-nm {conditions[PIXEL_SIZE]}"
        )
    if any(path.suffix == ".zarr" for path in arguments.paths):
        return _run_stack(arguments, conditions)
    if arguments.dask is not None:
        raise ValueError(
            f"--dask must come with a Zarr stack, got {arguments.paths[0]}; leave it out, or save "
            "the planes with zarr.save_array as NAME.zarr"
        )
    with Bar("segmenting", "step") as bar:
        report = from_files.run(
            arguments.paths,
            params=read_params(arguments),
            metadata=conditions,
            out=arguments.out,
            form=arguments.format,
            progress=bar.show,
            writing=bar.stage("writing", "file"),
        )
    print_warnings(arguments, report)
    print_row("fields", f"{report['n_fields']} in {report['duration_s']:.1f} s")
    for phase, share, low, high in zip(*report["sample"].values(), strict=True):
        between = f"95 %: {100 * low:.2f} … {100 * high:.2f} %" if low == low else "no interval"
        print_row(phase, f"{100 * share:.2f} % ({between})")
    print_row("results", f"{arguments.out}, {len(report['files'])} files")
    print_row("digest", report["digest"])
    if left := report["left_out"]:
        raise Failed(
            f"every image must be segmented, got {listed(left)} left out, for what the warnings "
            f"say; the results of the other {report['n_fields']} fields are whole",
            report,
        )
    return report


def _run_stack(arguments: argparse.Namespace, conditions: dict[str, Any]) -> Any:
    params = read_params(arguments)
    if len(arguments.paths) > 1 or params.get("keep_probability") or arguments.format:
        raise ValueError(
            "a Zarr stack must be segmented by itself, without --keep-probability and --format, "
            f"got {len(arguments.paths)} paths; give one stack: its labels are an OME-Zarr"
        )
    with Bar("segmenting", "plane") as bar:
        report = from_zarr.run_stack(
            arguments.paths[0],
            params=params,
            metadata=conditions,
            scheduler=arguments.dask,
            out=arguments.out,
            progress=bar.show,
        )
    print_warnings(arguments, report)
    print_row("planes", f"{report['n_planes']} in {report['duration_s']:.1f} s")
    for phase, share in report["mean_fraction"].items():
        print_row(phase, f"{100 * share:.2f} % (mean of the planes)")
    for path in report["files"]:
        print_row("results", path)
    print_row("digest", report["digest"])
    return report


def _evaluate(arguments: argparse.Namespace) -> Any:
    params = SegmentParams(**read_params(arguments))
    data = training_set_of(arguments, held_back=False)
    print_notes(arguments, data.notes)
    report = training.evaluate(params.model, data, views=params.views)
    print_row("fields", report["n_fields"])
    _print_score("all", report)
    print(f"largest error of a phase fraction in a field: {report['largest_fraction_error']:.4f}")
    return report


def _plan(arguments: argparse.Namespace) -> Any:
    if not (arguments.pairs or arguments.levels or arguments.unlabelled):
        raise ValueError(
            "a plan must have something to plan with, got nothing; give PAIRS (how many are "
            "enough?), --levels (under which conditions?) or --unlabelled (which one next?)"
        )
    if arguments.pairs is not None and "=" in str(arguments.pairs) and not arguments.pairs.exists():
        raise ValueError(
            f"each condition must have a --levels of its own, got {arguments.pairs} without; give "
            f"--levels {arguments.pairs}"
        )
    report: dict[str, Any] = {}
    curve = _curve_of(arguments) if arguments.pairs else None  # what is wrong with pairs, first
    if arguments.levels:
        report["design"] = _plan_design(arguments)
    if curve is not None:
        report["learning_curve"] = _plan_curve(arguments, *curve)
    if arguments.unlabelled:
        report["next"] = _plan_next(arguments)
    return report


def _plan_design(arguments: argparse.Namespace) -> dict[str, Any]:
    levels = [_assignment(text, many=True) for text in arguments.levels]
    factors = dict(levels)
    names = [name for name, _ in levels]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"each condition must be given once, with all its levels, got {twice[0]} "
            f"{names.count(twice[0])} times; join them: {twice[0]}=LEVEL,LEVEL"
        )
    report = planning.plan_acquisition(factors, arguments.n, seed=arguments.seed)
    print(f"conditions for {arguments.n} micrographs:")
    for number, row in enumerate(report["rows"], start=1):
        print(f"{number:4}  " + ", ".join(f"{key} {_shown(value)}" for key, value in row.items()))
    return report


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curve_of(
    arguments: argparse.Namespace,
) -> tuple[training.TrainingSet, training.TrainingSettings, Sequence[int]]:
    data, settings = to_train_with(arguments)
    print_notes(arguments, data.notes)
    sizes = _sizes(arguments.sizes) if arguments.sizes else planning.learning_sizes(len(data.train))
    planning.check_sizes(sizes, data)
    return data, settings, sizes


def _plan_curve(
    arguments: argparse.Namespace,
    data: training.TrainingSet,
    settings: training.TrainingSettings,
    sizes: Sequence[int],
) -> dict[str, Any]:
    with Bar("training", "step") as bar:
        report = planning.plan_number_of_pairs(
            data, settings, sizes=sizes, out=arguments.out, progress=bar.show
        )
    for size, miou in zip(report["sizes"], report["miou"], strict=True):
        print(f"{size:4} pairs   mIoU {with_interval(*miou)}")
    for size, (miou, low, high) in list(report["predicted"].items())[1:]:
        print(f"{size:>4} pairs   mIoU {miou:.3f} (90 %: {low:.3f} … {high:.3f}), predicted")
    print_notes(arguments, [report["advice"]])
    print(f"figure       {report['figure']}")
    return report


def _plan_next(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    model = SegmentParams(**params_of(SegmentParams, arguments)).model
    with Bar("segmenting", "field") as bar:
        rows = planning.rank_unlabelled(model, arguments.unlabelled, arguments.n, progress=bar.show)
    print("label next:")
    for row in rows:
        print(f"  {row['file']}  (mean uncertainty {row['mean_uncertainty']:.3f})")
    return rows


def _print_score(name: str, score: dict[str, Any]) -> None:
    print(f"{name:14}mIoU {with_interval(*score['miou'])}")
    for phase, iou in score["iou"].items():
        if iou[0] is not None:
            print(f"  {phase:12}IoU {with_interval(*iou)}")


def _assignment(text: str, *, many: bool = False) -> tuple[str, Any]:
    """Return name and value (or several) of ``NAME=VALUE``; numbers as numbers."""
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ValueError(f"a condition must be NAME=VALUE, got {text!r}; try staining=none")
    return name, [_number(text) for text in value.split(",")] if many else _number(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _sizes(text: str) -> tuple[int, ...]:
    """Return numbers of pairs, ascending."""
    try:
        return tuple(sorted({int(size) for size in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"sizes must be whole numbers, got {text!r}; try 4,8,16") from error
