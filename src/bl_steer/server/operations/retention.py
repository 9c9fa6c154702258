"""Delete what is old or was deleted by its user, and keep the proof of it.

A file goes when nothing refers to it: no upload, no result, no package. The proof is a record in
the audit chain: the hash, the size, the reason and the time, and that the store no longer has it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    delete,
    exists,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import (
    AccessRecord,
    Blob,
    Job,
    JobOutput,
    OutgoingMail,
    Package,
    PasswordReset,
    Share,
    SignIn,
    Upload,
)
from bl_steer.server.jobs.leases import OPEN
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Deleted", "delete_expired", "delete_unreferenced", "expiring"]

DAY_S = 86_400.0
YOUNG_S = 3600.0
"""A file this young may belong to an upload or a result whose row is not written yet."""
BATCH = 500
"""Rows in one transaction, so that nobody waits long for the database."""


@dataclass(frozen=True)
class Deleted:
    """How much was deleted."""

    uploads: int = 0
    results: int = 0
    files: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(
            self.uploads + other.uploads, self.results + other.results, self.files + other.files
        )


def delete_expired(
    database: Database, files: FileStore, settings: ServerSettings, *, now: float | None = None
) -> Deleted:
    """Delete uploads and results older than ``keep_days``, and all files without a reference."""
    return sum(expiring(database, files, settings, now=now), Deleted())


def expiring(
    database: Database, files: FileStore, settings: ServerSettings, *, now: float | None = None
) -> Iterator[Deleted]:
    """Delete what is old batch by batch, each in a transaction of its own; yield what each did.

    Whoever stops in between loses nothing: what was not reached is found the next time.
    """
    now = time.time() if now is None else now
    old = now - settings.keep_days * DAY_S
    yield from _expire_uploads(database, old, now)
    yield from _expire_results(database, old, now)
    for rows in (
        select(SignIn.token_hash).where(SignIn.expires < now),
        select(PasswordReset.token_hash).where(PasswordReset.expires < now),
        select(Share.id).where(Share.expires < old),
        select(AccessRecord.id).where(AccessRecord.time < old),
        select(OutgoingMail.id).where(OutgoingMail.created < old),
    ):
        yield from _delete_rows(database, rows)
    yield from _delete_files(database, files, now, YOUNG_S)
    files.clear_drafts()


def delete_unreferenced(
    database: Database, files: FileStore, *, now: float | None = None, young_s: float = YOUNG_S
) -> int:
    """Delete the files that nothing refers to, each with a record of it; return how many."""
    now = time.time() if now is None else now
    return sum(_delete_files(database, files, now, young_s), Deleted()).files


def _delete_files(
    database: Database, files: FileStore, now: float, young_s: float
) -> Iterator[Deleted]:
    with database.read() as session:
        known = set(session.scalars(select(Blob.sha256)))
        idle = set(session.scalars(select(Blob.sha256).where(~_referenced())))
    stray = {sha256 for sha256 in files.hashes() if sha256 not in known}
    for sha256 in sorted(idle | stray):
        with database.write() as session:
            deleted = _delete_one(session, files, sha256, now, young_s)
        yield Deleted(files=deleted)


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


def _expire_uploads(database: Database, old: float, now: float) -> Iterator[Deleted]:
    """Delete old uploads, unless an open job needs them."""
    key = tuple_(Upload.created, Upload.id)
    after: tuple[float, str] | None = None
    while True:
        rows = select(Upload.created, Upload.id)
        rows = rows.where(Upload.created < old, Upload.deleted.is_(None))
        if after is not None:  # those that are needed stay, and are not met again
            rows = rows.where(key > tuple_(literal(after[0]), literal(after[1])))
        with database.write_beside() as session:
            expired = (
                session.execute(rows.order_by(Upload.created, Upload.id).limit(BATCH))
                .tuples()
                .all()
            )
            open_jobs = session.scalars(select(Job.upload_ids).where(Job.state.in_(OPEN)))
            needed = {upload_id for ids in open_jobs for upload_id in ids}
            going = [upload_id for _, upload_id in expired if upload_id not in needed]
            session.execute(update(Upload).where(Upload.id.in_(going)).values(deleted=now))
        yield Deleted(uploads=len(going))
        if len(expired) < BATCH:
            return
        after = expired[-1]


def _expire_results(database: Database, old: float, now: float) -> Iterator[Deleted]:
    """Delete the files of old results; the job stays in the history, with its digest."""
    rows = select(Job.id).where(Job.finished < old, Job.emptied.is_(None))
    while True:
        with database.write_beside() as session:
            ended = [*session.scalars(rows.order_by(Job.finished).limit(BATCH))]
            with_files = select(JobOutput.job_id).where(JobOutput.job_id.in_(ended)).distinct()
            results = len(session.scalars(with_files).all())
            session.execute(delete(JobOutput).where(JobOutput.job_id.in_(ended)))
            session.execute(update(Job).where(Job.id.in_(ended)).values(emptied=now))
        yield Deleted(results=results)
        if len(ended) < BATCH:
            return


def _delete_rows(database: Database, rows: Select[tuple[Any]]) -> Iterator[Deleted]:
    """Delete the rows whose keys a query gives."""
    (key,) = rows.selected_columns
    while True:
        with database.write_beside() as session:
            going = [*session.scalars(rows.limit(BATCH))]
            session.execute(delete(key.table).where(key.in_(going)))
        yield Deleted()
        if len(going) < BATCH:
            return
