"""Commands for authors of packages (package …) and for their reviewers (review …)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bl_steer.cli.options import (
    Failed,
    Parser,
    Run,
    command,
    group,
    out_option,
    print_row,
    print_warnings,
    server_folder_option,
)
from bl_steer.cli.params import add_named_params, read_params
from bl_steer.server.packages import commands
from bl_steer.server.packages.commands import LocalServer, open_local_server
from bl_steer.server.packages.template import left_over

__all__ = ["add_package", "add_review", "on_local_server", "user_option"]

DECISIONS = {
    "approve": "sign your approval of a package that is not your own",
    "reject": "send a package back to its author",
    "release": "give an approved package to all users",
    "revoke": "let a package never run again",
}
WITH_REASON = ("reject", "revoke")


def add_package(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``package``."""
    package = group(parser)
    init = command(package, "init", _init, "write a new package that works, to be changed")
    init.add_argument("folder", type=Path, help="folder to make; its name is the package's")
    init.add_argument("--author", default="your name", metavar="NAME", help="author of the package")
    init.add_argument(
        "--weights",
        action="append",
        choices=("skops", "pickle", "h5", "npz", "safetensors"),
        help="begin with a trained model; may be repeated, for several files of weights",
    )
    init.add_argument("--table", action="store_true", help="take a table beside the micrographs")
    test = command(package, "test", _test, "run a package's tests in the sandbox")
    test.add_argument("folder", type=Path, help="folder of the package")
    test.add_argument("--accept", action="store_true", help="expect from now on what is found now")
    run = command(package, "run", _run, "run a package on files, in the sandbox")
    for tries in (test, run):
        tries.add_argument(
            "--trust-packages",
            action="store_true",
            help="run it without a sandbox where there is none",
        )
    run.add_argument("folder", type=Path, help="folder of the package")
    text = "files to analyse; NAME=FILE where the package has several inputs"
    run.add_argument("files", nargs="+", metavar="FILE", help=text)
    add_named_params(run, "parameter of the analysis; may be repeated")
    out_option(run, "found")
    build = command(package, "build", _build, "make one file of a package, to be submitted")
    build.add_argument("folder", type=Path, help="folder of the package")
    build.add_argument(
        "--out", type=Path, metavar="FILE", help="archive to write; NAME.zip by default"
    )
    submit = command(package, "submit", _submit, "submit a package for its review")
    submit.add_argument(
        "package", type=Path, metavar="FILE", help="archive of a package, or its folder"
    )
    where = submit.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--server", metavar="URL", help="server to submit to, with the key of your account there"
    )
    where.add_argument("--user", metavar="EMAIL", help="your account on the server of this machine")
    submit.add_argument(
        "--key", default="", help="key of the account; BL_STEER_SERVICE_KEY by default"
    )
    server_folder_option(submit)


def add_review(parser: Parser, argv: Sequence[str]) -> None:
    """Add the group ``review``."""
    review = group(parser)
    run = on_local_server(lambda opened, a: commands.listed(opened, state=a.state), _print_list)
    rows = command(review, "list", run, "list the packages")
    rows.add_argument(
        "--state",
        help="list only those that are draft, submitted, checked, approved, released or revoked",
    )
    user_option(rows, required=False)
    run = on_local_server(lambda opened, a: commands.shown(opened, a.package), _print_package)
    show = command(review, "show", run, "show what a package says, imports, loads and found")
    _package(show)
    user_option(show, required=False)
    check = command(review, "check", _check, "run a submitted package's tests in the sandbox now")
    _package(check)
    user_option(check)
    run = on_local_server(
        lambda opened, a: commands.decide(opened, a.decision, a.package, a.comment), _print_decided
    )
    for name, text in DECISIONS.items():
        decision = command(review, name, run, text)
        _package(decision)
        decision.add_argument(
            "--comment",
            default="",
            required=name in WITH_REASON,
            metavar="TEXT",
            help="comment of the reviewer",
        )
        decision.set_defaults(decision=name)
        user_option(decision)
    run = on_local_server(lambda opened, a: commands.roll_back(opened, a.name), _print)
    back = command(review, "rollback", run, "release again what was released before")
    back.add_argument("name", help="name of the package, without a version")
    user_option(back)


def on_local_server(
    does: Callable[[LocalServer, argparse.Namespace], Any], prints: Callable[[Any], None]
) -> Run:
    """Return a command that works on the server of this machine, in the name of ``--user``."""

    def run(arguments: argparse.Namespace) -> Any:
        with open_local_server(arguments.user, arguments.folder) as opened:
            report = does(opened, arguments)
        prints(report)
        return report

    return run


def user_option(parser: Parser, *, required: bool = True) -> None:
    """Let the operator say in whose name something is done, and on which server here."""
    text = "your account on the server of this machine" + (
        "" if required else "; not needed to read"
    )
    parser.add_argument("--user", required=required, default="", metavar="EMAIL", help=text)
    server_folder_option(parser)


def _package(parser: Parser) -> None:
    parser.add_argument("package", help="NAME@VERSION of a package, or the beginning of its hash")


