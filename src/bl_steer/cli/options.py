"""What the commands share: parsers, options that several take, and how a report is written.

Options that come from an analysis' parameters are made by `bl_steer.cli.params`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bl_steer.files.atomic import UnwritableError, check_writable
from bl_steer.files.formats import FORMS
from bl_steer.progress import coordinate, is_coordinate, place_decimals
from bl_steer.settings import Settings
from bl_steer.spelling import respelled

__all__ = [
    "PRESETS",
    "AddOptions",
    "Failed",
    "Parser",
    "Run",
    "check_json",
    "command",
    "data_option",
    "figure_option",
    "group",
    "in_options",
    "json_option",
    "out_option",
    "print_columns",
    "print_ending",
    "print_notes",
    "print_row",
    "print_warnings",
    "server_folder_option",
    "with_interval",
    "write_json",
]

PRESETS = ("smooth", "multi-domain", "needle", "noisy", "rough")

_REQUIRED = "the following arguments are required: "
"""How argparse begins to say what is missing."""

Run = Callable[[argparse.Namespace], Any]
"""A command: it prints, and returns its report, which ``--json`` writes."""
AddOptions = Callable[["Parser", Sequence[str]], None]


class Failed(RuntimeError):
    """A command that came to a report and failed all the same."""

    def __init__(self, text: str, report: Any) -> None:
        super().__init__(text)
        self.report = report


class _Help(argparse.HelpFormatter):
    """Help that tells what an option is where it is not given."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if action.nargs == 0 or default in (None, "", [], argparse.SUPPRESS):
            return text
        values = default if isinstance(default, list) else [default]
        shown = " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)
        return f"{text} (default {shown})".replace("%", "%%")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose help tells the defaults.

    Parameters
    ----------
    add_options : adds the options when they are first needed, and is told what was typed: they may
        depend on it
    lenient : whether it passes over what it does not know, for a first look at what was typed
    """

    def __init__(
        self, *, add_options: AddOptions | None = None, lenient: bool = False, **settings: Any
    ) -> None:
        # An abbreviation would turn ambiguous as soon as a like option is added.
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **settings})
        # argparse takes "-1" for a value, but "-1,1,1" for an option that it does not know.
        self._negative_number_matcher = re.compile(r"-\.?\d")
        self._add_options, self.lenient = add_options, lenient
        self._typed: Sequence[str] = ()

    def complete(self, argv: Sequence[str] = ()) -> None:
        """Add the options that are still missing."""
        add, self._add_options = self._add_options, None
        if add is not None:
            add(self, argv)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with all options; the command itself refuses what it does not know."""
        self._typed = sys.argv[1:] if args is None else args
        self.complete(self._typed)
        namespace, unknown = super().parse_known_args(args, namespace)
        # Those of the command itself go before those of its group, and of the others in it.
        namespace.options = {**self._options(), **getattr(namespace, "options", {})}
        if unknown and not self.lenient:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def _options(self) -> dict[str, Sequence[str]]:
        """Return how each parameter is spelled, here or in a command of this group."""
        options: dict[str, Sequence[str]] = {}
        for action in self._actions:
            if isinstance(action.choices, dict):
                for one in action.choices.values():
                    options |= one._options()
        return options | {_param(a): a.option_strings for a in self._actions if a.option_strings}

    def format_help(self) -> str:
        """Return the help, with all options."""
        self.complete()
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        if message.startswith(_REQUIRED):
            message = self._missing(message.removeprefix(_REQUIRED).split(", "))
        raise ValueError(f"{message}; see {self.prog} --help")

    def _missing(self, names: Sequence[str]) -> str:
        """Say what a command lacks, and how it is spelled."""
        missing = [_spelled(a) for a in self._actions if a.required and _named(a) in names]
        return (
            f"{self.prog.partition(' ')[2] or self.prog} must be given {', '.join(missing)}, got "
            f"{' '.join(self._typed) or 'nothing'}; add {'it' if len(missing) == 1 else 'them'}"
        )


def _param(action: argparse.Action) -> str:
    """Return the name of the parameter that an option gives."""
    return action.dest.rpartition(":")[2]


def _named(action: argparse.Action) -> str:
    """Return what argparse calls an option or argument that is missing."""
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _spelled(action: argparse.Action) -> str:
    """Return an option with its value, an argument, or the commands to choose from."""
    if isinstance(action.choices, dict):
        return f"one of {', '.join(action.choices)}"
    return " ".join([*action.option_strings[:1], str(action.metavar or action.dest)])


def group(parser: Parser) -> Any:
    """Make a parser a group of commands; return what its commands are added to."""
    return parser.add_subparsers(required=True, metavar="COMMAND")


def command(commands: Any, name: str, run: Run, text: str, *, json: bool = True) -> Parser:
    """Add a command to a group; `run` gets the parsed arguments."""
    parser: Parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    if json:
        json_option(parser, run)
    return parser


def json_option(parser: Parser, run: Run) -> None:
    """Let the user have the report of a command as JSON."""
    parser.set_defaults(run=run)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")


