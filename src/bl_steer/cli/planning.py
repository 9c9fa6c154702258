"""The command plan: which way to take, before the beam comes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bl_steer import plotting, trials
from bl_steer.cli.options import Parser, figure_option, json_option, print_row
from bl_steer.cli.params import add_params, read_params

__all__ = ["add_plan"]


def add_plan(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``plan``."""
    json_option(parser, _plan)
    figure_option(parser, "PNG to write", Path("plan.png"))
    add_params(parser, trials.BeamNumbers, without=("assumed",), title="numbers of the beam time")
    parser.add_argument(
        "--patience-s",
        type=float,
        default=trials.PATIENCE_S,
        metavar="X",
        help="CPU time of the simulations, s: more films, surer shares",
    )


def _plan(arguments: argparse.Namespace) -> Any:
    plotting.check_figure(arguments.figure)
    numbers = trials.BeamNumbers(**read_params(arguments))
    report = trials.plan_beam_time(numbers, patience_s=arguments.patience_s)
    plotting.draw_plan(report).savefig(arguments.figure, dpi=150)
    heads = "".join(f"{f'{p} %':>10}" for p in report["percentiles"])
    wide = len(heads)
    print(f"{'beam time until':28}{'A was measured':>{wide}}{'it is confirmed':>{wide}}")
    print(f"{'':28}{heads}{heads}   right on")
    for way in report["ways"]:
        times = "".join(
            f"{plotting.duration(v):>10}" for v in (*way["first_s"], *way["confirmed_s"])
        )
        right = f"{round(way['right'] * way['films'])} of {way['films']}"
        print(f"{way['name']:28}{times}   {right:9} {way['note']}".rstrip())
    print_row("recommended", f"{report['recommended'] or 'none'}: {report['reason']}")
    if report["command"]:
        print_row("command", report["command"])
    for remark in report["remarks"]:
        print_row("remark", remark)
    print_row("numbers", plotting.numbers_of_plan(report))
    print_row("figure", arguments.figure)
    return {**report, "figure": str(arguments.figure)}
