"""Have requests carried out off the RunEngine, one after the other, and store what comes out."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Protocol

from bl_steer import processing
from bl_steer.processing.documents import failure_documents
from bl_steer.processing.job import Job
from bl_steer.processing.publish import publish_documents
from bl_steer.processing.requests import Request
from bl_steer.protocols import Progress
from bl_steer.store import Document, Store

__all__ = ["AnalysisRunner", "Executor", "Watch", "make_executor"]

TIME_LIMIT_S = 3600.0
LOOKS_EVERY_S = 0.1
"""A main thread that waits longer at a time may miss a Ctrl-C that another thread was given, s."""

logger = logging.getLogger(__name__)


class Executor(Protocol):
    """Where jobs are carried out: `LocalProcess` or `DaskCluster`."""

    parallel: int
    """Jobs that it takes at a time."""

    def execute(
        self, job: Job, *, time_limit_s: float, progress: Progress | None = None
    ) -> list[Document] | None:
        """Return the documents of the analysis run or of its failure; None if it was closed."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


class Watch(Protocol):
    """What is told how an analysis goes on, such as `processing.progress_bar.AnalysisBar`."""

    def progress(self, request: Request, done: int, total: int) -> None:
        """Take note of the steps done."""
        ...

    def finished(self, request: Request, uid: str, reason: str) -> None:
        """Take note of the analysis run; `reason` is empty where it succeeded."""
        ...


def make_executor(dask: str = "") -> Executor:
    """Return a dask cluster by its scheduler's address, or a process on this machine."""
    if dask:
        return processing.DaskCluster(dask)
    return processing.LocalProcess()


class AnalysisRunner:
    """Take requests from any thread, carry them out, and store an analysis run for each.

    Parameters
    ----------
    store : holds the raw runs, and gets the analysis runs; closed by somebody else, after this
    make : called at the first request, for the place where jobs are carried out
    time_limit_s : how long an analysis may go on without progress, s
    watch : told how each goes on

    Notes
    -----
    A failing analysis, one that does not get on, and one whose process dies are stored as failed
    analysis runs, and the next goes on. What was not begun, or was under way at `close`, is found
    again by `bl_steer.processing.requests.pending_analyses` if a run asked for it.
    """

    def __init__(
        self,
        store: Store,
        *,
        make: Callable[[], Executor] = make_executor,
        time_limit_s: float = TIME_LIMIT_S,
        watch: Watch | None = None,
    ) -> None:
        self.store = store
        self.time_limit_s = time_limit_s
        self._make = make
        self._watch = watch
        self._executor: Executor | None = None
        self._queue: queue.SimpleQueue[tuple[Request, Future[str]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open: set[Future[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, request: Request) -> Future[str]:
        """Queue a request and return at once; the future's result is the analysis run's uid."""
        future: Future[str] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(
                    f"a runner must be open to take requests, got {request.name!r} after close(); "
                    "open another session"
                )
            self._open.add(future)
            self._queue.put((request, future))
            if not self._threads:
                self._start(self._begin)
        future.add_done_callback(self._forget)
        return future

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all that was submitted is done, `timeout` s at most; return whether it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            waiting = list(self._open)
        for future in waiting:
            while not future.done():
                left = math.inf if deadline is None else deadline - time.monotonic()
                if left <= 0.0:
                    return False
                with suppress(TimeoutError, CancelledError):
                    future.exception(min(left, LOOKS_EVERY_S))
        return True

    def close(self, timeout: float | None = 0.0) -> bool:
        """Wait `timeout` s at most, then leave the rest; return whether all was done."""
        done = self.wait(timeout)
        with self._lock:
            self._closed = True
            left = list(self._open)
        for future in left:
            future.cancel()
        if self._executor is not None:
            self._executor.close()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(10.0)
        if left:
            logger.warning(
                "%d analyses were left; 'bl-steer analyse --pending' carries them out", len(left)
            )
        return done

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="analyses", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _begin(self) -> None:
        """Open the executor, here because it may take its time; then work as the first thread."""
        try:
            self._executor = self._make()
        except Exception as error:
            logger.error("analyses cannot be carried out: %s", error)
            self._refuse(f"{type(error).__name__}: {error}")
            return
        with self._lock:
            for _ in range(0 if self._closed else self._executor.parallel - 1):
                self._start(self._work)
        if self._closed:
            self._executor.close()
        self._work()

    def _refuse(self, reason: str) -> None:
        while (item := self._queue.get()) is not None:
            request, future = item
            if future.set_running_or_notify_cancel():
                self._publish(request, future, failure_documents(reason, request=request))

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            request, future = item
            if self._closed or not future.set_running_or_notify_cancel():
                continue
            try:
                documents = self._execute(request)
            except Exception as error:
                logger.exception("analysis %r of run %s", request.name, request.raw_uid)
                documents = failure_documents(f"{type(error).__name__}: {error}", request=request)
            self._publish(request, future, documents)

    def _execute(self, request: Request) -> list[Document] | None:
        def report(done: int, total: int) -> None:
            self._tell(lambda watch: watch.progress(request, done, total))

        if self._executor is None:
            return None
        return self._executor.execute(
            Job.of(self.store, request), time_limit_s=self.time_limit_s, progress=report
        )

    def _publish(
        self, request: Request, future: Future[str], documents: list[Document] | None
    ) -> None:
        if documents is None:
            future.set_exception(InterruptedError(f"the analysis {request.name!r} was given up"))
            return
        try:
            uid = publish_documents(self.store, documents)
        except Exception as error:
            logger.exception("the analysis %r of %s is not stored", request.name, request.raw_uid)
            future.set_exception(error)
            return
        reason = str(documents[-1][1].get("reason", ""))
        if reason:
            logger.warning("analysis %r of run %s: %s", request.name, request.raw_uid, reason)
        self._tell(lambda watch: watch.finished(request, uid, reason))
        future.set_result(uid)

    def _tell(self, tell: Callable[[Watch], None]) -> None:
        """Tell who watches; where that fails, as with a terminal that is gone, no analysis does."""
        if self._watch is None:
            return
        try:
            tell(self._watch)
        except Exception:
            self._watch = None
            logger.warning("analyses go on unseen", exc_info=True)

    def _forget(self, future: Future[str]) -> None:
        with self._lock:
            self._open.discard(future)
