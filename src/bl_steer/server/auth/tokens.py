"""Passwords, and the tokens of sessions, keys, invitations and share links.

The database holds hashes only. A token has 256 random bits, so that a plain hash suffices; a
password is slow to try: argon2id (Biryukov, Dinu & Khovratovich 2016, doi 10.1109/EuroSP.2016.31).
"""

from __future__ import annotations

import hashlib
import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

__all__ = [
    "MAX_PASSWORD",
    "MIN_PASSWORD",
    "hash_password",
    "hash_token",
    "is_password",
    "new_token",
]

MIN_PASSWORD = 10
MAX_PASSWORD = 1000
"""Characters of a password, at least."""


def new_token() -> str:
    """Return 256 random bits as text that fits into a URL."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Return what of a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def hash_password(password: str) -> str:
    """Return what of a password is kept."""
    return _hasher().hash(password)


def is_password(password: str, password_hash: str | None) -> bool:
    """Return whether a password is the one that was hashed; as slow where there is none."""
    try:
        fits = _hasher().verify(password_hash or _hash_of_nobody(), password)
        return fits and password_hash is not None
    except (VerifyMismatchError, InvalidHashError):
        return False


@cache
def _hasher() -> PasswordHasher:
    # OWASP's smallest setting: 19 MiB and 2 passes, so that many may sign in at once.
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _hash_of_nobody() -> str:
    return _hasher().hash(new_token())
