"""bubblewrap's part of a sandbox: what a program inside sees of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import bl_steer

__all__ = ["JOB", "bubblewrap_command", "plain_environment"]

MACHINE_CODE = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
)

JOB = Path("/job")
"""Where a sandboxed program finds what it was given: ``/job/out`` is the folder to write."""
TMP = 64 * 2**20
"""Size of /tmp, which is memory; larger things go to the folder to write."""
DEVICES = Path("/dev")
PROCESSES = Path("/proc")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SYSTEM_FILES = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/var/cache/fontconfig",
)


def bubblewrap_command(
    readable: Mapping[Path, Path] | None = None,
    writable: Path | None = None,
    hidden: Sequence[Path] = (),
    *,
    calls: int,
    gpus: bool = False,
) -> list[str]:
    """Return bubblewrap and its options.

    Parameters
    ----------
    calls : number of the open file with the filter of system calls
    gpus : whether the devices of GPUs are seen
    """
    words = [
        *("bwrap", "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534"),
        *(["--disable-userns"] if _knows("--disable-userns") else []),
        *("--seccomp", str(calls)),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *("--hostname", "job", "--proc", "/proc", *_settings_of_the_kernel(), "--dev", "/dev"),
        *("--size", str(TMP), "--tmpfs", "/tmp", "--size", str(TMP), "--tmpfs", "/dev/shm"),
    ]
    for path in SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            words += ["--ro-bind", path, path]
    for path in SYSTEM_FILES:
        words += ["--ro-bind-try", path, path]
    seen = [Path("/usr")]
    for folder in _library_folders():
        if not any(folder.is_relative_to(parent) for parent in seen):
            words += ["--ro-bind", str(folder), str(folder)]
            seen.append(folder)
    for folder in hidden:
        if folder.exists() and any(folder.resolve().is_relative_to(parent) for parent in seen):
            words += ["--tmpfs", str(folder.resolve()), "--remount-ro", str(folder.resolve())]
    for inside, outside in (readable or {}).items():
        words += ["--ro-bind", str(outside.resolve()), str(inside)]
    if writable is not None:
        words += ["--bind", str(writable.resolve()), str(JOB / "out"), "--chdir", str(JOB / "out")]
    for device in sorted(DEVICES.glob("nvidia*")) if gpus else ():
        words += ["--dev-bind", str(device), str(device)]
    # The file system's own folders are of memory that nobody counts: nothing may be written there.
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]


def _settings_of_the_kernel() -> list[str]:
    """Return the options that keep what /proc has beside processes from being written.

    Such files ask for no capability where root of the machine owns them: a job of a server that
    runs as root would else set what the kernel starts when a program crashes.
    """
    words: list[str] = []
    with os.scandir(PROCESSES) as entries:
        for entry in entries:
            if entry.name.isdigit() or entry.is_symlink():
                continue
            if entry.is_dir() or entry.stat().st_mode & 0o222:
                words += ["--ro-bind", entry.path, entry.path]
    return words


@cache
def _knows(option: str) -> bool:
    """Return whether this bubblewrap has an option; the filter refuses namespaces in any case."""
    told = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    return option in told.stdout + told.stderr


def _library_folders() -> list[Path]:
    """Return the folders of Python, of what is installed in it, and of this library."""
    library = Path(bl_steer.__file__).resolve().parent
    folders = [Path(sys.base_prefix), Path(sys.prefix), library]
    return sorted({path.resolve() for path in folders}, key=lambda path: len(path.parts))


def plain_environment(home: Path, more: Mapping[str, str] | None) -> dict[str, str]:
    """Return the few variables that a sandboxed program gets.

    Those by which numerical libraries choose their machine code are the server's own: it decides
    over the last bits, and a result must be that of the same analysis outside.
    """
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in MACHINE_CODE if name in os.environ},
        **dict.fromkeys(threads, "1"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(Path(bl_steer.__file__).resolve().parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        **(more or {}),
    }
