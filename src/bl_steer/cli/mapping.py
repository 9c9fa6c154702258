"""What ``find`` and ``replay`` do with another goal than the brightest spot: ``--goal``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bl_steer import trials
from bl_steer.agents.mapping.goal import Goal
from bl_steer.cli.options import Parser, print_row
from bl_steer.progress import significant

__all__ = ["DEFAULT_BUDGET", "find_goal", "goal_option", "print_goal_trial", "replay_goal"]

DEFAULT_BUDGET = 100
MAXIMUM = "maximum"


def goal_option(parser: Parser) -> None:
    """Let the user say what the points are chosen for."""
    parser.add_argument(
        "--goal",
        default=MAXIMUM,
        metavar="G",
        help="maximum; map, the least error of the whole map; or level=50%, the outline where the "
        "target crosses a level, a share of its range or a number in its unit",
    )


def find_goal(arguments: argparse.Namespace, preset: str, options: Mapping[str, Any]) -> Any:
    """Carry out ``find --goal``."""
    named = ("stop", "exposure", "pareto")
    given = [f"--{name}" for name in named if options.get(name)]
    if given:
        raise ValueError(
            f"--goal must stand without {', '.join(given)}, got {arguments.goal!r} with it: a map "
            "ends with its budget, and its looks are alike; leave it out, or give --budget and "
            "--exposure-s"
        )
    allowed = {k: v for k, v in options.items() if k not in named}
    allowed["budget"] = DEFAULT_BUDGET if arguments.budget is None else arguments.budget
    if arguments.epics:
        devices = {"prefix": arguments.prefix, "axes": arguments.axes}
        report = trials.map_on_epics(**devices, goal=arguments.goal, **allowed)
    else:
        report = trials.map_film(preset, goal=arguments.goal, **allowed)
        print_row("film", f"{preset}, seed {report['seed']}, {report['grid_points']} points")
    print_row("measurements", report["n_measured"])
    goal = Goal.parse(report["goal"])
    if goal.kind == "map":
        share = report["map_error"] / report["map_range"]
        print_row("error", f"{100 * share:.1f} % of the range expected (root mean square)")
        if "error" in report:
            print_row("", f"{100 * report['error']:.1f} % truly")
    else:
        print_row("level", f"{significant(report['level'], 4)} counts")
        truly = f", truly {100 * report['true_inside']:.1f} %" if "true_inside" in report else ""
        print_row(
            "above it",
            f"{100 * report['inside']:.1f} % of the map (95 %: {100 * report['inside_low']:.1f} … "
            f"{100 * report['inside_high']:.1f} %){truly}",
        )
        if "error" in report:
            print_row("wrong", f"{100 * report['error']:.1f} % of the map")
    if "error" in report:
        print_row("even grid", _even(report))
    uid = report["run_uid"][:8]
    print_row("run", f"{uid} (bl-steer show {uid})")
    return report


def replay_goal(arguments: argparse.Namespace, seeds: Sequence[int], target: Any) -> Any:
    """Carry out ``replay --goal``."""
    if isinstance(target, list):
        raise ValueError(f"--goal must come with one target, got {', '.join(target)}; map each")
    records = trials.replay_map(
        arguments.file,
        goal=arguments.goal,
        agents=arguments.agent,
        seeds=seeds,
        target=target,
        budget=arguments.budget,
        clip=arguments.clip_percentile,
        stride=arguments.stride,
        missing=arguments.missing,
        exposure_s=arguments.exposure_s,
        on_trial=print_goal_trial,
        on_map=print,
    )
    print(f"\nmedian over {len(seeds)} seeds:")
    for agent in dict.fromkeys(record["agent"] for record in records):
        error = median(r["error"] for r in records if r["agent"] == agent)
        print(f"{agent:24}{_wrong(records[0])} {100 * error:.2f} %")
    return records


def print_goal_trial(record: Mapping[str, Any]) -> None:
    """Print a trial of a replay in a line."""
    print(
        f"{record['agent']:24}seed {record['seed']:<5}{_wrong(record)} "
        f"{100 * record['error']:.2f} %; {_even(record)}",
        flush=True,
    )


def _wrong(record: Mapping[str, Any]) -> str:
    is_map = Goal.parse(record["goal"]).kind == "map"
    return "rms error over the range" if is_map else "misclassified area"


def _even(record: Mapping[str, Any]) -> str:
    if "even_error" not in record:
        return "no even grid of scattered points"
    errors = ", ".join(f"{100 * e:.2f} % {kind}" for kind, e in record["even_error"].items())
    return f"an even grid of {record['even_points']} points {errors}"
