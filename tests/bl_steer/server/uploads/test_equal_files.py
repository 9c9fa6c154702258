from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import func, select

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Blob
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.uploads import Arrived, take_in


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
        assert upload.result(timeout=30).sha256 == sha256
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Blob)) == 1
