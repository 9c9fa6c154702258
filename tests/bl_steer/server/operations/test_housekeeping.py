from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

from bl_steer.server.auth.password_resets import open_reset
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.tables import AuditRecord, Blob, Job, JobOutput, OutgoingMail, Upload, User
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import leases
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.mail import outbox
from bl_steer.server.mail.passwords import post_reset
from bl_steer.server.operations.housekeeping import Housekeeping
from bl_steer.server.operations.retention import delete_expired, delete_unreferenced
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore

DAY_S = 86_400.0


class Mailbox:
    """A real mail server in this process; refuses as long as it is told to."""

    def __init__(self) -> None:
        self.refusing = 0
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusing:
            self.refusing -= 1
            return "451 4.3.0 try again later"
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def keeper_in(folder: Path, **settings: Any) -> Housekeeping:
    keeper = Housekeeping(ServerSettings(folder=folder, **settings))
    keeper.database.create_tables()
    with keeper.database.write() as session:
        session.add(User(id="u", email="u@example.org", name="上田"))
    return keeper


def upload(keeper: Housekeeping, content: bytes, *, created: float | None = None) -> Upload:
    sha256, size = keeper.files.put(io.BytesIO(content))
    with keeper.database.write() as session:
        session.merge(Blob(sha256=sha256, size=size))
        made = Upload(
            user_id="u", sha256=sha256, file_name="m.csv", size=size, created=created or time.time()
        )
        session.add(made)
        session.flush()
        return made


def submit(keeper: Housekeeping, **options: Any) -> str:
    with keeper.database.write() as session:
        values = {"user_id": "u", "analysis": "advise", "params": {}, "upload_ids": [], **options}
        return jobs.submit(session, **values).id


