"""Commands on stored runs: runs, show, export, analyse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from bl_steer import plotting
from bl_steer.agents import AGENT_NAMES
from bl_steer.cli.found import counts_of, print_told
from bl_steer.cli.options import (
    Failed,
    Parser,
    data_option,
    figure_option,
    in_options,
    json_option,
    print_columns,
)
from bl_steer.cli.params import add_params, analysis_of, option_of, read_params
from bl_steer.processing import find_analysis, is_analysis, stored_runs
from bl_steer.progress import Bar
from bl_steer.runs import (
    RecordsAlone,
    Run,
    durations_of,
    export_run,
    has_gap,
    list_runs,
    open_named,
)
from bl_steer.stages import stages_of
from bl_steer.steering import differences
from bl_steer.store import Store, StoreError

__all__ = ["add_analyse", "add_export", "add_runs", "add_show"]
RUN_HELP = (
    "uid, the beginning of one, scan id, or -1 for the latest run, analyses included: right after "
    "an analysis it is the analysis, and -2 the run before it"
)

REASON_WIDTH = 60
"""Characters of a run's reason in the list of runs; ``show`` and ``--json`` have all of it."""


def add_runs(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``runs``."""
    json_option(parser, _runs)
    data_option(parser)


def add_show(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``show``."""
    json_option(parser, _show)
    data_option(parser)
    parser.add_argument("uid", help=RUN_HELP)
    figure_option(parser, "PNG to write; UID.png by default")
    parser.add_argument(
        "--verify", action="store_true", help="repeat every decision from the record"
    )


def add_export(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``export``."""
    json_option(parser, _export)
    data_option(parser)
    parser.add_argument("uid", help=RUN_HELP)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="NeXus (.nxs, .h5) or CSV (.csv) by its ending; UID.nxs by default",
    )
    parser.add_argument(
        "--frames",
        choices=("copy", "link", "none"),
        default="copy",
        help="in NeXus: a copy of the frames, a link to the detector's files, or none",
    )
    parser.add_argument("--force", action="store_true", help="write over files that are there")


def add_analyse(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``analyse``, and those of the analysis that is named."""
    _analyse_options(parser)
    first = Parser(prog=parser.prog, add_help=False, lenient=True)
    _analyse_options(first)
    name = first.parse_known_args([text for text in argv if text not in ("-h", "--help")])[0].name
    analysis = None if name is None else analysis_of(name)
    if analysis is not None:
        add_params(parser, analysis.Params)


def _analyse_options(parser: Parser) -> None:
    json_option(parser, _analyse)
    data_option(parser)
    parser.add_argument("uid", nargs="?", help=RUN_HELP)
    parser.add_argument(
        "name", nargs="?", help="name of the analysis, or MODULE:CLASS; with --help, its options"
    )
    parser.add_argument(
        "--pending", action="store_true", help="carry out what runs asked for and nobody did"
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="write the figures there, PNG")


def _runs(arguments: argparse.Namespace) -> Any:
    with _existing_store(arguments.data) as store:
        rows: list[dict[str, Any]] = [
            {
                "uid": row.uid,
                "scan_id": row.scan_id,
                "time": row.time.isoformat(timespec="seconds"),
                "plan": row.plan,
                "analysis": row.analysis,
                "n_points": row.n_points,
                "n_events": row.n_events,
                "status": row.status,
                "in_progress": row.in_progress,
                "reason": row.reason,
                "damaged_lines": row.damaged_lines,
            }
            for row in list_runs(store)
        ]
    for row in rows:
        plan = f"{row['plan']} {row['analysis']}".rstrip()
        status = "in progress" if row["in_progress"] else row["status"]
        events = f", {row['n_events']} events" if row["n_events"] > row["n_points"] else ""
        damage = f", damaged lines: {row['damaged_lines']}" if row["damaged_lines"] else ""
        print(
            f"{row['uid'][:8]}  {row['scan_id'] or '':>5}  {row['time']}  {plan:20}"
            f"{row['n_points']:>5} points{events}  {status}{damage}"
            f"{': ' if row['reason'] else ''}{shorten(row['reason'], REASON_WIDTH)}"
        )
    if not rows:
        print(f"no runs in {arguments.data}")
    return rows


def _show(arguments: argparse.Namespace) -> Any:
    with _existing_store(arguments.data) as store:
        run = open_named(store, arguments.uid)
        if is_analysis(run.start):  # its figures were drawn when it was made
            report = stored_runs.show_analysis(run, store.path / "frames")
            _print_analysis(arguments, report)
            return report
        _check_verifiable(run, verify=arguments.verify)
        report = _draw(run, arguments.figure) if run.steering else _tell(run, arguments.figure)
        if arguments.verify:
            differing = differences(run)
            report["decisions_that_differ"] = differing.decisions
            report["masks_that_differ"] = differing.masks
            if differing.decisions:
                report["how_decisions_differ"] = differing.how
            if has_gap(run.streams):
                report["decisions_verified"] = run.n_complete  # up to the gap in the record
    steering = report.pop("steering")
    for key, value in {**report, **steering}.items():
        print_told(key, durations_of(run) if key == "durations" else value)
    return {**report, "steering": steering}


def _export(arguments: argparse.Namespace) -> Any:
    with _existing_store(arguments.data) as store:
        run = open_named(store, arguments.uid)
        files = export_run(run, arguments.out, frames=arguments.frames, force=arguments.force)
    for file in files:
        print(file)
    return {"uid": run.uid, "files": [str(file) for file in files]}


def _check_verifiable(run: Run, *, verify: bool) -> None:
    """Refuse to repeat the decisions of a run that has none, or whose agent is not ours."""
    if verify and not run.decisions:
        raise ValueError(
            f"a run must have decisions to be verified, got a {run.start.get('plan_name')} "
            "without any; leave out --verify"
        )
    if verify and run.steering["agent"] not in AGENT_NAMES:
        raise ValueError(
            "only the decisions of a built-in agent can be repeated, got the agent "
            f"{run.steering['agent']!r}; leave out --verify"
        )


def _draw(run: Run, figure: Path | None) -> dict[str, Any]:
    """Draw a run on a grid, if there is a point to draw; return what it found."""
    if figure is not None or run.valid.any():
        figure = figure or Path(f"{run.uid[:8]}.png")
        plotting.check_figure(figure)
        plotting.draw_run(run).savefig(figure, dpi=150)
    spots = [{k: v for k, v in spot.items() if k != "outcomes"} for spot in run.spots]
    result = spots[0] if len(spots) == 1 else {"spots": spots} if spots else {}
    return {
        "uid": run.uid,
        "plan": run.start.get("plan_name"),
        "status": run.status,
        "reason": run.reason,
        **counts_of(run),
        "n_invalid": int((~run.valid).sum()),
        "steering": _settings(run),
        **_mask(run),
        **result,
        "durations": durations_of(run).to_dict(),
        "figure": None if figure is None else str(figure),
    }


def _settings(run: Run) -> dict[str, Any]:
    """Return what a run was asked for, without its grid and the pixels of masks and flat fields."""

    def told(record: Any) -> dict[str, Any]:
        return {k: v for k, v in record.items() if k not in ("mask_bits", "flat_bits")}

    settings = {k: v for k, v in run.steering.items() if k not in ("grid", "mask")}
    if "reduction_settings" in settings:
        settings["reduction_settings"] = told(settings["reduction_settings"])
    if "further_reductions" in settings:
        settings["further_reductions"] = [told(r) for r in settings["further_reductions"]]
    return settings


def _mask(run: Run) -> dict[str, Any]:
    """Return how many pixels a run was told not to use, and the share of the counts in them."""
    record = run.steering.get("mask")
    if record is None:
        return {}
    shares = [r.masked_share for r in run.results() if r.pattern is not None]
    return {"masked_pixels": record["n_masked"], "masked_share": float(np.mean(shares or [0.0]))}


def _tell(run: Run, figure: Path | None) -> dict[str, Any]:
    """Return what is known of a run that steered nothing, such as one of micrographs."""
    if figure is not None:
        raise ValueError(
            f"a figure must be of a run with a grid, got a {run.start.get('plan_name')}; show its "
            "analysis, or leave out --figure"
        )
    return {
        "uid": run.uid,
        "plan": run.start.get("plan_name"),
        "status": run.status,
        "reason": run.reason,
        **counts_of(run),
        "analyses": run.start.get("analyses", []),
        "steering": {},
    }


@contextmanager
def _existing_store(data_dir: Path) -> Iterator[Store | RecordsAlone]:
    """Open a store to look at; where it cannot be opened (full or read-only disk), its records."""
    try:
        store = Store.open_existing(data_dir)
    except StoreError as error:
        if not (data_dir / "record").is_dir():
            raise
        print(f"bl-steer: reading the records alone: {error}", file=sys.stderr)
        yield RecordsAlone(data_dir)
    else:
        with store:
            yield store


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
    with Bar("analysing", stages=stages_of(arguments.name)) as bar:
        report = stored_runs.analyse(
            arguments.uid,
            arguments.name,
            read_params(arguments),
            data_dir=arguments.data,
            figures=arguments.figures,
            progress=bar.show,
        )
    _print_analysis(arguments, report)
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
            on_report=partial(_print_analysis, arguments),
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


def _print_analysis(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
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
                print(in_options(arguments, f"{'warning':22}{warning}"))
        elif key != "traceback" or not str(report["reason"]).startswith("ValueError"):
            print(f"{key:22}{value}")
