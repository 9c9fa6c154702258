"""Commands on volumes and stacks of slices: structure, superres train, run, check."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bl_steer.analysis import structure
from bl_steer.analysis.structure import StructureParams
from bl_steer.analysis.superresolution import (
    Decimation,
    SuperResolutionParams,
    TrainingSettings,
    from_files,
)
from bl_steer.cli.options import (
    Parser,
    command,
    format_option,
    group,
    json_option,
    out_option,
    print_row,
    print_warnings,
)
from bl_steer.cli.params import add_params, read_params
from bl_steer.files.formats import is_zarr
from bl_steer.files.stacks import WANTED
from bl_steer.progress import Bar
from bl_steer.stages import stages_of

__all__ = ["add_structure", "add_superres"]

VOXEL = ("pitch_nm", "pixel_size_nm")
TRAINING = ("n_phases", "factor", "blocks", "channels", "steps", "seed")
RULES = {
    "pitch_px": ("pitch-nm must be finite, and larger than --pixel-size-nm", "pitch_nm"),
    "profile_px": ("profile-nm must be finite, 0 at least", "profile_nm"),
    "pitch_jitter": ("pitch-jitter must be 0 … 0.3", "pitch_jitter"),
}
"""What the decimation of a training asks of the options, by the name of its field."""
STACK_HELP = f"{WANTED}; axes z, y, x, slices in the order of the numbers in their names"


def add_structure(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``structure``."""
    json_option(parser, _structure)
    parser.add_argument("volume", type=Path, metavar="VOLUME", help=STACK_HELP)
    out_option(parser, None, "folder for tables (CSV) and figures (PNG)")
    add_params(parser, StructureParams)


