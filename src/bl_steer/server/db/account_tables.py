"""The tables of accounts and of ways into them; `bl_steer.server.db.tables` has all."""

from __future__ import annotations

import time

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bl_steer.server.db.schema import Base, new_id

__all__ = ["ApiKey", "Invitation", "PasswordReset", "SignIn", "User"]


class User(Base):
    """Somebody with an account; ``role`` is user, reviewer or admin."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    password_hash: Mapped[str | None] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16), default="user")
    language: Mapped[str] = mapped_column(String(8), default="")
    """Chosen language; empty for the browser's."""
    reads: Mapped[str] = mapped_column(String(8), default="", server_default="")
    """Language of the browser that was last seen."""
    oidc_subject: Mapped[str | None] = mapped_column(String(255), unique=True)
    created: Mapped[float] = mapped_column(default=time.time)
    disabled: Mapped[float | None]
    heir_id: Mapped[str | None] = mapped_column(String(36))
    """Who got the files and jobs when the account was closed."""

    def written_in(self, otherwise: str) -> str:
        """Return the language of mails: the chosen one, or the browser's, if either is known."""
        return self.language or self.reads or otherwise


class SignIn(Base):
    """A browser's session."""

    __tablename__ = "sessions"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float]
    seen: Mapped[float | None]
    """Of its latest request, to the minute."""
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(300), default="")
    """What the browser calls itself."""


class PasswordReset(Base):
    """A link by which its owner sets a new password, once."""

    __tablename__ = "password_resets"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float]
    used: Mapped[float | None]


class Invitation(Base):
    """A link that makes one account."""

    __tablename__ = "invitations"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), default="")
    """Whose account it will be; empty for whoever has the link."""
    role: Mapped[str] = mapped_column(String(16), default="user")
    by: Mapped[str] = mapped_column(String(254))
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float]
    used: Mapped[float | None]


class ApiKey(Base):
    """A program's key; ``scopes`` are such as ``jobs:write``."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float | None]
    revoked: Mapped[float | None]
    last_used: Mapped[float | None]
