"""Mails with links for a new password or account, and that there is a new password.

The link of a mail is made when the mail is sent and stands in no row, neither while it waits nor
later: what the database and its backups hold opens no account.
"""

from __future__ import annotations

import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bl_steer.server.auth.accounts import find_user, invite
from bl_steer.server.auth.password_resets import MAIL_HOURS, make_reset
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.tables import OutgoingMail, User
from bl_steer.server.languages import text
from bl_steer.server.mail.outbox import post

__all__ = ["body_to_send", "post_new_password", "post_registration", "post_reset"]

LINK = "{link}"
"""What stands in the waiting mail for the link."""
JOIN_DAYS = 1.0
MOST_AN_HOUR = 3
"""Such mails to one account, lest a stranger fills a mailbox."""


def post_reset(session: Session, email: str, *, language: str, address: str) -> bool:
    """Post a mail with a link for a new password, if the address has an account; say whether.

    An account that signs in with an identity provider alone gets none: whoever reads its mails
    would come in past the provider.

    Parameters
    ----------
    language : of whoever asks, for an account of which none is known
    address : of the server
    """
    user = find_user(session, email)
    if user is None or user.disabled is not None or user.password_hash is None:
        return False
    asked = select(func.count()).where(
        OutgoingMail.reset_user_id == user.id, OutgoingMail.created > time.time() - 3600.0
    )
    if (session.scalar(asked) or 0) >= MOST_AN_HOUR:
        return False
    language = user.written_in(language)
    values = {"name": user.name or user.email, "address": address, "hours": f"{MAIL_HOURS:g}"}
    mail = post(
        session,
        recipient=user.email,
        subject=text(language, "mail.reset.subject"),
        body=text(language, "mail.reset.body", link=LINK, **values),
    )
    mail.reset_user_id = user.id
    record_event(session, "sign-in page", "user reset mail", user.email)
    return True


def post_registration(session: Session, email: str, *, language: str, address: str) -> bool:
    """Post a mail with a link that makes an account, or that says that there is one; say whether.

    Parameters
    ----------
    language : of whoever asks
    address : of the server
    """
    subject = text(language, "mail.register.subject")
    asked = select(func.count()).where(
        OutgoingMail.recipient == email,
        OutgoingMail.subject == subject,
        OutgoingMail.created > time.time() - 3600.0,
    )
    if (session.scalar(asked) or 0) >= MOST_AN_HOUR:
        return False
    known = find_user(session, email) is not None
    body = text(
        language,
        "mail.register.known" if known else "mail.register.body",
        link=f"{address}/reset" if known else LINK,
        address=address,
    )
    post(session, recipient=email, subject=subject, body=body).invites = not known
    record_event(session, "sign-in page", "user register mail", email)
    return True


def post_new_password(session: Session, user: User, *, language: str, address: str) -> None:
    """Tell the owner of an account that its password is another."""
    language = user.written_in(language)
    post(
        session,
        recipient=user.email,
        subject=text(language, "mail.password.subject"),
        body=text(language, "mail.password.body", name=user.name or user.email, address=address),
    )


def body_to_send(session: Session, mail: OutgoingMail, *, address: str) -> str:
    """Return what a mail says, with the link that it is for, made now."""
    if mail.invites:
        if find_user(session, mail.recipient) is not None:  # made meanwhile
            return mail.body.replace(LINK, f"{address}/reset")
        token = invite(session, by="sign-in page", email=mail.recipient, days=JOIN_DAYS)
        return mail.body.replace(LINK, f"{address}/join/{token}")
    user = session.get(User, mail.reset_user_id) if mail.reset_user_id else None
    if user is None:
        return mail.body
    token = make_reset(session, user, hours=MAIL_HOURS)
    return mail.body.replace(LINK, f"{address}/reset/{token}")
