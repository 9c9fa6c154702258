"""Run a program that nobody trusts: no network, no database, no secrets, no more than it may take.

bubblewrap gives it a file system of its own: the system and this library to read, what is named to
read, one folder to write. Its first process dies with ours, and all others with that one, so that
none outlives a cancel, a limit or a lost worker. Limits are watched from outside, where the program
cannot reach; one process' memory and file size are held by the kernel as well.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

from bl_steer.server.sandbox.bubblewrap import JOB, bubblewrap_command, plain_environment
from bl_steer.server.sandbox.cgroup import enter_command, process_cgroup
from bl_steer.server.sandbox.limits import Limits, kill_tree
from bl_steer.server.sandbox.seccomp import opened_filter
from bl_steer.server.sandbox.watching import Cause, Outcome, watched

__all__ = [
    "Cause",
    "Outcome",
    "SandboxMissing",
    "is_kept_apart",
    "run_in_sandbox",
    "sandbox_problem",
    "started_in_sandbox",
    "watched",
]

PAUSES_S = (0.2, 1.0)
"""Before a program is begun again whose sandbox could not be set up, s."""

ANSWERS_WITHIN_S = 120.0
"""For bubblewrap to show that it works: a busy machine is not one without a sandbox."""

logger = logging.getLogger(__name__)


class SandboxMissing(RuntimeError):
    """Nothing here keeps a program apart from the machine, and nobody said that it may run."""


def sandbox_problem() -> str:
    """Return why programs cannot be kept apart here; nothing where they can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        with opened_filter() as calls:
            probe = [*bubblewrap_command(calls=calls), "--", "/usr/bin/env", "true"]
            done = subprocess.run(
                probe,
                capture_output=True,
                text=True,
                timeout=ANSWERS_WITHIN_S,
                check=False,
                pass_fds=(calls,),
            )
    except RuntimeError as error:
        return str(error)
    except subprocess.TimeoutExpired as error:
        return f"bubblewrap must answer, got nothing for {error.timeout:g} s"
    return "" if done.returncode == 0 else f"bubblewrap fails here: {done.stderr.strip()[:200]}"


def is_kept_apart(*, trusted: bool) -> bool:
    """Return whether programs run in a sandbox: all but trusted ones where none can be made."""
    bwrap = shutil.which("bwrap")
    if not trusted or bwrap is None:
        return not trusted
    try:
        _check_works(bwrap)
    except SandboxMissing:
        return False
    return True


@cache
def _check_works(_bwrap: str) -> None:
    """Raise `SandboxMissing` where no sandbox can be made; one that can is looked at once."""
    if problem := sandbox_problem():
        raise SandboxMissing(problem)


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

    One whose sandbox cannot be set up, as when a mount went meanwhile, has seen nothing yet: it is
    begun again after a pause, and is ``lost`` where that does not help.

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
    apart = is_kept_apart(trusted=trusted)
    for pause_s in (*PAUSES_S, 0.0):
        with (
            _opened_status() as status,
            started_in_sandbox(
                command,
                readable=readable,
                writable=writable,
                limits=limits,
                environment=environment,
                hidden=hidden,
                trusted=trusted,
                status=status,
            ) as process,
        ):
            outcome = watched(process, writable, limits, stdin, on_line, cancelled)
            ended_itself = not apart or _has_ended_itself(status)
        # A refused namespace reads like a refused process.
        refused = outcome.cause == "processes" and outcome.status > 0
        if ended_itself or not (refused or outcome.cause == "crashed"):
            return outcome
        logger.warning("a sandbox could not be set up: %s", outcome.last_words.strip()[-300:])
        time.sleep(pause_s)
    return replace(outcome, cause="lost")


@contextlib.contextmanager
def started_in_sandbox(
    command: Sequence[str],
    *,
    readable: Mapping[Path, Path],
    writable: Path,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    hidden: Sequence[Path] = (),
    trusted: bool = False,
    status: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program as `run_in_sandbox` does; it is killed in the end, with all that it started.

    Its limits are kept from when it is `watched`. It dies with the thread that started it, too.

    Parameters
    ----------
    status : number of an open file to which bubblewrap writes how far it came
    """
    inside = is_kept_apart(trusted=trusted)
    if inside and shutil.which("bwrap") is None:
        raise SandboxMissing(
            "programs must run in a sandbox, got no bubblewrap (bwrap) on this machine; install "
            "it, or start the server with --trust-packages"
        )
    filtering = opened_filter() if inside else nullcontext(-1)
    with process_cgroup(limits.processes) as group, filtering as calls:
        words = [*enter_command(group), *_limit_words(limits)]
        if inside:
            gpus = limits.gpus > 0
            words += bubblewrap_command(readable, writable, hidden, calls=calls, gpus=gpus)
            words += [] if status is None else ["--json-status-fd", str(status)]
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
            pass_fds=[fd for fd in (calls, status) if inside and fd is not None],
        )
        try:
            yield process
        finally:
            kill_tree(process.pid)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


@contextlib.contextmanager
def _opened_status() -> Iterator[int]:
    """Open a file without a name for what bubblewrap tells; the program gets no hold of it."""
    number = os.memfd_create("status")
    try:
        yield number
    finally:
        os.close(number)


def _has_ended_itself(status: int) -> bool:
    """Return whether a program began, and bubblewrap lived to tell how it ended."""
    return b'"exit-code"' in os.pread(status, 65_536, 0)


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
