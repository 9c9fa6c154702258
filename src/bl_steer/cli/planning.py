"""The command plan: which way to take, before the beam comes."""

from __future__ import annotations

import argparse
import math
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
    add_params(parser, trials.BeamNumbers)


def _plan(arguments: argparse.Namespace) -> Any:
    plotting.check_figure(arguments.figure)
    report = trials.plan_beam_time(trials.BeamNumbers(**read_params(arguments)))
    plotting.draw_plan(report).savefig(arguments.figure, dpi=150)
    heads = "".join(f"{f'{p} %':>9}" for p in report["percentiles"])
    print(f"{'min until A is found':30}{heads}   missed")
    for way in report["ways"]:
        times = "".join(f"{_minutes(v):>9}" for v in way["percentiles_s"])
        print(f"{way['name']:30}{times}{100 * way['p_missed']:>7.0f} %  {way['note']}")
    print_row("recommended", f"{report['recommended']}: {report['reason']}")
    print_row("command", report["command"])
    print_row("figure", arguments.figure)
    return {**report, "figure": str(arguments.figure)}


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if math.isfinite(seconds) else "never"
