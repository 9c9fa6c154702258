"""The analysis server from a program: upload, submit, wait, download.

For example::

    with Client("http://127.0.0.1:8800", key="bls_…") as server:
        upload = server.upload("micrograph.tif")
        job = server.submit("segment", [upload], {"pixel_size_nm": 10})
        done = server.wait(job)
        server.download(done, "result")
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

from bl_steer.files.atomic import draft_of

__all__ = ["Client", "JobFailed", "ServerError"]

BLOCK = 2**20
TIMEOUT = httpx.Timeout(30.0, read=120.0, write=120.0)
KEY = "BL_STEER_SERVICE_KEY"
TRIES = 5
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 3.0

Job = dict[str, Any]
"""As the API describes it: ``id``, ``state``, ``progress``, ``outputs``, …"""


class ServerError(RuntimeError):
    """The server refused; the message is the server's.

    Parameters
    ----------
    status : of HTTP
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class JobFailed(RuntimeError):
    """A job ended without a result; the message is its reason.

    Parameters
    ----------
    job : as the server describes it
    """

    def __init__(self, job: Job) -> None:
        reason = job["message"] or job["cause"] or job["state"]
        super().__init__(f"the analysis {job['analysis']!r} ({job['id']}) failed: {reason}")
        self.job = job


class Client:
    """A connection to an analysis server.

    Parameters
    ----------
    address : ``http://host:port``
    key : from the account page; from the environment's ``BL_STEER_SERVICE_KEY`` by default
    language : of the server's messages, ``en`` or ``ja``
    """

    def __init__(self, address: str, key: str = "", *, language: str = "en") -> None:
        key = key or os.environ.get(KEY, "")
        if not key:
            raise ValueError(
                f"a key must be given to use {address}, got none; make one on your account page "
                f"and set {KEY}"
            )
        if strange := [character for character in key if not "!" <= character <= "~"]:
            raise ValueError(
                f"a key must be one from your account page, got one with {strange[0]!r} in it; "
                f"copy it from there into {KEY}"
            )
        headers = {"Authorization": f"Bearer {key}", "Accept-Language": language}
        self._http = httpx.Client(
            base_url=f"{address.rstrip('/')}/api/v1", headers=headers, timeout=TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def analyses(self) -> list[dict[str, Any]]:
        """Return the analyses that there are, with the JSON schema of their parameters."""
        analyses: list[dict[str, Any]] = self._ask("GET", "/analyses")
        return analyses

    def analysis(self, name: str) -> dict[str, Any]:
        """Return one of them; where it has several inputs, ``inputs`` lists them."""
        analysis: dict[str, Any] = self._ask("GET", f"/analyses/{quote(name, safe='')}")
        return analysis

    def upload(self, path: str | Path, *, sample: str = "", may_train: bool = False) -> str:
        """Send a file, piece by piece; return its id.

        Parameters
        ----------
        sample : name of the specimen
        may_train : whether it may serve to train models; it may anyway where the server's policy is
            ``always``
        """
        path = Path(path)
        query = {"file_name": path.name, "sample": sample, "may_train": may_train}
        headers = {"Content-Length": str(path.stat().st_size)}
        answer = self._ask("POST", "/files", params=query, content=_blocks(path), headers=headers)
        return str(answer["id"])

    def submit(
        self,
        analysis: str,
        files: Sequence[str] | Mapping[str, Sequence[str]],
        params: Mapping[str, Any] | None = None,
        *,
        mail: bool = False,
    ) -> Job:
        """Start an analysis of uploaded files; a connection that breaks starts none twice.

        Parameters
        ----------
        files : ids, from `upload`; by the names of the inputs where the analysis has several
        mail : whether to send a mail at its end
        """
        body = {
            "analysis": analysis,
            "files": dict(files) if isinstance(files, Mapping) else list(files),
            "params": dict(params or {}),
            "mail": mail,
            "submission_key": str(uuid4()),
        }
        return self._job("POST", "/jobs", json=body)

    def job(self, job: Job | str) -> Job:
        """Return how a job is."""
        return self._job("GET", f"/jobs/{_id(job)}")

    def cancel(self, job: Job | str) -> Job:
        """End a job."""
        return self._job("POST", f"/jobs/{_id(job)}/cancel")

    def wait(
        self,
        job: Job | str,
        *,
        timeout_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Job:
        """Wait for a result; return the job.

        Raises
        ------
        JobFailed
            When the job failed or was cancelled.
        TimeoutError
            When it takes longer than that; the job goes on.
        """
        began, wait_s = time.monotonic(), FIRST_WAIT_S
        while True:
            now = self.job(job)
            if progress is not None:
                progress(*now["progress"])
            if now["state"] == "done":
                return now
            if now["state"] in ("failed", "cancelled"):
                raise JobFailed(now)
            if timeout_s is not None and time.monotonic() - began > timeout_s:
                raise TimeoutError(
                    f"the analysis must end within {timeout_s:g} s, got the state {now['state']}; "
                    f"ask again for {now['id']}"
                )
            time.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, 1.3 * wait_s)

    def download(self, job: Job | str, folder: str | Path) -> list[Path]:
        """Save all files of a result in a folder; return their paths."""
        folder = Path(folder)
        paths = []
        for output in self.job(job)["outputs"]:
            path = folder / Path(output["name"]).name
            with draft_of(path) as draft:  # a file that has its name is complete
                self._save(f"/jobs/{_id(job)}/outputs/{output['name']}", draft)
            paths.append(path)
        return paths

    def _save(self, address: str, path: Path) -> None:
        try:
            with self._http.stream("GET", address) as answer, path.open("wb") as file:
                _check(answer)
                for block in answer.iter_bytes(BLOCK):
                    file.write(block)
        except httpx.TransportError as error:
            raise self._no_answer(error) from error

    def share(self, job: Job | str, *, days: float = 30.0) -> str:
        """Return a link to a result for whoever has it."""
        return str(self._ask("POST", f"/jobs/{_id(job)}/shares", json={"days": days})["url"])

    def give_mask(self, job: Job | str, path: str | Path, *, image: str = "") -> str:
        """Give a corrected mask of a segmented micrograph, for training; return its file's id.

        Parameters
        ----------
        image : id of the micrograph; may be left out where the job had one
        """
        path = Path(path)
        query = {"file_name": path.name, "image": image}
        headers = {"Content-Length": str(path.stat().st_size)}
        address = f"/jobs/{_id(job)}/masks"
        return str(
            self._ask("POST", address, params=query, content=_blocks(path), headers=headers)["id"]
        )

    def submit_package(self, archive: str | Path) -> dict[str, Any]:
        """Submit a built package for its review; return what the server says of it.

        Parameters
        ----------
        archive : made by ``bl-steer package build``
        """
        path = Path(archive)
        headers = {"Content-Length": str(path.stat().st_size)}
        answer: dict[str, Any] = self._ask(
            "POST", "/packages", content=_blocks(path), headers=headers
        )
        return answer

    def _job(self, method: str, path: str, **options: Any) -> Job:
        job: Job = self._ask(method, path, **options)
        return job

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        """Ask; again where the server is busy or away, unless a stream was sent."""
        tries = 1 if "content" in options else TRIES
        for left in reversed(range(tries)):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if not left:
                    raise self._no_answer(error) from error
                time.sleep(FIRST_WAIT_S * 2 ** (tries - left))
                continue
            if left and answer.status_code in (429, 503):
                time.sleep(min(10.0, float(answer.headers.get("Retry-After", "1"))))
                continue
            _check(answer)
            return answer.json() if answer.content else None
        return None

    def _no_answer(self, error: httpx.TransportError) -> ServerError:
        text = f"no answer from {self._http.base_url}: {error or type(error).__name__}"
        return ServerError(0, text)


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else str(job["id"])


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{answer.status_code} {answer.reason_phrase} from {answer.url}"
    raise ServerError(answer.status_code, message)
