"""Commands on micrographs: segment train, run, evaluate, plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import group, plain_command, write_json
from bl_steer.cli.segment_options import (
    assignment,
    conditions_option,
    data_options,
    pairs_options,
    read_data,
    read_settings,
    read_sizes,
    training_options,
)
from bl_steer.progress import Bar

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the group ``segment``."""
    segment = group(commands, "segment", "split micrographs into phases; train models for it")
    _add_train(segment)
    _add_run(segment)
    _add_evaluate(segment)
    _add_plan(segment)


def _add_train(segment: Any) -> None:
    train = _command(segment, "train", _train, "train a model on painted micrographs")
    pairs_options(train)
    training_options(train)
    train.add_argument(
        "--out", type=Path, default=Path("model"), metavar="DIR", help="of the model"
    )


def _add_run(segment: Any) -> None:
    run = _command(segment, "run", _run, "segment micrographs: label maps, fractions, figures")
    run.add_argument("paths", nargs="+", type=Path, metavar="IMAGE", help="files and folders")
    run.add_argument("--model", default="fibsem", help="a shipped model, or a model's folder")
    run.add_argument("--views", type=int, choices=(1, 2, 4, 8), default=1, help="to average over")
    run.add_argument(
        "--precision",
        choices=("f32", "bf16"),
        default="f32",
        help="bf16 is faster on some machines",
    )
    run.add_argument("--probability", action="store_true", help="keep every phase's probability")
    run.add_argument(
        "--tile-px",
        type=int,
        metavar="N",
        help="edge of a tile, 1024 by default; bounds the memory",
    )
    run.add_argument(
        "--dask", metavar="ADDRESS", help="of a cluster that shares the work on a Zarr stack"
    )
    conditions_option(run)
    run.add_argument(
        "--out", type=Path, default=Path("segmented"), metavar="DIR", help="of the results"
    )


def _add_evaluate(segment: Any) -> None:
    evaluate = _command(segment, "evaluate", _evaluate, "score a model on painted micrographs")
    pairs_options(evaluate)
    evaluate.add_argument("--model", default="fibsem", help="a shipped model, or a model's folder")
    evaluate.add_argument(
        "--views", type=int, choices=(1, 2, 4, 8), default=1, help="to average over"
    )


def _add_plan(segment: Any) -> None:
    text = "plan the training set: conditions to image, how many pairs, which image to label next"
    plan = _command(segment, "plan", _plan, text)
    plan.add_argument("pairs", nargs="?", type=Path, help="train on growing numbers of these pairs")
    data_options(plan)
    training_options(plan)
    plan.add_argument(
        "--sizes", metavar="N,N", help="numbers of pairs; halves of halves by default"
    )
    plan.add_argument(
        "--factor",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="a condition and its levels, e.g. staining=none,osmium; may be repeated",
    )
    plan.add_argument("--n", type=int, default=8, help="micrographs to take or to label")
    plan.add_argument("--unlabelled", nargs="+", type=Path, metavar="IMAGE", help="to choose among")
    plan.add_argument("--model", default="fibsem", help="that says where it is unsure")
    plan.add_argument(
        "--out", type=Path, default=Path("plan"), metavar="DIR", help="of the learning curve"
    )


