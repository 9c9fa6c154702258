"""Commands from slices to a report: slice-and-view, report."""

from __future__ import annotations

import argparse
import math
import os
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
VOXEL_BYTES = 7
"""That a reconstruction holds at least: grey level, uncertainty, what the first pass found."""


def add_commands(commands: Any) -> None:
    """Add the commands on slices of a FIB-SEM."""
    text = "take slices on the simulated FIB-SEM, and report what the volume holds"
    take = command(commands, "slice-and-view", _slice_and_view, text)
    take.add_argument("--simulate", action="store_true", help="on the simulated FIB-SEM")
    add = partial(take.add_argument, action=_Given)
    add("--family", choices=FAMILIES, default="grains", help="of the specimen")
    add("--seed", type=int, default=0, help="of the specimen and the faults")
    add("--slices", type=int, default=24, metavar="N", help="to take")
    add("--pitch", type=float, default=100.0, metavar="NM", help="distance of the slices")
    add("--edge", type=int, default=256, metavar="PX", help="of an image")
    add("--faults", choices=FAULTS, default="usual", help="of the instrument")
    take.add_argument(
        "--resume",
        metavar="UID",
        help="a run that was broken off; its options hold, but for more --slices",
    )
    take.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the analysis reconstruct, such as factor=16; may be repeated",
    )
    take.add_argument(
        "--out", type=Path, default=Path("report"), metavar="DIR", help="of the report"
    )
    again = command(commands, "report", _report, "write the report of a reconstructed run")
    again.add_argument("uid", help="of the run or its analysis, the beginning of one, or -1")
    again.add_argument(
        "--out", type=Path, metavar="DIR", help="of the report; report_UID by default"
    )


def print_tables(report: dict[str, Any]) -> None:
    """Print tables 1 and 2, a line for each quantity and method."""
    from bl_steer.analysis.reconstruction.report_tables import aligned

    for number, unit in ((1, "um3"), (2, "um2")):
        table = report[f"table_{number}"]
        name = "volume" if number == 1 else "area"
        print(f"table {number}       {name}s, µm{'³' if number == 1 else '²'}")
        values = [math.nan if one is None else one for one in table[f"{name}_{unit}"]]
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


class _Given(argparse.Action):
    """Store a value, and that it was given: what was not, a resumed run takes from its record."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = {*getattr(namespace, "given", ()), self.dest}


def _slice_and_view(arguments: argparse.Namespace) -> None:
    from bl_steer.analysis import find_analysis, make_params
    from bl_steer.processing.stored_runs import parse_values
    from bl_steer.session import slice_and_view as does

    if not arguments.simulate:
        raise ValueError(
            "slices must be taken on the simulated FIB-SEM here, got no --simulate; give it, or "
            "run the plan slice_and_view in a session on your instrument"
        )
    params = parse_values(arguments.param)
    if arguments.resume is not None:
        recorded, asked = does.recorded_options(arguments.resume, arguments.data)
        _take_from(recorded, arguments)
        params = {**asked, **params}
    _check_numbers(arguments.slices, arguments.pitch)
    _check_edge(arguments.edge, arguments.pitch)
    made = make_params(find_analysis("reconstruct"), params)
    plane_nm = getattr(made, "plane_nm", None) or arguments.pitch / getattr(made, "factor", 1)
    _check_memory(arguments.slices, arguments.edge, arguments.pitch / plane_nm)
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


def _take_from(recorded: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Take the options of a broken run; refuse those that were given otherwise.

    More slices than it was asked for may be wanted.
    """
    given: set[str] = getattr(arguments, "given", set())
    wrong = [
        f"--{name} must be that of the run to resume, {value}, got {getattr(arguments, name)}"
        for name, value in recorded.items()
        if name in given and name != "slices" and getattr(arguments, name) != value
    ]
    if wrong:
        raise ValueError("; ".join(wrong) + "; leave it out")
    for name in recorded.keys() - given:
        setattr(arguments, name, recorded[name])


def _check_numbers(n_slices: int, pitch_nm: float) -> None:
    """Refuse what makes no volume, before anything is touched."""
    if n_slices < 2:
        raise ValueError(
            f"--slices must be 2 at least to have a volume between them, got {n_slices}; give more"
        )
    if not (math.isfinite(pitch_nm) and pitch_nm > PIXEL_NM):
        raise ValueError(
            f"--pitch must be finite and more than a pixel's {PIXEL_NM:g} nm, got {pitch_nm:g}; "
            "try 100"
        )


def _check_memory(n_slices: int, edge_px: int, planes: float) -> None:
    """Refuse a volume that this machine cannot hold; `planes` are those for each slice."""
    needed = VOXEL_BYTES * n_slices * planes * edge_px**2
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > room:
        raise ValueError(
            f"the volume must fit into the memory of {room / 1e9:.0f} GB, got {needed / 1e9:.0f} "
            f"GB for --edge {edge_px} and --slices {n_slices}; give less of one"
        )


def _check_edge(edge_px: int, pitch_nm: float) -> None:
    """Refuse images too small for tracking marks, or for what is learnt at twice the pitch."""
    least = max(MARKS_PX, round(6 * pitch_nm / PIXEL_NM) + DRIFT_PX)
    if edge_px < least:
        raise ValueError(
            f"--edge must be {least} px at least at a pitch of {pitch_nm:g} nm, got {edge_px}; "
            "give more, or a smaller --pitch"
        )


def _report(arguments: argparse.Namespace) -> None:
    from bl_steer.session import slice_and_view as does

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
