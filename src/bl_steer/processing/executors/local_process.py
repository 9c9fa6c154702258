"""Carry out jobs in a process beside the measurement: killable, nice, and warm after the first.

`bl_steer.processing.executors.dask_cluster` is the sibling for many machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any

from bl_steer.processing.documents import failure_documents
from bl_steer.processing.job import Job
from bl_steer.protocols import Progress
from bl_steer.store import Document

__all__ = ["LocalProcess", "cause_of", "worker_environment"]

COMMAND = (sys.executable, "-P", "-X", "faulthandler", "-m", "bl_steer.processing.executors.worker")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SEEN = 4000
"""Characters of the worker's last words that go into a failure."""


class LocalProcess:
    """A worker process, started at the first job and kept for the next ones.

    It imports for itself what an analysis needs: this process loads none of it.
    """

    parallel = 1

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._words: IO[bytes] | None = None
        self._closed = False
        self._busy = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None where none is running."""
        return None if self._process is None else self._process.pid

    def execute(
        self, job: Job, *, time_limit_s: float, progress: Progress | None = None
    ) -> list[Document] | None:
        """Carry out a job; return the documents of its analysis run, or of its failure.

        None where `close` ended it: then it is as if it had not been begun.

        Parameters
        ----------
        time_limit_s : without progress; large analyses may take long, hanging ones are ended
        """
        with self._busy:
            process = self._running()
            if self._closed:
                return None
            patience = _Patience(process, time_limit_s)
            try:
                documents = self._converse(process, job, progress, patience)
            finally:
                patience.end()
            if documents is None and not self._closed:
                documents = self._failure(job, process, time_limit_s if patience.lost else None)
            return documents

    def close(self) -> None:
        """End the worker, also in the midst of a job."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._busy:
            self._let_go()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._let_go()
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed by _let_go
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                text=True,
                env=worker_environment(),
                start_new_session=True,  # Ctrl-C at the prompt is for the measurement
            )
        return self._process

    def _converse(
        self,
        process: subprocess.Popen[str],
        job: Job,
        progress: Progress | None,
        patience: _Patience,
    ) -> list[Document] | None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a worker must have pipes, got none; this is an error in bl_steer")
        try:
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()
        except OSError:
            return None
        for line in process.stdout:
            answer = _answer(line)
            if "documents" in answer:
                if answer.get("spent"):  # it keeps too much memory: the next job gets a new one
                    self._let_go()
                return [(name, doc) for name, doc in answer["documents"]]
            if "progress" in answer:
                patience.note_progress(answer["progress"][0])
                if progress is not None:
                    progress(*answer["progress"])
        return None

    def _failure(
        self, job: Job, process: subprocess.Popen[str], limit_s: float | None
    ) -> list[Document]:
        process.wait()
        reason = f"the analysis' process must live, got its end by {cause_of(process.returncode)}"
        if limit_s is not None:
            reason = (
                f"the analysis must get on within {limit_s:g} s, got no progress in that time; "
                "give it less to do, or a longer limit (BL_STEER_ANALYSIS_TIME_LIMIT_S)"
            )
        return failure_documents(reason, request=job.request, traceback=self._last_words())

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - SEEN))
        return self._words.read().decode(errors="replace")

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # unsent bytes for one that is gone
                        pipe.close()
        if self._words is not None:
            self._words.close()
        self._process = self._words = None


class _Patience:
    """Kills a process that makes no progress for a time."""

    def __init__(self, process: subprocess.Popen[str], limit_s: float) -> None:
        self.lost = False
        self._process, self._limit_s = process, limit_s
        self._furthest, self._since = -1.0, time.monotonic()
        self._over = threading.Event()
        self._judging = threading.Lock()
        threading.Thread(target=self._wait, daemon=True).start()

    def note_progress(self, done: float) -> None:
        """Wait anew where more is done than before."""
        with self._judging:
            if done > self._furthest:
                self._furthest, self._since = done, time.monotonic()

    def end(self) -> None:
        """Wait no longer: from now on the process is for the next job."""
        with self._judging:
            self._over.set()

    def _wait(self) -> None:
        while not self._over.is_set():
            with self._judging:
                left = self._since + self._limit_s - time.monotonic()
                if left <= 0.0 and not self._over.is_set():
                    self.lost = True
                    self._process.kill()
                    return
            self._over.wait(max(left, 0.0))


def cause_of(status: int) -> str:
    """Return by what a process ended, for who reads of it."""
    if status >= 0:
        return f"exit status {status}; its last words are in the traceback"
    name = signal.Signals(-status).name
    if name == "SIGKILL":
        return f"{name}; perhaps the machine ran out of memory"
    if name in ("SIGABRT", "SIGSEGV"):  # what compiled code does where memory is refused
        return (
            f"{name}; perhaps it needs more memory than it may take "
            "(BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB)"
        )
    return name


def worker_environment() -> dict[str, str]:
    """Return an environment in which the worker imports what this process can import."""
    path = os.pathsep.join(os.path.abspath(part) for part in sys.path)
    threads = dict.fromkeys(ONE_THREAD, "1")
    return {**os.environ, **threads, "PYTHONPATH": path, "MPLBACKEND": "Agg"}


def _answer(line: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:  # cut short by its end
        return {}
    return answer if isinstance(answer, dict) else {}
