"""Hand mails of the outbox to a mail server, over SMTP."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from bl_steer.server.db.tables import OutgoingMail
from bl_steer.server.settings import ServerSettings

__all__ = ["TIMEOUT_S", "connected", "message_of", "send"]

TIMEOUT_S = 20.0


def send(
    settings: ServerSettings,
    mail: OutgoingMail,
    on_sent: Callable[[], object],
    *,
    body: str | None = None,
) -> None:
    """Send a mail; `OSError` or `smtplib.SMTPException` where the server does not accept it.

    Parameters
    ----------
    body : in place of the one that is kept
    on_sent : called as soon as the server accepted it, before the connection is closed: a process
        that dies between the two would send it again
    """
    message = message_of(settings, mail, body=body)
    with connected(settings) as server:
        server.send_message(message, settings.smtp_from, [mail.recipient])
        on_sent()


@contextmanager
def connected(settings: ServerSettings) -> Iterator[smtplib.SMTP]:
    """Open a connection by which mails can be sent; errors as of `send`."""
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
        if settings.smtp_starttls:
            server.starttls()
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password)
        yield server


def message_of(
    settings: ServerSettings, mail: OutgoingMail, *, body: str | None = None
) -> EmailMessage:
    """Return a mail as a message; a line break cannot start a header of its own."""
    message = EmailMessage(policy=SMTP)
    message["From"] = settings.smtp_from
    message["To"] = _one_line(mail.recipient)
    message["Subject"] = _one_line(mail.subject)
    message["Date"] = formatdate(mail.created)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body if body is None else body)
    return message


def _one_line(text: str) -> str:
    return " ".join(text.split())