def prefix_option(parser: Parser) -> None:
    """Add ``--prefix``, of process variables."""
    parser.add_argument(
        "--prefix", metavar="P", help="prefix of the PVs; the beamline's by default"
    )


def axes_option(parser: Parser) -> None:
    """Add ``--axes``, of the detector's pixels."""
    parser.add_argument(
        "--axes",
        type=Path,
        metavar="FILE",
        help=".npz of the pixels' qx, qz in 1/Å; the film's by default",
    )


def data_option(parser: Parser) -> None:
    """Let the user say where the store is."""
    parser.add_argument(
        "--data", type=Path, default=Settings().data_dir, metavar="DIR", help="folder of the store"
    )


def out_option(parser: Parser, default: str | None, text: str = "folder of the results") -> None:
    """Let the user say where results go."""
    path = None if default is None else Path(default)
    parser.add_argument("--out", type=Path, default=path, metavar="DIR", help=text)


def format_option(parser: Parser, text: str, default: str | None = "imagej") -> None:
    """Let the user say in which form volumes are written."""
    parser.add_argument("--format", choices=tuple(FORMS), default=default, help=text)


def figure_option(parser: Parser, text: str, default: Path | None = None) -> None:
    """Let the user say where the picture goes."""
    parser.add_argument("--figure", type=Path, metavar="PNG", default=default, help=text)


def server_folder_option(parser: Parser) -> None:
    """Let the operator say which server of this machine is meant."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="folder of the server (default bl_steer_service)"
    )


def print_row(name: str, value: Any) -> None:
    """Print a line of a report."""
    print(f"{name:14}{value}")


def with_interval(value: float, low: float | None, high: float | None, *, form: str = ".3f") -> str:
    """Return a score with its 95 % interval, or with a word where there is none.

    >>> with_interval(0.9123, 0.9, 0.92), with_interval(0.9123, None, None)
    ('0.912 (95 %: 0.900 … 0.920)', '0.912 (no interval: less than four blocks of 64×64 px)')
    """
    if low is None or high is None:
        return f"{value:{form}} (no interval: less than four blocks of 64×64 px)"
    return f"{value:{form}} (95 %: {low:{form}} … {high:{form}})"


def print_ending(report: Mapping[str, Any]) -> None:
    """Print what a command on an analysis has written, and the digest."""
    print_row("figure", report["figure"])
    for path in report["written"]:
        print_row("results", path)
    print_row("digest", report["digest"])


def in_options(arguments: argparse.Namespace, text: str) -> str:
    """Return a message with the options of the command in place of the parameters it names."""
    known: Mapping[str, Sequence[str]] = getattr(arguments, "options", {})

    def option(name: str, value: str | None) -> str | None:
        spelled = known.get(name)
        if not spelled or value in (None, "True"):
            return spelled[0] if spelled else None
        return spelled[-1] if value == "False" else f"{spelled[0]} {value}"

    return respelled(text, option)


def print_notes(arguments: argparse.Namespace, notes: Iterable[str]) -> None:
    """Print sentences for the user, a line each."""
    for text in notes:
        print(in_options(arguments, text))


def print_warnings(arguments: argparse.Namespace, report: Mapping[str, Any]) -> None:
    """Print the warnings of a report, a line each."""
    print_notes(arguments, (f"warning: {text}" for text in report["warnings"]))


def print_columns(columns: Mapping[str, Iterable[Any]]) -> None:
    """Print a table, right-justified under its heads."""
    cells = []
    for head, values in columns.items():
        column = list(values)
        numbers = [value for value in column if isinstance(value, float)]
        places = place_decimals(head, numbers) if is_coordinate(head) else None
        cells.append([head, *(_cell(value, places) for value in column)])
    widths = [max(map(len, column)) for column in cells]
    for row in zip(*cells, strict=True):
        print("    " + "  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)))


def _cell(value: Any, places: int | None) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.5g}" if places is None else coordinate(value, places)


def check_json(arguments: argparse.Namespace) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    path: Path | None = getattr(arguments, "json", None)
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"the JSON file must go to a folder that exists, got {path}; make the folder first"
        )
    if path.is_dir():
        raise IsADirectoryError(f"the JSON report must go to a file, got the folder {path}")
    if not path.exists():
        check_writable(path.absolute().parent)


def write_json(arguments: argparse.Namespace, report: Any) -> None:
    """Write a report where ``--json`` says, if it does; what is no finite number is null there."""
    path: Path | None = getattr(arguments, "json", None)
    if path is not None:
        text = json.dumps(_finite(report), indent=2, allow_nan=False) + "\n"
        try:
            path.write_text(text)  # not as a draft: it may be /dev/stdout
        except OSError as error:
            raise UnwritableError.at(path, error) from error


def _finite(report: Any) -> Any:
    """Return a report without infinities and NaN, which are not JSON."""
    if isinstance(report, dict):
        return {key: _finite(value) for key, value in report.items()}
    if isinstance(report, (list, tuple)):
        return [_finite(value) for value in report]
    return None if isinstance(report, float) and not math.isfinite(report) else report
