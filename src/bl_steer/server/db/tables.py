"""The tables: all that the server knows, on SQLite and PostgreSQL alike.

Times are s since 1970 (UTC), as in documents. A state is text, listed beside its table. Secrets
(passwords, keys, tokens) are kept as hashes only.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from bl_steer.server.db.account_tables import ApiKey, Invitation, PasswordReset, SignIn, User
from bl_steer.server.db.group_tables import Group, GroupFile, GroupJob, GroupMember
from bl_steer.server.db.schema import Base, new_id
from bl_steer.server.db.training_tables import Correction, Retraining, SamplePart, Snapshot
from bl_steer.server.texts import folded

__all__ = [
    "AccessRecord",
    "ApiKey",
    "AuditRecord",
    "Base",
    "Blob",
    "Correction",
    "Group",
    "GroupFile",
    "GroupJob",
    "GroupMember",
    "Invitation",
    "Job",
    "JobFile",
    "JobOutput",
    "OutgoingMail",
    "Package",
    "PasswordReset",
    "Release",
    "Retraining",
    "Review",
    "SamplePart",
    "Share",
    "SignIn",
    "Snapshot",
    "Upload",
    "User",
    "Worker",
    "new_id",
]

LIVE = text("ended IS NULL")
THERE = text("deleted IS NULL")
FULL = text("emptied IS NULL")
# SQLite counts up only where the key is its own INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")


def _searched(context: DefaultExecutionContext) -> str:
    row = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return folded(f"{row['file_name']} {row.get('sample') or ''}")


class Blob(Base):
    """A file by its content."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[float] = mapped_column(default=time.time)


class Upload(Base):
    """A file as a user gave it."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    """Of the blob; without a foreign key, since a deleted upload outlives it."""
    file_name: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(String(100), default="application/octet-stream")
    size: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[float] = mapped_column(default=time.time)
    deleted: Mapped[float | None]
    may_train: Mapped[bool] = mapped_column(default=False)
    sample: Mapped[str] = mapped_column(String(200), default="")
    """Name of the specimen, so that training data are split by it."""
    searched: Mapped[str] = mapped_column(Text, default=_searched, server_default="")
    """File name and specimen, folded."""
    giver_id: Mapped[str | None] = mapped_column(String(36))
    """Who uploaded it, where it was handed over since."""
    cut_of: Mapped[str | None] = mapped_column(String(120), index=True)
    """The plane of a stack that it is: see `bl_steer.server.retraining.cuts`."""

    __table_args__ = (
        Index("uploads_of_user", "user_id", "created"),
        Index("uploads_to_delete", "created", sqlite_where=THERE, postgresql_where=THERE),
    )


class Job(Base):
    """One analysis of some uploads; ``state`` is queued, running, done, failed or cancelled."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    analysis: Mapped[str] = mapped_column(String(200))
    package_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    params: Mapped[dict[str, Any]]
    upload_ids: Mapped[list[str]]
    inputs: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The uploads of each input by its name, where the analysis has several."""
    state: Mapped[str] = mapped_column(String(12), default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    """How many workers took it; what an earlier one reports is refused."""
    lost: Mapped[int] = mapped_column(default=0)
    """How many workers, or processes killed from outside, it cost."""
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    progress_done: Mapped[int] = mapped_column(default=0)
    progress_total: Mapped[int] = mapped_column(default=0)
    cause: Mapped[str] = mapped_column(String(16), default="")
    """Why it failed: see `bl_steer.server.jobs.leases.CAUSES`."""
    message: Mapped[str] = mapped_column(Text, default="")
    last_words: Mapped[str] = mapped_column(Text, default="")
    """What the process wrote at its end, for the author of the analysis."""
    digest: Mapped[str] = mapped_column(String(64), default="")
    warnings: Mapped[list[str]] = mapped_column(default=list)
    provenance: Mapped[dict[str, Any]] = mapped_column(default=dict)
    language: Mapped[str] = mapped_column(String(8), default="en")
    wants_mail: Mapped[bool] = mapped_column(default=True)
    parent_id: Mapped[str | None] = mapped_column(String(36))
    """The job that this one repeats with other parameters."""
    run_uid: Mapped[str | None] = mapped_column(String(100))
    """The stored run whose data these are, for jobs of a beamline."""
    gpus: Mapped[int] = mapped_column(default=0)
    """Graphics processors that it needs, on one machine of a cluster."""
    submission_key: Mapped[str | None] = mapped_column(String(100))
    """Chosen by the sender, so that a request that is repeated makes one job."""
    created: Mapped[float] = mapped_column(default=time.time)
    started: Mapped[float | None]
    finished: Mapped[float | None]
    emptied: Mapped[float | None]
    """When the files of its result were deleted, being old."""

    __table_args__ = (
        Index("jobs_of_user", "user_id", "created"),
        Index("jobs_of_user_by_state", "user_id", "state", "created"),
        Index("jobs_of_user_by_analysis", "user_id", "analysis", "created"),
        Index("jobs_by_state", "state", "created"),
        Index("jobs_by_end", "state", "finished"),
        Index("jobs_to_empty", "finished", sqlite_where=FULL, postgresql_where=FULL),
        Index("jobs_by_submission", "user_id", "submission_key", unique=True),
    )


class JobFile(Base):
    """A file that a job is of: `Job.upload_ids` the other way round, to find jobs by files."""

    __tablename__ = "job_files"

    job_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    upload_id: Mapped[str] = mapped_column(String(36), primary_key=True, index=True)


class JobOutput(Base):
    """One file of a result; ``kind`` is table, array, figure or file."""

    __tablename__ = "job_outputs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    """File name in the download: ``fractions.csv``."""
    kind: Mapped[str] = mapped_column(String(8))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(100))


class OutgoingMail(Base):
    """A mail to send; ``state`` is waiting, sending, sent or failed."""

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    attempt: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float | None]
    not_before: Mapped[float] = mapped_column(default=0.0)
    problem: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[float] = mapped_column(default=time.time)
    sent: Mapped[float | None]
    reset_user_id: Mapped[str | None] = mapped_column(String(36))
    """Whose new password its link is for; the link is made when the mail is sent."""
    invites: Mapped[bool] = mapped_column(default=False)
    """Whether its link makes an account for its recipient; made when the mail is sent, too."""

    __table_args__ = (
        Index("outbox_by_state", "state", "not_before"),
        Index("outbox_by_age", "created"),
    )


class Share(Base):
    """A link to a result, for whoever has it."""

    __tablename__ = "shares"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float]
    revoked: Mapped[float | None]
    views: Mapped[int] = mapped_column(default=0)


class Worker(Base):
    """A worker and when it was last heard of."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    seen: Mapped[float]
    jobs_done: Mapped[int] = mapped_column(default=0)
    gpus: Mapped[int | None]
    """The most that one machine of its cluster offers; None where it takes any job itself."""
    ended: Mapped[float | None]
    """When it was told to end; None while it works, or where it died."""


