from __future__ import annotations

import threading

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from bl_steer.server.db import migrations
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base, OutgoingMail, SignIn, Upload, User

NAME = "Gro\u0308ße \uff13"


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))


def emptied(database: Database) -> None:
    Base.metadata.drop_all(database.engine)
    with database.change() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def test_the_migrations_make_the_tables_of_today(database: Database) -> None:
    emptied(database)
    with database.change() as connection:
        migrations.upgrade(connection)
    with database.change() as connection:
        assert differences(connection) == []
        assert inspect(connection).has_table("jobs")


def test_new_tables_are_noted_as_up_to_date_and_left_alone_later(database: Database) -> None:
    emptied(database)
    database.create_tables()
    with database.write() as session:
        session.add(User(email="a@x"))
    database.create_tables()
    with database.read() as session:
        noted = session.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        assert noted == [migrations.head()]
        assert session.query(User).count() == 1


def test_rows_of_the_first_release_are_still_there_after_the_upgrade(database: Database) -> None:
    emptied(database)
    with database.change() as connection:
        command.upgrade(migrations._config(connection), "0001")
    old = {
        "users": {"id": "u", "email": "a@x", "name": "", "role": "admin", "language": "ja"},
        "sessions": {"token_hash": "t", "user_id": "u", "csrf": "c", "expires": 9e9},
        "uploads": {"id": "f", "user_id": "u", "sha256": "s", "file_name": NAME, "size": 1},
        "outbox": {"id": "m", "recipient": "a@x", "subject": "s", "body": "b", "message_id": "i"},
    }
    filled = {
        "uploads": {"media_type": "m", "may_train": False, "sample": ""},
        "outbox": {"state": "waiting", "attempt": 0, "not_before": 0.0, "problem": ""},
    }
    with database.change() as connection:
        for name, given in old.items():
            row = {**given, **filled.get(name, {}), "created": 1.0}
            table = sa.table(name, *(sa.column(key) for key in row))
            connection.execute(sa.insert(table).values(**row))
    database.create_tables()
    with database.read() as session:
        signed_in = session.scalars(sa.select(SignIn)).one()
        assert (signed_in.address, signed_in.agent, signed_in.seen) == ("", "", None)
        assert session.get_one(User, "u").heir_id is None
        assert session.get_one(Upload, "f").giver_id is None
        assert session.get_one(Upload, "f").searched == "grösse 3 "
        assert session.get_one(OutgoingMail, "m").reset_user_id is None


def test_parts_that_start_at_once_make_the_tables_once(database: Database) -> None:
    emptied(database)
    problems: list[BaseException] = []

    def start() -> None:
        try:
            database.create_tables()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with database.change() as connection:
        assert differences(connection) == []
