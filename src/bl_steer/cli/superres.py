"""Commands on slice-and-view stacks: superres train, run, check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bl_steer.cli.options import group, plain_command, write_json
from bl_steer.progress import Bar

if TYPE_CHECKING:
    from bl_steer.analysis.superresolution.training import TrainingSettings

__all__ = ["add_commands"]

MOST_LABELS = 256
"""As many as a byte holds."""
RULES = {
    "pitch_px": ("voxel must have a pitch Z larger than the pixel's edge Y", "voxel"),
    "profile_px": ("profile-nm must be finite, 0 at least", "profile_nm"),
    "pitch_jitter": ("pitch-jitter must be 0 … 0.3", "pitch_jitter"),
    "steps": ("steps must be 1 at least", "steps"),
    "seed": ("seed must be 0 at least", "seed"),
}
"""What the settings of a training ask of the options, by the name of the setting."""
STACK_HELP = (
    "a TIFF of several pages, a folder of TIFFs or PNGs (s2 before s10), .npy, .npz or .zarr; axes "
    "z, y, x"
)


def add_commands(commands: Any) -> None:
    """Add the group ``superres``."""
    superres = group(commands, "superres", "insert planes between the slices of a stack")
    train = _command(superres, "train", _train, "learn from a stack's own planes")
    _training_options(train)
    train.add_argument(
        "--out", type=Path, default=Path("superres_model"), metavar="DIR", help="of the model"
    )
    run = _command(superres, "run", _run, "insert planes; every slice stays as it was measured")
    run.add_argument(
        "--model", type=Path, default=Path("superres_model"), metavar="DIR", help="that was trained"
    )
    run.add_argument(
        "--free-fractions",
        action="store_true",
        help="labels: do not give the inserted planes the fractions and boundaries of the slices",
    )
    run.add_argument("--dask", metavar="ADDRESS", help="of a cluster that shares a Zarr stack")
    run.add_argument(
        "--out", type=Path, default=Path("superresolved"), metavar="DIR", help="of the results"
    )
    text = "say how far a super-resolution can be trusted, without a ground truth"
    _training_options(_command(superres, "check", _check, text))


def _command(superres: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = plain_command(superres, name, run, text)
    parser.add_argument("stack", type=Path, metavar="STACK", help=STACK_HELP)
    parser.add_argument("--voxel", required=True, metavar="Z,Y,X", help="edges, nm: 100,10,10")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    return parser


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--factor", type=int, choices=(2, 4, 8, 16), default=8, help="planes for each slice, about"
    )
    parser.add_argument(
        "--labels", type=int, metavar="N", help="the stack holds labels of N phases, 0 … N-1"
    )
    parser.add_argument(
        "--size", choices=("small", "medium", "large"), default="small", help="of the networks"
    )
    parser.add_argument("--steps", type=int, default=300, help="of each stage")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--profile-nm", type=float, default=0.0, help="depth that a slice sees, nm")
    parser.add_argument(
        "--pitch-jitter", type=float, default=0.0, help="relative deviation of the pitch, 0 … 0.3"
    )


def _settings(arguments: argparse.Namespace) -> TrainingSettings:
    """Return the settings of a training; `ValueError` in one line where they do not fit."""
    from pydantic import ValidationError

    from bl_steer.analysis.superresolution import parse_voxel
    from bl_steer.analysis.superresolution.decimation import Decimation
    from bl_steer.analysis.superresolution.network import SIZES
    from bl_steer.analysis.superresolution.training import TrainingSettings

    if arguments.labels is not None and not 2 <= arguments.labels <= MOST_LABELS:
        raise ValueError(
            f"--labels must be 2 … {MOST_LABELS}, got {arguments.labels}; give how many phases the "
            "stack holds"
        )
    z, y, _ = parse_voxel(arguments.voxel)
    blocks, channels = SIZES[arguments.size]
    try:
        return TrainingSettings(
            factor=arguments.factor,
            decimation=Decimation(
                pitch_px=z / y,
                profile_px=arguments.profile_nm / y,
                pitch_jitter=arguments.pitch_jitter,
            ),
            blocks=blocks,
            channels=channels,
            steps=arguments.steps,
            seed=arguments.seed,
        )
    except ValidationError as error:
        rule, option = RULES[str(error.errors()[0]["loc"][-1])]
        raise ValueError(f"--{rule}, got {getattr(arguments, option)}; change it") from error


def _train(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.superresolution import from_files as superres_commands
    from bl_steer.analysis.superresolution import parse_voxel

    settings = _settings(arguments)
    with Bar("training", "step") as bar:
        report = superres_commands.train(
            arguments.stack,
            settings,
            parse_voxel(arguments.voxel),
            n_phases=arguments.labels,
            out=arguments.out,
            progress=bar.show,
        )
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(f"slices        {report['n_slices']}, {report['kind']}")
    for row in {row["stage"]: row for row in report["history"]}.values():
        print(
            f"stage {row['stage'] + 1}       loss {row['loss']:.4f}; of the mean of the rows "
            f"around {row['loss_between']:.4f}"
        )
    print(f"model         {report['model']}")
    write_json(arguments, report)


def _run(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.superresolution import from_files as superres_commands
    from bl_steer.analysis.superresolution import parse_voxel
    from bl_steer.files.stacks import is_zarr

    voxel = parse_voxel(arguments.voxel)
    keep = not arguments.free_fractions
    if arguments.dask is not None and not is_zarr(arguments.stack):
        raise ValueError(
            f"--dask must come with a Zarr stack, got {arguments.stack}; leave it out, or save the "
            "slices with zarr.save_array as NAME.zarr"
        )
    with Bar("inserting", "slab") as bar:
        if is_zarr(arguments.stack):
            report = superres_commands.run_zarr(
                arguments.stack,
                arguments.model,
                voxel,
                keep_fractions=keep,
                scheduler=arguments.dask,
                out=arguments.out,
                progress=bar.show,
            )
        else:
            report = superres_commands.run(
                arguments.stack,
                arguments.model,
                voxel,
                keep_fractions=keep,
                out=arguments.out,
                progress=bar.show,
            )
    _print_warnings(report)
    edges = " × ".join(f"{edge:g}" for edge in report["voxel_nm"])
    print(f"volume        {' × '.join(map(str, report['shape']))} voxels of {edges} nm")
    if "isotropy_tested_on" in report:
        box = " × ".join(map(str, report["isotropy_tested_on"]))
        print(f"isotropy      tested on {box} voxels in the middle of the slices")
    print(f"uncertainty   {report['mean_uncertainty']:.4g} in the mean")
    for path in report["files"]:
        print(f"results       {path}")
    print(f"digest        {report['digest']}")
    write_json(arguments, report)


def _check(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis.superresolution import from_files as superres_commands
    from bl_steer.analysis.superresolution import parse_voxel

    settings = _settings(arguments)
    with Bar("training", "step") as bar:
        report = superres_commands.check(
            arguments.stack,
            settings,
            parse_voxel(arguments.voxel),
            n_phases=arguments.labels,
            progress=bar.show,
        )
    _print_warnings(report)
    print("every second slice left out and predicted:")
    columns = report["leave_out"]
    for row in zip(*columns.values(), strict=True):
        numbers = zip(list(columns)[1:], row[1:], strict=True)
        print(f"  {row[0]:16}" + ", ".join(f"{name} {value:.3f}" for name, value in numbers))
    print(f"verdict       {report['verdict']}")
    chords = report["chords"]
    for row in zip(chords["phase"], chords["along_z_nm"], chords["in_plane_nm"], strict=True):
        name = row[0] if isinstance(row[0], str) else f"phase {row[0]:g}"
        print(f"chords        {name}: {row[1]:.0f} nm along z, {row[2]:.0f} in the plane")
    write_json(arguments, report)


def _print_warnings(report: dict[str, Any]) -> None:
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(f"note: {report['limit']}")
