"""The values of files that somebody looks at, kept for an hour on the web process' own disk.

What lies here can be made again at any time; deleting it harms nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, model_validator

from bl_steer.server.errors import Refused
from bl_steer.server.jobs.results import UnsoundResult, open_plain
from bl_steer.server.languages import Sentence, TextKey
from bl_steer.server.sandbox.run import Outcome, SandboxMissing
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB
from bl_steer.server.uploads.blobs import StoredFileMissing
from bl_steer.server.viewing.decoders import PREFIX, Decoder, Decoders
from bl_steer.server.viewing.decoding import INFO, MAX_LEVELS, VALUES, Request

__all__ = ["FilesByHash", "Info", "PlaneCache", "Planes", "Stored", "sweep_views"]

UNUSED_S = 3600.0
MAX_BYTES = 4096 * MIB
"""Of all that is kept: the longest unused goes first."""
AT_ONCE = 2
"""Files that are decoded at the same time."""
LONGEST_INFO = 2 * MIB
TRIES = 2
"""Of a file whose process died: its sandbox may not have been set up."""
LIMITS_MET = ("time", "memory", "disk")

logger = logging.getLogger(__name__)


class Info(BaseModel):
    """What was decoded.

    Parameters
    ----------
    shapes : height and width of each plane, pixels
    low, high : values that are shown black and white
    levels : values of a label map; None of an image
    problem : why there is nothing
    """

    shapes: list[tuple[int, int]] = Field(default_factory=list, max_length=100_000)
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"] = "uint8"
    low: float = Field(0.0, allow_inf_nan=False)
    high: float = Field(1.0, allow_inf_nan=False)
    levels: list[int] | None = Field(None, max_length=MAX_LEVELS)
    pixel_size_nm: float | None = None
    problem: str = Field("", max_length=600)

    @model_validator(mode="after")
    def _there_is_something(self) -> Info:
        if not self.problem and (not self.shapes or min(min(s) for s in self.shapes) < 1):
            raise ValueError("planes must have pixels")
        size = self.pixel_size_nm
        if size is not None and not (math.isfinite(size) and size > 0):
            self.pixel_size_nm = None
        return self

    @property
    def bytes(self) -> int:
        """Of all planes."""
        return sum(h * w for h, w in self.shapes) * np.dtype(self.dtype).itemsize


class FilesByHash(Protocol):
    """Where files lie: the store, or the folder of a package."""

    def path_for(self, sha256: str, folder: Path) -> Path:
        """Return the path of a file; one that is far is fetched into the folder."""
        ...


@dataclass(frozen=True)
class Stored:
    """A file that is to be looked at.

    Parameters
    ----------
    name : as the user calls it; its ending tells how it is read
    result : whether it is an array of a result
    phases : of a painted mask
    image : micrograph of a mask, or of a result whose data bar was left out
    """

    sha256: str
    name: str
    result: bool = False
    phases: Sequence[Mapping[str, Any]] = ()
    image: Stored | None = None

    @property
    def key(self) -> str:
        """Name of the folder of its values."""
        about = [self.sha256, self.suffix, self.result, list(self.phases)]
        about.append([self.image.sha256, self.image.name] if self.image else "")
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    @property
    def suffix(self) -> str:
        """The ending of its name; a name may be long, and in any script."""
        return Path(self.name).suffix.lower()


@dataclass(frozen=True)
class Planes:
    """Values of a file: `info`, and each plane by its number."""

    info: Info
    _values: NDArray[Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.info.shapes)

    def __getitem__(self, number: int) -> NDArray[Any]:
        """Return a plane (H, W), still on disk; `Refused` where there is none."""
        if not 0 <= number < len(self):
            raise Refused(404, "refused.no_plane")
        height, width = self.info.shapes[number]
        begin = sum(h * w for h, w in self.info.shapes[:number])
        return self._values[begin : begin + height * width].reshape(height, width)


class PlaneCache:
    """Values of files, decoded when somebody asks for them first.

    Parameters
    ----------
    settings : of the server; values lie in its folder ``views``
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.folder = settings.views
        self._decoders = Decoders(settings, self.folder)
        self._decoding = threading.Semaphore(AT_ONCE)
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def open(self, stored: Stored, store: FilesByHash) -> Planes:
        """Return the values of a file.

        Raises
        ------
        Refused
            When it cannot be read as an image or a stack, or is gone.
        """
        folder = self.folder / stored.key
        planes = _opened(folder)
        if planes is None:
            with self._alone(stored.key):
                planes = _opened(folder) or self._decoded(stored, store, folder)
        if planes.info.problem:
            named = planes.info.problem.replace(f"file{stored.suffix}", stored.name)
            raise Refused(422, "refused.not_shown", reason=Sentence(named))
        return planes

    def prepare(self, files: Sequence[Stored], store: FilesByHash) -> None:
        """Decode the files that are not decoded yet, side by side; what is refused is left out."""

        def open_one(stored: Stored) -> None:
            with contextlib.suppress(Refused):
                self.open(stored, store)

        waiting = [stored for stored in files if _opened(self.folder / stored.key) is None]
        if len(waiting) > 1:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(open_one, waiting))

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        try:
            with lock, self._decoding:
                yield
        finally:
            with self._guard:
                self._locks.pop(key, None)

    def keep_ready(self) -> None:
        """Keep decoders ready for first looks, each a process of some 50 MiB, until `close`."""
        self._decoders.keep_ready()

    def close(self) -> None:
        """End what is kept ready."""
        self._decoders.close()

    def _decoded(self, stored: Stored, store: FilesByHash, folder: Path) -> Planes:
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_views(self.folder)
        for _ in range(TRIES):
            outcome = self._try(stored, store, folder)
            if (planes := _opened(folder)) is not None:
                return planes
            if outcome.cause in LIMITS_MET:
                raise Refused(422, "refused.not_shown", reason=TextKey("view.beyond"))
            if outcome.cause == "ok":
                raise Refused(422, "refused.not_shown", reason=TextKey("view.unread"))
            words = " ".join(outcome.last_words.split())[-300:]
            logger.warning("a file was not decoded (%s): %s", outcome.cause, words)
        raise Refused(503, "refused.not_decoded")

    def _try(self, stored: Stored, store: FilesByHash, folder: Path) -> Outcome:
        """Have a process decode a file into a folder; return how that ended."""
        try:
            decoder = self._decoders.take()
        except SandboxMissing as error:
            raise Refused(503, "refused.no_sandbox") from error
        try:
            with tempfile.TemporaryDirectory(prefix="draft-", dir=self.folder) as far:
                outcome = _decode(stored, store, decoder, Path(far))
            if _opened(decoder.out) is not None:
                with contextlib.suppress(OSError):  # another web process was first
                    os.replace(decoder.out, folder)
            return outcome
        except StoredFileMissing:
            raise Refused(410, "refused.gone") from None
        finally:
            decoder.close()
            self._decoders.refill()


