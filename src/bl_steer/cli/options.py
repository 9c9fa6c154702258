"""What the commands share: how one is added, its options, and its report as JSON.

A group of commands (``bl-steer segment train``) is added with `group`; what that returns takes
`command` as the whole does.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from bl_steer.files.atomic import UnwritableError, check_writable
from bl_steer.settings import Settings

__all__ = [
    "PRESETS",
    "Parser",
    "check_json",
    "command",
    "data_option",
    "group",
    "plain_command",
    "server_folder_option",
    "write_json",
]

PRESETS = ("smooth", "multi-domain", "needle", "noisy", "rough")


class _Help(argparse.HelpFormatter):
    """Help that tells what an option is where it is not given."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if action.nargs == 0 or default in (None, "", [], argparse.SUPPRESS):
            return text
        several = default if isinstance(default, list) else [default]
        shown = " ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in several)
        return f"{text} (default {shown})".replace("%", "%%")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help tells the defaults."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        """Leave with status 2."""
        self.exit(2, f"bl-steer: {message}; see {self.prog} --help\n")


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    """Add a command with ``--json`` and ``--data``; `run` gets the parsed arguments."""
    parser = plain_command(commands, name, run, text)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    data_option(parser)
    return parser


def plain_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    """Add a command without options."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def group(commands: Any, name: str, text: str) -> Any:
    """Add a group of commands; return what its commands are added to."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    return parser.add_subparsers(required=True, metavar="COMMAND")


def data_option(parser: argparse.ArgumentParser) -> None:
    """Let the user say where the store is."""
    parser.add_argument(
        "--data", type=Path, default=Settings().data_dir, metavar="DIR", help="folder of the store"
    )


def server_folder_option(parser: argparse.ArgumentParser) -> None:
    """Let the operator say which server of this machine is meant."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="of the server (default bl_steer_service)"
    )


def check_json(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    if path is not None and not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"the JSON file must go to a folder that exists, got {path}; make the folder first"
        )
    if path is not None and path.is_dir():
        raise IsADirectoryError(f"the JSON report must go to a file, got the folder {path}")
    if path is not None and not path.exists():
        check_writable(path.absolute().parent)


def write_json(arguments: argparse.Namespace, report: Any) -> None:
    """Write a report where ``--json`` says, if it does; what is no finite number is null there."""
    if arguments.json is not None:
        text = json.dumps(_finite(report), indent=2, allow_nan=False) + "\n"
        try:
            arguments.json.write_text(text)  # not as a draft: it may be /dev/stdout
        except OSError as error:
            raise UnwritableError.at(arguments.json, error) from error


def _finite(report: Any) -> Any:
    """Return a report without infinities and NaN, which are not JSON."""
    if isinstance(report, dict):
        return {key: _finite(value) for key, value in report.items()}
    if isinstance(report, (list, tuple)):
        return [_finite(value) for value in report]
    return None if isinstance(report, float) and not math.isfinite(report) else report
