"""Commands that steer: demo, find, replay, paper."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bl_steer import trials
from bl_steer.cli.found import place_of, print_found, print_front, print_outlook, print_run
from bl_steer.cli.interrupted import in_place_of_parts, keeps, kept_of_paper
from bl_steer.cli.mapping import MAXIMUM, find_goal, goal_option, replay_goal
from bl_steer.cli.options import (
    PRESETS,
    Parser,
    axes_option,
    data_option,
    figure_option,
    json_option,
    out_option,
    prefix_option,
    print_row,
    with_interval,
)
from bl_steer.cli.resume import keeps_run
from bl_steer.cli.slices import print_tables
from bl_steer.files import read_pixel_mask
from bl_steer.files.maps.any_map import MAP_ENDINGS
from bl_steer.progress import Bar, significant
from bl_steer.stages import stages_of

__all__ = ["add_demo", "add_find", "add_paper", "add_replay"]

DEFAULT_SAMPLE = "multi-domain"
DEMO_SEED = 10
PAPER_SEED = 13
"""Films on which 48 measurements suffice; docs/benchmarks.md says on how many they do."""
PAPER_SCALE = 0.3
"""Minutes instead of hours."""
BUDGET, BUDGET_ADAPTIVE, BUDGET_OF_STOP = 48, 120, 200
COUNTED = (
    "measurements until the first place within a step of the highest value or of 95 % of it (to "
    "A),\nof the highest value itself (to best), of 95 % of it (to 95 %); found: A measured and "
    "reported"
)
WIDTHS = (5, 6, 9, 9, 10, 12, 8)


def add_demo(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``demo``."""
    json_option(parser, _demo)
    data_option(parser)
    parser.add_argument("--sample", default="multi-domain", choices=PRESETS, help="the film")
    parser.add_argument(
        "--seed", type=int, default=DEMO_SEED, help="seed of the film and of the agent"
    )
    figure_option(parser, "PNG to write", Path("point_A.png"))
    keeps_run(parser)


def add_find(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``find``."""
    json_option(parser, _find)
    data_option(parser)
    parser.add_argument(
        "--sample", metavar="PRESET", help=f"{', '.join(PRESETS)}; by default {DEFAULT_SAMPLE}"
    )
    parser.add_argument(
        "--epics", action="store_true", help="on the PVs of devices/beamline.py, as bl-steer ioc"
    )
    prefix_option(parser)
    axes_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the film and of the agent")
    agents = f"agent that chooses the points: {', '.join(trials.AGENTS)}"
    parser.add_argument("--agent", default="bayesian", metavar="NAME", help=agents)
    parser.add_argument(
        "--start",
        choices=("maximin", "random"),
        default="maximin",
        help="first points of the agent bayesian: spread out or random",
    )
    parser.add_argument(
        "--stop",
        metavar="RULE",
        help="end when a better spot is improbable, as W=20 or W=20,p=0.05: W is the full width at "
        "half maximum, µm, of the narrowest hill that matters, p what may remain; raises the "
        "budget to 200 where it is not given",
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="pixels that are not to be used: .npy, .npz, .edf, HDF5 with pixel_mask, TIFF or PNG",
    )
    parser.add_argument(
        "--exposure",
        choices=("adaptive",),
        help="let the agent choose the exposure time of each point, up to --exposure-s, and look "
        "at what it found in full at the end; raises the budget to 120 where it is not given",
    )
    parser.add_argument(
        "--seen",
        nargs="+",
        metavar="UID",
        help="earlier runs of the store, by uid, its beginning or scan id: their points are known "
        "from the start, and the budget does not count them",
    )
    _steering_options(parser, budget=None)
    keeps_run(parser)


def add_replay(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``replay``."""
    json_option(parser, _replay)
    parser.add_argument("file", help=f"a map ({', '.join(MAP_ENDINGS)}), or a preset")
    parser.add_argument(
        "--agent",
        nargs="+",
        default=["bayesian", "random"],
        metavar="NAME",
        help=f"agents to compare, of {', '.join(trials.AGENTS)}",
    )
    parser.add_argument("--seeds", default="0:10", help="seeds, as FIRST:END or one number")
    parser.add_argument(
        "--clip-percentile", type=float, metavar="P", help="percentile to clip hot outliers at"
    )
    parser.add_argument("--stride", type=int, default=1, help="take every Nth point of a map")
    parser.add_argument(
        "--missing",
        type=float,
        nargs="+",
        default=[],
        metavar="V",
        help="values that mark what was not measured, as --missing=-999",
    )
    _steering_options(parser)


def add_paper(parser: Parser, argv: Sequence[str]) -> None:
    """Add the options of ``paper``."""
    json_option(parser, _paper)
    data_option(parser)
    parser.add_argument("--seed", type=int, default=PAPER_SEED, help="seed of film and specimens")
    out_option(parser, "paper", "folder of the figures")
    parser.add_argument(
        "--scale",
        type=float,
        default=PAPER_SCALE,
        help="scale of the edges of figure 5's box; 1 is the paper's 10 µm",
    )
    keeps(parser, kept_of_paper)


def _steering_options(parser: Parser, budget: int | None = BUDGET) -> None:
    goal_option(parser)
    parser.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="what to maximise: total, map, roi:…, ref:… or nmf:…; by default the Ge-rich phase, "
        "or a map's total; given several times, all are sought in one search",
    )
    parser.add_argument(
        "--pareto",
        action="store_true",
        default=None,
        help="seek the places that no other one beats in two or three targets, in place of each "
        "target's spot",
    )
    parser.add_argument(
        "--budget", type=int, default=budget, help=f"number of measurements, {BUDGET} by default"
    )
    parser.add_argument(
        "--exposure-s", type=float, default=10.0, metavar="S", help="exposure time of a frame, s"
    )


