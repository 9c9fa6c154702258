"""Links to a result for whoever has them: they expire, can be revoked, and show nothing else."""

from __future__ import annotations

import time

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import DAY_S
from bl_steer.server.auth.tokens import hash_token, new_token
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import Job, Share, User
from bl_steer.server.errors import Refused, missing

__all__ = ["MAX_DAYS", "open_share", "revoke_share", "share_job", "shares_of"]

MAX_DAYS = 365.0


def share_job(session: Session, user: User, job: Job, *, days: float) -> tuple[Share, str]:
    """Return a new link's record and its token, of which only a hash is kept.

    An account that was closed meanwhile makes none: its links have ended for good.
    """
    if not 0 < days <= MAX_DAYS:
        raise Refused(422, "refused.share_days", most=int(MAX_DAYS))
    if session.scalar(select(User.disabled).where(User.id == user.id)) is not None:
        raise missing("job")
    token = new_token()
    share = Share(job_id=job.id, token_hash=hash_token(token), expires=time.time() + days * DAY_S)
    session.add(share)
    session.flush()
    record_event(session, user.email, "share add", job.id, {"share": share.id, "days": days})
    return share, token


def shares_of(session: Session, job_id: str) -> list[Share]:
    """Return the links of a job that still open, the newest first."""
    return list(
        session.scalars(
            select(Share)
            .where(Share.job_id == job_id, Share.revoked.is_(None), Share.expires > time.time())
            .order_by(Share.created.desc())
        )
    )


def revoke_share(session: Session, user: User, share_id: str) -> Share:
    """End a link to a result of one's own."""
    share = session.get(Share, share_id)
    job = session.get(Job, share.job_id) if share else None
    if share is None or job is None or job.user_id != user.id:
        raise missing("share")
    if share.revoked is None:
        share.revoked = time.time()
        record_event(session, user.email, "share revoke", job.id, {"share": share.id})
    return share


def open_share(session: Session, token: str, *, counts: bool = False) -> Job:
    """Return the job that a link shows; `Refused` if the link has ended or never was."""
    row = session.execute(
        select(Share, Job)
        .join(Job, Job.id == Share.job_id)
        .join(User, User.id == Job.user_id)
        .where(
            User.disabled.is_(None),
            Share.token_hash == hash_token(token),
            Share.revoked.is_(None),
            Share.expires > time.time(),
        )
    ).first()
    if row is None:
        raise missing("share")
    if counts:
        session.execute(update(Share).where(Share.id == row[0].id).values(views=Share.views + 1))
    job: Job = row[1]
    return job
