"""Commands for reviewers of packages: review list, show, check, approve, reject, release, …"""

from __future__ import annotations

import argparse
import time
from typing import Any

from bl_steer.cli.options import group, write_json
from bl_steer.cli.packages import json_command, print_tests, user_option

__all__ = ["add_commands"]

TEXTS = {
    "approve": "sign your approval of a package that is not your own",
    "reject": "send a package back to its author",
    "release": "give an approved package to all users",
    "revoke": "let a package never run again",
}
WITH_REASON = ("reject", "revoke")


def add_commands(commands: Any) -> None:
    """Add the group ``review``."""
    review = group(commands, "review", "review packages of the server on this machine")
    rows = json_command(review, "list", _list, "list the packages")
    user_option(rows, required=False)
    rows.add_argument("--state", help="draft, submitted, checked, approved, released or revoked")
    for name, text, run in (
        ("show", "show what a package says, imports, loads and found", _show),
        ("check", "run a submitted package's tests in the sandbox now", _check),
    ):
        parser = json_command(review, name, run, text)
        _package(parser)
        user_option(parser, required=name != "show")
    for name, text in TEXTS.items():
        parser = json_command(review, name, _decide, text)
        _package(parser)
        parser.add_argument(
            "--comment",
            default="",
            required=name in WITH_REASON,
            metavar="TEXT",
            help="of the reviewer",
        )
        parser.set_defaults(deed=name)
        user_option(parser)
    back = json_command(review, "rollback", _roll_back, "release again what was released before")
    back.add_argument("name", help="of the package, without a version")
    user_option(back)


def _package(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", help="NAME@VERSION, or the beginning of its hash")


def _list(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    with does.open_desk(arguments.user, arguments.folder) as desk:
        rows = does.listed(desk, state=arguments.state)
    for row in rows:
        print(_row(row))
    if not rows:
        print("no packages")
    write_json(arguments, rows)


def _show(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    with does.open_desk(arguments.user, arguments.folder) as desk:
        report = does.shown(desk, arguments.package)
    print(_row(report))
    print(f"author        {report['author']}")
    print(f"files         {report['folder']}")
    seen = report["report"].get("inspection", {})
    for script, names in seen.get("imports", {}).items():
        print(f"{script} imports {', '.join(names) or 'nothing'}")
    weights = seen.get("weights")
    if weights:
        kind = "code: loading it runs it" if weights["is_code"] else "no code"
        print(f"weights       {weights['format']}, {weights['bytes']} bytes, {kind}")
        print(f"    names {', '.join(weights.get('names', [])) or 'nothing'}")
    if "check" in report["report"]:
        print_tests(report["report"]["check"])
    for one in report["reviews"]:
        print(f"{_day(one['time'])}  {one['decision']:8} {one['by']}  {one['comment']}")
    write_json(arguments, report)


def _check(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    with does.open_desk(arguments.user, arguments.folder) as desk:
        report = does.check(desk, arguments.package)
    print_tests(report)
    write_json(arguments, report)
    if not report["passed"]:
        raise RuntimeError(
            f"a package must pass its tests, got problems in {arguments.package}; its author has "
            "it back as a draft"
        )


def _decide(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    with does.open_desk(arguments.user, arguments.folder) as desk:
        report = does.decide(desk, arguments.deed, arguments.package, arguments.comment)
    print(_row(report))
    write_json(arguments, report)


def _roll_back(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    with does.open_desk(arguments.user, arguments.folder) as desk:
        report = does.roll_back(desk, arguments.name)
    print(_row(report))
    write_json(arguments, report)


def _row(row: dict[str, Any]) -> str:
    return (
        f"{row['sha256'][:12]}  {_day(row['created'])}  {row['state']:10}"
        f"{row['name']}@{row['version']}"
    )


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
