"""Commands for authors of packages: package init, test, run, build, submit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bl_steer.cli.options import group, plain_command, server_folder_option, write_json

__all__ = ["add_commands", "json_command", "user_option"]


def add_commands(commands: Any) -> None:
    """Add the group ``package``."""
    package = group(commands, "package", "make an analysis of your own for the analysis server")
    init = json_command(package, "init", _init, "write a new package that works, to be changed")
    init.add_argument("folder", type=Path, help="new folder; its name is the package's")
    init.add_argument("--author", default="your name", metavar="NAME", help="of the package")
    init.add_argument("--weights", choices=("skops", "pickle"), help="begin with a trained model")
    test = json_command(package, "test", _test, "run a package's tests in the sandbox")
    _folder(test)
    test.add_argument(
        "--accept", action="store_true", help="what is found now is expected from now on"
    )
    test.add_argument(
        "--trust", action="store_true", help="run it without a sandbox where there is none"
    )
    run = json_command(package, "run", _run, "run a package on files, as the server would")
    _folder(run)
    run.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="to analyse")
    run.add_argument(
        "--param", action="append", default=[], metavar="KEY=VALUE", help="may be repeated"
    )
    run.add_argument(
        "--out", type=Path, default=Path("found"), metavar="DIR", help="of the results"
    )
    build = json_command(package, "build", _build, "make one file of a package, to be submitted")
    _folder(build)
    build.add_argument("--out", type=Path, metavar="FILE", help="to write; NAME.zip by default")
    submit = json_command(package, "submit", _submit, "submit a package for its review")
    submit.add_argument("package", type=Path, metavar="FILE", help="built, or its folder")
    where = submit.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="URL", help="with the key of your account there")
    where.add_argument("--user", metavar="EMAIL", help="account on the server of this machine")
    submit.add_argument("--key", default="", help="BL_STEER_SERVICE_KEY by default")
    server_folder_option(submit)


def json_command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Add a command with ``--json`` alone."""
    parser = plain_command(commands, name, run, text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    return parser


def user_option(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Let the operator say in whose name a deed is done, and on which server of this machine."""
    text = "account on the server of this machine" + ("" if required else "; not needed to read")
    parser.add_argument("--user", required=required, default="", metavar="EMAIL", help=text)
    server_folder_option(parser)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="of the package")


def _init(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    report = does.init(arguments.folder, author=arguments.author, weights=arguments.weights)
    print("\n".join(report["files"]))
    print(f"next: read {arguments.folder / 'README.md'}")
    write_json(arguments, report)


def _test(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    report = does.test(arguments.folder, accept=arguments.accept, trusted=arguments.trust)
    print_tests(report)
    for path in report["accepted"]:
        print(f"expected from now on: {path}")
    write_json(arguments, report)
    if not report["passed"]:
        failed = [one["name"] for one in report["tests"] if one["problems"]]
        raise RuntimeError(
            f"a package must pass its tests, got problems in {', '.join(failed) or 'the package'}; "
            "mend it, or look at what was found and accept it with --accept"
        )


def print_tests(report: dict[str, Any]) -> None:
    """Print how the tests of a package went."""
    for one in report["tests"]:
        duration = one.get("duration_s")
        time = "" if duration is None else f"{duration:8.1f} s"
        print(f"{one['name']:24}{'FAILED' if one['problems'] else 'passed'}{time}")
        for text in one["problems"]:
            print(f"    {text}")
        for text in one["warnings"]:
            print(f"    warning: {text}")
    for text in report["problems"]:
        print(text)


def _run(arguments: argparse.Namespace) -> None:
    from bl_steer.processing.stored_runs import parse_values
    from bl_steer.server.packages import desk as does

    report = does.run(
        arguments.folder, arguments.paths, parse_values(arguments.param), out=arguments.out
    )
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(f"results       {arguments.out}, {len(report['files'])} files")
    print(f"digest        {report['digest']}")
    write_json(arguments, report)


def _build(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    out = arguments.out or Path(f"{arguments.folder.resolve().name}.zip")
    report = does.build(arguments.folder, out)
    print(f"package       {report['name']} {report['version']}, {report['files']} files")
    print(f"hash          {report['sha256']}")
    print(f"archive       {report['archive']}")
    needed = report["approvals_needed"]
    approvals = "approval" if needed == 1 else "approvals"
    print(f"needs         {needed} {approvals} by others than its author")
    write_json(arguments, report)


def _submit(arguments: argparse.Namespace) -> None:
    from bl_steer.server.packages import desk as does

    if arguments.server is not None:
        report = does.send(arguments.package, address=arguments.server, key=arguments.key)
    else:
        with does.open_desk(arguments.user, arguments.folder) as desk:
            report = does.submit(desk, arguments.package)
    print(f"submitted     {report['name']} {report['version']} ({report['sha256'][:12]})")
    write_json(arguments, report)
