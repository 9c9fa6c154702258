from __future__ import annotations

from sqlalchemy import select

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, OutgoingMail, Upload, User
from bl_steer.server.mail import outbox


def post(database: Database) -> str:
    with database.write() as session:
        return outbox.post(session, recipient="a@x", subject="s", body="b", now=0.0).id


def take(database: Database, now: float) -> OutgoingMail | None:
    with database.write() as session:
        return outbox.take_mail(session, lease_s=60.0, now=now)


def mail_of(database: Database, mail_id: str) -> OutgoingMail:
    with database.read() as session:
        return session.get_one(OutgoingMail, mail_id)


def test_a_mail_is_leased_by_one_process_and_sent_once(database: Database) -> None:
    mail_id = post(database)
    mail = take(database, 0.0)
    assert mail is not None
    assert take(database, 1.0) is None
    with database.write() as session:
        assert outbox.mail_sent(session, mail, now=2.0)
        assert outbox.release_mails(session, now=1000.0) == 0
    assert mail_of(database, mail_id).state == "sent"
    assert take(database, 1000.0) is None


def test_a_refused_mail_waits_twice_as_long_each_time_and_fails_at_last(
    database: Database,
) -> None:
    mail_id, now, waits = post(database), 0.0, []
    for _ in range(4):
        mail = take(database, now)
        assert mail is not None
        with database.write() as session:
            outbox.mail_refused(session, mail, "451 busy", attempts=4, wait_s=10.0, now=now)
        after = mail_of(database, mail_id)
        waits.append(after.not_before - now)
        assert take(database, after.not_before - 0.1) is None
        now = after.not_before
    assert waits == [10.0, 20.0, 40.0, 80.0]
    assert (mail_of(database, mail_id).state, mail_of(database, mail_id).problem) == (
        "failed",
        "451 busy",
    )


def test_a_mail_of_a_dead_process_goes_out_again_with_the_same_id(database: Database) -> None:
    post(database)
    first = take(database, 0.0)
    with database.write() as session:
        assert outbox.release_mails(session, now=30.0) == 0
        assert outbox.release_mails(session, now=61.0) == 1
    second = take(database, 61.0)
    assert first is not None
    assert second is not None
    assert first.message_id == second.message_id
    with database.write() as session:
        assert not outbox.mail_sent(session, first)
        assert outbox.mail_sent(session, second)


def test_a_mail_calls_images_as_the_page_does(database: Database) -> None:
    warnings = ["field_000: a.tif is blank; with keep_probability", "field_001 and field_000 agree"]
    with database.write() as session:
        session.add(User(id="u", email="a@x", role="user"))
        session.flush()
        for number, sample in enumerate(("Film 7", "")):
            name = f"{number}.tif"
            session.add(
                Upload(id=name, user_id="u", sha256="0" * 64, file_name=name, size=1, sample=sample)
            )
        origins = {f"field_00{number}": [number, 0] for number in range(2)}
        session.add(
            Job(
                id="j",
                user_id="u",
                analysis="segment",
                params={},
                upload_ids=["0.tif", "1.tif"],
                state="done",
                warnings=warnings,
                provenance={"origins": origins},
            )
        )
        session.flush()
        outbox.post_completion(session, "j", address="http://here")
        (mail,) = session.scalars(select(OutgoingMail))
    assert "- Film 7 is blank" in mail.body
    assert "- 1.tif and Film 7 agree" in mail.body
    assert "field_00" not in mail.body
