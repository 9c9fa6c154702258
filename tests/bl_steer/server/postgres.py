"""A PostgreSQL server of one's own, in a folder, without a network port."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def why_not() -> str:
    """Return why no server can be started here; nothing where it can."""
    if not PROGRAMS:
        return "PostgreSQL is not installed (make system)"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and setpriv is missing"
    return ""


@contextmanager
def postgres_server(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Start a server in an empty folder that its user may reach; yield the URL of a database."""
    data, socket = folder / "data", folder / "s"
    socket.mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        shutil.chown(socket, "nobody")
    _as_user(["initdb", "-D", data, "-U", "bl", "-A", "trust", "--no-sync", "-E", "UTF8"])
    options = f"-k {socket} -c listen_addresses='' -c shared_buffers=32MB"
    if not durable:
        options += " -c fsync=off -c synchronous_commit=off"
    _as_user(["pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"])
    try:
        yield f"postgresql+psycopg://bl@/postgres?host={socket}"
    finally:
        _as_user(["pg_ctl", "-D", data, "-m", "immediate", "stop"])


def _as_user(command: list[object]) -> None:
    words = [str(PROGRAMS[-1] / str(command[0])), *map(str, command[1:])]
    if os.geteuid() == 0:
        words = ["setpriv", "--reuid=nobody", "--clear-groups", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/")
