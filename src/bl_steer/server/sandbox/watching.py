"""A program in the sandbox, watched to its end, to a limit, or until it is cancelled."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bl_steer.server.sandbox.limits import (
    Limits,
    disk_used,
    kill_tree,
    own_memory,
    process_tree,
    usage_of,
)

__all__ = ["Cause", "Outcome", "watched"]

TICK_S = 0.05
DISK_TICK_S = 0.25
LONGEST_LINE = 65_536
LAST_WORDS = 4000
NO_MEMORY = (b"bad_alloc", b"memory allocation of")
"""What C++ and Rust say before they abort."""
NO_PROCESS = (b"can't start new thread", b"Resource temporarily unavailable", b"EAGAIN")
"""How a program says that it was refused one process more."""

Cause = Literal["ok", "time", "memory", "disk", "processes", "cancelled", "crashed", "lost"]


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Parameters
    ----------
    cause : ``ok``, a limit, ``cancelled``, ``crashed`` (by itself) or ``lost`` (killed by
        others, or its sandbox was never set up)
    status : exit status, or the negative number of a signal
    last_words : the end of what it wrote to standard error
    seconds : that it ran
    memory : the most that all its processes took together, bytes
    """

    cause: Cause
    status: int
    last_words: str
    seconds: float
    memory: int


def watched(
    process: subprocess.Popen[bytes],
    writable: Path,
    limits: Limits,
    stdin: bytes = b"",
    on_line: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Outcome:
    """Give a started program its input, and watch it to its end: see `run_in_sandbox`."""
    return _Watch(process, writable, limits, stdin, on_line, cancelled).to_its_end()


class _Watch:
    """One running program, its pipes and its limits."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        writable: Path,
        limits: Limits,
        stdin: bytes,
        on_line: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.process = process
        self.writable = writable
        self.limits = limits
        self.on_line = on_line
        self.cancelled = cancelled
        self.began = time.monotonic()
        self.memory = 0
        self._disk_due = self.began
        self._to_send = stdin
        self._line = b""
        self._words = b""
        self._selector = selectors.DefaultSelector()
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, event)

    def to_its_end(self) -> Outcome:
        """Serve its pipes and watch its limits until it is gone."""
        cause: Cause | None = None
        checked = 0.0
        while self.process.poll() is None:
            self._serve(TICK_S)
            if time.monotonic() - checked >= TICK_S:
                cause = self._transgression()
                checked = time.monotonic()
            if cause is not None:
                kill_tree(self.process.pid)
                self.process.wait()
        self._serve(0.0)
        self._selector.close()
        status = self.process.returncode
        return Outcome(
            cause or _cause_of(status, self._words),
            status,
            self._words.decode(errors="replace"),
            time.monotonic() - self.began,
            self.memory,
        )

    def _transgression(self) -> Cause | None:
        if self.cancelled is not None and self.cancelled():
            return "cancelled"
        now = time.monotonic()
        if now - self.began > self.limits.time_s:
            return "time"
        pids = process_tree(self.process.pid, most=self.limits.processes)
        usage = usage_of(pids)
        if usage.threads > self.limits.processes:
            return "processes"
        if usage.memory > self.memory:
            memory = own_memory(pids) if usage.memory > self.limits.memory else usage.memory
            self.memory = max(self.memory, memory)
            if memory > self.limits.memory:
                return "memory"
        if now >= self._disk_due:
            used, files = disk_used(self.writable, pids)
            # A full folder takes long to look at: look at it less often.
            self._disk_due = now + max(DISK_TICK_S, 5 * (time.monotonic() - now))
            if used > self.limits.disk or files > self.limits.files:
                return "disk"
        return None

    def _serve(self, wait_s: float) -> None:
        if not self._selector.get_map():
            time.sleep(wait_s)
            return
        for key, _ in self._selector.select(wait_s):
            pipe = key.fileobj
            if pipe is self.process.stdin:
                self._send(self.process.stdin)
            elif pipe is self.process.stdout:
                self._hear(self.process.stdout)
            elif pipe is self.process.stderr:
                block = self._read(self.process.stderr)
                self._words = (self._words + block)[-LAST_WORDS:]

    def _send(self, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        try:
            self._to_send = self._to_send[os.write(pipe.fileno(), self._to_send[:65_536]) :]
        except OSError:  # it does not want to hear
            self._to_send = b""
        if not self._to_send:
            self._selector.unregister(pipe)
            with contextlib.suppress(OSError):
                pipe.close()

    def _hear(self, pipe: IO[bytes] | None) -> None:
        *lines, rest = (self._line + self._read(pipe)).split(b"\n")
        self._line = rest[:LONGEST_LINE]
        if self.on_line is not None:
            for line in lines:
                self.on_line(line[:LONGEST_LINE].decode(errors="replace"))

    def _read(self, pipe: IO[bytes] | None) -> bytes:
        if pipe is None:
            return b""
        try:
            block = os.read(pipe.fileno(), 65_536)
        except BlockingIOError:
            return b""
        if not block:
            self._selector.unregister(pipe)
        return block


def _cause_of(status: int, words: bytes) -> Cause:
    if status == 0:
        return "ok"
    # bwrap hands on a signal of the program as 128 + its number.
    number = -status if status < 0 else status - 128
    if number == signal.SIGKILL:
        return "lost"
    if number == signal.SIGXFSZ:
        return "disk"
    if number in (signal.SIGABRT, signal.SIGSEGV) and any(one in words for one in NO_MEMORY):
        return "memory"
    if any(saying in words for saying in NO_PROCESS):
        return "processes"
    return "crashed"