def _demo(arguments: argparse.Namespace) -> Any:
    report = trials.demo(
        sample=arguments.sample,
        seed=arguments.seed,
        data_dir=arguments.data,
        figure=arguments.figure,
    )
    print_found(report)
    print_row("figure", report["figure"])
    print_run(report)
    return report


def _find(arguments: argparse.Namespace) -> Any:
    options = {
        "seed": arguments.seed,
        "budget": _budget(arguments) if arguments.budget is None else arguments.budget,
        "target": _target(arguments),
        "pareto": arguments.pareto,
        "agent": arguments.agent,
        "stop": arguments.stop,
        "data_dir": arguments.data,
        "exposure_s": arguments.exposure_s,
        "mask": None if arguments.mask is None else read_pixel_mask(arguments.mask),
        "exposure": arguments.exposure,
        "seen": arguments.seen,
    }
    if arguments.agent == "bayesian" and arguments.start == "random":
        options["agent"] = "bayesian-random-start"
    if arguments.epics and arguments.sample is not None:
        raise ValueError(
            f"--sample must be left out with --epics, got {arguments.sample}; the sample is what "
            "stands in the beam there"
        )
    if arguments.epics and arguments.goal == MAXIMUM:
        return _find_on_epics(arguments, options)
    if not arguments.epics and (arguments.prefix is not None or arguments.axes is not None):
        raise ValueError(
            f"--prefix and --axes must come with --epics, got {arguments.prefix or arguments.axes} "
            "without; add --epics"
        )
    if arguments.goal != MAXIMUM:
        return find_goal(arguments, arguments.sample or DEFAULT_SAMPLE, options)
    report = trials.find(arguments.sample or DEFAULT_SAMPLE, **options)
    print_found(report)
    print_outlook(report)
    print_run(report)
    return report


def _target(arguments: argparse.Namespace) -> str | list[str] | None:
    targets: list[str] = arguments.target or []
    return targets if len(targets) > 1 else next(iter(targets), None)


def _budget(arguments: argparse.Namespace) -> int:
    if arguments.stop is not None:
        return BUDGET_OF_STOP
    return BUDGET if arguments.exposure is None else BUDGET_ADAPTIVE


def _find_on_epics(arguments: argparse.Namespace, options: dict[str, Any]) -> Any:
    report = trials.find_on_epics(prefix=arguments.prefix, axes=arguments.axes, **options)
    for spot in report.get("targets", ()):
        print(
            f"{spot['target']}: brightest at {place_of(spot, 'best')}, "
            f"{significant(spot['best_value'], 4)} ± {significant(spot['best_sd'], 2)} counts"
        )
    print_front(report)
    print(
        f"brightest     at {place_of(report, 'best')}, "
        f"{significant(report['best_value'], 4)} ± {significant(report['best_sd'], 2)} counts\n"
        f"measurements  {report['n_measured']}, {report['n_invalid']} of them invalid\n"
        f"duration      {report['duration_s'] / 60:.1f} min"
    )
    print_outlook(report)
    print_run(report)
    return report


