"""Options of the commands that learn from painted pairs: which pairs, and how to train."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation import training
from bl_steer.analysis.segmentation.training.settings import (
    Augmentation,
    TrainingSettings,
    looks_every,
)
from bl_steer.analysis.segmentation.training.training_set import SHARES
from bl_steer.cli.options import Parser
from bl_steer.cli.params import add_params, read_params

__all__ = [
    "data_options",
    "params_of",
    "to_train_with",
    "training_options",
    "training_set_of",
]

PHASES_HELP = (
    "phases: fibsem, optical, a .json file, NAME:COLOUR,… with one 'none' for unpainted, or "
    "NAME,NAME,… where masks hold numbers"
)
TRAINING = (
    "widths",
    "rounds",
    "patch_px",
    "batch",
    "learning_rate",
    "dice_share",
    "rarity_power",
    "rare_share",
    "calibrate",
)
"""Settings of a training with an option of their own."""


def data_options(parser: Parser) -> None:
    """Add what names the pairs and their phases."""
    parser.add_argument("--phases", default="fibsem", metavar="P", help=PHASES_HELP)
    parser.add_argument("--validation", type=Path, metavar="PAIRS", help="pairs to validate with")
    parser.add_argument("--test", type=Path, metavar="PAIRS", help="pairs to test with")
    parser.add_argument(
        "--sample-pattern", metavar="REGEX", help="part of a file's name that is the sample"
    )
    parser.add_argument(
        "--pixel-size-nm", type=float, metavar="X", help="pixel size to bring all images to"
    )
    parser.add_argument(
        "--unpainted",
        metavar="P",
        help="what pixels without paint, in no outline, or of the number 0 are in masks: a phase, "
        "or unlabelled; by default the phase painted 'none', or what the mask's tool means",
    )


def training_options(parser: Parser) -> None:
    """Add what a training is determined by."""
    parser.add_argument(
        "--network",
        default="unet",
        help="network: unet, segnet, segnet-vgg or pspnet; forest for a first look in seconds",
    )
    text = "steps of a round of training at most; rounds follow while the validation rises"
    parser.add_argument("--steps", type=int, default=600, help=text)
    text = "in place of --steps: how often the patches of a round cover the training micrographs"
    parser.add_argument("--epochs", type=float, metavar="X", help=text)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training")
    parser.add_argument(
        "--upright", action="store_true", help="do not rotate: up and down differ in the images"
    )
    add_params(parser, TrainingSettings, only=TRAINING, title="of the training")
    add_params(parser, Augmentation, without=("turn",), title="how far the patches vary")


def training_set_of(
    arguments: argparse.Namespace, *, held_back: bool = True
) -> training.TrainingSet:
    """Read the pairs that the options name; hold some back where none were kept apart."""
    return training.TrainingSet.read(
        arguments.pairs,
        segmentation.parse_phases(arguments.phases),
        validation=arguments.validation,
        test=arguments.test,
        sample_pattern=arguments.sample_pattern,
        pixel_size_nm=arguments.pixel_size_nm,
        unpainted=arguments.unpainted,
        shares=SHARES if held_back else (1.0, 0.0, 0.0),
    )


def to_train_with(
    arguments: argparse.Namespace,
) -> tuple[training.TrainingSet, TrainingSettings]:
    """Return the pairs that the options name, and how to train with them."""
    settings = settings_of(arguments)  # first: pairs take long to read
    epochs = arguments.epochs
    if epochs is not None and not 0 < epochs < float("inf"):
        raise ValueError(f"--epochs must be positive and finite, got {epochs}; try 50")
    data = training_set_of(arguments)
    if epochs is not None:
        settings = settings.for_epochs(epochs, sum(one.image.size for one in data.train))
    return data, settings


def settings_of(arguments: argparse.Namespace) -> TrainingSettings:
    """Return the settings of a training; `ValueError` in one line where they do not fit."""
    known = segmentation.networks.NETWORKS
    if arguments.network not in known:
        raise ValueError(
            f"a network must be one of {', '.join(known)}, got {arguments.network!r}; give one"
        )
    try:
        return TrainingSettings(
            network=arguments.network,
            steps=arguments.steps,
            evaluate_every=looks_every(arguments.steps),
            seed=arguments.seed,
            augmentation=Augmentation(
                turn=not arguments.upright, **params_of(Augmentation, arguments)
            ),
            **params_of(TrainingSettings, arguments),
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, row['loc']))}={row['input']!r} ({row['msg']})"
            for row in error.errors()
        )
        raise ValueError(f"a training's settings must fit, got {problems}; change them") from error


def params_of(kind: type[BaseModel], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given of those that are fields of this kind."""
    return {k: v for k, v in read_params(arguments).items() if k in kind.model_fields}
