"""One analysis of one stored run, carried out: the same function in every process that does it."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from bl_steer.canonical import canonical_json
from bl_steer.processing.documents import failure_documents, result_documents
from bl_steer.processing.memory_limit import out_of_memory, remedy
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.requests import Request
from bl_steer.processing.unfinished import unfinished_in
from bl_steer.protocols import Inputs, Progress
from bl_steer.runs import RecordsAlone, Run
from bl_steer.store import Document, Store

__all__ = ["Job", "execute"]


@dataclass(frozen=True)
class Job:
    """What a worker is told.

    Parameters
    ----------
    request : what to do
    record : path of the raw run's record
    frames_dir : the store's folder, where the arrays and figures of the result go
    """

    request: Request
    record: str
    frames_dir: str

    @classmethod
    def of(cls, store: Store | RecordsAlone, request: Request) -> Self:
        """Return the job that a request on a store's run is."""
        record = store.record_dir / f"{request.raw_uid}.jsonl"
        return cls(request, str(record), str(store.path / "frames"))

    @property
    def unfinished(self) -> Path:
        """Folder in which the analysis keeps what it has done, until it has a result."""
        name = hashlib.sha256(canonical_json(asdict(self.request)).encode()).hexdigest()[:24]
        return Path(self.frames_dir) / "unfinished" / name

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Restore what `to_json` returned."""
        values = json.loads(line)
        return cls(Request(**values["request"]), values["record"], values["frames_dir"])


def execute(
    job: Job, progress: Progress | None = None, *, inputs: Inputs | None = None
) -> list[Document]:
    """Analyse, and return the documents of the analysis run; those of a failure if it fails.

    Parameters
    ----------
    inputs : where they are read already; else they are read from the raw run's record
    """
    began = time.time()
    try:
        analysis = find_analysis(job.request.name)
        params = make_params(analysis, job.request.params)
        if inputs is None:
            inputs = analysis.inputs_of(Run.from_record(job.record))
        with unfinished_in(job.unfinished):
            result = analysis.run(inputs, params, progress)
        return result_documents(
            result, request=job.request, frames_dir=Path(job.frames_dir), began=began
        )
    except Exception as error:  # whatever it is, the user is told, and the next job goes on
        reason = f"{type(error).__name__}: {error}"
        if out_of_memory(error):
            reason = f"the analysis must fit into its memory, got {reason}; {remedy()}"
        return failure_documents(
            reason,
            request=job.request,
            traceback=traceback.format_exc(),
            began=began,
        )
