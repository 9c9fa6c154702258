"""Keep the parts of the server running: what dies is started again, and all end together.

A part is a function in a process that is forked from this one, so that what is imported here is
there at once: a part that was killed is back in some ten milliseconds, not after seconds of
imports. Hence nothing may run here beside the supervisor: no thread, no open database.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from types import FrameType

__all__ = ["Supervisor", "die_with_parent"]

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
LONG_ENOUGH_S = 1.0
"""What lived so long did not die of its start: it is started again at once."""
GRACE_S = 8.0
ENDING = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
# Elsewhere a fork without an exec is not safe: a part then imports anew.
CONTEXT = get_context("fork") if sys.platform == "linux" else get_context("spawn")

logger = logging.getLogger(__name__)


def die_with_parent(parent: int) -> None:
    """Have this process killed when the one that forked it dies, however that dies.

    Parameters
    ----------
    parent : process id
    """
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(1)


@dataclass
class _Part:
    does: Callable[[], None]
    once: bool
    process: BaseProcess | None = None
    began: float = 0.0
    wait_s: float = FIRST_WAIT_S
    due: float = 0.0


class Supervisor:
    """Run functions side by side, each in a process that is started again when it ends.

    Parameters
    ----------
    parts : what each part does, by its name
    tasks : likewise, but done when they end by themselves; started again only where they are killed
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], None]],
        tasks: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._parts = {name: _Part(does, once=False) for name, does in parts.items()}
        self._parts |= {name: _Part(does, once=True) for name, does in (tasks or {}).items()}
        self._stopping = False

    def run(self, each: Callable[[], None] = lambda: None) -> None:
        """Run the parts until SIGTERM or Ctrl-C, then end them all.

        Parameters
        ----------
        each : called after each look at the parts, some ten times in a second
        """

        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True

        for number in ENDING:
            signal.signal(number, stop)
        gc.freeze()  # the parts share the memory of what is there now: let them not look through it
        try:
            while not self._stopping:
                self.step()
                each()
                time.sleep(0.1)
            logger.info("stopping …")
        finally:
            self.end()

    def step(self) -> None:
        """Start what does not run."""
        now = time.monotonic()
        for name, part in list(self._parts.items()):
            if part.process is not None and (status := part.process.exitcode) is not None:
                part.process.close()
                part.process = None
                if part.once and status >= 0:
                    del self._parts[name]
                    continue
                lived = now - part.began
                logger.warning(
                    "%s ended (%s) after %.1f s; it is started again", name, status, lived
                )
                quick = lived < LONG_ENOUGH_S
                part.wait_s = min(LONGEST_WAIT_S, 2 * part.wait_s) if quick else FIRST_WAIT_S
                part.due = now + part.wait_s
            if part.process is None and now >= part.due:
                part.process, part.began = _start(name, part.does), now

    def end(self) -> None:
        """End all parts: first as they like, then at once."""
        running = [p.process for p in self._parts.values() if p.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()


def _start(name: str, does: Callable[[], None]) -> BaseProcess:
    process = CONTEXT.Process(target=_begin, args=(name, does, os.getpid()), name=name)
    # What ends a part that has only just begun must neither be lost nor be taken for our own.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _begin(name: str, does: Callable[[], None], parent: int) -> None:
    """Do a part's work, in its own process."""
    die_with_parent(parent)
    os.setsid()  # Ctrl-C reaches the supervisor, which ends the parts in order
    if sys.platform == "linux":
        _prctl(PR_SET_NAME, f"bl-{name}"[:15].encode())
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    does()


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value)
