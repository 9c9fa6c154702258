"""Commands on stored runs: runs, show, analyse."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bl_steer.cli.options import Failed, Parser, data_option, json_option, print_columns
from bl_steer.cli.params import add_params, analysis_of, option_of, read_params
from bl_steer.processing import find_analysis, stored_runs
from bl_steer.progress import Bar
from bl_steer.trials import film

__all__ = ["add_analyse", "add_runs", "add_show"]


def add_runs(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``runs``."""
    json_option(parser, _runs)
    data_option(parser)


def add_show(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``show``."""
    json_option(parser, _show)
    data_option(parser)
    parser.add_argument("uid", help="uid, the beginning of one, or -1 for the latest")
    parser.add_argument("--figure", type=Path, help="PNG to write; UID.png by default")
    parser.add_argument(
        "--verify", action="store_true", help="repeat every decision from the record"
    )


def add_analyse(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``analyse``, and those of the analysis that is named."""
    _analyse_options(parser)
    first = Parser(prog=parser.prog, add_help=False)
    _analyse_options(first)
    name = first.parse_known_args([word for word in argv if word not in ("-h", "--help")])[0].name
    analysis = None if name is None else analysis_of(name)
    if analysis is not None:
        add_params(parser, analysis.Params)


def _analyse_options(parser: Parser) -> None:
    json_option(parser, _analyse)
    data_option(parser)
    parser.add_argument("uid", nargs="?", help="uid, the beginning of one, or -1 for the latest")
    parser.add_argument(
        "name", nargs="?", help="of the analysis, or MODULE:CLASS; with --help, its options"
    )
    parser.add_argument(
        "--pending", action="store_true", help="carry out what runs asked for and nobody did"
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the figures there, PNG")


def _runs(arguments: argparse.Namespace) -> Any:
    rows = film.runs(data_dir=arguments.data)
    for row in rows:
        plan = f"{row['plan']} {row['analysis']}".rstrip()
        print(
            f"{row['uid'][:8]}  {row['scan_id'] or '':>5}  {row['time']}  {plan:20}"
            f"{row['n_points']:>5} points  {'in progress' if row['in_progress'] else row['status']}"
        )
    if not rows:
        print(f"no runs in {arguments.data}")
    return rows


def _show(arguments: argparse.Namespace) -> Any:
    report = film.show(
        arguments.uid, data_dir=arguments.data, figure=arguments.figure, verify=arguments.verify
    )
    if "analysis" in report:
        _print_analysis(report)
        return report
    steering = report.pop("steering")
    for key, value in {**report, **steering}.items():
        print(f"{key:22}{value}")
    return {**report, "steering": steering}


def _analyse(arguments: argparse.Namespace) -> Any:
    if arguments.pending:
        return _analyse_pending(arguments)
    if arguments.uid is None:
        return _list_analyses()
    if arguments.name is None:
        raise ValueError(
            f"an analysis must be named, got the run {arguments.uid!r} alone; 'bl-steer analyse' "
            "lists them"
        )
    with Bar("analysing") as bar:
        report = stored_runs.analyse(
            arguments.uid,
            arguments.name,
            read_params(arguments),
            data_dir=arguments.data,
            figures=arguments.figures,
            progress=bar.show,
        )
    _print_analysis(report)
    if report["status"] != "success":
        raise Failed(f"the analysis failed: {report['reason']}", report)
    return report


def _analyse_pending(arguments: argparse.Namespace) -> Any:
    if arguments.uid:
        raise ValueError(
            f"--pending must stand alone, got {arguments.uid!r} beside it; leave out the one or "
            "the other"
        )
    with Bar("analysing") as bar:
        reports = stored_runs.analyse_pending(
            data_dir=arguments.data,
            figures=arguments.figures,
            on_report=_print_analysis,
            on_claimed=print,
            progress=bar.show,
        )
    print(f"{len(reports)} pending analyses carried out")
    return reports


def _list_analyses() -> Any:
    reports = stored_runs.known_analyses()
    for report in reports:
        print(f"{report['name']:14}{report.get('problem') or 'version ' + report['version']}")
        fields = find_analysis(report["name"]).Params.model_fields if report["params"] else {}
        for key, field in report["params"].items():
            default = f"default {field['default']!r}" if "default" in field else "required"
            option = option_of(key, fields[key])
            text = field.get("description", "")
            print(f"    {option:20}{field.get('type', ''):9}{default:16}{text}")
    return reports


def _print_analysis(report: dict[str, Any]) -> None:
    for key, value in report.items():
        if key == "tables":
            for name, table in value.items():
                print(f"{'table ' + name:21} {table['rows']} rows")
                print_columns(table["head"])
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
