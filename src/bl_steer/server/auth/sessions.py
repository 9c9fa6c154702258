"""Browsers that are signed in, as their owner sees and ends them.

`bl_steer.server.auth.accounts` begins a session, and knows whose it is.
"""

from __future__ import annotations

import time

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.tokens import hash_token
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import SignIn, User
from bl_steer.server.errors import missing

__all__ = [
    "SEEN_EVERY_S",
    "browser_name",
    "end_other_sessions",
    "end_session",
    "note_seen",
    "sessions_of",
]

SEEN_EVERY_S = 60.0
BROWSERS = ("Edg", "OPR", "Firefox", "Chromium", "Chrome", "Safari")
"""Marks in what a browser calls itself; most contain those of later ones too."""
SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
CALLED = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS"}


def sessions_of(session: Session, user_id: str) -> list[SignIn]:
    """Return somebody's browser sessions, the newest first."""
    return list(
        session.scalars(
            select(SignIn)
            .where(SignIn.user_id == user_id, SignIn.expires > time.time())
            .order_by(SignIn.created.desc(), SignIn.token_hash)
        )
    )


def note_seen(session: Session, token: str, *, language: str = "") -> None:
    """Remember that a session is in use, and the language that its browser asks for."""
    its = SignIn.token_hash == hash_token(token)
    session.execute(update(SignIn).where(its).values(seen=time.time()))
    owner = select(SignIn.user_id).where(its).scalar_subquery()
    other = (User.id == owner) & (User.reads != language)
    if language:
        session.execute(
            update(User)
            .where(other)
            .values(reads=language)
            .execution_options(synchronize_session=False)
        )


def end_session(session: Session, user: User, token_hash: str) -> None:
    """End a browser session of one's own."""
    ended = session.get(SignIn, token_hash)
    if ended is None or ended.user_id != user.id:
        raise missing("session")
    session.delete(ended)
    record_event(session, user.email, "session end", user.email, {"browser": ended.agent[:100]})


def end_other_sessions(session: Session, user: User, token: str) -> int:
    """End all browser sessions of somebody but the one with the token; return how many."""
    others = [one for one in sessions_of(session, user.id) if one.token_hash != hash_token(token)]
    for other in others:
        session.delete(other)
    if others:
        record_event(session, user.email, "session end", user.email, {"number": len(others)})
    return len(others)


def browser_name(agent: str) -> str:
    """Return browser and system as people call them; empty where neither is known.

    Examples
    --------
    >>> browser_name("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
    'Firefox, Linux'
    """
    named = (next((mark for mark in marks if mark in agent), "") for marks in (BROWSERS, SYSTEMS))
    return ", ".join(CALLED.get(mark, mark) for mark in named if mark)
