"""A control group that caps how many processes a job can start, where this process may make one.

The kernel's own limit for a user (``prlimit --nproc``) does the same for a server that does not run
as root; root is exempt from it. Without either, `bl_steer.server.sandbox.limits` still sees a fork
bomb, but after it has cost its neighbours some seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["enter_command", "process_cgroup"]

PLACES = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
PREFIX = "bl_steer_"
MORE = 16
"""Above the limit: room for bubblewrap's own processes, so that the limit is seen to be passed."""


@contextlib.contextmanager
def process_cgroup(processes: int) -> Iterator[Path | None]:
    """Make a control group for one job; None where that is not possible."""
    group = _make(processes)
    try:
        yield group
    finally:
        if group is not None:
            _remove(group)


def enter_command(group: Path | None) -> list[str]:
    """Return the words before a command that put it into a control group."""
    if group is None:
        return []
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]


def _make(processes: int) -> Path | None:
    for parent in PLACES:
        group = parent / f"{PREFIX}{os.getpid()}_{os.urandom(4).hex()}"
        try:
            _sweep(parent)
            group.mkdir()
        except OSError:
            continue
        try:
            (group / "pids.max").write_text(str(processes + MORE))
        except OSError:  # this one has no such limit
            group.rmdir()
            continue
        return group
    return None


def _remove(group: Path) -> None:
    for _ in range(50):  # killed processes take some ms to leave
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.01)
        else:
            return


def _sweep(parent: Path) -> None:
    """Remove the groups of workers that are gone, with what of theirs still lives.

    A sandbox that is killed as it begins may leave its first process waiting for ever.
    """
    for left in parent.glob(f"{PREFIX}*"):
        pid = left.name.removeprefix(PREFIX).partition("_")[0]
        if not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(OSError):
                for member_pid in map(int, (left / "cgroup.procs").read_text().split()):
                    if member_pid > 0:  # 0 is one of another container
                        os.kill(member_pid, signal.SIGKILL)
                left.rmdir()  # or the next time: the killed take some ms to leave
