"""Room on the disks of this machine: what a full one looks like, and how much is left."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB

__all__ = ["LEAST_ROOM", "folders_of", "is_full", "room_of"]

LEAST_ROOM = 64 * MIB
"""Below that workers take no job, and what fails then did not fail by itself."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POSTGRESQL_FULL = "53100"
"""SQLSTATE ``disk_full``."""


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or what it came from, tells of a disk without room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if isinstance(error, sqlite3.Error):
            return error.sqlite_errorcode == sqlite3.SQLITE_FULL
        if getattr(error, "sqlstate", None) == POSTGRESQL_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def folders_of(settings: ServerSettings) -> Iterator[Path]:
    """Yield the folders of this machine that the server fills."""
    yield settings.folder.absolute()
    if settings.files.startswith("file://"):
        yield Path(settings.files.removeprefix("file://"))


def room_of(folders: Iterable[Path]) -> int:
    """Return how many bytes are free on the fullest of the disks that hold the folders."""
    free = [shutil.disk_usage(_there(folder)).free for folder in folders]
    return min(free)


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())
