"""Commands from slices to a report: slices, slice-and-view, report."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bl_steer.analysis.reconstruction.from_files import reconstruct_files
from bl_steer.analysis.reconstruction.report_tables import aligned
from bl_steer.analysis.slices import SliceParams
from bl_steer.cli.options import (
    Parser,
    data_option,
    format_option,
    json_option,
    out_option,
    print_row,
    print_warnings,
)
from bl_steer.cli.params import add_params, read_params
from bl_steer.processing import find_analysis, make_params
from bl_steer.progress import Bar
from bl_steer.session import slice_and_view
from bl_steer.stages import stages_of

__all__ = ["add_report", "add_slice_and_view", "add_slices", "print_tables"]

FAMILIES = ("grains", "network")
PIXEL_NM = 10.0
"""Of the simulated instrument."""
MARKS_PX, DRIFT_PX = 64, 40
"""Columns that two rows of marks need; rows and columns that drift may cost."""
FAULTS = ("none", "usual", "severe")
VOXEL_BYTES = 7
"""That a reconstruction holds at least: grey level, uncertainty, what the first pass found."""
DEFAULTS = {
    "sample": "grains",
    "seed": 0,
    "slices": 24,
    "pitch_nm": 100.0,
    "edge_px": 256,
    "faults": "usual",
}
"""Of the options that a resumed run takes from its record where they are not given."""


def add_slices(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``slices``."""
    json_option(parser, _slices)
    parser.add_argument(
        "stack",
        type=Path,
        metavar="FOLDER",
        help="of single images, in the order of the numbers in their names; or a stack in one file",
    )
    format_option(parser, "form of the volumes")
    out_option(parser, "report", "folder of the report, its tables, and the volumes")
    add_params(parser, find_analysis("reconstruct").Params)


