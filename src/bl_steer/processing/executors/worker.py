"""The worker's process: a job a line in, answers out.

``python -m bl_steer.processing.executors.worker`` is started by
`bl_steer.processing.executors.local_process`, which speaks with it. It yields the processor to the
measurement, computes in one thread, takes no more memory than it may, and ends as soon as its
parent is gone.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from bl_steer import processing  # lazy: it is loaded once this process has its priority

if TYPE_CHECKING:
    from bl_steer.protocols import Progress
    from bl_steer.store import Document

__all__ = ["main"]

NICENESS = 10


def main() -> None:
    """Carry out jobs until standard input ends."""
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what an analysis prints must not look like an answer
    processing.limit_memory()

    def report(done: int, total: int) -> None:
        _send(answers, {"progress": [done, total]})

    execute = _means()
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    while True:
        documents = execute(processing.Job.from_json(jobs.get()), report)
        _send(answers, {"documents": documents, "spent": processing.is_half_used()})


def _means() -> Callable[[processing.Job, Progress], list[Document]]:
    """Return what carries out jobs: this process, or an analysis server."""
    # Here: main has lowered the priority before anything that takes time is loaded.
    from bl_steer.settings import Settings

    settings = Settings()
    if not settings.server:
        return processing.execute
    server = processing.Server(settings.server, settings.server_key, settings.server_patience_s)
    return partial(processing.execute_on_server, server)


def _read(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the parent is gone: nobody waits for the answer, and the request is pending


def _send(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
