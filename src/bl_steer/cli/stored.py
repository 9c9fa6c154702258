"""Commands that look at stored runs: runs, show."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import command, write_json

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the commands that look at stored runs."""
    command(commands, "runs", _runs, "list the stored runs")
    show = command(commands, "show", _show, "figure and table of a stored run")
    show.add_argument("uid", help="uid, the beginning of one, or -1 for the latest")
    show.add_argument("--figure", type=Path, help="PNG to write; UID.png by default")
    show.add_argument("--verify", action="store_true", help="repeat every decision from the record")


def _runs(arguments: argparse.Namespace) -> None:
    from bl_steer.trials import film as commands

    rows = commands.runs(data_dir=arguments.data)
    for row in rows:
        plan = f"{row['plan']} {row['analysis']}".rstrip()
        print(
            f"{row['uid'][:8]}  {row['scan_id'] or '':>5}  {row['time']}  {plan:20}"
            f"{row['n_points']:>5} points  {'in progress' if row['in_progress'] else row['status']}"
        )
    if not rows:
        print(f"no runs in {arguments.data}")
    write_json(arguments, rows)


def _show(arguments: argparse.Namespace) -> None:
    from bl_steer.trials import film as commands

    report = commands.show(
        arguments.uid, data_dir=arguments.data, figure=arguments.figure, verify=arguments.verify
    )
    if "analysis" in report:
        from bl_steer.cli.analyses import print_analysis

        print_analysis(report)
        write_json(arguments, report)
        return
    steering = report.pop("steering")
    for key, value in {**report, **steering}.items():
        print(f"{key:22}{value}")
    report["steering"] = steering
    write_json(arguments, report)