def _decode(stored: Stored, store: FilesByHash, decoder: Decoder, far: Path) -> Outcome:
    """Have a file decoded; one of a far store is fetched into `far`."""
    given = {
        role: decoder.give(f"{role}{one.suffix}", store.path_for(one.sha256, far))
        for role, one in (("file", stored), ("image", stored.image))
        if one is not None
    }
    phases = [dict(phase) for phase in stored.phases]
    return decoder.decode(
        Request(
            given["file"],
            "",
            stored.result,
            phases=phases,
            image=given.get("image", ""),
            called=stored.image.name if stored.image else "",
        )
    )


def sweep_views(folder: Path, *, now: float | None = None) -> None:
    """Delete values that nobody has looked at for an hour, and the oldest where there is too much.

    Parameters
    ----------
    folder : of a `PlaneCache`
    """
    now = time.time() if now is None else now
    kept = 0
    for used, path in sorted(_by_use(folder), reverse=True):
        kept += _size(path)
        if now - used > UNUSED_S or kept > MAX_BYTES:
            shutil.rmtree(path, ignore_errors=True)


def _by_use(folder: Path) -> Iterator[tuple[float, Path]]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith(PREFIX):  # it may wait for its file for long
            continue
        with contextlib.suppress(OSError):
            yield path.stat().st_mtime, path


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder; others may take them away meanwhile."""
    size = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                size += entry.stat().st_size if entry.is_file() else 0
    return size


def _opened(folder: Path) -> Planes | None:
    """Return what lies in a folder; None where there is nothing whole."""
    try:
        with open_plain(folder, INFO) as file:
            info = Info.model_validate_json(file.read(LONGEST_INFO))
        if info.problem:
            return Planes(info, np.empty(0, np.uint8))
        with open_plain(folder, VALUES) as file:
            if os.fstat(file.fileno()).st_size != info.bytes:
                return None
            values = np.memmap(file, dtype=np.dtype(info.dtype).newbyteorder("<"), mode="r")
        os.utime(folder)  # it was used now
    except (OSError, ValidationError, UnsoundResult):
        return None
    return Planes(info, values)
