"""The command line: readable text on the screen, the same as JSON with ``--json FILE``.

Exit status 0, or 2 with one line that names the value and the remedy, or 130 after Ctrl-C with one
line that says what is kept, and how to go on: work that knows it raises
``KeyboardInterrupt(text)``, and `interrupted.keeps` gives a command what else it says. It is 141,
without a line, where the reader of the output has gone (``bl-steer runs | head -1``).

`COMMANDS` names the module of each command. It is imported, with all that it needs, when its
command is parsed and not before, so that ``bl-steer --help`` is quick and works without extras.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import select
import sys
from argparse import Namespace
from collections.abc import Sequence

import bl_steer
from bl_steer.cli.interrupted import kept_of
from bl_steer.cli.options import (
    AddOptions,
    Failed,
    Parser,
    check_json,
    in_options,
    write_json,
)
from bl_steer.extras import hint

__all__ = ["COMMANDS", "main", "make_parser"]

COMMANDS = {
    "demo": ("steering", "find point A on a simulated film; leaves a figure"),
    "find": ("steering", "find point A, with options"),
    "plan": ("planning", "before the beam: what each way to find A would take, and which to take"),
    "resume": ("resume", "carry on a steered run or a map whose process died"),
    "replay": ("steering", "steer over a recorded map or a preset"),
    "paper": ("steering", "the figures and tables of the paper"),
    "runs": ("stored", "list the stored runs"),
    "show": ("stored", "figure and table of a stored run"),
    "export": ("stored", "write a stored run into a NeXus file or CSV tables"),
    "analyse": ("stored", "analyse a stored run; without a run, list the analyses"),
    "session": ("session", "an IPython session at the beamline"),
    "ioc": ("session", "serve a simulated film over Channel Access"),
    "rsm": ("rsm", "reciprocal-space map of scans, with its peaks; leaves a picture"),
    "map-film": ("film", "composition, relaxation and tilt of a film at each point of a map"),
    "segment": ("segment", "split micrographs into phases; train models for it"),
    "structure": (
        "volumes",
        "measure a label volume: volumes, contact areas, triple lines, connectivity, lengths",
    ),
    "superres": ("volumes", "insert planes between the slices of a stack"),
    "slices": ("slices", "from the slices of a folder to a report of what the volume holds"),
    "slice-and-view": (
        "slices",
        "take slices on the simulated FIB-SEM, and report what the volume holds",
    ),
    "report": ("slices", "write the report of a reconstructed run"),
    "serve": ("server", "run the analysis server until Ctrl-C"),
    "server": ("server", "look after the analysis server"),
    "submit": ("submit", "have files analysed by an analysis server, and save the result"),
    "package": ("packages", "make an analysis of your own for the analysis server"),
    "review": ("packages", "review packages of the server on this machine"),
    "retrain": ("retrain", "train models further on what users gave to the server"),
}
"""By name: the module here that adds it with ``add_NAME(parser, argv)``, and what it does."""
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError, KeyError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    # At its end Python looks through all objects for garbage, for seconds once torch is loaded.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    arguments = Namespace()
    try:
        arguments = make_parser().parse_args(argv)
        check_json(arguments)
        try:
            report = arguments.run(arguments)
        except Failed as failure:
            write_json(arguments, failure.report)
            raise
        write_json(arguments, report)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"bl-steer: interrupted; {str(stop) or kept_of(arguments)}", file=sys.stderr)
        return 130
    except EXPECTED_ERRORS as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return 141  # as a shell has it: 128 and SIGPIPE
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        if isinstance(error, ImportError):
            text = hint(error) or text
        line = " ".join(in_options(arguments, text).split())
        print(f"bl-steer: {line or type(error).__name__}", file=sys.stderr)
        return 2
    return 0


def _reader_has_gone() -> bool:
    """Return whether nobody reads the output; what is still to be printed is then dropped."""
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)  # errors alone: a connection to a server may be what broke
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def make_parser() -> Parser:
    """Return the parser of all commands; each gets its options when it is parsed."""
    parser = Parser(
        prog="bl-steer",
        description="Steer a micro-beam diffraction measurement to the spot that matters.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {bl_steer.__version__}",
        help="print the version and leave",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, description=text, add_options=_adding(name))
    return parser


def _adding(name: str) -> AddOptions:
    def add(parser: Parser, argv: Sequence[str]) -> None:
        module = importlib.import_module(f"bl_steer.cli.{COMMANDS[name][0]}")
        getattr(module, f"add_{name.replace('-', '_')}")(parser, argv)

    return add
