"""The command line: readable text on the screen, the same as JSON with ``--json FILE``.

Exit status 0, or 2 with one line that names the value and the remedy.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bl_steer.settings import Settings

__all__ = ["main"]

PRESETS = ("smooth", "multi-domain", "needle", "noisy", "rough")
DEMO_SEED = 10
PAPER_SEED = 13
"""Films on which 48 measurements suffice; docs/benchmarks.md says on how many they do."""
WIDTHS = (5, 9, 9, 10, 9, 8)
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError, KeyError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        _check_json(getattr(arguments, "json", None))
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("bl-steer: interrupted; what was measured is in the store", file=sys.stderr)
        return 130
    except EXPECTED_ERRORS as error:
        line = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())
        print(f"bl-steer: {line or type(error).__name__}", file=sys.stderr)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"bl-steer: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bl-steer",
        description="Steer a micro-beam diffraction measurement to the spot that matters.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = _command(commands, "demo", _demo, "find point A on a simulated film; leaves a figure")
    demo.add_argument("--sample", default="multi-domain", choices=PRESETS)
    demo.add_argument("--seed", type=int, default=DEMO_SEED)
    demo.add_argument("--figure", type=Path, default=Path("point_A.png"))

    find = _command(commands, "find", _find, "find point A, with options")
    find.add_argument("--sample", default="multi-domain", metavar="PRESET", help=", ".join(PRESETS))
    find.add_argument("--seed", type=int, default=0, help="of the film and of the agent")
    find.add_argument("--agent", default="bayesian")
    find.add_argument("--start", choices=("maximin", "random"), default="maximin")
    _steering_options(find)

    replay = _command(commands, "replay", _replay, "steer over a recorded map or a preset")
    replay.add_argument("file", help="a .npz with x, y and `map` or `patterns`, or a preset")
    replay.add_argument("--agent", nargs="+", default=["bayesian", "random"], metavar="NAME")
    replay.add_argument("--seeds", default="0:10", help="FIRST:END, or one number (default 0:10)")
    replay.add_argument(
        "--clip", type=float, metavar="P", help="percentile to clip hot outliers at"
    )
    replay.add_argument("--stride", type=int, default=1, help="take every Nth point of a map")
    _steering_options(replay)

    _command(commands, "runs", _runs, "list the stored runs")
    show = _command(commands, "show", _show, "figure and table of a stored run")
    show.add_argument("uid", help="uid, the beginning of one, or -1 for the latest")
    show.add_argument("--figure", type=Path, help="PNG to write (default: UID.png)")
    show.add_argument("--verify", action="store_true", help="repeat every decision from the record")

    paper = _command(commands, "paper", _paper, "the figures of the source, at its scale")
    paper.add_argument("--seed", type=int, default=PAPER_SEED)
    paper.add_argument("--out", type=Path, default=Path("paper"), help="folder for the figures")

    session = _plain_command(commands, "session", _session, "an IPython session at the beamline")
    where = session.add_mutually_exclusive_group()
    where.add_argument("--sim", action="store_true", help="on the simulated beamline (default)")
    where.add_argument("--epics", action="store_true", help="on the PVs of devices/beamline.py")
    session.add_argument("--sample", default=None, metavar="PRESET", help=", ".join(PRESETS))
    session.add_argument("--seed", type=int, default=None)
    session.add_argument("--prefix", metavar="P", help="of the PVs; the beamline's by default")
    session.add_argument(
        "--axes", type=Path, metavar="FILE", help=".npz with qx, qz in 1/Å; the film's by default"
    )
    _data_option(session)

    ioc = _plain_command(commands, "ioc", _ioc, "serve a simulated film over Channel Access")
    ioc.add_argument("--sample", default="multi-domain", choices=PRESETS)
    ioc.add_argument("--seed", type=int, default=0)
    ioc.add_argument("--prefix", metavar="P", help="of the PVs; the beamline's by default")
    ioc.add_argument("--speedup", type=float, default=1.0, metavar="S", help="1 is real time")
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    parser = _plain_command(commands, name, run, text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    _data_option(parser)
    return parser


def _plain_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _data_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Settings().data_dir, metavar="DIR", help="folder of the store"
    )


def _steering_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", metavar="T", help="what to maximise; see the README")
    parser.add_argument("--budget", type=int, default=48, help="measurements (default 48)")
    parser.add_argument("--exposure", type=float, default=10.0, metavar="S", help="s a frame")


def _demo(arguments: argparse.Namespace) -> None:
    from bl_steer import commands

    report = commands.demo(
        sample=arguments.sample,
        seed=arguments.seed,
        data_dir=arguments.data,
        figure=arguments.figure,
    )
    _print_found(report)
    print(f"figure        {report['figure']}")
    print(f"run           {report['run_uid'][:8]} (bl-steer show {report['run_uid'][:8]})")
    _write_json(arguments, report)


def _find(arguments: argparse.Namespace) -> None:
    from bl_steer import commands

    agent = arguments.agent
    if agent == "bayesian" and arguments.start == "random":
        agent = "bayesian-random-start"
    report = commands.find(
        arguments.sample,
        seed=arguments.seed,
        budget=arguments.budget,
        target=arguments.target,
        agent=agent,
        data_dir=arguments.data,
        exposure_s=arguments.exposure,
    )
    _print_found(report)
    print(f"run           {report['run_uid'][:8]} (bl-steer show {report['run_uid'][:8]})")
    _write_json(arguments, report)


def _print_found(report: dict[str, Any]) -> None:
    first = report["n_to_found"]
    print(
        f"film          {report['preset']}, seed {report['seed']}, {report['grid_points']} points\n"
        f"point A       reported at ({report['best_x_um']:g}, {report['best_y_um']:g}) µm, "
        f"truly at ({report['true_x_um']:g}, {report['true_y_um']:g}) µm: "
        f"{'found' if report['found'] else 'not found'}\n"
        f"measurements  {report['n_measured']}"
        f"{f', A reached at number {first}' if first else ', A never reached'}\n"
        f"beam time     {report['beam_time_s'] / 60:.1f} min, "
        f"the whole grid {report['grid_time_s'] / 60:.1f} min: "
        f"{report['speedup']:.0f} times as fast\n"
        f"thinking      {1000 * report['decision_cpu_s_median']:.1f} ms of CPU a decision (median)"
    )


def _replay(arguments: argparse.Namespace) -> None:
    from bl_steer import commands
    from bl_steer.features import DEFAULT_TARGET

    preset = arguments.file in PRESETS
    target = arguments.target or (DEFAULT_TARGET if preset else "total")
    records = commands.replay(
        arguments.file,
        agents=arguments.agent,
        seeds=_seeds(arguments.seeds),
        target=target,
        budget=arguments.budget,
        clip=arguments.clip,
        stride=arguments.stride,
        exposure_s=arguments.exposure,
        on_trial=_print_trial,
    )
    print(
        f"\nmedian over {len(_seeds(arguments.seeds))} seeds, target {target} (never: above all):"
    )
    for agent in dict.fromkeys(record["agent"] for record in records):
        own = [r for r in records if r["agent"] == agent]
        print(
            f"{agent:24}to best {_median(own, 'n_to_best_cell', arguments.budget):>6}, "
            f"to 95 % {_median(own, 'n_to_95', arguments.budget):>6}, "
            f"found by {sum(r['found'] for r in own)} of {len(own)}"
        )
    _write_json(arguments, records)


def _print_trial(record: dict[str, Any], *, first: bool) -> None:
    if first:
        heads = ("seed", "to best", "to 95 %", "distinct", "path", "CPU ms")
        print(f"{'agent':24}" + "".join(f"{h:>{w}}" for h, w in zip(heads, WIDTHS, strict=True)))
    values = (
        f"{record['seed']}",
        f"{record['n_to_best_cell'] or '-'}",
        f"{record['n_to_95'] or '-'}",
        f"{record['n_distinct']}",
        f"{record['path']:.0f}",
        f"{1000 * record['decision_cpu_s_median']:.1f}",
    )
    cells = "".join(f"{v:>{w}}" for v, w in zip(values, WIDTHS, strict=True))
    print(f"{record['agent']:24}{cells}", flush=True)


def _median(records: list[dict[str, Any]], key: str, budget: int) -> str:
    from statistics import median

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


def _runs(arguments: argparse.Namespace) -> None:
    from bl_steer import commands

    rows = commands.runs(data_dir=arguments.data)
    for row in rows:
        print(
            f"{row['uid'][:8]}  {row['scan_id'] or '':>5}  {row['time']}  {row['plan']:14}"
            f"{row['n_points']:>5} points  {'in progress' if row['in_progress'] else row['status']}"
        )
    if not rows:
        print(f"no runs in {arguments.data}")
    _write_json(arguments, rows)


def _show(arguments: argparse.Namespace) -> None:
    from bl_steer import commands

    report = commands.show(
        arguments.uid, data_dir=arguments.data, figure=arguments.figure, verify=arguments.verify
    )
    steering = report.pop("steering")
    for key, value in {**report, **steering}.items():
        print(f"{key:22}{value}")
    report["steering"] = steering
    _write_json(arguments, report)


def _paper(arguments: argparse.Namespace) -> None:
    from bl_steer import commands

    report = commands.paper(seed=arguments.seed, out=arguments.out, data_dir=arguments.data)
    for name, figure in report.items():
        print(f"{name}: {figure['figure']}")
        _print_found(figure)
    _write_json(arguments, report)


def _session(arguments: argparse.Namespace) -> None:
    from bl_steer.shell import embed, interactive_epics_session, interactive_session

    if arguments.epics:
        session, banner = interactive_epics_session(
            arguments.axes, prefix=arguments.prefix, data_dir=arguments.data
        )
        embed(session, banner)
        return
    settings = Settings()
    session, banner = interactive_session(
        arguments.sample or settings.sample,
        seed=settings.seed if arguments.seed is None else arguments.seed,
        data_dir=arguments.data,
    )
    embed(session, banner)


def _ioc(arguments: argparse.Namespace) -> None:
    from bl_steer.session import check_import_roots

    check_import_roots()
    from devices.beamline import PREFIX
    from simulators.sige_film import SigeFilm

    try:
        from simulators.ioc import process_variables, serve
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the soft IOC must have caproto to serve with, got: {error}; pip install caproto"
        ) from error
    channels = process_variables(
        SigeFilm(arguments.sample, seed=arguments.seed),
        prefix=PREFIX if arguments.prefix is None else arguments.prefix,
        speedup=arguments.speedup,
    )
    serve(channels, on_ready=lambda: print("READY", flush=True))


def _check_json(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    if path is not None and not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"the JSON file must go to a folder that exists, got {path}; make the folder first"
        )
    if path is not None and path.is_dir():
        raise IsADirectoryError(f"the JSON report must go to a file, got the folder {path}")


def _write_json(arguments: argparse.Namespace, report: Any) -> None:
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2, allow_nan=True) + "\n")
