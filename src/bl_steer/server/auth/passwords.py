"""Passwords of accounts: hashed, and the old one checked, before the turn in which they are kept.

To hash one takes some hundredths of a second, for which nobody else's write should wait: see
`bl_steer.server.db.database.Database.write`.
"""

from __future__ import annotations

import time

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.tokens import MAX_PASSWORD, MIN_PASSWORD, hash_password, is_password
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import PasswordReset, SignIn, User
from bl_steer.server.errors import Refused, missing

__all__ = [
    "PasswordHash",
    "change_password",
    "check_password",
    "hashed",
    "prove_password",
    "set_password",
]


class PasswordHash(str):
    """What of a password is kept."""

    __slots__ = ()


def check_password(password: str) -> str:
    """Return a password that is neither too short nor too long; `Refused` otherwise."""
    if not MIN_PASSWORD <= (got := len(password)) <= MAX_PASSWORD:
        raise Refused(422, "refused.password", least=MIN_PASSWORD, most=MAX_PASSWORD, got=got)
    return password


def hashed(password: str | PasswordHash) -> PasswordHash:
    """Return what of a password is kept; `Refused` if it is too short or too long.

    What is a hash already stays as it is.
    """
    if isinstance(password, PasswordHash):
        return password
    return PasswordHash(hash_password(check_password(password)))


def prove_password(session: Session, user_id: str, password: str) -> str | None:
    """Return the hash that somebody's password fits, None where they have none yet.

    Raises
    ------
    Refused
        When it is another.
    """
    user = session.get(User, user_id)
    if user is None:
        raise missing("user")
    if user.password_hash is not None and not is_password(password, user.password_hash):
        raise Refused(422, "refused.old_password")
    return user.password_hash


def change_password(
    session: Session, user_id: str, proven: str | None, new: str | PasswordHash
) -> None:
    """Set another password, and sign out everywhere.

    Parameters
    ----------
    proven : as `prove_password` returned it; `Refused` where the password is another since
    """
    user = session.get(User, user_id)
    if user is None:
        raise missing("user")
    if user.password_hash != proven:
        raise Refused(422, "refused.old_password")
    set_password(session, user, new)
    record_event(session, user.email, "user password", user.email)


def set_password(session: Session, user: User, password: str | PasswordHash) -> None:
    """Give an account another password; its sessions and links for a new password end."""
    user.password_hash = hashed(password)
    session.execute(delete(SignIn).where(SignIn.user_id == user.id))
    session.execute(
        update(PasswordReset)
        .where(PasswordReset.user_id == user.id, PasswordReset.used.is_(None))
        .values(used=time.time())
    )
