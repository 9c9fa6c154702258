"""Files by the hash of their content: in a folder, or wherever fsspec reaches.

A file is written apart and moved into place, so that what has a name is whole. Rows refer to it
after that; a file without a row is swept away by `bl_steer.server.operations.retention`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from fsspec.core import url_to_fs

__all__ = ["FileStore", "StoredFileMissing"]

BLOCK = 2**20
SHA256 = re.compile(r"[0-9a-f]{64}")


class StoredFileMissing(FileNotFoundError):
    """There is no file with this hash."""


class FileStore:
    """Files by sha256.

    Parameters
    ----------
    url : an fsspec URL: ``file:///folder``, ``s3://bucket/folder``, …
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs: Any
        self._fs, self._root = url_to_fs(url)
        protocol = self._fs.protocol
        self.is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def put(self, stream: IO[bytes] | Iterator[bytes]) -> tuple[str, int]:
        """Store what a stream gives; return its sha256 and its size, bytes."""
        draft = self.draft()
        try:
            for block in _blocks(stream):
                draft.write(block)
            return draft.keep()
        except BaseException:
            draft.discard()
            raise

    def draft(self) -> Draft:
        """Open a file that gets its name when it is whole, for what comes piece by piece."""
        return Draft(self, f"{self._root}/drafts/{uuid4()}")

    def open(self, sha256: str) -> IO[bytes]:
        """Open a file for reading."""
        try:
            opened: IO[bytes] = self._fs.open(self.place(sha256), "rb")
        except FileNotFoundError as error:
            raise StoredFileMissing(f"a stored file must exist, got none for {sha256}") from error
        return opened

    def has(self, sha256: str) -> bool:
        """Return whether there is such a file."""
        return bool(self._fs.exists(self.place(sha256)))

    def path_for(self, sha256: str, folder: Path) -> Path:
        """Return a path on this machine: the file itself, or a copy in `folder` of a far one."""
        if self.is_local:
            path = Path(self.place(sha256))
            if not path.exists():
                raise StoredFileMissing(f"a stored file must exist, got none for {sha256}")
            return path
        path = folder / sha256
        if not path.exists():
            self._fs.get_file(self.place(sha256), str(path))
        return path

    def delete(self, sha256: str) -> None:
        """Delete a file; nothing happens where there is none."""
        if self.has(sha256):
            self._fs.rm_file(self.place(sha256))

    def hashes(self) -> Iterator[str]:
        """Yield the hash of each file."""
        for path in self._fs.find(self._root):
            name = path.rpartition("/")[2]
            if SHA256.fullmatch(name):
                yield name

    def age_s(self, sha256: str) -> float:
        """Return how long ago a file was stored, or stored again, s."""
        modified = self._fs.modified(self.place(sha256))
        return time.time() - float(modified.timestamp())

    def clear_drafts(self, *, older_than_s: float = 86_400.0) -> int:
        """Delete drafts that somebody left; return how many."""
        count = 0
        for path in self._fs.find(f"{self._root}/drafts"):
            if time.time() - self._fs.modified(path).timestamp() > older_than_s:
                self._fs.rm_file(path)
                count += 1
        return count

    def place(self, sha256: str) -> str:
        """Return where a file is, in the file system's own words."""
        if not SHA256.fullmatch(sha256):
            raise ValueError(f"a hash must be 64 hexadecimal digits, got {sha256!r}")
        return f"{self._root}/{sha256[:2]}/{sha256}"


class Draft:
    """A file on its way into the store."""

    def __init__(self, store: FileStore, path: str) -> None:
        self._store = store
        self._place = path
        self._hash = hashlib.sha256()
        self.size = 0
        store._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._file: IO[bytes] = store._fs.open(path, "wb")

    def write(self, block: bytes) -> None:
        """Add to its end."""
        self._file.write(block)
        self._hash.update(block)
        self.size += len(block)

    def keep(self) -> tuple[str, int]:
        """Give it its name; return that, and its size."""
        sha256 = self._hash.hexdigest()
        target = self._store.place(sha256)
        self._file.flush()
        if self._store.is_local:
            os.fsync(self._file.fileno())
        self._file.close()
        self._store._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        if self._store.is_local:
            os.replace(self._place, target)
            _sync_folder(os.path.dirname(target))
        else:
            self._store._fs.mv(self._place, target)
        return sha256, self.size

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # where the disk is full, its rest has no room
            self._file.close()
        if self._store._fs.exists(self._place):
            self._store._fs.rm_file(self._place)


def _blocks(stream: IO[bytes] | Iterator[bytes]) -> Iterator[bytes]:
    if isinstance(stream, Iterator) and not hasattr(stream, "read"):
        yield from stream
        return
    while block := stream.read(BLOCK):
        yield block


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
