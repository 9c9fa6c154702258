"""What one job may take, and how much its processes take now."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB

__all__ = ["Limits", "Usage", "disk_used", "kill_tree", "own_memory", "process_tree", "usage_of"]

THREADS = 4
"""Of the processes and threads of a job, for each of those in which it computes."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What one job may take.

    Parameters
    ----------
    time_s : from its start
    memory : resident in all its processes together, bytes
    disk : in its working folder, files that are deleted and still open included, bytes
    processes : and threads, of all its processes together
    cores : processes in which it computes beside one another
    files : number of files in its working folder
    niceness : how much it yields the processor, 0 … 19
    gpus : how many it may use; it sees the devices of all where it may use any
    """

    time_s: float = 3600.0
    memory: int = 4096 * MIB
    disk: int = 4096 * MIB
    processes: int = 64
    cores: int = 1
    files: int = 20_000
    niceness: int = 10
    gpus: int = 0

    @classmethod
    def of(cls, settings: ServerSettings) -> Limits:
        """Return the limits that the operator set."""
        return cls(
            settings.job_time_s,
            settings.job_memory_mib * MIB,
            settings.job_disk_mib * MIB,
            settings.job_processes,
            max(1, min(settings.job_cores, settings.job_processes // THREADS)),
            niceness=settings.job_niceness,
        )


@dataclass(frozen=True)
class Usage:
    """What a job's processes take now: resident memory, bytes; number of threads."""

    memory: int
    threads: int


def process_tree(pid: int, *, most: int | None = None) -> list[int]:
    """Return a process and what descends from it; orphans stay below the sandbox's first.

    Parameters
    ----------
    most : stop there, so that a fork bomb does not grow faster than it is counted
    """
    pids: list[int] = []
    waiting = [pid]
    while waiting and (most is None or len(pids) <= most):
        current = waiting.pop(0)
        pids.append(current)
        waiting += _children(current)
    return pids


def usage_of(pids: list[int]) -> Usage:
    """Return what processes take together; those that have ended meanwhile take nothing."""
    memory = threads = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        fields = status[status.rindex(b")") + 2 :].split()
        threads += int(fields[17])
        memory += int(fields[21]) * PAGE
    return Usage(memory, threads)


def disk_used(folder: Path, pids: list[int]) -> tuple[int, int]:
    """Return bytes and number of files in a folder, and bytes of deleted files held open."""
    used = count = 0
    for entry in _entries(folder):
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        used += about.st_blocks * 512
        count += 1
    return used + sum(
        {inode: size for pid in pids for inode, size in _deleted(pid)}.values()
    ), count


def own_memory(pids: list[int]) -> int:
    """Return what processes take together, bytes, pages that they share counted once.

    Slower than `usage_of`, which counts a page anew for each process that was forked with it.
    """
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == b"Pss:")
    return 1024 * total


def kill_tree(pid: int) -> None:
    """Kill a process and all that descend from it, those first that could start others.

    Of a sandbox the first three are enough: with the first of its namespace all others die at
    once, before a fork bomb could outrun us.
    """
    for process in [*process_tree(pid, most=2), *process_tree(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    sizes: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return sizes
    for task in tasks:
        try:
            sizes += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
        except OSError:
            continue
    return sizes


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue


def _deleted(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    try:
        handles = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for handle in handles:
        try:
            about = os.stat(f"/proc/{pid}/fd/{handle}")
        except OSError:
            continue
        if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
            yield (about.st_dev, about.st_ino), about.st_blocks * 512
