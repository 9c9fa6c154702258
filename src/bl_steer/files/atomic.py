"""Files that are there as a whole or not at all: written as a draft, then given their name.

For what a command or a training leaves behind. Documents of runs go into `bl_steer.store.record`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

__all__ = [
    "UnwritableError",
    "alone_in",
    "check_place",
    "check_writable",
    "draft_of",
    "made_folder",
    "write_whole",
]

LINGERS_S, LEFT_S = 2.0, 60.0
"""How long a lock is waited for whose process lives, and one whose process is gone, s."""
LOCKS = Path("/proc/locks")


class UnwritableError(OSError):
    """A place cannot be written to; the message names it and the remedy."""

    @classmethod
    def at(cls, path: Path, error: OSError) -> Self:
        """Return the error for a path, with the reason that the system gave."""
        reason = error.strerror or f"a short write: {error}"  # as numpy says it
        return cls(
            "results must go where there is room and leave to write, got "
            f"{reason!r} for {path}; free some space there, or give another place"
        )


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give a path to write to; at the end its file takes the place of `path`, whole and on disk.

    An error in between, or the end of the process, leaves what was at `path` before. The folder is
    made if missing.

    Raises
    ------
    UnwritableError
        When the draft cannot be written.
    """
    draft = path.with_name(f"{path.stem}.draft{path.suffix}")
    try:
        with made_folder(path.parent):
            try:
                yield draft
                _force_to_disk(draft)
                draft.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
    except UnwritableError:  # of a draft within
        raise
    except OSError as error:
        raise UnwritableError.at(path, error) from error


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file as a whole; see `draft_of`."""
    with draft_of(path) as draft:
        draft.write_bytes(data)


@contextlib.contextmanager
def made_folder(folder: Path | None) -> Iterator[None]:
    """Have a folder inside; what was made for it and is empty at the end is taken away again.

    None makes nothing.

    Raises
    ------
    UnwritableError
        When the folder cannot be made.
    """
    if folder is None:
        yield
        return
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableError.at(folder, error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for parent in missing:
                parent.rmdir()


def check_writable(folder: Path) -> None:
    """Raise `UnwritableError` where no file can be written into an existing folder."""
    try:
        _probe(folder)
    except OSError as error:
        raise UnwritableError.at(folder, error) from error


def check_place(out: Path) -> None:
    """Refuse a folder that results could not go to, before any work is done; make nothing.

    Raises
    ------
    FileExistsError, PermissionError
        Where there is a file of that name, or a folder cannot be made.
    UnwritableError
        Where no file can be written into it.
    """
    if out.is_dir():
        check_writable(out)
        return
    if out.exists():
        raise FileExistsError(f"results must go to a folder, got the file {out}; give another")
    try:
        _probe(next(parent for parent in out.absolute().parents if parent.exists()))
    except OSError as error:
        raise PermissionError(
            f"results must go where a folder can be made, got {out} ({error.strerror}); give "
            "another with out=DIR"
        ) from error


def _probe(folder: Path) -> None:
    """Write a small file into a folder, and take it away."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"\0" * 4096)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


@contextlib.contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Make a folder and keep it for this process; None keeps nothing.

    The lock is on the folder itself and ends with its process, however that ends.

    Raises
    ------
    FileExistsError
        When another process works in the folder.
    UnwritableError
        When the folder cannot be made.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnwritableError.at(folder, error) from error
    try:
        try:
            _lock(descriptor)
            # Whoever had the folder before may have taken it away since it was opened here.
            if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError) as error:
            raise FileExistsError(
                f"a folder must have one process at a time that writes into it, got {folder} with "
                "another at work there; wait for its end, or give another folder"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a folder; raise BlockingIOError where another process keeps it.

    A process that was killed just as it started a child holds its locks until the child has begun,
    which takes a busy machine many seconds.
    """
    began = time.monotonic()
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - began
            if waited_s > LINGERS_S and (waited_s > LEFT_S or _owner_lives(descriptor)):
                raise
            time.sleep(0.05)


def _owner_lives(descriptor: int) -> bool:
    """Return whether the process that locked a folder lives; so it is where nothing tells."""
    number = os.fstat(descriptor).st_ino
    try:
        rows = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:
        return True
    for row in rows:
        if row[1] == "FLOCK" and row[5].endswith(f":{number}"):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{row[4]}/stat").read_text()
                return status.rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
