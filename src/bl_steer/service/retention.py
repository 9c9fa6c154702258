"""Delete what is old or was deleted by its user, and keep the proof of it.

A file goes when nothing refers to it: no upload, no result, no package. The proof is a record in
the audit chain: the hash, the size, the reason and the time, and that the store no longer has it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from bl_steer.service.database import Database
from bl_steer.service.files import FileStore
from bl_steer.service.settings import ServiceSettings
from bl_steer.service.tables import AccessRecord, Blob, Job, JobOutput, Package, Share, SignIn, Upload

__all__ = ["Deleted", "delete_expired", "delete_unreferenced"]

DAY_S = 86_400.0
YOUNG_S = 3600.0
"""A file this young may belong to an upload or a result whose row is not written yet."""
ENDED = ("done", "failed", "cancelled")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deleted:
    """How much was deleted."""

    uploads: int = 0
    results: int = 0
    files: int = 0


def delete_expired(
    database: Database, files: FileStore, settings: ServiceSettings, *, now: float | None = None
) -> Deleted:
    """Delete uploads and results older than ``keep_days``, and all files without a reference."""
    now = time.time() if now is None else now
    old = now - settings.keep_days * DAY_S
    with database.write() as session:
        uploads = _expire_uploads(session, old, now)
        results = _expire_results(session, old)
        session.execute(delete(SignIn).where(SignIn.expires < now))
        session.execute(delete(Share).where(Share.expires < old))
        session.execute(delete(AccessRecord).where(AccessRecord.time < old))
    gone = delete_unreferenced(database, files, now=now)
    files.clear_drafts()
    return Deleted(uploads, results, gone)


def delete_unreferenced(
    database: Database, files: FileStore, *, now: float | None = None, young_s: float = YOUNG_S
) -> int:
    """Delete the files that nothing refers to, each with a record of it; return how many."""
    now = time.time() if now is None else now
    with database.read() as session:
        known = set(session.scalars(select(Blob.sha256)))
        idle = set(session.scalars(select(Blob.sha256).where(~_referenced())))
    stray = {one for one in files.hashes() if one not in known}
    count = 0
    for sha256 in sorted(idle | stray):
        if files.has(sha256) and files.age_s(sha256) < young_s:
            continue
        with database.write() as session:
            count += _delete_one(session, files, sha256, now)
    return count


def _referenced() -> exists.__class__:  # type: ignore[valid-type]
    raise NotImplementedError