def test_a_finished_job_is_told_by_one_mail_in_the_language_of_the_job(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    keeper = keeper_in(tmp_path, smtp_host="127.0.0.1", smtp_port=port, mail_wait_s=0.01)
    job_id = submit(keeper, language="ja")
    with keeper.database.write() as session:
        lease = jobs.take(session, "w", lease_s=30.0)
        assert lease is not None
        jobs.finish(session, lease, leases.Produced("a" * 64), address="http://here")
    box.refusing = 2
    deadline = time.monotonic() + 60.0
    while not box.mails and time.monotonic() < deadline:
        keeper.step()
        time.sleep(0.02)
    keeper.step()
    (mail,) = box.mails
    assert mail["To"] == "u@example.org"
    body = mail.get_body(("plain",))
    assert body is not None
    assert f"http://here/jobs/{job_id}" in body.get_content()
    assert "上田" in body.get_content()
    assert not str(mail["Subject"]).isascii()
    with keeper.database.read() as session:
        row = session.scalars(select(OutgoingMail)).one()
        assert (row.state, row.attempt, row.message_id) == ("sent", 3, mail["Message-ID"])


def test_a_mail_for_a_new_password_brings_a_link_that_works_and_is_kept_nowhere(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    keeper = keeper_in(tmp_path, smtp_host="127.0.0.1", smtp_port=port, base_url="http://here")
    with keeper.database.write() as session:
        session.get_one(User, "u").password_hash = "x"
        session.flush()
        assert post_reset(session, "u@example.org", language="ja", address="http://here")
    keeper.step()
    body = box.mails[0].get_body(("plain",))
    assert body is not None
    token = body.get_content().partition("http://here/reset/")[2].split()[0]
    with keeper.database.read() as session:
        assert open_reset(session, token).id == "u"
        assert token not in session.scalars(select(OutgoingMail.body)).one()


def test_a_line_break_in_a_subject_starts_no_header(
    tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    keeper = keeper_in(tmp_path, smtp_host="127.0.0.1", smtp_port=port)
    with keeper.database.write() as session:
        outbox.post(session, recipient="a@x.org", subject="s\r\nBcc: evil@x.org", body="b")
    keeper.step()
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "s Bcc: evil@x.org"


def test_without_a_mail_server_mails_wait(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    with keeper.database.write() as session:
        outbox.post(session, recipient="a@x.org", subject="s", body="b")
    keeper.step()
    with keeper.database.read() as session:
        assert session.scalars(select(OutgoingMail.state)).one() == "waiting"


def test_jobs_of_silent_workers_are_given_to_others(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    job_id = submit(keeper)
    with keeper.database.write() as session:
        jobs.take(session, "w", lease_s=30.0)
    keeper.step()
    with keeper.database.read() as session:
        assert session.get_one(Job, job_id).state == "running"
    keeper.step(time.time() + 31.0)
    with keeper.database.read() as session:
        assert session.get_one(Job, job_id).state == "queued"


def test_an_alarm_is_raised_once_when_workers_fall_silent(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path, alarm_to="admin@example.org", alarm_after_s=60.0)
    submit(keeper)
    with keeper.database.write() as session:
        session.add(WorkerRow(name="w", seen=time.time()))
    keeper.step()
    keeper.step(time.time() + 59.0)
    with keeper.database.read() as session:
        assert session.scalars(select(OutgoingMail)).all() == []
    for later in (70.0, 80.0):
        keeper.step(time.time() + later)
    with keeper.database.read() as session:
        (mail,) = session.scalars(select(OutgoingMail))
    assert mail.recipient == "admin@example.org"
    assert "1 jobs wait" in mail.body


def test_a_deleted_upload_is_gone_from_the_store_with_proof(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    gone, kept = upload(keeper, b"gone"), upload(keeper, b"kept")
    with keeper.database.write() as session:
        session.get_one(Upload, gone.id).deleted = time.time()
    assert delete_unreferenced(keeper.database, keeper.files) == 0  # it may be of an open request
    assert delete_unreferenced(keeper.database, keeper.files, young_s=-1.0) == 1
    assert list(keeper.files.hashes()) == [kept.sha256]
    with keeper.database.read() as session:
        proof = session.scalars(select(AuditRecord)).one()
        assert broken_link(session) is None
    assert (proof.action, proof.object) == ("file delete", gone.sha256)
    assert proof.detail["still_there"] is False
    assert proof.detail["file_names"] == ["m.csv"]


def test_a_file_that_two_uploads_share_stays_until_both_are_deleted(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    first, second = upload(keeper, b"same"), upload(keeper, b"same")
    for one, expected in ((first, 0), (second, 1)):
        with keeper.database.write() as session:
            session.get_one(Upload, one.id).deleted = time.time()
        assert delete_unreferenced(keeper.database, keeper.files, young_s=-1.0) == expected


def test_what_is_older_than_the_keeping_time_goes_and_the_history_stays(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path, keep_days=10.0)
    old = upload(keeper, b"old", created=time.time() - 11 * DAY_S)
    needed = upload(keeper, b"needed", created=time.time() - 11 * DAY_S)
    job_id = submit(keeper, upload_ids=[old.id])
    with keeper.database.write() as session:
        lease = jobs.take(session, "w", lease_s=30.0)
        assert lease is not None
        sha256, size = keeper.files.put(io.BytesIO(b"result"))
        result = leases.Produced(
            "a" * 64, outputs=[leases.Output("t.csv", "table", sha256, size, "text/csv")]
        )
        jobs.finish(session, lease, result, now=time.time() - 11 * DAY_S)
    submit(keeper, upload_ids=[needed.id])
    deleted = delete_expired(keeper.database, keeper.files, keeper.settings)
    assert (deleted.uploads, deleted.results) == (1, 1)
    delete_unreferenced(keeper.database, keeper.files, young_s=-1.0)
    assert list(keeper.files.hashes()) == [needed.sha256]
    with keeper.database.read() as session:
        assert session.get_one(Job, job_id).digest == "a" * 64
        assert session.scalars(select(JobOutput)).all() == []


def test_a_file_that_no_row_knows_is_swept_away(tmp_path: Path) -> None:
    keeper = keeper_in(tmp_path)
    FileStore(keeper.settings.files).put(io.BytesIO(b"of a process that was killed"))
    assert delete_unreferenced(keeper.database, keeper.files, young_s=-1.0) == 1
    assert list(keeper.files.hashes()) == []