def _command(segment: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = plain_command(segment, name, run, text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    return parser


def _train(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.segmentation import training

    settings = read_settings(arguments)
    data = read_data(arguments)
    print("\n".join(data.notes))
    with Bar("training", "step") as bar:
        report = training.train(data, settings, out=arguments.out, progress=bar.show)
    pairs = report["pairs"]
    print(
        f"pairs         {pairs['train']} to train, {pairs['validation']} to validate, "
        f"{pairs['test']} to test"
    )
    print(f"steps         {report['steps_done']}")
    _print_score("validation", report["validation"])
    if report["test"]:
        _print_score("test", report["test"])
    print(f"model         {report['model']} (bl-steer segment run --model {report['model']} IMAGE)")
    write_json(arguments, report)


def _run(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.segmentation import from_files

    if any(path.suffix == ".zarr" for path in arguments.paths):
        _run_stack(arguments)
        return
    if arguments.dask is not None:
        raise ValueError(
            f"--dask must come with a Zarr stack, got {arguments.paths[0]}; leave it out, or save "
            "the planes with zarr.save_array as NAME.zarr"
        )
    params: dict[str, Any] = {
        "model": arguments.model,
        "views": arguments.views,
        "precision": arguments.precision,
        "keep_probability": arguments.probability,
    }
    if arguments.tile_px is not None:
        params["tile_px"] = arguments.tile_px
    with Bar("segmenting", "step") as bar:
        report = from_files.run(
            arguments.paths,
            params=params,
            metadata=dict(assignment(text) for text in arguments.condition),
            out=arguments.out,
            progress=bar.show,
            writing=bar.stage("writing", "file"),
        )
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(f"fields        {report['n_fields']} in {report['duration_s']:.1f} s")
    sample = report["sample"]
    for row in zip(*sample.values(), strict=True):
        phase, share, low, high = row
        print(f"{phase:14}{100 * share:.2f} % (95 %: {100 * low:.2f} … {100 * high:.2f} %)")
    print(f"results       {arguments.out}, {len(report['files'])} files")
    print(f"digest        {report['digest']}")
    write_json(arguments, report)


def _run_stack(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.segmentation import TILE_PX, Passes, from_files

    if len(arguments.paths) > 1 or arguments.probability:
        raise ValueError(
            f"a Zarr stack must be segmented by itself, without --probability, got "
            f"{len(arguments.paths)} paths; give one stack"
        )
    conditions = dict(assignment(text) for text in arguments.condition)
    size = conditions.get("pixel_size_nm")
    if isinstance(size, str):
        raise ValueError(f"pixel_size_nm must be a number of nm, got {size!r}; try 10")
    with Bar("segmenting", "plane") as bar:
        report = from_files.run_stack(
            arguments.paths[0],
            model=arguments.model,
            pixel_size_nm=size,
            passes=Passes(arguments.tile_px or TILE_PX, arguments.views, arguments.precision),
            scheduler=arguments.dask,
            out=arguments.out,
            progress=bar.show,
        )
    print(f"planes        {report['n_planes']} in {report['duration_s']:.1f} s")
    for phase, share in report["mean_fraction"].items():
        print(f"{phase:14}{100 * share:.2f} % (mean of the planes)")
    for path in report["files"]:
        print(f"results       {path}")
    write_json(arguments, report)


def _evaluate(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.segmentation import training

    report = training.evaluate(
        arguments.model, read_data(arguments, held_back=False), views=arguments.views
    )
    print(f"fields        {report['n_fields']}")
    _print_score("all", report)
    print(f"largest error of a phase fraction in a field: {report['largest_fraction_error']:.4f}")
    write_json(arguments, report)


def _plan(arguments: argparse.Namespace) -> None:
    if not (arguments.pairs or arguments.factor or arguments.unlabelled):
        raise ValueError(
            "a plan must have something to plan with, got nothing; give PAIRS (how many are "
            "enough?), --factor (under which conditions?) or --unlabelled (which one next?)"
        )
    report: dict[str, Any] = {}
    if arguments.factor:
        report["design"] = _plan_design(arguments)
    if arguments.pairs:
        report["learning_curve"] = _plan_curve(arguments)
    if arguments.unlabelled:
        report["next"] = _plan_next(arguments)
    write_json(arguments, report)


def _plan_design(arguments: argparse.Namespace) -> dict[str, Any]:
    from bl_steer.analysis.segmentation import planning

    factors = {}
    for text in arguments.factor:
        name, levels = assignment(text, many=True)
        factors[name] = levels
    report = planning.plan_acquisition(factors, arguments.n, seed=arguments.seed)
    print(f"conditions for {arguments.n} micrographs:")
    for number, row in enumerate(report["rows"], start=1):
        print(f"{number:4}  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    return report


def _plan_curve(arguments: argparse.Namespace) -> dict[str, Any]:
    from bl_steer.analysis.segmentation import planning

    data = read_data(arguments)
    print("\n".join(data.notes))
    sizes = (
        read_sizes(arguments.sizes) if arguments.sizes else planning.learning_sizes(len(data.train))
    )
    with Bar("training", "step") as bar:
        report = planning.plan_number_of_pairs(
            data, read_settings(arguments), sizes=sizes, out=arguments.out, progress=bar.show
        )
    for size, (miou, low, high) in zip(report["sizes"], report["miou"], strict=True):
        print(f"{size:4} pairs   mIoU {miou:.3f} (95 %: {low:.3f} … {high:.3f})")
    for size, (miou, low, high) in list(report["predicted"].items())[1:]:
        print(f"{size:>4} pairs   mIoU {miou:.3f} (90 %: {low:.3f} … {high:.3f}), predicted")
    print(report["advice"])
    print(f"figure       {report['figure']}")
    return report


def _plan_next(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from bl_steer.analysis.segmentation import planning

    with Bar("segmenting", "field") as bar:
        rows = planning.rank_unlabelled(
            arguments.model, arguments.unlabelled, arguments.n, progress=bar.show
        )
    print("label next:")
    for row in rows:
        print(f"  {row['file']}  (mean uncertainty {row['mean_uncertainty']:.3f})")
    return rows


def _print_score(name: str, score: dict[str, Any]) -> None:
    miou, low, high = score["miou"]
    print(f"{name:14}mIoU {miou:.3f} (95 %: {low:.3f} … {high:.3f})")
    for phase, (iou, low, high) in score["iou"].items():
        if iou is not None:
            print(f"  {phase:12}IoU {iou:.3f} (95 %: {low:.3f} … {high:.3f})")
