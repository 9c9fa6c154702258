"""A store that was moved or copied: what its catalogue and records name lies elsewhere now."""

from __future__ import annotations

import contextlib
import glob
import sqlite3
from pathlib import Path
from urllib.parse import urlparse

__all__ = ["found_uri", "name_files_anew"]


def found_uri(uri: str, frames: Path) -> str:
    """Return the URI of a file of frames; the one in `frames` where it lies there alone."""
    named = Path(urlparse(uri).path)
    here = frames / named.name
    return f"file://localhost{here}" if not _is_there(named) and _is_there(here) else uri


def _is_there(path: Path) -> bool:
    """Return whether there is a file, or files whose names go on with a number."""
    return path.exists() or next(path.parent.glob(f"{glob.escape(path.name)}_*"), None) is not None


def name_files_anew(database: Path, folder: Path, *, busy_s: float) -> None:
    """Have Tiled's catalogue name the tables, frames and files in `folder`, where they lie now.

    Tiled keeps absolute paths. Of a folder that was moved or copied they name the old place.

    Raises
    ------
    sqlite3.Error
        When the catalogue cannot be read or written.
    """
    tables = f"sqlite://localhost/{folder / 'tables.db'}"
    files = f"file://localhost{folder}/"
    with contextlib.closing(sqlite3.connect(database, timeout=busy_s)) as connection:
        strangers = connection.execute(
            "SELECT id, data_uri FROM assets WHERE data_uri <> ? AND substr(data_uri, 1, ?) <> ?",
            (tables, len(files), files),
        ).fetchall()
        for number, uri in strangers:
            new = tables if uri.startswith("sqlite:") else _own(uri, folder)
            if new != uri:
                connection.execute("UPDATE assets SET data_uri = ? WHERE id = ?", (new, number))
        connection.commit()


def _own(uri: str, folder: Path) -> str:
    """Return the URI of the same file in this folder, where there is one."""
    parts = Path(urlparse(uri).path).parts
    for part in ("frames", "files"):
        if part in parts:
            last = len(parts) - 1 - parts[::-1].index(part)
            here = folder.joinpath(*parts[last:])
            if here.exists():
                return f"file://localhost{here}"
    return uri