def _init(arguments: argparse.Namespace) -> Any:
    report = commands.init(
        arguments.folder,
        author=arguments.author,
        weights=arguments.weights or (),
        table=arguments.table,
    )
    print("\n".join(report["files"]))
    print(f"next: read {arguments.folder / 'README.md'}")
    return report


def _test(arguments: argparse.Namespace) -> Any:
    report = commands.test(
        arguments.folder, accept=arguments.accept, trusted=arguments.trust_packages
    )
    _print_tests(report)
    _print_left_over(arguments.folder)
    for path in report["accepted"]:
        print(f"expected from now on: {path}")
    if not report["passed"]:
        failed = [test["name"] for test in report["tests"] if test["problems"]]
        raise Failed(
            f"a package must pass its tests, got problems in {', '.join(failed) or 'the package'}; "
            "mend it, or look at what was found and accept it with --accept",
            report,
        )
    return report


def _run(arguments: argparse.Namespace) -> Any:
    params = read_params(arguments)
    report = commands.run(
        arguments.folder,
        arguments.files,
        params,
        out=arguments.out,
        trusted=arguments.trust_packages,
    )
    print_warnings(arguments, report)
    print_row("results", f"{arguments.out}, {len(report['files'])} files")
    print_row("digest", report["digest"])
    return report


def _build(arguments: argparse.Namespace) -> Any:
    out = arguments.out or Path(f"{arguments.folder.resolve().name}.zip")
    report = commands.build(arguments.folder, out)
    print_row("package", f"{report['name']} {report['version']}, {report['files']} files")
    print_row("hash", report["sha256"])
    print_row("archive", report["archive"])
    needed = report["approvals_needed"]
    approvals = "approval" if needed == 1 else "approvals"
    print_row("needs", f"{needed} {approvals} by others than its author")
    return report


def _submit(arguments: argparse.Namespace) -> Any:
    _print_left_over(arguments.package)
    if arguments.server is not None:
        report = commands.send(arguments.package, address=arguments.server, key=arguments.key)
    else:
        with open_local_server(arguments.user, arguments.folder) as opened:
            report = commands.submit(opened, arguments.package)
    print_row("submitted", f"{report['name']} {report['version']} ({report['sha256'][:12]})")
    return report


def _check(arguments: argparse.Namespace) -> Any:
    run = on_local_server(lambda opened, a: commands.check(opened, a.package), _print_tests)
    report = run(arguments)
    if not report["passed"]:
        raise Failed(
            f"a package must pass its check, got problems in {arguments.package}; its author has "
            "it back as a draft",
            report,
        )
    return report


def _print_left_over(folder: Path) -> None:
    for text in left_over(folder):
        print_row("note", text)


def _print_tests(report: dict[str, Any]) -> None:
    for test in report["tests"]:
        duration = test.get("duration_s")
        seconds = "" if duration is None else f"{duration:8.1f} s"
        print(f"{test['name']:24}{'FAILED' if test['problems'] else 'passed'}{seconds}")
        for text in test["problems"]:
            print(f"    {text}")
        for text in test["warnings"]:
            print(f"    warning: {text}")
    for text in report["problems"]:
        print_row("problem", text)
    for name in report.get("unwritten", ()):
        print_row(
            "problem", f"{name} is still that of a new package, or is to come; write your own"
        )


def _print_decided(report: dict[str, Any]) -> None:
    _print(report)
    if report["state"] in ("checked", "approved"):
        _print_approvals(report)


def _print_approvals(report: dict[str, Any]) -> None:
    given, needed = report["approvals"], report["approvals_needed"]
    word = "approval" if needed == 1 else "approvals"
    who = "another reviewer" if given else "a reviewer"
    more = f"; {who} must approve" if given < needed else ""
    print_row("approvals", f"{given} of {needed} {word}{more}")


def _print_package(report: dict[str, Any]) -> None:
    _print(report)
    _print_approvals(report)
    print_row("author", report["author"])
    if (before := report["release_before"]) is not None:
        print_row("after", f"{before['version']}, which {before['author']} submitted")
    print_row("files", report["folder"])
    seen = report["report"].get("inspection", {})
    for script, names in seen.get("imports", {}).items():
        print(f"{script} imports {', '.join(names) or 'nothing'}")
    listed = seen.get("weights") or []
    for weights in [listed] if isinstance(listed, dict) else listed:  # a dict in older reports
        kind = "code: loading it runs it" if weights["is_code"] else "no code"
        file = f"{weights['file']}: " if "file" in weights else ""
        print_row("weights", f"{file}{weights['format']}, {weights['bytes']} bytes, {kind}")
        print(f"    names {', '.join(weights.get('names', [])) or 'nothing'}")
    if "check" in report["report"]:
        _print_tests(report["report"]["check"])
    for row in report["reviews"]:
        print(f"{_day(row['time'])}  {row['decision']:8} {row['by']}  {row['comment']}")


def _print_list(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        _print(row)
    if not rows:
        print("no packages")


def _print(row: dict[str, Any]) -> None:
    name = f"{row['name']}@{row['version']}"
    print(f"{row['sha256'][:12]}  {_day(row['created'])}  {row['state']:10}{name}")


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
