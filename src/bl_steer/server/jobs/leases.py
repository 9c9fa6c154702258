"""What passes between the table of jobs and those who carry them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "CAUSES",
    "OPEN",
    "Claim",
    "Held",
    "InputFile",
    "Lease",
    "Output",
    "Produced",
    "Swept",
]

CAUSES = (
    "input",  # the file or a parameter does not fit
    "error",  # the analysis failed
    "time",
    "memory",
    "disk",
    "processes",
    "crashed",  # its process died by itself
    "lost",  # it cost as many workers as it may
    "package",  # its package is not, or no longer, what was approved
    "sandbox",  # there is no sandbox to run it in
)
OPEN = ("queued", "running")

Held = Literal["held", "cancel", "lost"]


@dataclass(frozen=True)
class InputFile:
    """An upload as a job sees it.

    Parameters
    ----------
    input : name of the input that it is for, where the analysis has several
    """

    sha256: str
    file_name: str
    size: int = 0
    input: str = ""


@dataclass(frozen=True)
class Claim:
    """What a worker holds a job by: another attempt has another."""

    job_id: str
    attempt: int


@dataclass(frozen=True)
class Lease(Claim):
    """A job in the hands of a worker, with all that it needs to do it."""

    worker: str
    analysis: str
    package_sha256: str | None
    params: Mapping[str, Any]
    inputs: Sequence[InputFile]
    language: str
    run_uid: str | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Output:
    """One file of a result that lies in the file store."""

    name: str
    kind: Literal["table", "array", "figure", "file"]
    sha256: str
    size: int
    media_type: str


@dataclass(frozen=True)
class Produced:
    """What a job's process gave."""

    digest: str
    warnings: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[Output] = ()


@dataclass(frozen=True)
class Swept:
    """What a sweep found: jobs given to the next worker, given up as poison, and cancelled."""

    requeued: int = 0
    poisoned: int = 0
    cancelled: int = 0
