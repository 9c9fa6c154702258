"""When a job that waits will begin, as far as what ran before tells.

The workers are let go on in thought: each takes the next job by the rule of
`bl_steer.server.jobs.queue.take` (the user with the fewest running jobs, then the oldest job), and
each job takes as long as the middle one of those of its analysis that ended lately.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import select
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, Worker

JobRow = Row[tuple[str, str, str, float | None]]
"""Id, user, analysis, and when it was started."""

__all__ = ["Forecast", "forecast"]

LATELY = 200
"""Jobs that ended last, of all analyses, whose durations count."""
MOST_WAITING = 500
"""Jobs that are looked at; behind more than that only their number is told."""
ALIVE_S = 120.0
"""A worker that was heard of within that time counts."""


@dataclass(frozen=True)
class Forecast:
    """What is known of a job that waits.

    Parameters
    ----------
    ahead : jobs that begin before it
    wait_s : until it begins, s; None where nothing like what is ahead ran before
    duration_s : how long such a job takes, s; None where none ran before
    workers : that were heard of lately
    lacks_gpu : whether no machine of their cluster has as many GPUs as it needs
    """

    ahead: int
    wait_s: float | None
    duration_s: float | None
    workers: int
    lacks_gpu: bool = False


def forecast(session: Session, job: Job, *, now: float | None = None) -> Forecast:
    """Return place and expected times of a job that waits."""
    now = time.time() if now is None else now
    durations = _durations(session)
    alive = (Worker.seen > now - ALIVE_S) & Worker.ended.is_(None)
    offered = session.scalars(select(Worker.gpus).where(alive)).all()
    workers = len(offered)
    lacks = bool(offered) and all(gpus is not None and gpus < job.gpus for gpus in offered)
    own = durations.get(job.analysis)
    waiting = _rows(session, "queued", MOST_WAITING)
    order, waits = _order(waiting, _rows(session, "running", MOST_WAITING), durations, workers, now)
    if job.id not in order:  # behind more than are looked at, or taken meanwhile
        ahead = len(waiting) if len(waiting) == MOST_WAITING else 0
        return Forecast(ahead, None, own, workers, lacks)
    place = order.index(job.id)
    return Forecast(place, waits.get(job.id), own, workers, lacks)


def _rows(session: Session, state: str, limit: int) -> Sequence[JobRow]:
    columns = (Job.id, Job.user_id, Job.analysis, Job.started)
    query = select(*columns).where(Job.state == state).order_by(Job.created, Job.id).limit(limit)
    return session.execute(query).all()


def _durations(session: Session) -> dict[str, float]:
    """Return how long a job of each analysis takes, s: the median of the latest."""
    rows = session.execute(
        select(Job.analysis, Job.started, Job.finished)
        .where(Job.state == "done")
        .order_by(Job.created.desc())
        .limit(LATELY)
    )
    lasted: dict[str, list[float]] = defaultdict(list)
    for analysis, started, finished in rows:
        if started is not None and finished is not None:
            lasted[analysis].append(finished - started)
    return {analysis: median(values) for analysis, values in lasted.items()}


def _order(
    waiting: Sequence[JobRow],
    running: Sequence[JobRow],
    durations: dict[str, float],
    workers: int,
    now: float,
) -> tuple[list[str], dict[str, float]]:
    """Return the jobs in the order in which they begin, and when each does, s from now.

    A time is left out once a job whose duration nobody knows came before it.
    """
    of_user = Counter(user_id for _, user_id, _, _ in running)
    ends: list[tuple[float, str]] = []
    known = workers > 0
    for _, user_id, analysis, started in running:
        known = known and analysis in durations
        left = durations.get(analysis, 0.0) - (now - (started or now))
        ends.append((max(0.0, left), user_id))
    heapq.heapify(ends)
    idle, clock = max(0, workers - len(running)), 0.0
    queues: dict[str, list[tuple[str, str]]] = defaultdict(list)
    age = {job_id: number for number, (job_id, _, _, _) in enumerate(waiting)}
    for job_id, user_id, analysis, _ in reversed(waiting):
        queues[user_id].append((job_id, analysis))
    order: list[str] = []
    waits: dict[str, float] = {}
    while queues:
        if idle:
            idle -= 1
        elif ends:
            clock, done = heapq.heappop(ends)
            of_user[done] -= 1
        user_id = min(queues, key=lambda user: (of_user[user], age[queues[user][-1][0]]))
        job_id, analysis = queues[user_id].pop()
        if not queues[user_id]:
            del queues[user_id]
        order.append(job_id)
        if known:
            waits[job_id] = clock
        known = known and analysis in durations
        of_user[user_id] += 1
        heapq.heappush(ends, (clock + durations.get(analysis, 0.0), user_id))
    return order, waits