def add_superres(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``superres``."""
    superres = group(parser)
    train = command(superres, "train", _train, "learn from a stack's own planes")
    _training_options(train)
    out_option(train, "superres_model", "folder of the model")

    text = "insert planes; every slice stays as it was measured"
    run = command(superres, "run", _run, text)
    _stack_options(run, "keep_fractions")
    run.add_argument(
        "--model",
        type=Path,
        default=Path("superres_model"),
        metavar="DIR",
        help="folder of the trained model",
    )
    run.add_argument(
        "--dask", metavar="ADDRESS", help="cluster that shares the work on a Zarr stack"
    )
    format_option(run, "form of the volumes of a stack that is no Zarr")
    out_option(run, "superresolved")

    text = "say how far a super-resolution can be trusted, without a ground truth"
    _training_options(command(superres, "check", _check, text))


def _stack_options(parser: Parser, *params: str) -> None:
    parser.add_argument("stack", type=Path, metavar="STACK", help=STACK_HELP)
    add_params(parser, SuperResolutionParams, only=(*VOXEL, *params))


def _training_options(parser: Parser) -> None:
    _stack_options(parser, *TRAINING)
    parser.add_argument(
        "--profile-nm", type=float, default=0.0, metavar="X", help="depth that a slice sees"
    )
    parser.add_argument(
        "--pitch-jitter",
        type=float,
        default=0.0,
        metavar="X",
        help="relative deviation of the pitch, 0 … 0.3",
    )


def _structure(arguments: argparse.Namespace) -> Any:
    with Bar("measuring", "plane") as bar:
        report = structure.measure_structure(
            arguments.volume, params=read_params(arguments), out=arguments.out, progress=bar.show
        )
    print_warnings(arguments, report)
    box = " × ".join(map(str, report["shape"]))
    voxel = " × ".join(f"{edge:g}" for edge in report["voxel_size_nm"])
    print_row("volume", f"{box} voxels (z, y, x) of {voxel} nm")
    print("with 95 % intervals over blocks of the volume:")
    for row in _rows(report["volumes"]):
        share = 100 * row["fraction"]
        _print_amount(row["phase"], row, "volume", "um3", f"{share:6.2f} %")
    for row in _rows(report["areas"]):
        name = f"{row['phase_a']}–{row['phase_b']}"
        flat = _between(row, "if_flat", "um2")
        labels = _between(row, "labels", "um2")
        _print_amount(name, row, "area", "um2", f"if flat {flat}; the labels leave {labels}")
    for row in _rows(report["triple_lines"]):
        name = "–".join(row[f"phase_{k}"] for k in "abc")
        labels = _between(row, "labels", "um")
        _print_amount(name, row, "length", "um", f"the labels leave {labels}")
    print("connected:")
    for row in _rows(report["connectivity"]):
        if row["largest"] is None:
            continue
        shares = {k: row[f"percolating_{k}"] for k in "zyx"}
        through = ", ".join(f"{k} {100 * v:.1f} %" for k, v in shares.items() if v is not None)
        print(
            f"  {row['phase']:20}largest of {row['n_parts']} parts ({row['single_voxels']} of one "
            f"voxel) {100 * row['largest']:.1f} %; reaches through along {through}"
        )
    if report["files"]:
        print_row("results", f"{arguments.out}, {len(report['files'])} files")
    print_row("digest", report["digest"])
    return report


def _print_amount(name: str, row: dict[str, Any], key: str, unit: str, note: str) -> None:
    shown = {"um3": "µm³", "um2": "µm²", "um": "µm"}[unit]
    low, high = row[f"{key}_low_{unit}"], row[f"{key}_high_{unit}"]
    between = "no interval" if low is None else f"{low:.4g} … {high:.4g}"
    amount = row[f"{key}_{unit}"]
    value = f"{'-':>10}" if amount is None else f"{amount:10.4g}"
    print(f"  {name:20}{value} {shown:4}({between})  {note}".rstrip())


def _between(row: dict[str, Any], what: str, unit: str) -> str:
    """Return a range of a table as printed; one without a bound has a dash there."""
    ends = (row[f"{what}_{end}_{unit}"] for end in ("least", "largest"))
    return " … ".join("-" if end is None else f"{end:.4g}" for end in ends)


def _rows(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


def _settings(
    arguments: argparse.Namespace,
) -> tuple[dict[str, Any], TrainingSettings]:
    """Return the parameters that were given and the settings of a training.

    Raises
    ------
    ValueError
        In one line, where they do not fit.
    """
    params = _params(arguments)
    size = params["pixel_size_nm"]
    chosen = SuperResolutionParams(**params)
    try:
        decimation = Decimation(
            pitch_px=params["pitch_nm"] / size,
            profile_px=arguments.profile_nm / size,
            pitch_jitter=arguments.pitch_jitter,
        )
    except ValidationError as error:
        rule, option = RULES[str(error.errors()[0]["loc"][-1])]
        value = {**vars(arguments), **params}[option]
        raise ValueError(f"--{rule}, got {value:g}; change it") from error
    settings = TrainingSettings(
        decimation=decimation,
        **{name: getattr(chosen, name) for name in TRAINING if name != "n_phases"},
    )
    return params, settings


def _params(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that were given, and the voxel that the stack's own files state."""
    params = read_params(arguments)
    if all(name in params for name in VOXEL):
        return params
    pitch_nm, pixel_nm, _ = from_files.voxel_of_stack(
        arguments.stack, SuperResolutionParams(**params)
    )
    return {**params, "pitch_nm": pitch_nm, "pixel_size_nm": pixel_nm}


def _voxel(params: dict[str, Any]) -> tuple[float, float, float]:
    return params["pitch_nm"], params["pixel_size_nm"], params["pixel_size_nm"]


def _train(arguments: argparse.Namespace) -> Any:
    params, settings = _settings(arguments)
    with Bar("training and checking", "step") as bar:
        report = from_files.train(
            arguments.stack,
            settings,
            _voxel(params),
            n_phases=params.get("n_phases"),
            out=arguments.out,
            progress=bar.show,
        )
    print_warnings(arguments, report)
    print_row("slices", f"{report['n_slices']}, {report['kind']}")
    for row in {row["stage"]: row for row in report["history"]}.values():
        losses = f"loss {row['loss']:.4f}; of the mean of the rows around"
        print_row(f"stage {row['stage'] + 1}", f"{losses} {row['loss_between']:.4f}")
    if report["check"] is not None:
        print_row("check", f"of slices left out, {report['check']['verdict']}")
    print_row("model", report["model"])
    return report


def _run(arguments: argparse.Namespace) -> Any:
    params = _params(arguments)
    zarr = is_zarr(arguments.stack)
    if arguments.dask is not None and not zarr:
        raise ValueError(
            f"--dask must come with a Zarr stack, got {arguments.stack}; leave it out, or save the "
            "slices with zarr.save_array as NAME.zarr"
        )
    with Bar("super-resolution", stages=stages_of("superres")) as bar:
        options: dict[str, Any] = {
            "keep_fractions": params.get("keep_fractions", True),
            "out": arguments.out,
            "progress": bar.show,
        }
        where = (arguments.stack, arguments.model, _voxel(params))
        if zarr:
            report = from_files.run_zarr(*where, scheduler=arguments.dask, **options)
        else:
            report = from_files.run(*where, form=arguments.format, **options)
    print_warnings(arguments, report)
    edges = " × ".join(f"{edge:g}" for edge in report["voxel_nm"])
    print_row("volume", f"{' × '.join(map(str, report['shape']))} voxels of {edges} nm")
    if "isotropy_tested_on" in report:
        box = " × ".join(map(str, report["isotropy_tested_on"]))
        print_row("isotropy", f"tested on {box} voxels in the middle of the slices")
    print_row("uncertainty", f"{report['mean_uncertainty']:.4g} in the mean")
    for path in report["files"]:
        print_row("results", path)
    print_row("digest", report["digest"])
    return report


def _check(arguments: argparse.Namespace) -> Any:
    params, settings = _settings(arguments)
    with Bar("training", "step") as bar:
        report = from_files.check(
            arguments.stack,
            settings,
            _voxel(params),
            n_phases=params.get("n_phases"),
            progress=bar.show,
        )
    print_warnings(arguments, report)
    print("every second slice left out and predicted:")
    names = list(report["leave_out"])[1:]
    for method, *numbers in zip(*report["leave_out"].values(), strict=True):
        scores = (f"{name} {_number(value)}" for name, value in zip(names, numbers, strict=True))
        print(f"  {method:16}{', '.join(scores)}")
    if any(isnan(value) for value in report["leave_out"].get("resolution_px", ())):
        print(
            "  (-: planes predicted and measured agree down to the pixel, or one of the two is of "
            "one grey level, and nothing tells a resolution)"
        )
    print_row("verdict", report["verdict"])
    chords = report["chords"]
    extents = [n * edge for n, edge in zip(report["slices"], _voxel(params), strict=True)]
    for phase, along_z, in_plane in zip(
        chords["phase"], chords["along_z_nm"], chords["in_plane_nm"], strict=True
    ):
        name = phase if isinstance(phase, str) else f"phase {phase:g}"
        lengths = zip((along_z, in_plane), (extents[0], max(extents[1:])), strict=True)
        z, plane = (_length(value, extent) for value, extent in lengths)
        print_row("chords", f"{name}: {z} along z, {plane} in the plane")
    return report


def _number(value: float) -> str:
    """Return a number as printed, a dash where there is none."""
    return "-" if isnan(value) else f"{value:.3f}"


def _length(value: float, extent: float) -> str:
    """Return a mean chord as printed, nm; one that the stack is too small for is none."""
    if isnan(value):
        return "none"
    return f"{value:.0f} nm" if value <= extent else f"longer than the stack ({extent:.0f} nm)"
