"""Metadata that outlives a session, for ``RE.md``: scan ids go on counting where they stopped."""

from __future__ import annotations

import copy
import fcntl
import json
import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bl_steer.store.record import StoreError, _plain
from bl_steer.store.run_metadata import check_storable

__all__ = ["RunMetadata"]


class RunMetadata(MutableMapping[str, Any]):
    """A dictionary in a JSON file that is replaced as a whole, so that a crash leaves old or new.

    Parameters
    ----------
    path : the file; need not exist yet

    Raises
    ------
    StoreError
        When the file is not JSON, or cannot be written.
    ValueError
        When a value is assigned that cannot be stored exactly, such as NaN.

    Notes
    -----
    A change *inside* a value (``md["sample"]["name"] = …``) is kept with the next assignment.
    Threads and processes may share the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     RunMetadata(Path(folder) / "md.json")["scan_id"] = 7
    ...     RunMetadata(Path(folder) / "md.json")["scan_id"]
    7
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._given: set[int] = set()
        self._read: bytes | None = None
        """What the file held when this process last read or wrote it; None for no file."""
        self._values: dict[str, Any] = {}
        self._refresh()

    def __getitem__(self, key: str) -> Any:
        with self._lock:
            self._refresh()
            return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "scan_id" and value in self._given:
            # The RunEngine writes back what it was given; others may have counted on since.
            self._given.discard(value)
            return
        check_storable({key: value}, "RE.md")
        with self._alone():
            self._values[key] = value
            self._save()

    def __delitem__(self, key: str) -> None:
        with self._alone():
            del self._values[key]
            self._save()

    def __iter__(self) -> Iterator[str]:
        with self._lock:  # others may add keys while somebody walks through these
            return iter(list(self._values))

    def __len__(self) -> int:
        with self._lock:
            return len(self._values)

    def __repr__(self) -> str:
        return f"RunMetadata({self._values!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """Return the values alone: a copy must not write to the file."""
        return copy.deepcopy(dict(self), memo)

    def next_scan_id(self, md: Any = None) -> int:
        """Return the next scan id, never the same twice.

        A RunEngine takes this method as its ``scan_id_source``, and gives its `md`.

        The RunEngine alone would read the latest id and write the next one in two steps, between
        which an analysis that is being stored, or another session, could take the same.
        """
        with self._alone():
            number = int(self._values.get("scan_id", 0)) + 1
            self._values["scan_id"] = number
            self._save()
            if md is not None:
                self._given.add(number)
            return number

    def give_back(self, scan_id: int) -> None:
        """Let the scan id of a run that was refused be the next one, where it is the last."""
        with self._alone():
            if self._values.get("scan_id") == scan_id:
                self._values["scan_id"] = scan_id - 1
                self._save()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and processes from writing in between."""
        with self._lock, self._held():
            self._refresh()
            yield

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _refresh(self) -> None:
        """Take over what another process wrote: scan ids go on across processes.

        The file itself tells, not its time or number: two processes that write in turn give one
        time and one number again within milliseconds.
        """
        try:
            read = self.path.read_bytes()
        except FileNotFoundError:
            read = None
        if read != self._read:
            self._values = {} if read is None else self._parsed(read)
            self._read = read

    def _parsed(self, read: bytes) -> dict[str, Any]:
        try:
            values = json.loads(read)
        except ValueError as error:
            raise StoreError(
                f"the session's metadata must be JSON, got {error} in {self.path}; repair the "
                "file, or move it away to begin with scan id 1"
            ) from error
        return dict(values)

    def _save(self) -> None:
        draft = self.path.with_suffix(".tmp")
        try:
            written = json.dumps(self._values, default=_plain, indent=1).encode()
            with draft.open("wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            self._read = written
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"the session's metadata must be writable, got {error.strerror!r} for "
            f"{self.path}; free some space there or open the store elsewhere"
        )
