"""Options of the commands on micrographs, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bl_steer.analysis.segmentation.training import TrainingSettings
    from bl_steer.analysis.segmentation.training.training_set import TrainingSet

__all__ = [
    "assignment",
    "conditions_option",
    "data_options",
    "pairs_options",
    "read_data",
    "read_settings",
    "read_sizes",
    "training_options",
]

PHASES_HELP = "fibsem, optical, a .json file, or NAME:COLOUR,… with one 'none' for unpainted"


def pairs_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say where the pairs are."""
    parser.add_argument("pairs", type=Path, help="a folder of pairs, or a catalogue (CSV)")
    data_options(parser)


def data_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say what the pairs mean and which are kept apart."""
    parser.add_argument("--phases", default="fibsem", metavar="P", help=PHASES_HELP)
    parser.add_argument("--validation", type=Path, metavar="PAIRS", help="kept apart by hand")
    parser.add_argument("--test", type=Path, metavar="PAIRS", help="kept apart by hand")
    parser.add_argument(
        "--sample-pattern", metavar="RE", help="what of a file's name is the sample"
    )
    parser.add_argument("--pixel-size-nm", type=float, metavar="NM", help="to bring all images to")


def training_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say how to train."""
    parser.add_argument("--network", default="segnet", help="segnet, segnet-vgg, unet or pspnet")
    parser.add_argument("--steps", type=int, default=600, help="at most")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument(
        "--upright", action="store_true", help="do not rotate: up and down differ in the images"
    )


def conditions_option(parser: argparse.ArgumentParser) -> None:
    """Let the user say how the micrographs were taken."""
    parser.add_argument(
        "--condition",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="e.g. pixel_size_nm=10, accelerating_voltage_kV=2, staining=none; may be repeated",
    )


def read_data(arguments: argparse.Namespace, *, held_back: bool = True) -> TrainingSet:
    """Read the pairs that the options name; hold some back where none were kept apart."""
    from bl_steer.analysis.segmentation.phase_names import parse_phases
    from bl_steer.analysis.segmentation.training.training_set import SHARES, TrainingSet

    return TrainingSet.read(
        arguments.pairs,
        parse_phases(arguments.phases),
        validation=arguments.validation,
        test=arguments.test,
        sample_pattern=arguments.sample_pattern,
        pixel_size_nm=arguments.pixel_size_nm,
        shares=SHARES if held_back else (1.0, 0.0, 0.0),
    )


def read_settings(arguments: argparse.Namespace) -> TrainingSettings:
    """Return the settings of a training; `ValueError` in one line where they do not fit."""
    from pydantic import ValidationError

    from bl_steer.analysis.segmentation.networks import NETWORKS
    from bl_steer.analysis.segmentation.training import Augmentation, TrainingSettings

    if arguments.network not in NETWORKS:
        raise ValueError(
            f"a network must be one of {', '.join(NETWORKS)}, got {arguments.network!r}; give one"
        )
    try:
        return TrainingSettings(
            network=arguments.network,
            steps=arguments.steps,
            evaluate_every=max(1, min(60, arguments.steps // 10)),
            seed=arguments.seed,
            augmentation=Augmentation(turn=not arguments.upright),
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}={one['input']!r} ({one['msg']})"
            for one in error.errors()
        )
        raise ValueError(f"a training's settings must fit, got {problems}; change them") from error


def assignment(text: str, *, many: bool = False) -> tuple[str, Any]:
    """Return name and value (or several) of ``NAME=VALUE``; numbers as numbers."""
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ValueError(f"a condition must be NAME=VALUE, got {text!r}; try pixel_size_nm=10")
    return name, [_number(one) for one in value.split(",")] if many else _number(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read_sizes(text: str) -> tuple[int, ...]:
    """Return numbers of pairs, ascending."""
    try:
        return tuple(sorted({int(size) for size in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"sizes must be whole numbers, got {text!r}; try 4,8,16") from error
