"""The access log: every request, written in batches so that no request waits for it."""

from __future__ import annotations

import logging
import threading
from collections import deque

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord

__all__ = ["AccessLog", "latest_requests"]

FLUSH_S = 1.0
MOST_KEPT = 100_000
COLUMNS = ("time", "user_id", "method", "path", "status", "address", "ms")

logger = logging.getLogger(__name__)


class AccessLog:
    """Records on their way into the database, by a thread of their own.

    Parameters
    ----------
    database : where they go

    Notes
    -----
    A process that is killed loses the records of its last second.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: deque[AccessRecord] = deque(maxlen=MOST_KEPT)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, record: AccessRecord) -> None:
        """Take a record; returns at once."""
        self._waiting.append(record)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._work, name="access log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and end."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10.0)
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        records = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not records:
            return
        try:
            with self.database.write() as session:
                session.execute(
                    insert(AccessRecord),
                    [{name: getattr(record, name) for name in COLUMNS} for record in records],
                )
        except SQLAlchemyError as error:
            logger.error("%d requests are not on record: %s", len(records), error)

    def _work(self) -> None:
        while not self._end.wait(FLUSH_S):
            self.flush()


def latest_requests(
    session: Session, *, before: int | None = None, user_id: str = "", limit: int = 100
) -> list[AccessRecord]:
    """Return requests, the newest first.

    Parameters
    ----------
    before : id of the record that the page begins after
    user_id : of one user only
    """
    query = select(AccessRecord).order_by(AccessRecord.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AccessRecord.id < before)
    if user_id:
        query = query.where(AccessRecord.user_id == user_id)
    return list(session.scalars(query))
