"""How much memory the worker's process may take, so that no analysis costs the measurement its own.

The kernel holds the limit: beyond it an allocation fails, in Python as `MemoryError`.
"""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

from bl_steer.settings import Settings

__all__ = ["is_half_used", "limit_memory", "out_of_memory", "remedy"]

GIB = 2**30
SHARE = 0.75
"""Of the machine's memory, where no limit is set."""
SAYINGS = re.compile(
    r"can.?t allocate memory|cannot allocate memory|out of memory|not enough memory|"
    r"can't start new thread|unable to (synchronously )?allocate|bad_alloc|"
    r"DefaultCPUAllocator",
    re.IGNORECASE,
)
"""How torch, the loader, HDF5 and the system say it."""


def limit_memory() -> None:
    """Limit what this process may allocate, by ``BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB``."""
    limit_gib = Settings().analysis_memory_limit_gib
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = int(SHARE * machine if limit_gib is None else limit_gib * GIB)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def is_half_used() -> bool:
    """Return whether this process keeps more than half of its limit: the next job needs room."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status").read_text()
    used = re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)
    return used is not None and limit != resource.RLIM_INFINITY and 2048 * int(used[1]) > limit


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was no memory left."""
    return isinstance(error, MemoryError) or bool(SAYINGS.search(str(error)))


def remedy() -> str:
    """Return the limit of this process and what to do about it."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit == resource.RLIM_INFINITY:
        return "give it less to do, or a machine with more memory"
    return (
        f"the limit is {limit / GIB:.3g} GiB: give it less to do, or a higher limit "
        "(BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB)"
    )
