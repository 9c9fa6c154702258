"""A user's files: taken in, listed, given for training or not, deleted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import lock_user
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.pages import page_of
from bl_steer.server.db.tables import Blob, GroupFile, Upload, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.sizes import amount
from bl_steer.server.texts import plain_text
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.file_types import inspect_file

__all__ = [
    "Arrived",
    "clean_name",
    "delete_upload",
    "file_names",
    "known_cut",
    "over_quota",
    "register_file",
    "set_training",
    "take_in",
    "upload_of",
    "uploads_of",
    "used_bytes",
]

LONGEST_NAME = 200
THERE = select(Upload.id, Upload.file_name).where(  # made once: asked at every submission
    Upload.id.in_(bindparam("upload_ids", expanding=True)),
    Upload.user_id == bindparam("user_id"),
    Upload.deleted.is_(None),
)


@dataclass(frozen=True)
class Arrived:
    """A file that has come in whole and lies in a folder of the web process."""

    path: Path
    file_name: str


def clean_name(name: str) -> str:
    r"""Return a file's name without folders and control characters.

    Examples
    --------
    >>> clean_name("../../etc/試料\n1.tif")
    '試料1.tif'
    """
    name = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(char for char in name if char.isprintable() and char not in '"<>|:*?')
    plain = plain.strip().strip(".") or "file"
    stem, dot, suffix = plain.rpartition(".")
    if len(plain) > LONGEST_NAME and dot and len(suffix) <= 10:
        return f"{stem[: LONGEST_NAME - len(suffix) - 1]}.{suffix}"
    return plain[:LONGEST_NAME]


def take_in(
    database: Database,
    store: FileStore,
    user: User,
    arrived: Arrived,
    *,
    may_train: bool,
    sample: str = "",
    cut_of: str | None = None,
    quota_bytes: int | None = None,
) -> Upload:
    """Inspect a file, store it, and return its record.

    Parameters
    ----------
    cut_of : which plane of what it is; see `Upload.cut_of`. One that is a file already stays that
    quota_bytes : most that all files of the user may take; no limit by default

    Raises
    ------
    Refused
        When the file is no good, or the quota has no room for it.
    """
    file_name = clean_name(arrived.file_name)
    inspected = inspect_file(arrived.path, file_name)
    with arrived.path.open("rb") as stream:
        sha256, size = store.put(stream)
    with database.write_beside() as session:
        lock_user(session, user.id)
        if cut_of is not None and (known := known_cut(session, user.id, cut_of)) is not None:
            return known
        if quota_bytes is not None and used_bytes(session, user.id) + size > quota_bytes:
            raise over_quota(file_name, quota_bytes)
        register_file(session, sha256, size)
        upload = Upload(
            user_id=user.id,
            sha256=sha256,
            file_name=file_name,
            media_type=inspected.media_type,
            size=size,
            may_train=may_train,
            sample=plain_text(sample)[:200],
            cut_of=cut_of,
        )
        session.add(upload)
    return upload


def over_quota(file_name: str, quota_bytes: int) -> Refused:
    """Return the refusal of a file for which a user's quota has no room."""
    name = clean_name(file_name)
    return Refused(413, "refused.quota", file=name, quota=amount(quota_bytes))


def register_file(session: Session, sha256: str, size: int) -> None:
    """Give a stored file its row, if it has none, and lock that row for this transaction.

    Equal files may be stored at the same time: whoever comes second waits for the first, where a
    look and then an insert would be refused by PostgreSQL. So does the deletion of files that
    nothing refers to.
    """
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(Blob).values(sha256=sha256, size=size)
    session.execute(row.on_conflict_do_update(index_elements=["sha256"], set_={"size": size}))


def known_cut(session: Session, user_id: str, cut_of: str) -> Upload | None:
    """Return the file that a plane has become already; None where there is none."""
    return session.scalar(
        select(Upload)
        .where(Upload.user_id == user_id, Upload.cut_of == cut_of, Upload.deleted.is_(None))
        .order_by(Upload.created.desc())
        .limit(1)
    )


def used_bytes(session: Session, user_id: str) -> int:
    """Return what a user's files take, bytes."""
    total = session.scalar(
        select(func.sum(Upload.size)).where(Upload.user_id == user_id, Upload.deleted.is_(None))
    )
    return int(total or 0)


def uploads_of(
    session: Session,
    user_id: str,
    *,
    before: float | None = None,
    group_id: str = "",
    limit: int = 50,
) -> tuple[list[Upload], float | None]:
    """Return a page of a user's files, the newest first, and where the next page begins.

    Parameters
    ----------
    before : time of the upload that the page begins after, s since 1970
    group_id : all that are shared with this group, instead
    """
    shared = select(GroupFile.upload_id).where(GroupFile.group_id == group_id)
    which = Upload.id.in_(shared) if group_id else Upload.user_id == user_id
    query = select(Upload).where(which, Upload.deleted.is_(None))
    return page_of(session, query, Upload.created, before=before, limit=limit)


def file_names(session: Session, user_id: str, upload_ids: Sequence[str]) -> dict[str, str]:
    """Return the names of a user's files by id, of those that are there."""
    values = {"upload_ids": list(upload_ids), "user_id": user_id}
    return dict(session.execute(THERE, values).tuples().all())


def upload_of(session: Session, user_id: str, upload_id: str) -> Upload:
    """Return one file of a user; `Refused` where there is none."""
    upload = session.get(Upload, upload_id)
    if upload is None or upload.user_id != user_id or upload.deleted is not None:
        raise missing("file")
    return upload


def delete_upload(session: Session, user: User, upload_id: str) -> Upload:
    """Mark a file as deleted; housekeeping takes its bytes away once nothing refers to them."""
    upload = upload_of(session, user.id, upload_id)
    upload.deleted = time.time()
    record_event(session, user.email, "file delete", upload.id, {"sha256": upload.sha256})
    return upload


def set_training(
    session: Session,
    user: User,
    upload_id: str,
    *,
    may_train: bool,
    policy: Literal["always", "opt-out", "opt-in"],
) -> Upload:
    """Give a file for training or take it back, where the deployment leaves that to users."""
    upload = upload_of(session, user.id, upload_id)
    allowed = may_train or policy == "always"
    if allowed != upload.may_train:
        upload.may_train = allowed
        record_event(session, user.email, "file training", upload.id, {"may_train": allowed})
    return upload
