"""Metadata that outlives a session, for ``RE.md``: scan ids go on counting where they stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from bl_steer.store.record import StoreError, _plain

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

    Notes
    -----
    A change *inside* a value (``md["sample"]["name"] = …``) is kept with the next assignment.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     RunMetadata(Path(folder) / "md.json")["scan_id"] = 7
    ...     RunMetadata(Path(folder) / "md.json")["scan_id"]
    7
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._values = self._load()
        self._seen = self._stamp()

    def __getitem__(self, key: str) -> Any:
        self._refresh()
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._refresh()
        self._values[key] = value
        self._save()

    def __delitem__(self, key: str) -> None:
        self._refresh()
        del self._values[key]
        self._save()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"RunMetadata({self._values!r})"

    def _stamp(self) -> tuple[int, int] | None:
        """Return what changes when anybody writes the file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _refresh(self) -> None:
        """Take over what another process wrote: scan ids go on across processes."""
        if self._stamp() != self._seen:
            self._values = self._load()
            self._seen = self._stamp()

    def _load(self) -> dict[str, Any]:
        try:
            values = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StoreError(
                f"the session's metadata must be JSON, got {error} in {self.path}; repair the "
                "file, or move it away to begin with scan id 1"
            ) from error
        return dict(values)

    def _save(self) -> None:
        draft = self.path.with_suffix(".tmp")
        try:
            with draft.open("w") as file:
                json.dump(self._values, file, default=_plain, indent=1)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            self._seen = self._stamp()
        except OSError as error:
            raise StoreError(
                f"the session's metadata must be writable, got {error.strerror!r} for "
                f"{self.path}; free some space there or open the store elsewhere"
            ) from error
