"""Links by which the owner of an account sets a new password: for one use, and a short time."""

from __future__ import annotations

import time

from sqlalchemy import update
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import find_user
from bl_steer.server.auth.passwords import PasswordHash, hashed, set_password
from bl_steer.server.auth.tokens import hash_token, new_token
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import PasswordReset, User
from bl_steer.server.errors import missing

__all__ = ["LINK_HOURS", "MAIL_HOURS", "link_for", "make_reset", "open_reset", "reset_password"]

MAIL_HOURS = 1.0
"""Life of a link that went by mail, from when it was sent, h."""
LINK_HOURS = 24.0
"""Life of a link that an administrator hands over, h."""


def make_reset(session: Session, user: User, *, hours: float) -> str:
    """Return the token of a new link; only its hash is kept."""
    token = new_token()
    now = time.time()
    session.add(
        PasswordReset(
            token_hash=hash_token(token), user_id=user.id, created=now, expires=now + 3600 * hours
        )
    )
    return token


def link_for(session: Session, email: str, *, by: str) -> str:
    """Return a token for an account as an administrator asks for it; `Refused` if there is none.

    Parameters
    ----------
    by : e-mail address, or the command line
    """
    user = find_user(session, email)
    if user is None or user.disabled is not None:
        raise missing("user")
    record_event(session, by, "user reset link", user.email)
    return make_reset(session, user, hours=LINK_HOURS)


def open_reset(session: Session, token: str) -> User:
    """Return whose password a link is for; `Refused` where it is no longer good."""
    reset = session.get(PasswordReset, hash_token(token))
    if reset is None or reset.used is not None or reset.expires < time.time():
        raise missing("reset")
    user = session.get_one(User, reset.user_id)
    if user.disabled is not None:
        raise missing("reset")
    return user


def reset_password(session: Session, token: str, password: str | PasswordHash) -> User:
    """Set a new password by a link, which is used up by that; all sessions end."""
    user = open_reset(session, token)
    password = hashed(password)
    used = session.execute(
        update(PasswordReset)
        .where(PasswordReset.token_hash == hash_token(token), PasswordReset.used.is_(None))
        .values(used=time.time())
    )
    if rows_changed(used) != 1:
        raise missing("reset")
    set_password(session, user, password)
    record_event(session, user.email, "user reset", user.email)
    return user
