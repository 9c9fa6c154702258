"""Bring what a job's process left into the file store, and trust none of it.

The folder was written by code that may be hostile: a name may lead elsewhere, a file may be a link
or a pipe, a report may be anything.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bl_steer.server.jobs.leases import CAUSES, Output, Produced
from bl_steer.server.jobs.process import REPORT
from bl_steer.server.room import is_full
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Failure", "UnsoundResult", "collect", "open_plain"]

LONGEST_REPORT = 32 * 2**20
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tif": "image/tiff",
    ".png": "image/png",
    ".npz": "application/x-npz",
    ".npy": "application/x-npy",
    ".h5": "application/x-hdf5",
    ".json": "application/json",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
}
NAME = re.compile(r"[^\W.][\w.\- ]{0,190}", re.UNICODE)


class UnsoundResult(ValueError):
    """What a job's process left is not a result."""


class _Output(BaseModel):
    name: str
    kind: Literal["table", "array", "figure", "file"]
    media_type: str = ""


class _Report(BaseModel):
    model_config = ConfigDict(extra="ignore")

    ok: bool
    cause: str = ""
    message: str = Field("", max_length=10_000)
    digest: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    warnings: list[str] = Field(default_factory=list, max_length=1000)
    provenance: dict[str, Any] = Field(default_factory=dict)
    outputs: list[_Output] = Field(default_factory=list, max_length=5000)


class Failure(BaseModel):
    """What a job's process says of its own failure."""

    cause: str
    message: str


def collect(folder: Path, files: FileStore) -> Produced | Failure:
    """Store the files of a result; return what goes into the tables.

    Raises
    ------
    UnsoundResult
        When there is no report, or it names what is not a plain file of the folder.
    OSError
        When the disk of the file store is full.
    """
    report = _report(folder)
    if not report.ok:
        cause = report.cause if report.cause in CAUSES else "error"
        return Failure(cause=cause, message=report.message or "it failed without a word")
    if not report.digest:
        raise UnsoundResult("a result must have a digest, got none")
    return Produced(
        digest=report.digest,
        warnings=report.warnings,
        provenance=report.provenance,
        outputs=[_stored(folder, output, files) for output in _distinct(report.outputs)],
    )


def _report(folder: Path) -> _Report:
    try:
        with open_plain(folder, REPORT) as file:
            text = file.read(LONGEST_REPORT + 1)
        if len(text) > LONGEST_REPORT:
            raise UnsoundResult(f"a report must have at most {LONGEST_REPORT} bytes, got more")
        return _Report.model_validate_json(text)
    except FileNotFoundError as error:
        raise UnsoundResult(
            "a job must leave a report, got none: its code ended its process by itself; let it "
            "return, or raise an error, without os._exit"
        ) from error
    except (OSError, ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UnsoundResult(f"a job must leave a report, got {reason}") from error


def _distinct(outputs: list[_Output]) -> list[_Output]:
    return list({output.name: output for output in outputs}.values())


def _stored(folder: Path, output: _Output, files: FileStore) -> Output:
    suffix = Path(output.name).suffix.lower()
    # The type goes to browsers: it follows from the name, not from what the process says.
    media_type = MEDIA_TYPES.get(suffix, "application/octet-stream")
    kind = output.kind if output.kind != "figure" or suffix == ".png" else "file"
    try:
        with open_plain(folder, output.name) as file:
            sha256, size = files.put(file)
    except OSError as error:
        if is_full(error):
            raise
        raise UnsoundResult(
            f"an output must be a file of the job, got {output.name!r} ({error.strerror})"
        ) from error
    return Output(output.name, kind, sha256, size, media_type)


def open_plain(folder: Path, name: str) -> IO[bytes]:
    """Open a plain file of a folder: no link, no pipe, no other folder."""
    if not NAME.fullmatch(name):
        raise UnsoundResult(f"an output must have a plain file name, got {name[:200]!r}")
    handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise UnsoundResult(f"an output must be a plain file, got {name!r} of another kind")
    return os.fdopen(handle, "rb")
