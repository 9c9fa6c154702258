from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Job, User


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


def test_a_reader_sees_one_state_however_often_it_looks(database: Database) -> None:
    count = select(func.count()).select_from(User)
    with database.read() as session:
        assert session.scalar(count) == 0
        with database.write() as writer:
            writer.add(User(email="a@x"))
        assert session.scalar(count) == 0
    with database.read() as session:
        assert session.scalar(count) == 1


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


def add(name: str) -> Callable[[Session], str]:
    def work(session: Session) -> str:
        session.add(User(email=f"{name}@x"))
        session.flush()
        return name

    return work


def add_and_fail(session: Session) -> str:
    session.add(User(email="failed@x"))
    session.flush()
    raise LookupError("of this one alone")


def write_at_once(
    database: Database, works: list[Callable[[Session], str]], pool: ThreadPoolExecutor
) -> list[Future[str]]:
    """Hand works in while another has the turn, so that they wait for theirs together."""
    with database.write() as session:
        session.add(User(email="first@x"))
        session.flush()
        results = [pool.submit(database.write_together, work) for work in works]
        end = time.monotonic() + 30
        while database.is_sqlite and len(database._waiting) < len(works):
            assert time.monotonic() < end, "all must wait"
            time.sleep(0.001)
    return results


def test_work_that_waits_for_the_turn_shares_one_commit(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("PostgreSQL gathers commits by itself")
    with ThreadPoolExecutor(8) as pool:
        commits: list[object] = []
        event.listen(database._writing, "commit", commits.append)
        results = write_at_once(database, [add(str(one)) for one in range(8)], pool)
        assert [one.result() for one in results] == [str(one) for one in range(8)]
    assert len(commits) == 2  # of the one who had the turn, and of all eight
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 9


def test_work_that_fails_takes_no_other_work_with_it(database: Database) -> None:
    with ThreadPoolExecutor(5) as pool:
        works = [add("a"), add("b"), add_and_fail, add("first"), add("c")]
        a, b, failed, twice, c = write_at_once(database, works, pool)
        assert [one.result() for one in (a, b, c)] == ["a", "b", "c"]
        with pytest.raises(LookupError, match="of this one alone"):
            failed.result()
        with pytest.raises(IntegrityError):
            twice.result()
    with database.read() as session:
        kept = set(session.scalars(select(User.email)))
    assert kept == {"first@x", "a@x", "b@x", "c@x"}


def test_work_is_durable_before_its_result_is_told(database: Database) -> None:
    def check(name: str) -> bool:
        database.write_together(add(name))
        with database.read() as session:
            return session.scalar(select(User.id).where(User.email == f"{name}@x")) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, map(str, range(40))))
