"""Delete what is old or was deleted by its user, and keep the proof of it.

A file goes when nothing refers to it: no upload, no result, no package. The proof is a record in
the audit chain: the hash, the size, the reason and the time, and that the store no longer has it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import (
    AccessRecord,
    Blob,
    Job,
    JobOutput,
    Package,
    PasswordReset,
    Share,
    SignIn,
    Upload,
)
from bl_steer.server.jobs.leases import OPEN
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Deleted", "delete_expired", "delete_unreferenced"]

DAY_S = 86_400.0
YOUNG_S = 3600.0
"""A file this young may belong to an upload or a result whose row is not written yet."""
BATCH = 500
"""Rows in one go, so that nobody waits long for the database; the next hour brings the next."""


@dataclass(frozen=True)
class Deleted:
    """How much was deleted."""

    uploads: int = 0
    results: int = 0
    files: int = 0


def delete_expired(
    database: Database, files: FileStore, settings: ServerSettings, *, now: float | None = None
) -> Deleted:
    """Delete uploads and results older than ``keep_days``, and all files without a reference."""
    now = time.time() if now is None else now
    old = now - settings.keep_days * DAY_S
    with database.write() as session:
        uploads = _expire_uploads(session, old, now)
        results = _expire_results(session, old)
        session.execute(delete(SignIn).where(SignIn.expires < now))
        session.execute(delete(PasswordReset).where(PasswordReset.expires < now))
        session.execute(delete(Share).where(Share.expires < old))
        session.execute(delete(AccessRecord).where(AccessRecord.time < old))
    deleted = delete_unreferenced(database, files, now=now)
    files.clear_drafts()
    return Deleted(uploads, results, deleted)


def delete_unreferenced(
    database: Database, files: FileStore, *, now: float | None = None, young_s: float = YOUNG_S
) -> int:
    """Delete the files that nothing refers to, each with a record of it; return how many."""
    now = time.time() if now is None else now
    with database.read() as session:
        known = set(session.scalars(select(Blob.sha256)))
        idle = set(session.scalars(select(Blob.sha256).where(~_referenced())))
    stray = {sha256 for sha256 in files.hashes() if sha256 not in known}
    count = 0
    for sha256 in sorted(idle | stray):
        with database.write() as session:
            count += _delete_one(session, files, sha256, now, young_s)
    return count


def _delete_one(session: Session, files: FileStore, sha256: str, now: float, young_s: float) -> int:
    """Delete a file, unless something refers to it by now, or it has just been stored again.

    Its age is judged once no other may write: whoever stores an equal file meanwhile makes it
    young.
    """
    query = select(Blob).where(Blob.sha256 == sha256).with_for_update()
    blob = session.scalars(query).one_or_none()
    if blob is not None and session.scalar(select(_referenced()).where(Blob.sha256 == sha256)):
        return 0
    if files.has(sha256) and files.age_s(sha256) < young_s:
        return 0
    names = session.scalars(select(Upload.file_name).where(Upload.sha256 == sha256)).all()
    if blob is not None:
        session.delete(blob)
    files.delete(sha256)
    record_event(
        session,
        "keeper",
        "file delete",
        sha256,
        {
            "size": None if blob is None else blob.size,
            "file_names": sorted(set(names)),
            "reason": "nothing refers to it",
            "still_there": files.has(sha256),
            "time": now,
        },
    )
    return 1


def _referenced() -> ColumnElement[bool]:
    """Return whether a blob is that of an upload, of a result or of a package."""
    return or_(
        exists().where(Upload.sha256 == Blob.sha256, Upload.deleted.is_(None)),
        exists().where(JobOutput.sha256 == Blob.sha256),
        exists().where(Package.blob_sha256 == Blob.sha256),
    )


def _expire_uploads(session: Session, old: float, now: float) -> int:
    """Delete old uploads, unless an open job needs them."""
    expired = [
        *session.scalars(
            select(Upload.id).where(Upload.created < old, Upload.deleted.is_(None)).limit(BATCH)
        )
    ]
    needed = {
        row_id
        for ids in session.scalars(select(Job.upload_ids).where(Job.state.in_(OPEN)))
        for row_id in ids
    }
    going = [sha256 for sha256 in expired if sha256 not in needed]
    session.execute(update(Upload).where(Upload.id.in_(going)).values(deleted=now))
    return len(going)


def _expire_results(session: Session, old: float) -> int:
    """Delete the files of old results; the job stays in the history, with its digest."""
    ended = select(Job.id).where(Job.finished < old)
    query = select(JobOutput.job_id).where(JobOutput.job_id.in_(ended)).distinct().limit(BATCH)
    going = [*session.scalars(query)]
    session.execute(delete(JobOutput).where(JobOutput.job_id.in_(going)))
    return len(going)
