"""Accounts, and signing in: local passwords, invitations, and who a request comes from.

`bl_steer.server.auth.api_keys` is the sibling for programs, `bl_steer.server.auth.oidc` for an
identity provider.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bl_steer.server.auth.passwords import PasswordHash, hashed
from bl_steer.server.auth.tokens import MAX_PASSWORD, hash_token, is_password, new_token
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import Invitation, Job, Share, SignIn, User
from bl_steer.server.errors import Refused, missing
from bl_steer.server.texts import plain_text

__all__ = [
    "ROLES",
    "Visitor",
    "add_user",
    "change_user",
    "check_email",
    "find_user",
    "has_role",
    "invite",
    "join",
    "lock_user",
    "number_of_admins",
    "open_invitation",
    "sign_in",
    "sign_out",
    "start_session",
    "visitor_of_session",
]

ROLES = ("user", "reviewer", "admin")
DAY_S = 86_400.0
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True)
class Visitor:
    """Who a request comes from.

    Parameters
    ----------
    user : None for somebody without an account
    csrf : the browser session's token against forged requests; empty for programs
    scopes : what a program's key allows; None for a browser, which may do all that its user may
    """

    user: User | None = None
    csrf: str = ""
    scopes: frozenset[str] | None = None

    def is_at_least(self, role: str) -> bool:
        """Return whether the visitor has a role, or one above it."""
        return self.user is not None and has_role(self.user, role)


def has_role(user: User, role: str) -> bool:
    """Return whether a user has a role, or one above it."""
    return ROLES.index(user.role) >= ROLES.index(role)


def check_email(email: str) -> str:
    """Return an address as it is kept, in lower case; `Refused` if it cannot be one."""
    email = email.strip().lower()
    if len(email) > 254 or not EMAIL.fullmatch(email):
        raise Refused(422, "refused.email", email=email[:80])
    return email


def add_user(
    session: Session,
    email: str,
    *,
    name: str = "",
    password: str | PasswordHash | None = None,
    role: str = "user",
    language: str = "",
    oidc_subject: str | None = None,
    by: str = "",
) -> User:
    """Create an account; `Refused` if the address has one."""
    email = check_email(email)
    if role not in ROLES:
        raise Refused(422, "refused.role", role=role[:40])
    if (known := find_user(session, email)) is not None:
        raise _taken(known, closed=bool(by))
    user = User(
        email=email,
        name=plain_text(name)[:200],
        password_hash=None if password is None else hashed(password),
        role=role,
        language=language,
        oidc_subject=oidc_subject,
    )
    session.add(user)
    session.flush()
    record_event(session, by or email, "user add", email, {"role": role})
    return user


def change_user(
    session: Session,
    user_id: str,
    *,
    by: User,
    role: str | None = None,
    disabled: bool | None = None,
) -> User:
    """Change somebody's role, or whether the account is open; the last administrator stays.

    Links to results end with the account, for good: nobody is left who could revoke them.
    """
    user = session.get(User, user_id)
    if user is None:
        raise missing("user")
    if role is not None and role not in ROLES:
        raise Refused(422, "refused.role", role=role[:40])
    loses = user.role == "admin" and (role not in (None, "admin") or disabled)
    if loses and number_of_admins(session) <= 1 and user.disabled is None:
        raise Refused(409, "refused.last_admin")
    if role is not None and role != user.role:
        record_event(session, by.email, "user role", user.email, {"was": user.role, "is": role})
        user.role = role
    if disabled is not None and disabled != (user.disabled is not None):
        detail = {"links": _end_links(session, user)} if disabled else {}
        record_event(
            session, by.email, "user close" if disabled else "user open", user.email, detail
        )
        user.disabled = time.time() if disabled else None
        if disabled:
            session.execute(delete(SignIn).where(SignIn.user_id == user.id))
    return user


def _end_links(session: Session, user: User) -> int:
    """End all links to the results of an account; return how many still opened."""
    now = time.time()
    jobs = select(Job.id).where(Job.user_id == user.id)
    opens = Share.revoked.is_(None), Share.expires > now
    ended = update(Share).where(Share.job_id.in_(jobs), *opens).values(revoked=now)
    return rows_changed(session.execute(ended))


def invite(
    session: Session, *, by: str, email: str = "", role: str = "user", days: float = 7.0
) -> str:
    """Return the token of an invitation, good for one account.

    Parameters
    ----------
    email : whose account it will be; empty to leave that to whoever has the link

    Raises
    ------
    Refused
        When the address has an account already.
    """
    if role not in ROLES:
        raise Refused(422, "refused.role", role=role[:40])
    if email.strip() and (known := find_user(session, check_email(email))) is not None:
        raise _taken(known, closed=True)
    token = new_token()
    session.add(
        Invitation(
            token_hash=hash_token(token),
            email=check_email(email) if email.strip() else "",
            role=role,
            by=by,
            expires=time.time() + days * DAY_S,
        )
    )
    record_event(session, by, "user invite", email, {"role": role})
    return token


def _taken(user: User, *, closed: bool) -> Refused:
    """Return the refusal of an address that has an account.

    Parameters
    ----------
    closed : say where the account is closed, which is an administrator's to know
    """
    key = "refused.email_closed" if closed and user.disabled is not None else "refused.email_taken"
    return Refused(409, key, email=user.email)


def open_invitation(session: Session, token: str) -> Invitation:
    """Return an invitation that is still good; `Refused` otherwise."""
    invitation = session.get(Invitation, hash_token(token))
    if invitation is None or invitation.used is not None or invitation.expires < time.time():
        raise missing("invitation")
    return invitation


def join(
    session: Session,
    token: str,
    *,
    email: str,
    name: str,
    password: str | PasswordHash,
    language: str = "",
) -> User:
    """Make an account from an invitation, which is used up by that."""
    invitation = open_invitation(session, token)
    used = session.execute(
        update(Invitation)
        .where(Invitation.token_hash == invitation.token_hash, Invitation.used.is_(None))
        .values(used=time.time())
    )
    if rows_changed(used) != 1:
        raise missing("invitation")
    return add_user(
        session,
        invitation.email or email,
        name=name,
        password=hashed(password),
        role=invitation.role,
        language=language,
    )


def find_user(session: Session, email: str) -> User | None:
    """Return whose address it is; None where there is no such account."""
    return session.scalar(select(User).where(User.email == email.strip().lower()[:254]))


def lock_user(session: Session, user_id: str) -> None:
    """Let no other transaction count what a user has until this one ends.

    SQLite has one writer at a time anyway.
    """
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def sign_in(session: Session, email: str, password: str) -> User:
    """Return whose password it is; `Refused` for all else, equally worded and equally slow."""
    user = find_user(session, email)
    right = is_password(password[:MAX_PASSWORD], user.password_hash if user else None)
    if user is None or not right or user.disabled is not None:
        raise Refused(401, "refused.sign_in")
    return user


def start_session(
    session: Session, user: User, *, days: float, address: str = "", agent: str = ""
) -> str:
    """Return the token of a new browser session.

    Parameters
    ----------
    user : as it was when it showed who it is
    address, agent : where it comes from and what the browser calls itself, for its owner to know

    Raises
    ------
    Refused
        When the account was closed, or has another password, since.
    """
    lock_user(session, user.id)  # what ends all sessions comes before this one begins, or after
    state = select(User.password_hash, User.disabled).where(User.id == user.id)
    if session.execute(state).one_or_none() != (user.password_hash, None):
        raise Refused(401, "refused.sign_in")
    token = new_token()
    now = time.time()
    session.execute(delete(SignIn).where(SignIn.expires < now))
    session.add(
        SignIn(
            token_hash=hash_token(token),
            user_id=user.id,
            csrf=new_token(),
            created=now,
            expires=now + days * DAY_S,
            seen=now,
            address=address[:64],
            agent=agent[:300],
        )
    )
    return token


def sign_out(session: Session, token: str) -> None:
    """End a browser session."""
    session.execute(delete(SignIn).where(SignIn.token_hash == hash_token(token)))


def visitor_of_session(session: Session, token: str) -> Visitor:
    """Return whose browser session it is; nobody's if it has ended."""
    row = session.execute(
        select(SignIn.csrf, User)
        .join(User, User.id == SignIn.user_id)
        .where(
            SignIn.token_hash == hash_token(token),
            SignIn.expires > time.time(),
            User.disabled.is_(None),
        )
    ).first()
    return Visitor() if row is None else Visitor(row[1], row[0])


def number_of_admins(session: Session) -> int:
    """Return how many administrators there are; none of them changes until the transaction ends.

    Otherwise two that take the role from each other at the same time would both be allowed to.
    """
    admins = select(User.id).where(User.role == "admin", User.disabled.is_(None))
    return len(session.scalars(admins.order_by(User.id).with_for_update()).all())
