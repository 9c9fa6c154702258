"""Which analyses living processes have taken upon themselves: one file a process, beside the runs.

A session claims what its runs ask for when they begin; ``bl-steer analyse --pending`` claims each
request before it begins with it, and leaves those that others have claimed. A claim ends with its
process, however that ends, since the file is locked and the lock ends with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from uuid import uuid4

from bl_steer.processing.requests import Request

__all__ = ["Claims"]

TURNSTILE = "turnstile"
"""File whose lock lets one process at a time open, compare or remove claims."""


class Claims:
    """The claims of this process on the requests of a store; nothing is written before the first.

    Parameters
    ----------
    store_path : folder of the store
    """

    def __init__(self, store_path: Path) -> None:
        self.folder = store_path / "claims"
        self._path = self.folder / f"{uuid4()}.jsonl"
        self._file: int | None = None

    def add(self, request: Request) -> None:
        """Claim a request, whoever else may have claimed it."""
        if self._file is None:
            self.folder.mkdir(exist_ok=True)
            with self._turn():
                self._add(request)
        else:
            self._add(request)

    def take(self, request: Request) -> str:
        """Claim a request if no other living process has; else say which has."""
        self.folder.mkdir(exist_ok=True)
        with self._turn():
            for path in self.folder.glob("*.jsonl"):
                if path != self._path and (owner := _owner(path, request)):
                    return owner
            self._add(request)
        return ""

    def close(self) -> None:
        """Give up all claims."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _add(self, request: Request) -> None:
        """Append a line; it is short enough to be written at once."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self._path, flags, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            owner = f"process {os.getpid()} on {socket.gethostname()}"
            os.write(self._file, json.dumps(owner).encode() + b"\n")
        os.write(self._file, json.dumps(request.key).encode() + b"\n")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        turnstile = os.open(self.folder / TURNSTILE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(turnstile, fcntl.LOCK_EX)
            yield
        finally:
            os.close(turnstile)


def _owner(path: Path, request: Request) -> str:
    """Return which living process claims a request in its file; remove a dead one's file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # closed meanwhile
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # By its descriptor: its owner may take the file away meanwhile.
        owner, *keys = os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode().splitlines()
        return str(json.loads(owner)) if json.dumps(request.key) in keys else ""
    else:
        path.unlink(missing_ok=True)
        return ""
    finally:
        os.close(descriptor)
