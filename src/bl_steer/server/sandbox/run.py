"""Run a program that nobody trusts: no network, no database, no secrets, no more than it may take.

bubblewrap gives it a file system of its own: the system and this library to read, what is named to
read, one folder to write. Its first process dies with ours, and all others with that one, so that
none outlives a cancel, a limit or a lost worker. Limits are watched from outside, where the program
cannot reach; one process' memory and file size are held by the kernel as well.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bl_steer.server.sandbox.bubblewrap import JOB, bubblewrap_command, plain_environment
from bl_steer.server.sandbox.cgroup import enter_command, process_cgroup
from bl_steer.server.sandbox.limits import (
    Limits,
    disk_used,
    kill_tree,
    own_memory,
    process_tree,
    usage_of,
)
from bl_steer.server.sandbox.seccomp import opened_filter

__all__ = [
    "Cause",
    "Outcome",
    "SandboxMissing",
    "run_in_sandbox",
    "sandbox_problem",
]

TICK_S = 0.05
DISK_TICK_S = 0.25
LONGEST_LINE = 65_536
LAST_WORDS = 4000
NO_PROCESS = (b"can't start new thread", b"Resource temporarily unavailable", b"EAGAIN")
"""How a program says that it was refused one process more."""

Cause = Literal["ok", "time", "memory", "disk", "processes", "cancelled", "crashed", "lost"]


class SandboxMissing(RuntimeError):
    """Nothing here keeps a program apart from the machine, and nobody said that it may run."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Parameters
    ----------
    cause : ``ok``, a limit, ``cancelled``, ``crashed`` (by itself) or ``lost`` (killed by others)
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


def sandbox_problem() -> str:
    """Return why programs cannot be kept apart here; nothing where they can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        with opened_filter() as calls:
            probe = [*bubblewrap_command(calls=calls), "--", "/usr/bin/env", "true"]
            done = subprocess.run(
                probe, capture_output=True, text=True, timeout=20, check=False, pass_fds=(calls,)
            )
    except RuntimeError as error:
        return str(error)
    return "" if done.returncode == 0 else f"bubblewrap fails here: {done.stderr.strip()[:200]}"


def run_in_sandbox(
    command: Sequence[str],
    *,
    readable: Mapping[Path, Path],
    writable: Path,
    limits: Limits,
    stdin: bytes = b"",
    on_line: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    environment: Mapping[str, str] | None = None,
    hidden: Sequence[Path] = (),
    trusted: bool = False,
) -> Outcome:
    """Run a program to its end, to a limit, or until it is cancelled.

    Parameters
    ----------
    readable : paths on this machine by the path that the program sees
    writable : folder that the program sees as ``/job/out``
    on_line : called with each line of its standard output, cut at 64 KiB
    cancelled : asked some 20 times a second whether to stop
    environment : added to the few variables that it gets
    hidden : folders that are empty for it, although they lie below a readable one
    trusted : run it without a sandbox where there is none; then paths are not changed, so that
        ``readable`` must map each path to itself

    Raises
    ------
    SandboxMissing
        When there is no bubblewrap, and it is not trusted.
    """
    inside = not trusted or shutil.which("bwrap") is not None
    if inside and shutil.which("bwrap") is None:
        raise SandboxMissing(
            "programs must run in a sandbox, got no bubblewrap (bwrap) on this machine; install "
            "it, or start the server with --trust-packages"
        )
    filtering = opened_filter() if inside else nullcontext(-1)
    with process_cgroup(limits.processes) as group, filtering as calls:
        words = [*enter_command(group), *_limit_words(limits)]
        if inside:
            words += bubblewrap_command(readable, writable, hidden, calls=calls)
            for name, value in plain_environment(JOB / "out", environment).items():
                words += ["--setenv", name, value]
            words += ["--", *_process_limit_words(limits)]
        process = subprocess.Popen(
            [*words, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/" if inside else writable,
            env={"PATH": os.environ["PATH"]}
            if inside
            else plain_environment(writable, environment),
            start_new_session=True,
            pass_fds=(calls,) if inside else (),
        )
        try:
            return _Watch(process, writable, limits, stdin, on_line, cancelled).to_its_end()
        finally:
            kill_tree(process.pid)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


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
    if number in (signal.SIGABRT, signal.SIGSEGV) and b"bad_alloc" in words:
        return "memory"
    if any(saying in words for saying in NO_PROCESS):
        return "processes"
    return "crashed"


def _limit_words(limits: Limits) -> list[str]:
    prlimit = shutil.which("prlimit")
    nice = ["nice", "-n", str(limits.niceness)] if shutil.which("nice") else []
    if prlimit is None:
        return nice
    return [
        *nice,
        prlimit,
        f"--fsize={limits.disk}",
        f"--data={limits.memory}",
        "--core=0",
        "--",
    ]


def _process_limit_words(limits: Limits) -> list[str]:
    """Return what caps the processes of all but root; counted anew inside the sandbox."""
    prlimit = shutil.which("prlimit", path="/usr/bin:/bin")
    return [] if prlimit is None else [prlimit, f"--nproc={limits.processes}", "--"]
