"""The write-ahead record: every document of a run, one line each, on disk before the run goes on.

It is the truth that everything else is completed from. To read a run as arrays, use
`bl_steer.runs.Run.from_record` instead.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

from bl_steer.store.moved import found_uri

__all__ = [
    "Damage",
    "Document",
    "DocumentRoutes",
    "RecordWriter",
    "StoreError",
    "file_of",
    "find_records",
    "hold",
    "is_being_written",
    "path_of",
    "path_of_resource",
    "read_record",
    "sound_documents",
]

Document = tuple[str, dict[str, Any]]
"""A Bluesky document with its name: ``("start", {...})``."""

DURABLE = frozenset({"start", "event", "event_page", "stop"})
"""Documents after which the file is forced to disk; the others ride along with the next of these.

A descriptor or a frame reference without its event says nothing that a reader needs.
"""

PARENTS = ("descriptor", "resource", "stream_resource")
"""Keys by which a document names another one, without which it says nothing."""

logger = logging.getLogger(__name__)


class StoreError(RuntimeError):
    """The store cannot be opened, written or read; the message names the path and the remedy."""


class DocumentRoutes:
    """Tell to which run a document belongs, also when several runs are open at once."""

    def __init__(self) -> None:
        self._run_of: dict[str, str] = {}

    def run_of(self, name: str, doc: Mapping[str, Any]) -> str:
        """Return the uid of the run that a document belongs to."""
        if name == "start":
            return str(doc["uid"])
        if name == "stop":
            return self._close(str(doc["run_start"]))
        if name in ("descriptor", "resource", "stream_resource"):
            run = str(doc["run_start"])
            self._run_of[str(doc["uid"])] = run
            return run
        parent = doc["resource"] if name in ("datum", "datum_page") else doc["descriptor"]
        return self._run_of[str(parent)]

    def _close(self, run: str) -> str:
        self._run_of = {child: uid for child, uid in self._run_of.items() if uid != run}
        return run


class RecordWriter:
    """Write each document as a line ``[name, doc]`` of ``{uid}.jsonl``; a RunEngine subscribes it.

    Parameters
    ----------
    folder : where the records lie; made if it is missing
    release_at_stop : let go of a run's file when its stop document is written; False leaves that
        to `release`, so that the run counts as being written until the catalogue has it as well

    Raises
    ------
    StoreError
        When a line cannot be written. The RunEngine then ends the run: a measurement that is not
        on disk must not look as if it were. The file keeps all the lines before.

    Notes
    -----
    A file is locked while its run is being written (`is_being_written`); the lock ends with the
    process, however that ends. NaN and infinities are written as Python's ``json`` does, and
    floats read back bit for bit.
    """

    def __init__(self, folder: str | os.PathLike[str], *, release_at_stop: bool = True) -> None:
        self.folder = Path(folder).absolute()
        self._release_at_stop = release_at_stop
        self._routes = DocumentRoutes()
        self._files: dict[str, int] = {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write one document; return when it is on disk."""
        line = _encode(name, doc)
        uid = self._routes.run_of(name, doc)
        try:
            if name == "start":
                self._files[uid] = self._create(uid)
            _append(self._files[uid], line, durable=name in DURABLE)
        except OSError as error:
            if name == "stop":
                self.release(uid)
            raise StoreError(
                f"the record of a run must be writable, got {error.strerror!r} for "
                f"{self.path(uid)}; free some space there or open the store elsewhere: "
                "the points before this one are safe"
            ) from error
        if name == "stop" and self._release_at_stop:
            self.release(uid)

    def path(self, uid: str) -> Path:
        """Return the path of a run's record."""
        return self.folder / f"{uid}.jsonl"

    def release(self, uid: str) -> None:
        """Let go of a run's file: it is no longer being written."""
        descriptor = self._files.pop(uid, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Let go of all files."""
        for uid in list(self._files):
            self.release(uid)

    def _create(self, uid: str) -> int:
        descriptor = os.open(self.path(uid), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sync_folder(self.folder)
        return descriptor


def read_record(path: str | os.PathLike[str]) -> Iterator[Document]:
    """Yield the documents of a record, as far as it is sound; a warning says what was left out.

    Of a store that was moved, frames are named where they lie now.

    Raises
    ------
    StoreError
        When the file is missing or cannot be read.
    """
    damage = Damage()
    yield from sound_documents(path, damage)
    if damage:
        logger.warning("%s of %s; the rest was read", damage, path)


@dataclass
class Damage:
    """What of a record could not be read: lines that are no document, or have lost theirs.

    A disk that lost power may leave zeros in the midst of a file; an event without its descriptor
    says nothing. A line that is there twice costs nothing and is no damage.
    """

    lines: list[int] = field(default_factory=list)
    incomplete: bool = False
    """Whether the last line was cut, as after ``kill -9``."""

    def __bool__(self) -> bool:
        return bool(self.lines) or self.incomplete

    def __str__(self) -> str:
        n = len(self.lines)
        parts = [f"{n} damaged line{'s' * (n > 1)} (from line {self.lines[0]})"] if n else []
        return " and ".join([*parts, *["an incomplete last line"] * self.incomplete])


def sound_documents(path: str | os.PathLike[str], damage: Damage) -> Iterator[Document]:
    """Yield what `read_record` does, and note in `damage` what was left out."""
    try:
        *lines, rest = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise StoreError(
            f"a record must be a readable file, got {error.strerror!r} for {path}; "
            "list the runs to see which there are"
        ) from error
    frames = Path(path).absolute().parent.parent / "frames"
    seen: set[bytes] = set()
    uids: set[Any] = set()
    damage.incomplete = bool(rest)
    for number, line in enumerate(lines, start=1):
        if line in seen:
            continue
        seen.add(line)
        document = _decode(line, uids)
        if document is None:
            damage.lines.append(number)
            continue
        name, doc = document
        if name == "stream_resource" and str(doc["uri"]).startswith("file:"):
            doc["uri"] = found_uri(str(doc["uri"]), frames)
        elif name == "resource":
            uri = found_uri(f"file://localhost{path_of_resource(doc)}", frames)
            doc |= {"root": "/", "resource_path": str(path_of(uri))[1:]}
        yield name, doc


def find_records(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the records in a folder by the uid of their run."""
    return {path.stem: path for path in sorted(Path(folder).glob("*.jsonl"))}


def path_of(uri: str) -> Path:
    """Return the file that a ``file://localhost/…`` URI of a document names.

    The path is taken as it stands, percent signs and all: that is how Tiled reads it. A URI that
    was quoted nevertheless is understood where only the unquoted file exists.
    """
    raw = urlparse(uri).path
    return (
        Path(unquote(raw)) if not Path(raw).exists() and Path(unquote(raw)).exists() else Path(raw)
    )


def file_of(name: str, doc: Mapping[str, Any]) -> Path | None:
    """Return the file that a document refers to; None for a document that refers to none.

    For detectors that write a file for each frame it is what their names begin with.
    """
    if name == "stream_resource" and str(doc["uri"]).startswith("file:"):
        return path_of(str(doc["uri"]))
    return path_of_resource(doc) if name == "resource" else None


def path_of_resource(doc: Mapping[str, Any]) -> Path:
    """Return the file that a ``resource`` document names."""
    return Path(str(doc["root"])) / str(doc["resource_path"]).lstrip("/")


@contextlib.contextmanager
def hold(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Hold a record as its writer does; yield False where a living process holds it already."""
    try:
        descriptor = os.open(path, os.O_RDWR)  # as NFS wants it for a lock
    except OSError:
        descriptor = os.open(path, os.O_RDONLY)  # a disk that may only be read
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def is_being_written(path: str | os.PathLike[str]) -> bool:
    """Return whether a living process is writing this record, or completing it."""
    with hold(path) as free:
        return not free


def _encode(name: str, doc: Mapping[str, Any]) -> bytes:
    return json.dumps([name, dict(doc)], default=_plain, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes, uids: set[Any]) -> Document | None:
    """Return the document of a line; None for what is none, or refers to one not in `uids`."""
    try:
        name, doc = json.loads(line)
        if not all(doc[key] in uids for key in PARENTS if key in doc):
            return None
        if isinstance(doc.get("uid"), str):  # a page of events has many, to which nothing refers
            uids.add(doc["uid"])
    except (ValueError, TypeError, AttributeError):
        return None
    return name, doc


def _plain(value: object) -> object:
    """Turn what JSON does not know into what it knows."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, range):
        return list(value)
    raise TypeError(
        f"a document must hold JSON values and numpy arrays, got {value!r} of type "
        f"{type(value).__name__}; convert it before it enters the metadata or the reading"
    )


def _append(descriptor: int, line: bytes, *, durable: bool) -> None:
    """Write a whole line or nothing of it."""
    length = os.fstat(descriptor).st_size
    try:
        view = memoryview(line)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, length)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, not only its contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
