"""How a worker keeps the lease of its job, while the job's process computes."""

from __future__ import annotations

import json
import logging
import time
from typing import Protocol

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.leases import Held, Lease
from bl_steer.server.settings import ServerSettings

__all__ = ["Heartbeat", "first_line"]

logger = logging.getLogger(__name__)


class Holder(Protocol):
    """The worker that holds a job."""

    database: Database
    settings: ServerSettings
    stopping: bool
    seen: float


class Heartbeat:
    """The lease of the job under way: renewed in time, and looked at for a cancel."""

    def __init__(self, worker: Holder, lease: Lease) -> None:
        self.worker = worker
        self.lease = lease
        self.answer: Held = "held"
        settings = worker.settings
        self._every_s = min(settings.poll_s, settings.lease_s / 4)
        self._renew_every_s = min(settings.lease_s, settings.alarm_after_s) / 4
        now = time.monotonic()
        self._until = now + settings.lease_s
        self._renewed, self._looked = now, 0.0
        self._progress: tuple[int, int] | None = None

    def hear(self, line: str) -> None:
        """Take a line of the job's process, which may be anything."""
        try:
            done, total = json.loads(line)["progress"]
            self._progress = (max(0, min(int(done), 10**9)), max(0, min(int(total), 10**9)))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return

    def over(self) -> bool:
        """Return whether to end the job's process."""
        now = time.monotonic()
        if self.worker.stopping:
            return True
        if self.answer == "held" and now - self._looked >= self._every_s:
            self._looked = now
            self._look(now)
        return self.answer != "held"

    def _look(self, now: float) -> None:
        renewing = now - self._renewed >= self._renew_every_s or (
            self._progress is not None and now - self._renewed >= 1.0
        )
        try:
            if renewing:
                with self.worker.database.write_beside() as session:
                    self.answer = jobs.renew(
                        session,
                        self.lease,
                        lease_s=self.worker.settings.lease_s,
                        progress=self._progress,
                    )
                    self._note_seen(session)
                self._renewed, self._progress = now, None
                self._until = now + self.worker.settings.lease_s
            else:
                with self.worker.database.read() as session:
                    self.answer = jobs.look(session, self.lease)
        except (DBAPIError, PoolTimeout) as error:
            logger.warning("job %s: not renewed: %s", self.lease.job_id, first_line(error))
            if now > self._until:  # by now it is another worker's
                self.answer = "lost"

    def _note_seen(self, session: Session) -> None:
        """Note that the worker lives, which does not come round before the job's end."""
        now = time.time()
        session.execute(
            update(WorkerRow).where(WorkerRow.name == self.lease.worker).values(seen=now)
        )
        self.worker.seen = now


def first_line(error: Exception) -> str:
    """Return what an error says, for the log."""
    return str(error).partition("\n")[0][:200]
