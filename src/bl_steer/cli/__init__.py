"""The command line: readable text on the screen, the same as JSON with ``--json FILE``.

Exit status 0, or 2 with one line that names the value and the remedy, or 130 after Ctrl-C with one
line that says what is kept: a command that knows it raises ``KeyboardInterrupt(text)``. Each module
beside this one adds its commands with ``add_commands``; a new family of commands is a new module in
`FAMILIES`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bl_steer.cli import (
    analyses,
    beamline,
    packages,
    reconstruction,
    retrain,
    reviews,
    segment,
    steering,
    stored,
    structure,
    submit,
    superres,
)
from bl_steer.cli import server as service
from bl_steer.cli.options import Parser, check_json
from bl_steer.extras import hint

__all__ = ["main"]

FAMILIES = (
    steering,
    stored,
    analyses,
    beamline,
    segment,
    structure,
    superres,
    reconstruction,
    service,
    packages,
    reviews,
    submit,
    retrain,
)
EXPECTED_ERRORS = (ValueError, OSError, RuntimeError, KeyError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        check_json(getattr(arguments, "json", None))
        arguments.run(arguments)
    except KeyboardInterrupt as stop:
        kept = str(stop) or "what was measured is kept"
        print(f"bl-steer: interrupted; {kept}", file=sys.stderr)
        return 130
    except EXPECTED_ERRORS as error:
        text = str(error.args[0] if isinstance(error, KeyError) else error)
        if isinstance(error, ImportError):
            text = hint(error) or text
        line = " ".join(text.split())
        print(f"bl-steer: {line or type(error).__name__}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="bl-steer",
        description="Steer a micro-beam diffraction measurement to the spot that matters.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for family in FAMILIES:
        family.add_commands(commands)
    return parser
