from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Blob, User
from bl_steer.server.errors import Refused
from bl_steer.server.operations.retention import delete_unreferenced
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.uploads import Arrived, register_file, take_in, used_bytes


def test_equal_files_that_come_at_the_same_time_are_both_taken(
    database: Database, tmp_path: Path
) -> None:
    store = FileStore(f"file://{tmp_path / 'files'}")
    table = tmp_path / "points.csv"
    table.write_text("x,y,value\n1,2,3\n")
    with table.open("rb") as file:
        sha256, size = store.put(file)
    with database.write() as session:
        ann = add_user(session, "ann@example.org", password="correct horse battery")
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            session.add(Blob(sha256=sha256, size=size))
            session.flush()
            upload = pool.submit(
                take_in, database, store, ann, Arrived(table, table.name), may_train=False
            )
            time.sleep(0.5)  # it looks for the row, and waits for this transaction
        assert upload.result(timeout=120).sha256 == sha256
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 1


def test_files_that_come_at_the_same_time_keep_within_the_quota(
    database: Database, tmp_path: Path
) -> None:
    store = FileStore(f"file://{tmp_path / 'files'}")
    with database.write() as session:
        ann = add_user(session, "ann@example.org", password="correct horse battery")
    tables = [tmp_path / f"{number}.csv" for number in range(6)]
    for number, table in enumerate(tables):
        table.write_text(f"x,y,value\n1,2,{number}\n")
    quota = 2 * tables[0].stat().st_size

    def take(table: Path) -> None:
        with suppress(Refused):
            arrived = Arrived(table, table.name)
            take_in(database, store, ann, arrived, may_train=False, quota_bytes=quota)

    with ThreadPoolExecutor(len(tables)) as pool:
        with database.write() as session:  # all have looked at their file, and wait to be counted
            session.execute(select(User.id).where(User.id == ann.id).with_for_update())
            waiting = [pool.submit(take, table) for table in tables]
            time.sleep(0.5)
        for upload in waiting:
            upload.result(timeout=120)
    with database.read() as session:
        assert used_bytes(session, ann.id) == quota
    with pytest.raises(Refused, match="your files may take"):
        take_in(
            database, store, ann, Arrived(tables[0], "a.csv"), may_train=False, quota_bytes=quota
        )


def test_a_file_that_is_stored_again_while_it_is_to_be_deleted_stays(
    database: Database, tmp_path: Path
) -> None:
    store = FileStore(f"file://{tmp_path / 'files'}")
    table = tmp_path / "points.csv"
    table.write_text("x,y,value\n1,2,3\n")
    with table.open("rb") as file:
        sha256, size = store.put(file)
    with database.write() as session:
        register_file(session, sha256, size)
    os.utime(store.place(sha256), (0, 0))
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            register_file(session, sha256, size)
            deleted = pool.submit(delete_unreferenced, database, store)
            time.sleep(0.5)  # it has seen that the file is idle, and waits for this transaction
            with table.open("rb") as file:
                store.put(file)
        assert deleted.result(timeout=120) == 0
    assert store.has(sha256)
