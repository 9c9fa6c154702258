"""Commands from slices to a report: slice-and-view, report."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from bl_steer.cli.options import command, write_json

__all__ = ["add_commands", "print_tables"]

FAMILIES = ("grains", "network")
PIXEL_NM = 10.0
"""Of the simulated instrument."""
MARKS_PX, DRIFT_PX = 64, 40
"""Columns that two rows of marks need; rows and columns that drift may cost."""
FAULTS = ("none", "usual", "severe")


def add_commands(commands: Any) -> None:
    """Add the commands on slices of a FIB-SEM."""
    text = "take slices on the simulated FIB-SEM, and report what the volume holds"
    take = command(commands, "slice-and-view", _slice_and_view, text)
    take.add_argument("--simulate", action="store_true", help="on the simulated FIB-SEM")
    take.add_argument("--family", choices=FAMILIES, default="grains", help="of the specimen")
    take.add_argument("--seed", type=int, default=0, help="of the specimen and the faults")
    take.add_argument("--slices", type=int, default=24, metavar="N")
    take.add_argument("--pitch", type=float, default=100.0, metavar="NM")
    take.add_argument("--edge", type=int, default=256, metavar="PX", help="of an image")
    take.add_argument("--faults", choices=FAULTS, default="usual", help="of the instrument")
    take.add_argument(
        "--resume", metavar="UID", help="a run that was broken off; the other options as before"
    )
    take.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the analysis reconstruct, such as factor=16; may be repeated",
    )
    take.add_argument("--out", type=Path, default=Path("report"), metavar="DIR")
    again = command(commands, "report", _report, "write the report of a reconstructed run")
    again.add_argument("uid", help="of the run or its analysis, the beginning of one, or -1")
    again.add_argument("--out", type=Path, metavar="DIR", help="report_UID by default")


def print_tables(report: dict[str, Any]) -> None:
    """Print tables 1 and 2, a line for each quantity and method."""
    for number, unit in ((1, "um3"), (2, "um2")):
        table = report[f"table_{number}"]
        name = "volume" if number == 1 else "area"
        print(f"table {number}       {name}s, µm{'³' if number == 1 else '²'}")
        rows = zip(
            table["quantity"],
            table["method"],
            table[f"{name}_{unit}"],
            table["ratio_to_truth"],
            strict=True,
        )
        for quantity, method, value, ratio in rows:
            off = "" if ratio is None or method == "truth" else f"{100 * (ratio - 1):+8.1f} %"
            print(f"    {quantity:18}{method:16}{value:10.4g}{off}")


def _slice_and_view(arguments: argparse.Namespace) -> None:
    from bl_steer import reconstruction_commands as does
    from bl_steer.analysis import find_analysis, make_params
    from bl_steer.analysis_commands import parse_values

    if not arguments.simulate:
        raise ValueError(
            "slices must be taken on the simulated FIB-SEM here, got no --simulate; give it, or "
            "run the plan slice_and_view in a session on your instrument"
        )
    _check_edge(arguments.edge, arguments.pitch)
    params = parse_values(arguments.param)
    make_params(find_analysis("reconstruct"), params)
    report = does.slice_and_view(
        family=arguments.family,
        seed=arguments.seed,
        n_slices=arguments.slices,
        pitch_nm=arguments.pitch,
        edge_px=arguments.edge,
        faults=arguments.faults,
        params=params,
        out=arguments.out,
        data_dir=arguments.data,
        resumes=arguments.resume,
        tell=partial(print, flush=True),
    )
    _print(report)
    print(f"time          {report['duration_s']:.0f} s, {report['plan_s']:.0f} s for the slices")
    write_json(arguments, report)


def _check_edge(edge_px: int, pitch_nm: float) -> None:
    """Refuse images too small for tracking marks, or for what is learnt at twice the pitch."""
    least = max(MARKS_PX, round(6 * pitch_nm / PIXEL_NM) + DRIFT_PX)
    if edge_px < least:
        raise ValueError(
            f"--edge must be {least} px at least at a pitch of {pitch_nm:g} nm, got {edge_px}; "
            "give more, or a smaller --pitch"
        )


def _report(arguments: argparse.Namespace) -> None:
    from bl_steer import reconstruction_commands as does

    report = does.report(
        arguments.uid, out=arguments.out, data_dir=arguments.data, tell=partial(print, flush=True)
    )
    _print(report)
    write_json(arguments, report)


def _print(report: dict[str, Any]) -> None:
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print_tables(report)
    print(f"digest        {report['digest']}")
    print(f"report        {report['report']}")