def _replay(arguments: argparse.Namespace) -> Any:
    if arguments.goal != MAXIMUM:
        return replay_goal(arguments, _seeds(arguments.seeds), _target(arguments))
    records = trials.replay(
        arguments.file,
        agents=arguments.agent,
        seeds=_seeds(arguments.seeds),
        target=_target(arguments),
        pareto=arguments.pareto,
        budget=arguments.budget,
        clip=arguments.clip_percentile,
        stride=arguments.stride,
        missing=arguments.missing,
        exposure_s=arguments.exposure_s,
        on_trial=_print_trial,
        on_map=print,
    )
    print(f"\n{COUNTED}")
    print(f"\nmedian over {len(_seeds(arguments.seeds))} seeds (never: above all):")
    for agent in dict.fromkeys(record["agent"] for record in records):
        own = [r for r in records if r["agent"] == agent]
        print(
            f"{agent:24}to A {_median(own, 'n_to_found', arguments.budget):>6}, "
            f"to best {_median(own, 'n_to_best_cell', arguments.budget):>6}, "
            f"to 95 % {_median(own, 'n_to_95', arguments.budget):>6}, "
            f"found by {sum(r['found'] for r in own)} of {len(own)}"
        )
    return records


def _print_trial(record: dict[str, Any], *, first: bool) -> None:
    if first:
        heads = ("seed", "to A", "to best", "to 95 %", "distinct", "path", "CPU ms")
        print(f"{'agent':24}" + "".join(f"{h:>{w}}" for h, w in zip(heads, WIDTHS, strict=True)))
    values = (
        f"{record['seed']}",
        f"{record['n_to_found'] or '-'}",
        f"{record['n_to_best_cell'] or '-'}",
        f"{record['n_to_95'] or '-'}",
        f"{record['n_distinct']}",
        "-" if record["path"] is None else f"{record['path']:.4g} {record['path_unit']}",
        f"{1000 * record['decision_cpu_s_median']:.1f}",
    )
    cells = "".join(f"{v:>{w}}" for v, w in zip(values, WIDTHS, strict=True))
    print(f"{record['agent']:24}{cells}", flush=True)


def _median(records: list[dict[str, Any]], key: str, budget: int) -> str:
    value = median(r[key] if r[key] is not None else float("inf") for r in records)
    return f"{value:g}" if value <= budget else f"> {budget}"


def _seeds(text: str) -> range:
    first, colon, end = text.partition(":")
    try:
        seeds = range(int(first or 0), int(end)) if colon else range(int(first), int(first) + 1)
    except ValueError:
        seeds = range(0)
    if not seeds or seeds[0] < 0:
        raise ValueError(f"seeds must be FIRST:END with END above FIRST, got {text!r}; try 0:10")
    return seeds


def _paper(arguments: argparse.Namespace) -> Any:
    with in_place_of_parts(arguments), Bar("report", stages=stages_of("report")) as bar:
        report = trials.draw_paper(
            seed=arguments.seed,
            out=arguments.out,
            data_dir=arguments.data,
            scale=arguments.scale,
            tell=partial(print, flush=True),
            reporting=bar.show,
        )
    print(f"figure_1: {report['figure_1']['figure']}")
    print_found(report["figure_1"])
    scores = ", ".join(
        f"{family} {with_interval(*miou)}" for family, miou in report["figure_2"]["miou"].items()
    )
    print(f"figure_2: {report['figure_2']['figure']}, mIoU {scores}")
    third = report["figure_3"]
    shares = ", ".join(
        f"{phase} {100 * share:.1f} % (true {100 * third['true_fraction'][phase]:.1f} %)"
        for phase, (share, _, _) in third["fraction"].items()
    )
    print(f"figure_3: {third['figure']}, {third['duration_s']:.1f} s, {shares}")
    fifth = report["figure_5"]
    print(f"figure_5: {fifth['figure']}, {fifth['duration_s']:.0f} s, report {fifth['report']}")
    print_tables(fifth)
    return report
