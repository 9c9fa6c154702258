from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from bl_steer.service.database import Database
from bl_steer.service.tables import AuditRecord, Job, User


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(User(email="a@x"))
            session.flush()
            raise RuntimeError("in the midst")

    with pytest.raises(RuntimeError, match="in the midst"):
        fail()
    with database.write() as session:
        session.add(User(email="b@x"))
    with database.read() as session:
        assert session.scalars(select(User.email)).all() == ["b@x"]


def test_writers_that_read_before_they_write_wait_for_each_other(database: Database) -> None:
    with database.write() as session:
        session.add(User(id="u", email="a@x", name="0"))
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                with database.write() as session:
                    query = select(User).where(User.id == "u").with_for_update()
                    user = session.scalars(query).one()
                    user.name = str(int(user.name) + 1)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with database.read() as session:
        assert session.scalars(select(User.name)).one() == "40"


def test_a_job_needs_a_user_that_exists(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Job(user_id="nobody", analysis="advise", params={}, upload_ids=[]))
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_records_are_counted_up_by_the_database(database: Database) -> None:
    with database.write() as session:
        for text_ in "ab":
            session.add(
                AuditRecord(
                    time=1.0,
                    actor="x",
                    action="y",
                    object="z",
                    detail={"n": 1},
                    previous_hash=text_,
                    hash=text_,
                )
            )
            session.flush()
    with database.read() as session:
        assert len(set(session.scalars(select(AuditRecord.id)))) == 2


def test_sqlite_syncs_fully_and_keeps_a_write_ahead_log(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("of SQLite alone")
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2
