from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select, text

from bl_steer.server.db.audit import broken_link, record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base, Blob, Job, Upload, User, Worker
from bl_steer.server.folder import alone
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.operations.alarms import troubles
from bl_steer.server.operations.backup import ROWS, back_up, restore
from bl_steer.server.operations.check import check_server
from bl_steer.server.operations.serve import serve
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore


def filled(folder: Path) -> ServerSettings:
    settings = ServerSettings(folder=folder)
    database, files = Database(settings.database), FileStore(settings.files)
    database.create_tables()
    sha256, size = files.put(io.BytesIO("µm, 測定".encode()))
    with database.write() as session:
        session.add_all([User(id="u", email="u@x.org"), Blob(sha256=sha256, size=size)])
        session.flush()
        session.add(Upload(id="f", user_id="u", sha256=sha256, file_name="測定.csv", size=size))
        session.flush()
        jobs.submit(session, user_id="u", analysis="advise", params={"a": 1.5}, upload_ids=["f"])
        for number in range(3):
            record_event(session, "u@x.org", "test", str(number))
    database.close()
    return settings


def emptied(url: str) -> None:
    database = Database(url)
    Base.metadata.drop_all(database.engine)
    database.close()


def rows_of(settings: ServerSettings) -> dict[str, list[Any]]:
    database = Database(settings.database)
    with database.read() as session:
        found = {
            table.name: [tuple(row) for row in session.execute(select(table))]
            for table in Base.metadata.sorted_tables
        }
    database.close()
    return found


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_restored_server_is_the_one_that_was_backed_up(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    settings = filled(tmp_path / "old")
    key = PackageStore(settings).key.public
    made = back_up(settings, tmp_path / "backup")
    assert (made.files, made.copied) == (1, 1)
    assert back_up(settings, tmp_path / "backup").copied == 0
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    other = ServerSettings(folder=tmp_path / "new", database_url=url)
    if url:
        emptied(url)
    restored = restore(other, tmp_path / "backup")
    assert restored.rows == made.rows
    assert rows_of(other) == rows_of(settings)
    assert PackageStore(other).key.public == key
    assert all(
        path.stat().st_mode & 0o077 == 0
        for path in [*(tmp_path / "backup" / "keys").iterdir(), tmp_path / "backup"]
    )
    store = FileStore(other.files)
    (sha256,) = store.hashes()
    assert store.open(sha256).read() == "µm, 測定".encode()
    database = Database(other.database)
    with database.write() as session:
        record_event(session, "u@x.org", "after", "")  # goes on counting where it was
        assert broken_link(session) is None
        assert session.get_one(Upload, "f").file_name == "測定.csv"
        assert session.scalars(select(Job.params)).one() == {"a": 1.5}
    database.close()
    if url:
        emptied(url)


@pytest.mark.parametrize("silent_s", [1.0, 3600.0])
def test_workers_of_a_backup_are_neither_alive_nor_silent(silent_s: float, tmp_path: Path) -> None:
    settings, seen = filled(tmp_path / "old"), time.time() - silent_s
    database = Database(settings.database)
    with database.write() as session:
        session.add_all([Worker(name="w", seen=seen), Worker(name="x", seen=seen, ended=seen - 1)])
    database.close()
    back_up(settings, tmp_path / "backup")
    other = ServerSettings(folder=tmp_path / "new")
    restore(other, tmp_path / "backup")
    (said,) = [one.said for one in check_server(other) if one.what == "workers"]
    assert said.startswith("none heard of")
    database = Database(other.database)
    with database.read() as session:
        assert not any(name.startswith("worker ") for name in troubles(session, other, time.time()))
        ends = {worker.name: worker.ended for worker in session.scalars(select(Worker))}
    database.close()
    assert ends == {"w": seen, "x": seen - 1}


def test_a_backup_never_goes_into_a_server_with_rows(tmp_path: Path) -> None:
    settings = filled(tmp_path / "old")
    back_up(settings, tmp_path / "backup")
    with pytest.raises(ValueError, match="empty server"):
        restore(settings, tmp_path / "backup")


@pytest.mark.parametrize("part", ["web", "worker", "keeper"])
def test_a_backup_never_goes_under_a_server_at_work(part: str, tmp_path: Path) -> None:
    back_up(filled(tmp_path / "old"), tmp_path / "backup")
    empty = ServerSettings(folder=tmp_path / "new")
    with (
        alone(empty, [part]),  # as `serve` holds its folder
        pytest.raises(FileExistsError, match="where a server is at work already"),
    ):
        restore(empty, tmp_path / "backup")
    assert not (tmp_path / "new" / "service.db").exists()
    assert restore(empty, tmp_path / "backup").files == 1


def test_a_backup_cut_short_or_altered_is_refused(tmp_path: Path) -> None:
    back_up(filled(tmp_path / "old"), tmp_path / "backup")
    rows = tmp_path / "backup" / ROWS
    whole = rows.read_text()
    rows.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    empty = ServerSettings(folder=tmp_path / "new")
    with pytest.raises(ValueError, match="whole"):
        restore(empty, tmp_path / "backup")
    rows.write_text(whole)
    (file,) = (tmp_path / "backup" / "files").iterdir()
    file.write_bytes(b"another")
    with pytest.raises(ValueError, match="what its name says"):
        restore(empty, tmp_path / "backup")
    with pytest.raises(ValueError, match="got none in"):
        restore(empty, tmp_path)
    database = Database(empty.database)
    assert inspect(database.engine).get_table_names() == []
    database.close()


def test_an_altered_file_is_found_by_the_backup(tmp_path: Path) -> None:
    settings = filled(tmp_path / "old")
    store = FileStore(settings.files)
    (sha256,) = store.hashes()
    Path(store.place(sha256)).write_bytes(b"rot")
    with pytest.raises(ValueError, match="what its name says"):
        back_up(settings, tmp_path / "backup")
    database = Database(settings.database)
    with database.read() as session:
        assert session.execute(text("select 1")).scalar() == 1
    database.close()


def test_a_restore_that_ended_in_the_middle_is_no_new_server_and_goes_on(tmp_path: Path) -> None:
    settings = filled(tmp_path / "old")
    back_up(settings, tmp_path / "backup")
    (file,) = (tmp_path / "backup" / "files").iterdir()
    whole = file.read_bytes()
    file.write_bytes(b"another")
    other = ServerSettings(folder=tmp_path / "new", trust_packages=True)
    with pytest.raises(ValueError, match="what its name says"):
        restore(other, tmp_path / "backup")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    said = f"the restore of {tmp_path / 'backup'} was not finished"
    with pytest.raises(RuntimeError, match=said):
        serve(other)
    with pytest.raises(RuntimeError, match=said):
        other.check_folder()
    file.write_bytes(whole)
    restore(other, tmp_path / "backup")
    other.check_folder()
    assert rows_of(other) == rows_of(settings)


KILLED = """
import os, signal, sys
from pathlib import Path
from bl_steer.server.operations import backup
from bl_steer.server.settings import ServerSettings

WATCHED = [one.__code__ for one in (backup.restore, backup._restore, backup._copy_keys)]
left = 0

def trace(frame, event, _):
    global left
    if frame.f_code not in WATCHED:
        return None
    left -= event == "line"
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

backup.restore(ServerSettings(folder=Path(sys.argv[1]) / "whole"), Path(sys.argv[2]))
for count in range(200):
    if os.fork() == 0:
        left = count
        sys.settrace(trace)
        backup.restore(ServerSettings(folder=Path(sys.argv[1]) / str(count)), Path(sys.argv[2]))
        os._exit(0)
    if os.wait()[1] == 0:
        break
"""


def test_a_restore_that_is_killed_at_any_line_is_whole_or_not_begun_or_goes_on(
    tmp_path: Path,
) -> None:
    old = filled(tmp_path / "old")
    key = PackageStore(old).key.public
    back_up(old, tmp_path / "backup")
    words = [sys.executable, "-c", KILLED, str(tmp_path / "new"), str(tmp_path / "backup")]
    subprocess.run(words, check=True, timeout=300.0)
    folders = list((tmp_path / "new").iterdir())
    assert len(folders) > 20
    ends = set()
    for folder in folders:
        new = ServerSettings(folder=folder)
        begun = new.restoring.exists()
        whole = not begun and new.keys.exists()
        if not whole:
            assert begun or not (folder / "files").exists()
            restore(new, tmp_path / "backup")
        ends.add((begun, whole))
        new.check_folder()
        assert rows_of(new) == rows_of(old)
        assert PackageStore(new).key.public == key
        assert [*FileStore(new.files).hashes()] == [*FileStore(old.files).hashes()]
    assert ends == {(False, False), (True, False), (False, True)}
