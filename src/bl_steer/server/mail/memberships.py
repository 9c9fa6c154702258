"""The mail to somebody who was put into a group: who did it, what it means, and how to leave."""

from __future__ import annotations

import time

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Group, OutgoingMail, User
from bl_steer.server.languages import text
from bl_steer.server.mail.outbox import post

__all__ = ["post_membership"]

MOST_AN_HOUR = 3
"""Such mails to one account, lest groups fill a mailbox."""


def post_membership(
    session: Session, user: User, group: Group, *, by: User, language: str, address: str
) -> bool:
    """Post a mail that tells a new member of a group; say whether.

    Parameters
    ----------
    language : of whoever added the member, for an account of which none is known
    address : of the server
    """
    language = user.written_in(language)
    subject = text(language, "mail.member.subject")
    told = select(func.count()).where(
        OutgoingMail.recipient == user.email,
        OutgoingMail.subject == subject,
        OutgoingMail.created > time.time() - 3600.0,
    )
    if (session.scalar(told) or 0) >= MOST_AN_HOUR:
        return False
    values = {"name": user.name or user.email, "by": by.email, "group": group.name}
    link = f"{address}/groups/{group.id}"
    body = text(language, "mail.member.body", link=link, address=address, **values)
    post(session, recipient=user.email, subject=subject, body=body)
    return True