class AccessRecord(Base):
    """One request."""

    __tablename__ = "access_log"

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    time: Mapped[float] = mapped_column(default=time.time, index=True)
    user_id: Mapped[str | None] = mapped_column(String(36), index=True)
    method: Mapped[str] = mapped_column(String(10))
    path: Mapped[str] = mapped_column(Text)
    status: Mapped[int]
    address: Mapped[str] = mapped_column(String(64))
    ms: Mapped[float]


class AuditRecord(Base):
    """One audit event; each record holds the hash of the one before."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    time: Mapped[float]
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(60))
    object: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64), unique=True)
    """Unique: of two events at once, one must wait and follow the other."""
    hash: Mapped[str] = mapped_column(String(64))


class Package(Base):
    """An analysis from outside; ``state`` as in `bl_steer.server.packages`."""

    __tablename__ = "packages"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    version: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str] = mapped_column(String(12), default="draft")
    manifest: Mapped[dict[str, Any]]
    blob_sha256: Mapped[str] = mapped_column(String(64), default="")
    """Of the archive in the file store."""
    created: Mapped[float] = mapped_column(default=time.time)
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Review(Base):
    """A reviewer's decision on a package: approve or reject."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    package_sha256: Mapped[str] = mapped_column(ForeignKey("packages.sha256"), index=True)
    reviewer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    decision: Mapped[str] = mapped_column(String(8))
    comment: Mapped[str] = mapped_column(Text, default="")
    signature: Mapped[str] = mapped_column(Text, default="")
    time: Mapped[float] = mapped_column(default=time.time)


class Release(Base):
    """A package in use under its name; ``ended`` when another took its place or it was revoked."""

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("packages.sha256"))
    by: Mapped[str] = mapped_column(String(36))
    time: Mapped[float] = mapped_column(default=time.time)
    ended: Mapped[float | None]

    __table_args__ = (
        Index(
            "one_live_release",
            "name",
            unique=True,
            sqlite_where=LIVE,
            postgresql_where=LIVE,
        ),
    )