def add_slice_and_view(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``slice-and-view``, and those of the analysis ``reconstruct``."""
    json_option(parser, _slice_and_view)
    data_option(parser)
    parser.add_argument("--simulate", action="store_true", help="on the simulated FIB-SEM")
    add = parser.add_argument
    add("--sample", choices=FAMILIES, help=_help("specimen", "sample"))
    add("--seed", type=int, help=_help("seed of the specimen and the faults", "seed"))
    add("--slices", type=int, metavar="N", help=_help("slices to take", "slices"))
    add("--pitch-nm", type=float, metavar="X", help=_help("distance of the slices", "pitch_nm"))
    add("--edge-px", type=int, metavar="N", help=_help("edge of an image", "edge_px"))
    add("--faults", choices=FAULTS, help=_help("faults of the instrument", "faults"))
    add(
        "--resume",
        metavar="UID",
        help="run that was broken off; its options hold, but for more --slices",
    )
    out_option(parser, "report", "folder of the report")
    # The analysis' own seed is left to it: --seed is the specimen's here. The instrument records
    # what files may not say.
    without = ("seed", *SliceParams.model_fields)
    add_params(parser, find_analysis("reconstruct").Params, without=without)


def add_report(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``report``."""
    json_option(parser, _report)
    data_option(parser)
    parser.add_argument(
        "uid", help="uid of the run or its analysis, its beginning, or -1 for the last"
    )
    out_option(parser, None, "folder of the report; report_UID by default")


def _help(text: str, name: str) -> str:
    value = DEFAULTS[name]
    return f"{text} (default {f'{value:g}' if isinstance(value, float) else value})"


def print_tables(report: dict[str, Any]) -> None:
    """Print tables 1 and 2, a line for each quantity and method."""
    for number, unit in ((1, "um3"), (2, "um2")):
        table = report[f"table_{number}"]
        name = "volume" if number == 1 else "area"
        print_row(f"table {number}", f"{name}s, µm{'³' if number == 1 else '²'}")
        values = [math.nan if v is None else v for v in table[f"{name}_{unit}"]]
        rows = zip(
            table["quantity"],
            table["method"],
            aligned(values),
            table["ratio_to_truth"],
            strict=True,
        )
        for quantity, method, value, ratio in rows:
            off = "" if ratio is None or method == "truth" else f"{100 * (ratio - 1):+8.1f} %"
            print(f"    {quantity:18}{method:16}{value:>10}{off}")


def _slices(arguments: argparse.Namespace) -> Any:
    with Bar("slices", stages=stages_of("reconstruct")) as bar:
        report = reconstruct_files(
            arguments.stack,
            params=read_params(arguments),
            out=arguments.out,
            form=arguments.format,
            progress=bar.show,
            writing=bar.stage("slices: writing the report and the volumes", "file"),
        )
    _print(arguments, report)
    return report


def _slice_and_view(arguments: argparse.Namespace) -> Any:
    if not arguments.simulate:
        raise ValueError(
            "slices must be taken on the simulated FIB-SEM here, got no --simulate; give it, or "
            "run the plan slice_and_view in a session on your instrument"
        )
    options = {k: v for k in DEFAULTS if (v := getattr(arguments, k)) is not None}
    params = read_params(arguments)
    if arguments.resume is not None:
        recorded, recorded_params = slice_and_view.recorded_options(
            arguments.resume, arguments.data
        )
        _check_same(recorded, options)
        options, params = {**recorded, **options}, {**recorded_params, **params}
    options = {**DEFAULTS, **options}
    n_slices, pitch_nm, edge_px = (options[name] for name in ("slices", "pitch_nm", "edge_px"))
    _check_numbers(n_slices, pitch_nm)
    _check_edge(edge_px, pitch_nm)
    settings: Any = make_params(find_analysis("reconstruct"), params)
    plane_nm = settings.plane_nm or pitch_nm / settings.factor
    _check_memory(n_slices, edge_px, pitch_nm / plane_nm)
    with Bar("report", stages=stages_of("report")) as bar:
        report = slice_and_view.slice_and_view(
            family=options["sample"],
            seed=options["seed"],
            n_slices=n_slices,
            pitch_nm=pitch_nm,
            edge_px=edge_px,
            faults=options["faults"],
            params=params,
            out=arguments.out,
            data_dir=arguments.data,
            resumes=arguments.resume,
            tell=partial(print, flush=True),
            reporting=bar.show,
        )
    _print(arguments, report)
    print_row("time", f"{report['duration_s']:.0f} s, {report['plan_s']:.0f} s for the slices")
    return report


def _check_same(recorded: dict[str, Any], options: dict[str, Any]) -> None:
    """Refuse options that differ from those of the run to resume; more slices may be asked for."""
    wrong = [
        f"--{name.replace('_', '-')} must be that of the run to resume, {value}, got "
        f"{options[name]}"
        for name, value in recorded.items()
        if name in options and name != "slices" and options[name] != value
    ]
    if wrong:
        raise ValueError("; ".join(wrong) + "; leave it out")


def _check_numbers(n_slices: int, pitch_nm: float) -> None:
    """Refuse what makes no volume, before anything is touched."""
    if n_slices < 2:
        raise ValueError(
            f"--slices must be 2 at least to have a volume between them, got {n_slices}; give more"
        )
    if not (math.isfinite(pitch_nm) and pitch_nm > PIXEL_NM):
        raise ValueError(
            f"--pitch-nm must be finite and more than a pixel's {PIXEL_NM:g} nm, got {pitch_nm:g}; "
            "try 100"
        )


def _check_memory(n_slices: int, edge_px: int, planes: float) -> None:
    """Refuse a volume that this machine cannot hold; `planes` are those for each slice."""
    needed = VOXEL_BYTES * n_slices * planes * edge_px**2
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > room:
        raise ValueError(
            f"the volume must fit into the memory of {room / 1e9:.0f} GB, got {needed / 1e9:.0f} "
            f"GB for --edge-px {edge_px} and --slices {n_slices}; give less of one"
        )


def _check_edge(edge_px: int, pitch_nm: float) -> None:
    """Refuse images too small for tracking marks, or for what is learnt at twice the pitch."""
    least = max(MARKS_PX, round(6 * pitch_nm / PIXEL_NM) + DRIFT_PX)
    if edge_px < least:
        raise ValueError(
            f"--edge-px must be {least} px at least at a pitch of {pitch_nm:g} nm, got {edge_px}; "
            "give more, or a smaller --pitch-nm"
        )


def _report(arguments: argparse.Namespace) -> Any:
    with Bar("report", stages=stages_of("report")) as bar:
        report = slice_and_view.report(
            arguments.uid, out=arguments.out, data_dir=arguments.data, progress=bar.show
        )
    _print(arguments, report)
    return report


def _print(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    print_warnings(arguments, report)
    print_tables(report)
    print_row("digest", report["digest"])
    print_row("report", report["report"])
