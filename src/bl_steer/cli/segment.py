"""Commands on micrographs: segment train, run, evaluate, plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import group, plain_command, write_json

__all__ = ["add_commands"]

PHASES_HELP = "fibsem, optical, a .json file, or NAME:COLOUR,… with one 'none' for unpainted"


def add_commands(commands: Any) -> None:
    """Add the group ``segment``."""
    segment = group(commands, "segment", "split micrographs into phases; train models for it")
    _add_train(segment)
    _add_run(segment)
    _add_evaluate(segment)
    _add_plan(segment)


def _add_train(segment: Any) -> None:
    train = _command(segment, "train", _train, "train a model on painted micrographs")
    _pairs_options(train)
    _training_options(train)
    train.add_argument(
        "--out", type=Path, default=Path("model"), metavar="DIR", help="of the model"
    )


def _add_run(segment: Any) -> None:
    run = _command(segment, "run", _run, "segment micrographs: label maps, fractions, figures")
    run.add_argument("paths", nargs="+", type=Path, metavar="IMAGE", help="files and folders")
    run.add_argument("--model", default="fibsem", help="a shipped model, or a model's folder")
    run.add_argument("--views", type=int, choices=(1, 2, 4, 8), default=1, help="to average over")
    run.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    run.add_argument("--probability", action="store_true", help="keep every phase's probability")
    run.add_argument("--tile-px", type=int, metavar="N", help="edge of a tile; bounds the memory")
    _conditions_option(run)
    run.add_argument("--out", type=Path, default=Path("segmented"), metavar="DIR")


def _add_evaluate(segment: Any) -> None:
    evaluate = _command(segment, "evaluate", _evaluate, "score a model on painted micrographs")
    _pairs_options(evaluate)
    evaluate.add_argument("--model", default="fibsem", help="a shipped model, or a model's folder")
    evaluate.add_argument("--views", type=int, choices=(1, 2, 4, 8), default=1)


def _add_plan(segment: Any) -> None:
    text = "plan the training set: conditions to image, how many pairs, which image to label next"
    plan = _command(segment, "plan", _plan, text)
    plan.add_argument("pairs", nargs="?", type=Path, help="train on growing numbers of these pairs")
    _data_options(plan)
    _training_options(plan)
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
    plan.add_argument("--out", type=Path, default=Path("plan"), metavar="DIR")


def _command(segment: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = plain_command(segment, name, run, text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    return parser


def _pairs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pairs", type=Path, help="a folder of pairs, or a catalogue (CSV)")
    _data_options(parser)


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--phases", default="fibsem", metavar="P", help=PHASES_HELP)
    parser.add_argument("--validation", type=Path, metavar="PAIRS", help="kept apart by hand")
    parser.add_argument("--test", type=Path, metavar="PAIRS", help="kept apart by hand")
    parser.add_argument(
        "--sample-pattern", metavar="RE", help="what of a file's name is the sample"
    )
    parser.add_argument("--pixel-size-nm", type=float, metavar="NM", help="to bring all images to")


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", default="segnet", help="segnet, segnet-vgg, unet or pspnet")
    parser.add_argument("--steps", type=int, default=600, help="at most (default 600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--upright", action="store_true", help="do not rotate: up and down differ in the images"
    )


def _conditions_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--condition",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="e.g. pixel_size_nm=10, accelerating_voltage_kV=2, staining=none; may be repeated",
    )


def _train(arguments: argparse.Namespace) -> None:
    from bl_steer import segment_commands

    data = _data(arguments)
    print("\n".join(data.notes))
    with _Bar("training", "step") as bar:
        report = segment_commands.train(
            data, _settings(arguments), out=arguments.out, progress=bar.show
        )
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
    from bl_steer import segment_commands

    params: dict[str, Any] = {
        "model": arguments.model,
        "views": arguments.views,
        "precision": arguments.precision,
        "keep_probability": arguments.probability,
    }
    if arguments.tile_px is not None:
        params["tile_px"] = arguments.tile_px
    with _Bar("segmenting", "field") as bar:
        report = segment_commands.run(
            arguments.paths,
            params=params,
            conditions=dict(_assignment(text) for text in arguments.condition),
            out=arguments.out,
            progress=bar.show,
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


def _evaluate(arguments: argparse.Namespace) -> None:
    from bl_steer import segment_commands

    report = segment_commands.evaluate(
        arguments.model, _data(arguments, held_back=False), views=arguments.views
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
    report = {}
    if arguments.factor:
        report["design"] = _plan_design(arguments)
    if arguments.pairs:
        report["learning_curve"] = _plan_curve(arguments)
    if arguments.unlabelled:
        report["next"] = _plan_next(arguments)
    write_json(arguments, report)


def _plan_design(arguments: argparse.Namespace) -> dict[str, Any]:
    from bl_steer import segment_commands

    factors = {}
    for text in arguments.factor:
        name, levels = _assignment(text, many=True)
        factors[name] = levels
    report = segment_commands.design(factors, arguments.n, taken=(), seed=arguments.seed)
    print(f"conditions for {arguments.n} micrographs:")
    for number, row in enumerate(report["rows"], start=1):
        print(f"{number:4}  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    return report


def _plan_curve(arguments: argparse.Namespace) -> dict[str, Any]:
    from bl_steer import segment_commands
    from bl_steer.analysis.segmentation.learning import learning_sizes

    data = _data(arguments)
    print("\n".join(data.notes))
    sizes = (
        tuple(int(size) for size in arguments.sizes.split(","))
        if arguments.sizes
        else learning_sizes(len(data.train))
    )
    with _Bar("training", "step") as bar:
        report = segment_commands.learning_curve(
            data, _settings(arguments), sizes=sizes, out=arguments.out, progress=bar.show
        )
    for size, (miou, low, high) in zip(report["sizes"], report["miou"], strict=True):
        print(f"{size:4} pairs   mIoU {miou:.3f} (95 %: {low:.3f} … {high:.3f})")
    for size, (miou, low, high) in list(report["predicted"].items())[1:]:
        print(f"{size:>4} pairs   mIoU {miou:.3f} (95 %: {low:.3f} … {high:.3f}), predicted")
    print(report["advice"])
    print(f"figure       {report['figure']}")
    return report


def _plan_next(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from bl_steer import segment_commands

    with _Bar("segmenting", "field") as bar:
        rows = segment_commands.rank(
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


def _data(arguments: argparse.Namespace, *, held_back: bool = True) -> Any:
    from bl_steer.analysis.segmentation.phase_names import parse_phases
    from bl_steer.analysis.segmentation.training_set import SHARES, TrainingSet

    return TrainingSet.read(
        arguments.pairs,
        parse_phases(arguments.phases),
        validation=arguments.validation,
        test=arguments.test,
        sample_pattern=arguments.sample_pattern,
        pixel_size_nm=arguments.pixel_size_nm,
        shares=SHARES if held_back else (1.0, 0.0, 0.0),
    )


def _settings(arguments: argparse.Namespace) -> Any:
    from bl_steer.analysis.segmentation.augmentation import Augmentation
    from bl_steer.analysis.segmentation.training import TrainingSettings

    return TrainingSettings(
        network=arguments.network,
        steps=arguments.steps,
        seed=arguments.seed,
        augmentation=Augmentation(turn=not arguments.upright),
    )


def _assignment(text: str, *, many: bool = False) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ValueError(f"a condition must be NAME=VALUE, got {text!r}; try pixel_size_nm=10")
    return name, [_number(one) for one in value.split(",")] if many else _number(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class _Bar:
    """A progress bar that learns its length from what it watches."""

    def __init__(self, text: str, unit: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=text, unit=unit, leave=False)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Show how far it is."""
        if done < self._bar.n:
            self._bar.reset(total)
        self._bar.total = total
        self._bar.update(done - self._bar.n)
