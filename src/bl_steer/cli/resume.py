"""The command resume: carry on a steered run or a map whose process died."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from bl_steer import session
from bl_steer.cli.found import print_told
from bl_steer.cli.interrupted import keeps, kept_of
from bl_steer.cli.options import Parser, data_option, json_option, prefix_option, print_row
from bl_steer.progress import coordinate
from bl_steer.runs import RecordsAlone, Run, list_runs, open_run, open_to_resume
from bl_steer.steering import in_flight

__all__ = ["add_resume", "keeps_run"]

RESUMED = ("find_hotspot", "find_level_set", "map_adaptively", "map_sample")
REPORTED = (
    *("best_x", "best_y", "best_z", "best_value"),
    *("map_error", "map_range", "level", "inside", "inside_low", "inside_high"),
    "stop_reason",
)
"""What is printed of a result, where it has it."""
FILM = re.compile(r"sige-(?P<preset>.+)-(?P<seed>\d+)")
"""Name of a simulated film in a run's ``sample``."""


def add_resume(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``resume``."""
    json_option(parser, _resume)
    data_option(parser)
    parser.add_argument("uid", help="uid of the run, its beginning, scan id, or -1 for the last")
    parser.add_argument(
        "--budget", type=int, help="measurements in all, more than the run was to have"
    )
    parser.add_argument(
        "--epics", action="store_true", help="on process variables, not the simulated film"
    )
    prefix_option(parser)
    keeps_run(parser)


def keeps_run(parser: Parser) -> None:
    """Let Ctrl-C name the run that a command has begun, and what carries it on."""
    keeps(parser, partial(_kept, since=time.time()))


def _kept(arguments: argparse.Namespace, *, since: float) -> str:
    store = RecordsAlone(arguments.data)
    rows = list_runs(store) if store.record_dir.is_dir() else []
    begun = [row for row in rows if row.time.timestamp() >= since and not row.analysis]
    if not begun:
        return kept_of(argparse.Namespace())
    run = begun[-1]
    points = f"run {run.uid[:8]} is kept, with {run.n_points} points"
    if run.status == "success" or run.plan not in RESUMED:
        return f"{points}; 'bl-steer show {run.uid[:8]} --data {arguments.data}' shows it"
    epics = "".join(
        [
            " --epics" if getattr(arguments, "epics", False) else "",
            f" --prefix {arguments.prefix}" if getattr(arguments, "prefix", None) else "",
        ]
    )
    return f"{points}; 'bl-steer resume {run.uid[:8]} --data {arguments.data}{epics}' goes on"


def _resume(arguments: argparse.Namespace) -> Any:
    data = arguments.data
    if not data.is_dir():
        raise FileNotFoundError(f"the store must be a folder that exists, got {data}; give --data")
    broken = open_to_resume(RecordsAlone(data), arguments.uid)
    plan = broken.start.get("plan_name")
    if plan not in RESUMED:
        raise ValueError(
            f"a run to resume must be one of {', '.join(RESUMED)}, got {broken.uid[:8]} of "
            f"{plan!r}; slices go on with 'bl-steer slice-and-view --resume'"
        )
    how = broken.steering.get("per_point") or {}
    if how.get("name") == "collected_rows":
        raise ValueError(
            f"a map of a beamline's own flyer must be carried on where the flyer is, got "
            f"{broken.uid[:8]} of {how.get('flyer') or 'one'}; in a session of your instrument "
            f"RE(fly_map(det, axes, flyer=…, resumes={broken.uid[:8]!r}))"
        )
    if how.get("name") == "flown_rows":
        plan = "fly_map"
    options = {} if arguments.budget is None else {"budget": arguments.budget}
    print_row("resuming", f"{broken.uid[:8]}, {plan}, {broken.n_complete} points measured")
    unfinished = in_flight(broken)
    if unfinished:
        where = ", ".join(f"{k} = {coordinate(v)}" for k, v in unfinished.items() if k != "point")
        print_row("in flight", f"point {unfinished['point']} at {where}, measured again")
    with session.open_session(_instrument(broken, arguments), data_dir=data) as opened:
        uid, _ = opened.run(getattr(opened, plan)(resumes=broken, **options))
        run = open_run(opened.store, uid)
    return _report(broken, run, unfinished)


def _instrument(run: Run, arguments: argparse.Namespace) -> session.Instrument:
    if arguments.epics:
        return session.epics(prefix=arguments.prefix)
    name = str(run.start.get("sample", {}).get("name", ""))
    film = FILM.fullmatch(name)
    if film is None:
        raise ValueError(
            f"a run must be of a simulated film to be resumed here, got the sample {name!r}; give "
            f"--epics, or in a session of your instrument RE(find_hotspot(…, "
            f"resumes={run.uid[:8]!r}))"
        )
    return session.film(film["preset"], seed=int(film["seed"]))


def _report(broken: Run, run: Run, unfinished: dict[str, Any] | None) -> dict[str, Any]:
    spots = [{k: v for k, v in spot.items() if k != "outcomes"} for spot in run.spots]
    result = next(iter(spots), {})
    print_row("run", f"{run.uid[:8]} (bl-steer show {run.uid[:8]})")
    print_row("points", f"{run.n_points}, {run.n_points - broken.n_complete} of them now")
    if len(spots) > 1:
        print_told("spots", spots)
        result = {"spots": spots, "stop_reason": result["stop_reason"]}
    for key in REPORTED:
        if key in result:
            print_row(key, result[key])
    return {
        "run_uid": run.uid,
        "resumes": broken.uid,
        "plan": run.start["plan_name"],
        "status": run.status,
        "n_resumed": broken.n_complete,
        "in_flight": unfinished,
        "n_points": run.n_points,
        **result,
    }
