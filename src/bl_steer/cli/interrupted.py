"""What a command says that Ctrl-C broke off: what is kept, and what goes on.

Work that knows it raises ``KeyboardInterrupt(text)``; this is for where it does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bl_steer.cli.options import Parser

__all__ = ["in_place_of_parts", "keeps", "kept_of", "kept_of_paper"]


@contextmanager
def in_place_of_parts(arguments: argparse.Namespace) -> Iterator[None]:
    """Have Ctrl-C say what the whole command keeps, not the part of it that was under way."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept_of(arguments)) from None


def keeps(parser: Parser, told: Callable[[argparse.Namespace], str]) -> None:
    """Let Ctrl-C say what a command keeps, and how to go on, where its work does not say it."""
    parser.set_defaults(kept=told)


def kept_of(arguments: argparse.Namespace) -> str:
    """Return what is kept of a command that was broken off, and how to go on."""
    told: Callable[[argparse.Namespace], str] | None = getattr(arguments, "kept", None)
    if told is not None:
        return told(arguments)
    out: Path | None = getattr(arguments, "out", None)
    kept = "nothing of it is kept"
    if out is not None and out.is_dir() and any(out.iterdir()):
        kept = f"no result is kept but files that are in {out} already, each of them whole"
    return f"{kept}; the same command begins again"


def kept_of_paper(arguments: argparse.Namespace) -> str:
    """Return what is kept of the command ``paper``."""
    drawn = sorted(path.name for path in arguments.out.glob("figure_*.png"))
    kept = f"{', '.join(drawn)} in {arguments.out}" if drawn else "no figure"
    # The instrument of a stack that was broken off is kept for it there.
    slicing = any(arguments.data.glob("simulated_fibsem.json"))
    again = "the same command with another --data" if slicing else "the same command"
    return f"kept are {kept}, and the runs in {arguments.data}; {again} begins again"
