"""Mails that wait to be sent: written with the change that they tell of, sent later.

The housekeeping sends them. A mail is leased while it is being sent, so that no two processes send
it. Where one dies between the mail server's "250" and our commit the mail goes out again, with the
same Message-ID, by which mail programs know it as the same.
"""

from __future__ import annotations

import time
from email.utils import make_msgid

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import Job, OutgoingMail, Package, Upload, User
from bl_steer.server.jobs.fields import field_titles
from bl_steer.server.mail.messages import completion_text

__all__ = ["mail_refused", "mail_sent", "post", "post_completion", "release_mails", "take_mail"]

LONGEST_WAIT_S = 3600.0


def post(
    session: Session,
    *,
    recipient: str,
    subject: str,
    body: str,
    job_id: str | None = None,
    now: float | None = None,
) -> OutgoingMail:
    """Put a mail into the outbox."""
    mail = OutgoingMail(
        job_id=job_id,
        recipient=recipient,
        subject=subject,
        body=body,
        message_id=make_msgid(domain="bl-steer.invalid"),
        created=time.time() if now is None else now,
    )
    session.add(mail)
    session.flush()
    return mail


def post_completion(
    session: Session,
    job_id: str,
    *,
    address: str,
    keep_days: float = 365.0,
    now: float | None = None,
) -> None:
    """Tell a job's user that it ended, once, if the user wants to be told."""
    job, user = session.execute(
        select(Job, User)
        .join(User, User.id == Job.user_id)
        .where(Job.id == job_id)
        .execution_options(populate_existing=True)
    ).one()
    if job.wants_mail:
        rows = session.scalars(select(Upload).where(Upload.id.in_(job.upload_ids)))
        uploads = {upload.id: upload for upload in rows}
        files = [uploads[one].file_name for one in job.upload_ids if one in uploads]
        package = session.get(Package, job.package_sha256) if job.package_sha256 else None
        subject, body = completion_text(
            job,
            user,
            package,
            files,
            address=address,
            titles=field_titles(job, uploads),
            keep_days=keep_days,
        )
        post(session, recipient=user.email, subject=subject, body=body, job_id=job_id, now=now)


def take_mail(session: Session, *, lease_s: float, now: float | None = None) -> OutgoingMail | None:
    """Lease the next mail that is due; None where there is none."""
    now = time.time() if now is None else now
    mail = session.scalars(
        select(OutgoingMail)
        .where(OutgoingMail.state == "waiting", OutgoingMail.not_before <= now)
        .order_by(OutgoingMail.not_before, OutgoingMail.created)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if mail is not None:
        mail.state, mail.attempt, mail.lease_until = "sending", mail.attempt + 1, now + lease_s
        session.flush()
    return mail


def mail_sent(session: Session, mail: OutgoingMail, *, now: float | None = None) -> bool:
    """Note that the mail server took a mail."""
    now = time.time() if now is None else now
    return _change(session, mail, state="sent", sent=now, lease_until=None, problem="")


def mail_refused(
    session: Session,
    mail: OutgoingMail,
    problem: str,
    *,
    attempts: int,
    wait_s: float,
    now: float | None = None,
) -> bool:
    """Let a mail wait, longer each time, or give it up after so many attempts."""
    now = time.time() if now is None else now
    wait = min(LONGEST_WAIT_S, wait_s * 2.0 ** (mail.attempt - 1))
    return _change(
        session,
        mail,
        state="failed" if mail.attempt >= attempts else "waiting",
        not_before=now + wait,
        lease_until=None,
        problem=problem[:500],
    )


def release_mails(session: Session, *, now: float | None = None) -> int:
    """Let mails wait again whose sender died while sending; return how many."""
    now = time.time() if now is None else now
    result = session.execute(
        update(OutgoingMail)
        .where(OutgoingMail.state == "sending", OutgoingMail.lease_until < now)
        .values(state="waiting", lease_until=None)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(result)


def _change(session: Session, mail: OutgoingMail, **values: object) -> bool:
    result = session.execute(
        update(OutgoingMail)
        .where(
            OutgoingMail.id == mail.id,
            OutgoingMail.attempt == mail.attempt,
            OutgoingMail.state == "sending",
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(result) == 1
