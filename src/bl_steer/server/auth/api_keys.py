"""Keys of programs: each for some scopes only, shown once, expiring if wished, revocable."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import DAY_S, Visitor
from bl_steer.server.auth.tokens import hash_token, new_token
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import ApiKey, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.texts import plain_text

__all__ = [
    "SCOPES",
    "keys_of",
    "make_key",
    "note_use",
    "revoke_key",
    "revoke_keys",
    "visitor_of_key",
]

SCOPES = (
    *("jobs:read", "jobs:write", "files:read", "files:write"),
    *("groups:write", "packages:write", "metrics:read"),
)
PREFIX = "bls_"
"""What a key begins with, so that a search for leaked secrets finds it."""
SEEN_EVERY_S = 60.0
BY_HASH = (  # made once: asked at every request, and slow to make
    select(ApiKey.scopes, ApiKey.expires, User)
    .join(User, User.id == ApiKey.user_id)
    .where(
        ApiKey.key_hash == bindparam("key_hash"),
        ApiKey.revoked.is_(None),
        User.disabled.is_(None),
    )
)


def make_key(
    session: Session, user: User, name: str, scopes: Sequence[str], *, days: float | None = None
) -> str:
    """Return a new key; only its hash is kept."""
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        raise Refused(422, "refused.scopes", scopes=", ".join(SCOPES))
    if not name.strip():
        raise Refused(422, "refused.key_name")
    token = PREFIX + new_token()
    session.add(
        ApiKey(
            user_id=user.id,
            name=plain_text(name)[:200],
            key_hash=hash_token(token),
            scopes=sorted(set(scopes)),
            expires=None if days is None else time.time() + days * DAY_S,
        )
    )
    record_event(
        session, user.email, "key add", name.strip()[:200], {"scopes": sorted(set(scopes))}
    )
    return token


def keys_of(session: Session, user_id: str) -> list[ApiKey]:
    """Return somebody's keys that are not revoked, the newest first."""
    return list(
        session.scalars(
            select(ApiKey)
            .where(ApiKey.user_id == user_id, ApiKey.revoked.is_(None))
            .order_by(ApiKey.created.desc())
        )
    )


def revoke_key(session: Session, user: User, key_id: str) -> None:
    """End a key of one's own."""
    key = session.get(ApiKey, key_id)
    if key is None or key.user_id != user.id or key.revoked is not None:
        raise missing("key")
    key.revoked = time.time()
    record_event(session, user.email, "key revoke", key.name)


def revoke_keys(session: Session, user: User) -> None:
    """End all keys of one's own: a new password ends none, for programs go on with theirs."""
    for key in keys_of(session, user.id):
        revoke_key(session, user, key.id)


def visitor_of_key(session: Session, token: str) -> Visitor:
    """Return whose key it is; nobody's if it has ended."""
    row = session.execute(BY_HASH, {"key_hash": hash_token(token)}).first()
    if row is None:
        return Visitor()
    scopes, expires, user = row
    if expires is not None and expires < time.time():
        return Visitor()
    return Visitor(user, scopes=frozenset(scopes))


def note_use(session: Session, token: str) -> None:
    """Remember when a key was used, to the minute."""
    now = time.time()
    session.execute(
        update(ApiKey)
        .where(
            ApiKey.key_hash == hash_token(token),
            (ApiKey.last_used.is_(None)) | (ApiKey.last_used < now - SEEN_EVERY_S),
        )
        .values(last_used=now)
    )
