"""The worker's process: ``python -m bl_steer.analysis.worker``, a job a line in, answers out.

`bl_steer.analysis.local_process` starts it and speaks with it. It yields the processor to the
measurement, computes in one thread, takes no more memory than it may, and ends as soon as its
parent is gone.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any, TextIO

__all__ = ["main"]

NICENESS = 10


def main() -> None:
    """Carry out jobs until standard input ends."""
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what an analysis prints must not look like an answer
    from bl_steer.analysis.job import Job, execute
    from bl_steer.analysis.memory_limit import is_half_used, limit_memory

    limit_memory()

    def report(done: int, total: int) -> None:
        _send(answers, {"progress": [done, total]})

    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    while True:
        documents = execute(Job.from_json(jobs.get()), report)
        _send(answers, {"documents": documents, "spent": is_half_used()})


def _read(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the parent is gone: nobody waits for the answer, and the request is pending


def _send(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
