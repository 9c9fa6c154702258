"""The audit trail: what somebody did that others may ask about later, as a chain of hashes.

Each record holds the hash of the one before. What was changed or taken out afterwards breaks the
chain, and `broken_link` finds where. Requests are in the access log instead.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import AuditRecord

__all__ = ["BESIDE", "FIRST_HASH", "broken_link", "record_event", "take_turn"]

FIRST_HASH = "0" * 64
LOCK = 0x626C5F61
"""Number of PostgreSQL's advisory lock, held to the transaction's end: one link at a time."""
BESIDE = "beside"
"""What a session's ``info`` says of a transaction that takes no turn; it records no events."""


def record_event(
    session: Session,
    actor: str,
    action: str,
    what: str = "",
    detail: Mapping[str, Any] | None = None,
) -> AuditRecord:
    """Append an event to the chain, in the transaction of what it tells of.

    Parameters
    ----------
    actor : e-mail address, or the part of the server that did it
    action : what was done, such as ``"package approve"``
    what : to which object
    detail : JSON-compatible; no secrets
    """
    if session.info.get(BESIDE):
        raise RuntimeError(
            f"an event must be recorded in its turn, got {action!r} in a write beside others; use "
            "Database.write"
        )
    if session.get_bind().dialect.name == "postgresql":
        take_turn(session)
    session.flush()
    last = session.scalar(select(AuditRecord).order_by(AuditRecord.id.desc()).limit(1))
    record = AuditRecord(
        time=time.time(),
        actor=actor,
        action=action,
        object=what,
        detail=json.loads(json.dumps(dict(detail or {}))),
        previous_hash=last.hash if last else FIRST_HASH,
        hash="",
    )
    record.hash = _hash(record)
    session.add(record)
    session.flush()
    return record


def take_turn(session: Session) -> None:
    """Let no other transaction that takes a turn go on before this one ends, on PostgreSQL."""
    session.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def broken_link(session: Session, *, first: int = 0, last: int | None = None) -> int | None:
    """Return the id of the first record that does not fit to the one before; None if all do.

    Parameters
    ----------
    first, last : ids of the records to look at; by default the whole chain, some 20 µs a record
    """
    before = select(AuditRecord.hash).where(AuditRecord.id < first)
    previous = session.scalar(before.order_by(AuditRecord.id.desc()).limit(1)) or FIRST_HASH
    query = select(AuditRecord).where(AuditRecord.id >= first).order_by(AuditRecord.id)
    if last is not None:
        query = query.where(AuditRecord.id <= last)
    with closing(session.scalars(query.execution_options(yield_per=500))) as records:
        for record in records:
            if record.previous_hash != previous or record.hash != _hash(record):
                return record.id
            previous = record.hash
    return None


def _hash(record: AuditRecord) -> str:
    fields = ("time", "actor", "action", "object", "detail", "previous_hash")
    content = [getattr(record, name) for name in fields]
    encoded = json.dumps(content, sort_keys=True, ensure_ascii=True).encode("ascii")
    return hashlib.sha256(encoded).hexdigest()
