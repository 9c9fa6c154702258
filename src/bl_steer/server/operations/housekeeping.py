"""Housekeeping: sweeps lost jobs, sends mails, deletes what is old, retrains, raises alarms.

Several do no harm, since each works by guarded changes of rows.
"""

from __future__ import annotations

import logging
import re
import signal
import smtplib
import subprocess
import time
from collections.abc import Iterator
from types import FrameType

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, OutgoingMail, User
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.languages import DEFAULT
from bl_steer.server.mail import outbox
from bl_steer.server.mail.passwords import body_to_send
from bl_steer.server.mail.smtp import TIMEOUT_S, send
from bl_steer.server.operations.alarms import DAY_S, troubles
from bl_steer.server.operations.retention import Deleted, expiring
from bl_steer.server.packages.catalogue import asked_for
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.schedule import start_if_due, start_waiting
from bl_steer.server.sandbox.dependencies import Dependencies
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.viewing.planes import sweep_views

__all__ = ["Housekeeping", "run_housekeeping"]

MAILS_A_STEP = 20
RETENTION_EVERY_S = 3600.0
RETENTION_S = 1.0
"""How long it deletes at a time, s: jobs of dead workers and mails do not wait longer."""
LOOK_EVERY_S = 10.0
LIBRARIES_S = 30 * DAY_S
"""How long libraries stay that no package asks for, s: it may be released again."""

logger = logging.getLogger(__name__)


class Housekeeping:
    """Sweep, send, delete, and watch the workers."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.database = Database(settings.database, pool_size=2)
        self.files = FileStore(settings.files)
        self.stopping = False
        self._began = time.time()
        self._retention_due = self._began + 60.0
        self._expiring: Iterator[Deleted] | None = None
        self._look_due = 0.0
        self._alarmed: dict[str, float] = {}
        self._retrainings = Retrainings(settings, self.database)
        self._training: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Work until `stop`; what the database does meanwhile only makes it wait."""
        while not self.stopping:
            try:
                busy = self.step()
            except (DBAPIError, PoolTimeout) as error:
                logger.warning("keeper: the database is not there: %.200s", error)
                busy = False
            if not busy and not self.stopping:
                time.sleep(self.settings.poll_s)

    def step(self, now: float | None = None) -> bool:
        """Look at everything once; return whether mails may still wait."""
        now = time.time() if now is None else now
        self._sweep(now)
        sent = self._send(now)
        self._watch(now)
        deleting = self._delete()
        if now >= self._retention_due:
            self._retention_due = now + RETENTION_EVERY_S
            self._expiring = expiring(self.database, self.files, self.settings, now=now)
            sweep_views(self.settings.views, now=now)
            self._remove_libraries(now)
            if self._is_idle():
                self._training = start_if_due(self._retrainings, now=now)
        if self._is_idle():
            self._training = start_waiting(self._retrainings, now=now)
        return sent == MAILS_A_STEP or deleting

    def _delete(self) -> bool:
        """Delete what is old for a while; return whether some may be left."""
        end = time.monotonic() + RETENTION_S
        while self._expiring is not None and not self.stopping:
            if next(self._expiring, None) is None:
                self._expiring = None
            if time.monotonic() > end:
                break
        return self._expiring is not None

    def _remove_libraries(self, now: float) -> None:
        """Remove libraries that no package has asked for in `LIBRARIES_S`."""
        with self.database.read() as session:
            asked = asked_for(session, drafts=False)
        libraries = Dependencies.of(self.settings)
        for held in libraries.remove_unused(asked, grace_s=LIBRARIES_S, now=now):
            logger.info("keeper: no package asks for %s any more; removed", held)

    def _is_idle(self) -> bool:
        return self._training is None or self._training.poll() is not None

    def stop(self) -> None:
        """End soon."""
        self.stopping = True

    def _sweep(self, now: float) -> None:
        with self.database.read() as session:  # a look costs no lock
            if not _anything_to_sweep(session, now, self.settings.attempts):
                return
        with self.database.write_beside() as session:
            swept = jobs.sweep(
                session, attempts=self.settings.attempts, address=self.settings.address, now=now
            )
            mails = outbox.release_mails(session, now=now)
        logger.warning("swept: %s, %d mails", swept, mails)

    def _send(self, now: float) -> int:
        if not self.settings.smtp_host:
            return 0
        for number in range(MAILS_A_STEP):
            if self.stopping:
                return number
            with self.database.read() as session:
                if not _mail_is_due(session, now):
                    return number
            with self.database.write_beside() as session:
                mail = outbox.take_mail(session, lease_s=2 * TIMEOUT_S)
            if mail is None:
                return number
            self._hand_over(mail)
        return MAILS_A_STEP

    def _hand_over(self, mail: OutgoingMail) -> None:
        sent = False

        def note() -> None:
            nonlocal sent
            sent = True
            with self.database.write_beside() as session:
                outbox.mail_sent(session, mail)

        with self.database.write() as session:
            body = body_to_send(session, mail, address=self.settings.address)
        try:
            send(self.settings, mail, note, body=body)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            if sent:  # its farewell alone went wrong
                return
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            logger.warning("mail %s: attempt %d: %s", mail.id, mail.attempt, problem[:200])
            with self.database.write_beside() as session:
                outbox.mail_refused(
                    session,
                    mail,
                    problem,
                    attempts=self.settings.mail_attempts,
                    wait_s=self.settings.mail_wait_s,
                )

    def _watch(self, now: float) -> None:
        """Raise an alarm for what is wrong, once a day each."""
        if now < self._look_due or now - self.settings.alarm_after_s < self._began:
            return
        self._look_due = now + min(LOOK_EVERY_S, self.settings.alarm_after_s / 10)
        with self.database.read() as session:
            found = troubles(session, self.settings, now)
        new = [name for name in found if now - self._alarmed.get(name, -DAY_S) >= DAY_S]
        self._alarmed |= dict.fromkeys(new, now)
        for name in new:
            logger.error("ALARM: %s", found[name].in_language(DEFAULT))
        if new and self.settings.alarm_to:
            with self.database.write_beside() as session:
                reader = User.email == self.settings.alarm_to.strip().lower()
                account = session.scalar(select(User).where(reader))
                language = account.written_in(DEFAULT) if account else DEFAULT
                texts = [found[name].in_language(language) for name in new]
                outbox.post(
                    session,
                    recipient=self.settings.alarm_to,
                    subject=f"bl_steer: {re.split('[;。]', texts[0])[0].rstrip('.')}",
                    body="\n".join([*texts, "", self.settings.address, ""]),
                    now=now,
                )


def _anything_to_sweep(session: Session, now: float, attempts: int) -> bool:
    lost = select(Job.id).where(Job.state == "running", Job.lease_until < now)
    spent = select(Job.id).where(Job.state == "queued", Job.lost >= attempts)
    mails = select(OutgoingMail.id).where(
        OutgoingMail.state == "sending", OutgoingMail.lease_until < now
    )
    return any(session.scalar(query.limit(1)) is not None for query in (lost, spent, mails))


def _mail_is_due(session: Session, now: float) -> bool:
    query = select(OutgoingMail.id).where(
        OutgoingMail.state == "waiting", OutgoingMail.not_before <= now
    )
    return session.scalar(query.limit(1)) is not None


def run_housekeeping(settings: ServerSettings) -> None:
    """Keep house until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    housekeeping = Housekeeping(settings)

    def stop(_number: int, _frame: FrameType | None) -> None:
        housekeeping.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    housekeeping.run()
