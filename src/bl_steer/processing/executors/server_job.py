"""One analysis of one stored run, carried out by an analysis server: same documents, same digest.

It takes the place of `bl_steer.processing.job.execute` in the worker's process where
``BL_STEER_SERVER`` is set, so that a server that is slow, away or hanging costs the measurement
nothing. What the server cannot do, or does not answer for a while, is carried out here instead.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from bl_steer.processing import job as here
from bl_steer.processing.digest import digest_of
from bl_steer.processing.documents import failure_documents, result_documents
from bl_steer.processing.input_files import write_exact_inputs
from bl_steer.processing.job import Job
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_files import read_exact
from bl_steer.protocols import AnalysisResult, Progress
from bl_steer.runs import Run
from bl_steer.store import Document

__all__ = ["Server", "ServerAway", "execute_on_server"]

TIMEOUT_S = 15.0
FIRST_LOOK_S, LONGEST_LOOK_S = 0.2, 2.0
ENDED = ("done", "failed", "cancelled")
TRIES = 20

logger = logging.getLogger(__name__)


class ServerAway(RuntimeError):
    """The server gives no answer, or has no such analysis."""


@dataclass(frozen=True)
class Server:
    """An analysis server.

    Parameters
    ----------
    url : ``http://host:8800``
    key : an API key with the scopes to read and write files and jobs
    patience_s : how long it may give no answer, or be too busy, before we do without
    """

    url: str
    key: str
    patience_s: float = 30.0


def execute_on_server(server: Server, job: Job, progress: Progress | None = None) -> list[Document]:
    """Have a job done by a server; return the documents of the analysis run or of its failure."""
    began = time.time()
    try:
        with tempfile.TemporaryDirectory(prefix="bl-steer-") as folder:
            result = _Conversation(server, job, Path(folder)).result(progress)
            return result_documents(
                result, request=job.request, frames_dir=Path(job.frames_dir), began=began
            )
    except ServerAway as error:
        logger.warning("%s; %r is carried out here", error, job.request.name)
        return here.execute(job, progress)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return failure_documents(reason, request=job.request, began=began)


class _Conversation:
    """One job, from the run's data to the result."""

    def __init__(self, server: Server, job: Job, folder: Path) -> None:
        self.server = server
        self.job = job
        self.folder = folder
        self.client = httpx.Client(
            base_url=f"{server.url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {server.key}"},
            timeout=min(TIMEOUT_S, server.patience_s),
        )

    def result(self, progress: Progress | None) -> AnalysisResult:
        """Send, wait, fetch; the result is checked by its digest."""
        with self.client:
            self._ask(lambda: self.client.get(f"/analyses/{quote(self.job.request.name, safe='')}"))
            done = self._wait(self._submitted(self._uploaded()), progress)
            result = self._fetched(done)
        if digest_of(result) != done["digest"]:
            raise ValueError(
                f"a server's result must have the digest {done['digest']}, got another; ask again"
            )
        return result

    def _uploaded(self) -> str:
        request = self.job.request
        analysis = find_analysis(request.name)
        make_params(analysis, request.params)  # refused here, before anything is sent
        path = self.folder / f"{request.raw_uid}.npz"
        write_exact_inputs(analysis.inputs_of(Run.from_record(self.job.record)), path)

        def send() -> httpx.Response:
            with path.open("rb") as file:
                return self.client.post(
                    "/files", params={"file_name": path.name, "may_train": False}, content=file
                )

        return str(self._ask(send)["id"])

    def _submitted(self, upload_id: str) -> dict[str, Any]:
        """Submit under a name of its own: what an earlier process submitted is found again."""
        request = self.job.request
        name = hashlib.sha256(request.key.encode()).hexdigest()[:32]
        for number in range(TRIES):
            submission = {
                "analysis": request.name,
                "files": [upload_id],
                "params": dict(request.params),
                "submission_key": f"run-{name}-{number}",
            }
            submitted = self._ask(partial(self.client.post, "/jobs", json=submission))
            if submitted["state"] not in ("failed", "cancelled"):
                return dict(submitted)
        raise ServerAway(f"the server must take {request.name!r}, got {TRIES} failures of it")

    def _wait(self, job: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
        wait_s, reported, url = FIRST_LOOK_S, (0, 0), f"/jobs/{job['id']}"
        while job["state"] not in ENDED:
            time.sleep(wait_s)
            wait_s = min(LONGEST_LOOK_S, 1.3 * wait_s)
            job = self._ask(lambda: self.client.get(url))
            steps = (int(job["progress"][0]), int(job["progress"][1]))
            if progress is not None and steps != reported and steps[1]:
                progress(*steps)
                reported = steps
        if job["state"] != "done":
            raise RuntimeError(job["message"] or f"the server's job was {job['state']}")
        return dict(self._ask(lambda: self.client.get(url)))

    def _fetched(self, job: dict[str, Any]) -> AnalysisResult:
        figures: dict[str, Callable[[], Any]] = {}
        for number, output in enumerate(job["outputs"]):
            if output["name"] == "result.npz":
                self._download(job["id"], output["name"], self.folder / "result.npz")
            elif output["kind"] == "figure":
                path = self.folder / f"figure{number}.png"
                self._download(job["id"], output["name"], path)
                figures[Path(output["name"]).stem] = partial(_Picture, path)
        result = read_exact(self.folder / "result.npz", figures)
        provenance = {
            **result.provenance,
            "source": {"run": self.job.request.raw_uid},
            "server": {"url": self.server.url, "job": job["id"]},
        }
        return replace(result, provenance=provenance, warnings=list(job["warnings"]))

    def _download(self, job_id: str, name: str, path: Path) -> None:
        def fetch() -> httpx.Response:
            answer = self.client.get(f"/jobs/{job_id}/outputs/{quote(name, safe='')}")
            path.write_bytes(answer.content if answer.is_success else b"")
            return answer

        self._ask(fetch, as_json=False)

    def _ask(self, request: Callable[[], httpx.Response], *, as_json: bool = True) -> Any:
        """Ask until there is an answer, as long as patience lasts."""
        deadline = time.monotonic() + self.server.patience_s
        while True:
            try:
                answer = request()
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if answer.is_success:
                    return answer.json() if as_json else None
                problem = f"status {answer.status_code}: {_said(answer)}"
                if answer.status_code == 422:
                    raise ValueError(_said(answer))
                if answer.status_code < 500 and answer.status_code != 429:
                    raise ServerAway(f"the server {self.server.url} refuses ({problem})")
            if time.monotonic() > deadline:
                raise ServerAway(f"the server {self.server.url} gives no answer ({problem})")
            time.sleep(0.5)


@dataclass(frozen=True)
class _Picture:
    """A figure that was drawn on the server."""

    path: Path

    def savefig(self, target: Path, **_: Any) -> None:
        """Copy it."""
        shutil.copyfile(self.path, target)


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
