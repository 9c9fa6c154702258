"""What a plan refuses, at the prompt: one line instead of the traceback of the RunEngine.

An extension of IPython, which a session loads. Of other errors IPython shows what it always does.
"""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

ROOTS = ("bl_steer", "plans", "devices")


def load_ipython_extension(shell: Any) -> None:
    """Show in one line what our own checks refuse."""
    shell.set_custom_exc((ValueError, TypeError, KeyError), _show)


def unload_ipython_extension(shell: Any) -> None:
    """Show all tracebacks again."""
    shell.set_custom_exc((), None)


def _show(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType,
    tb_offset: int | None = None,
) -> None:
    if not _is_refusal(trace):
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace  # for %tb
    sys.stderr.write(f"{kind.__name__}: {error}\n(%tb shows where)\n")


def _is_refusal(trace: TracebackType) -> bool:
    """Return whether a check of ours raised an error, and not what it called."""
    raised_in = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(trace)][-1]
    return str(raised_in).partition(".")[0] in ROOTS
