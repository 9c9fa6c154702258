from __future__ import annotations

import threading

from sqlalchemy import delete, select, update

from bl_steer.server.db.audit import broken_link, record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord


def fill(database: Database, number: int = 5) -> list[int]:
    for count in range(number):
        with database.write() as session:
            record_event(session, "ann@example.org", "test", f"試料 {count}", {"n": 0.1 * count})
    with database.read() as session:
        return list(session.scalars(select(AuditRecord.id).order_by(AuditRecord.id)))


def broken(database: Database) -> int | None:
    with database.read() as session:
        return broken_link(session)


def test_a_chain_that_nobody_touched_is_whole(database: Database) -> None:
    assert broken(database) is None
    fill(database)
    assert broken(database) is None


def test_a_changed_record_is_found(database: Database) -> None:
    ids = fill(database)
    with database.write() as session:
        session.execute(
            update(AuditRecord).where(AuditRecord.id == ids[2]).values(actor="eve@example.org")
        )
    assert broken(database) == ids[2]


def test_a_record_that_was_taken_out_is_found(database: Database) -> None:
    ids = fill(database)
    with database.write() as session:
        session.execute(delete(AuditRecord).where(AuditRecord.id == ids[1]))
    assert broken(database) == ids[2]


def test_a_part_of_the_chain_is_looked_at_with_what_stands_before_it(database: Database) -> None:
    ids = fill(database)
    with database.write() as session:
        session.execute(update(AuditRecord).where(AuditRecord.id == ids[1]).values(actor="eve"))
    with database.read() as session:
        assert broken_link(session, first=ids[2], last=ids[4]) is None
        assert broken_link(session, first=ids[1], last=ids[1]) == ids[1]
        assert broken_link(session, first=ids[0], last=ids[0]) is None
    with database.write() as session:
        session.execute(delete(AuditRecord).where(AuditRecord.id == ids[3]))
    with database.read() as session:
        assert broken_link(session, first=ids[4]) == ids[4]


def test_a_deed_that_was_rolled_back_leaves_no_gap(database: Database) -> None:
    fill(database, 2)
    try:
        with database.write() as session:
            record_event(session, "ann@example.org", "test")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    fill(database, 1)
    assert broken(database) is None


def test_deeds_of_many_at_once_make_one_chain(database: Database) -> None:
    threads = [threading.Thread(target=fill, args=(database, 5)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert len(session.scalars(select(AuditRecord.id)).all()) == 30
    assert broken(database) is None
