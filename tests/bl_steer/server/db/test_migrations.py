from __future__ import annotations

import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from bl_steer.server.db import migrations
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base, User


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
