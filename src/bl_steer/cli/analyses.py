"""Commands that analyse stored runs: analyse."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import command, write_json
from bl_steer.progress import Bar

__all__ = ["add_commands", "print_analysis"]


def add_commands(commands: Any) -> None:
    """Add the commands that analyse."""
    analyse = command(
        commands, "analyse", _analyse, "analyse a stored run; without a run, list the analyses"
    )
    analyse.add_argument("uid", nargs="?", help="uid, the beginning of one, or -1 for the latest")
    analyse.add_argument("name", nargs="?", help="of the analysis, or MODULE:CLASS")
    analyse.add_argument(
        "--param", action="append", default=[], metavar="KEY=VALUE", help="may be repeated"
    )
    analyse.add_argument(
        "--pending", action="store_true", help="carry out what runs asked for and nobody did"
    )
    analyse.add_argument("--figures", type=Path, metavar="DIR", help="write the figures there, PNG")


def print_analysis(report: dict[str, Any]) -> None:
    """Print what an analysis run holds."""
    for key, value in report.items():
        if key == "tables":
            for name, table in value.items():
                print(f"{'table ' + name:21} {table['rows']} rows")
                _print_table(table["head"])
        elif key == "arrays":
            for name, array in value.items():
                print(f"{'array ' + name:21} {array['dtype']} {tuple(array['shape'])}")
        elif key == "figures":
            for name, path in value.items():
                print(f"{'figure ' + name:21} {path}")
        elif key == "warnings":
            for warning in value:
                print(f"{'warning':22}{warning}")
        elif key != "traceback" or not str(report["reason"]).startswith("ValueError"):
            print(f"{key:22}{value}")


def _analyse(arguments: argparse.Namespace) -> None:
    from bl_steer.processing import stored_runs as does

    if arguments.pending:
        if arguments.uid or arguments.param:
            raise ValueError(
                f"--pending must stand alone, got {arguments.uid or arguments.param!r} beside it; "
                "leave out the one or the other"
            )
        with Bar("analysing") as bar:
            reports = does.analyse_pending(
                data_dir=arguments.data,
                figures=arguments.figures,
                on_report=print_analysis,
                on_claimed=print,
                progress=bar.show,
            )
        print(f"{len(reports)} pending analyses carried out")
        write_json(arguments, reports)
        return
    if arguments.uid is None:
        _list(arguments)
        return
    if arguments.name is None:
        raise ValueError(
            f"an analysis must be named, got the run {arguments.uid!r} alone; 'bl-steer analyse' "
            "lists them"
        )
    params = does.parse_values(arguments.param)
    with Bar("analysing") as bar:
        report = does.analyse(
            arguments.uid,
            arguments.name,
            params,
            data_dir=arguments.data,
            figures=arguments.figures,
            progress=bar.show,
        )
    print_analysis(report)
    write_json(arguments, report)
    if report["status"] != "success":
        raise RuntimeError(f"the analysis failed: {report['reason']}")


def _list(arguments: argparse.Namespace) -> None:
    from bl_steer.processing import stored_runs as does

    reports = does.known_analyses()
    for report in reports:
        print(f"{report['name']:14}{report.get('problem') or 'version ' + report['version']}")
        for key, field in report["params"].items():
            default = f"default {field['default']!r}" if "default" in field else "required"
            print(
                f"    {key:18}{field.get('type', ''):9}{default:16}{field.get('description', '')}"
            )
    write_json(arguments, reports)


def _print_table(head: dict[str, list[Any]]) -> None:
    cells = [[key, *map(_cell, column)] for key, column in head.items()]
    widths = [max(map(len, column)) for column in cells]
    for row in zip(*cells, strict=True):
        print("    " + "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
