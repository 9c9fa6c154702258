"""Close an account: its files and jobs stay where they are, or go to another account.

Its links to results end. What it shares with groups goes on, unless it is handed over to somebody
who is not in them.

Packages stay their author's, whose name is a signed part of each approval; whoever got the files
and jobs may submit further versions.
"""

from __future__ import annotations

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import change_user, find_user, lock_user
from bl_steer.server.auth.groups import end_foreign_shares
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import Job, Upload, User
from bl_steer.server.errors import Refused

__all__ = ["close_account", "heirs_of"]


def close_account(session: Session, user_id: str, *, by: User, heir: str = "") -> User:
    """Close an account, and hand over what it has; one that is closed may be handed over later.

    Parameters
    ----------
    heir : address of the account that gets all files and jobs; empty to leave them where they are

    Raises
    ------
    Refused
        When it is the last administrator's, or the heir has no account that is open.
    """
    successor = find_user(session, heir) if heir.strip() else None
    if heir.strip() and (
        successor is None or successor.disabled is not None or successor.id == user_id
    ):
        raise Refused(422, "refused.heir", email=heir.strip()[:80])
    user = change_user(session, user_id, by=by, disabled=True)
    if successor is not None:
        _hand_over(session, user, successor, by.email)
    return user


def _hand_over(session: Session, user: User, heir: User, by: str) -> None:
    for user_id in sorted((user.id, heir.id)):  # in one order, so that two never wait for ever
        lock_user(session, user_id)
    uploads = session.execute(
        update(Upload)
        .where(Upload.user_id == user.id)
        # Training data are split by who gave them, for ever.
        .values(user_id=heir.id, giver_id=func.coalesce(Upload.giver_id, user.id))
    )
    # A key of submission is its sender's own; the heir may have used the same one.
    jobs = session.execute(
        update(Job).where(Job.user_id == user.id).values(user_id=heir.id, submission_key=None)
    )
    user.heir_id = heir.id
    ended = end_foreign_shares(session)
    numbers = {"files": rows_changed(uploads), "jobs": rows_changed(jobs), "unshared": ended}
    record_event(session, by, "user hand over", user.email, {"to": heir.email, **numbers})


def heirs_of(session: Session, user_ids: set[str]) -> set[str]:
    """Return who got the work of these accounts."""
    heirs = (session.get(User, user_id) for user_id in user_ids)
    return {user.heir_id for user in heirs if user is not None and user.heir_id is not None}
