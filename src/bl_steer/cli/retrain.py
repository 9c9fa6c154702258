"""Commands that train models further on the server's data: retrain add, snapshot, run, report, …"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bl_steer.cli.options import (
    Failed,
    Parser,
    command,
    group,
    print_row,
    server_folder_option,
    with_interval,
)
from bl_steer.cli.packages import on_local_server, user_option
from bl_steer.progress import Bar
from bl_steer.server.retraining import commands

__all__ = ["add_retrain"]


def add_retrain(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``retrain``."""
    retrain = group(parser)
    add = command(retrain, "add", _add, "take in painted pairs, as uploads of a user")
    add.add_argument("pairs", type=Path, help="folder of pairs or catalogue, as for segment train")
    add.add_argument(
        "--sample-pattern", metavar="REGEX", help="part of a file's name that is the sample"
    )
    user_option(add)
    run = on_local_server(lambda opened, a: commands.snapshot(opened), _print_snapshot)
    user_option(command(retrain, "snapshot", run, "record which pairs there are now"))
    begin = command(retrain, "run", _run, "train a candidate, and compare it to the champion")
    begin.add_argument("id", nargs="?", help="id of a queued retraining; without it, one is begun")
    begin.add_argument(
        "--user", metavar="EMAIL", help="account in whose name a retraining is begun"
    )
    server_folder_option(begin)
    run = on_local_server(lambda opened, a: commands.listed(opened), _print_list)
    user_option(command(retrain, "list", run, "list the retrainings"), required=False)
    run = on_local_server(lambda opened, a: commands.report(opened, a.id), _print_report)
    report = command(retrain, "report", run, "show what a retraining came to")
    report.add_argument("id", help="id of the retraining")
    user_option(report, required=False)
    run = on_local_server(lambda opened, a: commands.submit(opened, a.id), _print_submitted)
    submit = command(retrain, "submit", run, "submit a candidate for review")
    submit.add_argument("id", help="id of the retraining")
    user_option(submit)
    run = on_local_server(lambda opened, a: commands.withdraw(opened, a.upload), _print_withdrawn)
    text = "take an upload out of training; list what has used it"
    withdraw = command(retrain, "withdraw", run, text)
    withdraw.add_argument("upload", help="id of the upload")
    user_option(withdraw)


def _add(arguments: argparse.Namespace) -> Any:
    run = on_local_server(
        lambda opened, a: commands.add_pairs(opened, a.pairs, sample_pattern=a.sample_pattern),
        _print_refused,
    )
    report = run(arguments)
    if not report["pairs"]:
        raise Failed(
            f"masks must be painted as the model to be trained further wants them, got none in "
            f"{arguments.pairs}; nothing was added",
            report,
        )
    print_row("added", report["samples"])
    return report


def _run(arguments: argparse.Namespace) -> Any:
    if (arguments.id is None) == (arguments.user is None):
        raise ValueError(
            f"a retraining must have either its id or --user, got {arguments.id!r} and "
            f"{arguments.user!r}; give the one or the other"
        )
    with Bar("training", "step") as bar:
        report = commands.carry_out(
            arguments.id, email=arguments.user, folder=arguments.folder, progress=bar.show
        )
    _print_comparison(report)
    print_row("next", f"bl-steer retrain submit {report['id'][:8]}")
    return report


def _print_refused(report: dict[str, Any]) -> None:
    for row in report["refused"]:
        print_row("refused", f"{Path(row['mask']).name}: {row['reason']}")


def _print_snapshot(report: dict[str, Any]) -> None:
    print_row("snapshot", report["snapshot"][:12])
    counts = f"{report['train']} to train, {report['validation']} to validate"
    print_row("pairs", f"{counts}, {report['hold-out']} held out")


def _print_list(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"]))
        print(f"{row['id'][:8]}  {day}  {row['state']:8}{row['verdict']}")
    if not rows:
        print("no retrainings")


def _print_report(report: dict[str, Any]) -> None:
    if "comparison" in report:
        _print_comparison(report)
    print_row("page", report["page"])


def _print_submitted(report: dict[str, Any]) -> None:
    print_row("submitted", f"{report['package'][:12]}; it waits for its check and a reviewer")


def _print_withdrawn(rows: list[dict[str, Any]]) -> None:
    print("withdrawn: it is in no later snapshot")
    for row in rows:
        models = ", ".join(row["packages"]) or "no package"
        print(f"snapshot {row['snapshot'][:12]} has it: trained {models}")


def _print_comparison(report: dict[str, Any]) -> None:
    scores = report["comparison"]
    for name in ("champion", "candidate", "difference"):
        print_row(name, f"mIoU {with_interval(*scores[name], form='+.4f')}")
    for row in report.get("left_out", []):  # older reports do not say
        print_row("left out", f"{row['name']}: {row['reason']}")
    print_row("verdict", f"{scores['verdict']}, on {len(report['hold_out'])} held-out micrographs")
