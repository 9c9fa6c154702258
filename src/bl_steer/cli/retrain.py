"""Commands that train models further on the server's data: retrain add, snapshot, run, report, …"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from bl_steer.cli.options import group, server_folder_option, write_json
from bl_steer.cli.packages import json_command, user_option

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the group ``retrain``."""
    retrain = group(commands, "retrain", "train models further on what users gave to the server")
    add = json_command(retrain, "add", _add, "take in painted pairs, as uploads of a user")
    add.add_argument("pairs", type=Path, help="folder or catalogue, as for segment train")
    add.add_argument("--sample-pattern", metavar="REGEX", help="what names the sample in a name")
    user_option(add)
    snapshot = json_command(retrain, "snapshot", _snapshot, "keep which pairs there are now")
    user_option(snapshot)
    run = json_command(retrain, "run", _run, "train a candidate, and compare it to the champion")
    run.add_argument("id", nargs="?", help="of a queued retraining; without, one is begun")
    run.add_argument("--user", metavar="EMAIL", help="in whose name one is begun")
    server_folder_option(run)
    rows = json_command(retrain, "list", _list, "list the retrainings")
    user_option(rows, required=False)
    report = json_command(retrain, "report", _report, "show what a retraining came to")
    report.add_argument("id", help="of the retraining")
    user_option(report, required=False)
    submit = json_command(retrain, "submit", _submit, "submit a candidate for review")
    submit.add_argument("id", help="of the retraining")
    user_option(submit)
    withdraw = json_command(
        retrain, "withdraw", _withdraw, "take an upload out of training; list what has used it"
    )
    withdraw.add_argument("upload", help="id of the upload")
    user_option(withdraw)


def _add(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        found = does.add_pairs(desk, arguments.pairs, sample_pattern=arguments.sample_pattern)
    for one in found["refused"]:
        print(f"refused       {Path(one['mask']).name}: {one['reason']}")
    write_json(arguments, found)
    if not found["pairs"]:
        raise ValueError(
            f"masks must be painted as the model to be trained further wants them, got none in "
            f"{arguments.pairs}; nothing was added"
        )
    print(f"added         {found['samples']}")


def _snapshot(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        found = does.snapshot(desk)
    print(f"snapshot      {found['snapshot'][:12]}")
    print(
        f"pairs         {found['train']} to train, {found['validation']} to validate, "
        f"{found['hold-out']} held out"
    )
    write_json(arguments, found)


def _run(arguments: argparse.Namespace) -> None:
    from bl_steer.progress import Bar
    from bl_steer.server.retraining import desk as does

    if (arguments.id is None) == (arguments.user is None):
        raise ValueError(
            f"a retraining must have either its id or --user, got {arguments.id!r} and "
            f"{arguments.user!r}; give the one or the other"
        )
    with Bar("training", "step") as bar:
        found = does.carry_out(
            arguments.id, email=arguments.user, folder=arguments.folder, progress=bar.show
        )
    _print(found)
    print(f"next          bl-steer retrain submit {found['id'][:8]}")
    write_json(arguments, found)


def _list(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        rows = does.listed(desk)
    for row in rows:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"]))
        print(f"{row['id'][:8]}  {day}  {row['state']:8}{row['verdict']}")
    if not rows:
        print("no retrainings")
    write_json(arguments, rows)


def _report(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        found = does.report(desk, arguments.id)
    if "comparison" in found:
        _print(found)
    print(f"page          {found['page']}")
    write_json(arguments, found)


def _submit(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        found = does.submit(desk, arguments.id)
    print(f"submitted     {found['package'][:12]}; it waits for its check and a reviewer")
    write_json(arguments, found)


def _withdraw(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages.desk import open_desk
    from bl_steer.server.retraining import desk as does

    with open_desk(arguments.user, arguments.folder) as desk:
        found = does.withdraw(desk, arguments.upload)
    print("withdrawn: it is in no later snapshot")
    for one in found:
        models = ", ".join(one["packages"]) or "no package"
        print(f"snapshot {one['snapshot'][:12]} has it: trained {models}")
    write_json(arguments, found)


def _print(found: dict[str, Any]) -> None:
    scores = found["comparison"]
    for name in ("champion", "candidate", "difference"):
        value, low, high = scores[name]
        print(f"{name:14}mIoU {value:+.4f} (95 %: {low:+.4f} … {high:+.4f})")
    for one in found.get("left_out", []):  # older reports do not say
        print(f"left out      {one['name']}: {one['reason']}")
    print(f"verdict       {scores['verdict']}, on {len(found['hold_out'])} held-out micrographs")
