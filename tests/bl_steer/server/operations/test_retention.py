from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import (
    AccessRecord,
    Job,
    JobOutput,
    OutgoingMail,
    Upload,
    User,
)
from bl_steer.server.operations.housekeeping import Housekeeping
from bl_steer.server.operations.retention import BATCH, Deleted, delete_expired, expiring
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore

YEAR_S = 365 * 86_400.0
MANY = 2 * BATCH + 7


def fill(database: Database) -> None:
    """Make as many old things of each kind, and one new one; one old file is needed yet."""
    now = time.time()
    times = [now - 2 * YEAR_S] * MANY + [now]
    with database.write() as session:
        session.add(User(id="u", email="u@example.org"))
        session.flush()
        rows: dict[type, list[dict[str, object]]] = {Upload: [], Job: [], JobOutput: []}
        rows |= {OutgoingMail: [], AccessRecord: []}
        for number, then in enumerate(times):
            file = {"id": f"f{number}", "user_id": "u", "sha256": "s", "file_name": "f", "size": 1}
            rows[Upload].append({**file, "created": then})
            job = {"id": f"j{number}", "user_id": "u", "analysis": "advise", "params": {}}
            job |= {"upload_ids": [], "state": "done", "created": then, "finished": then}
            rows[Job].append(job)
            output = {"job_id": f"j{number}", "name": "t.csv", "kind": "table", "size": 1}
            rows[JobOutput].append({**output, "sha256": "s", "media_type": "text/csv"})
            mail = {"recipient": "a", "subject": "s", "body": "b", "message_id": f"{number}"}
            rows[OutgoingMail].append({**mail, "state": "sent", "created": then})
            seen = {"time": then, "method": "GET", "path": "/", "status": 200, "ms": 1.0}
            rows[AccessRecord].append({**seen, "address": ""})
        for table, values in rows.items():
            session.execute(insert(table), values)
        session.add(Job(user_id="u", analysis="a", params={}, upload_ids=["f3"]))


def left(database: Database) -> list[int]:
    with database.read() as session:
        alive = select(func.count()).where(Upload.deleted.is_(None))
        tables = (JobOutput, OutgoingMail, AccessRecord, Job)
        all_of = [select(func.count()).select_from(table) for table in tables]
        return [session.scalar(query) or 0 for query in (alive, *all_of)]


def test_what_is_old_goes_in_batches_and_goes_on_after_a_stop(
    database: Database, tmp_path: Path
) -> None:
    settings = ServerSettings(folder=tmp_path, keep_days=365.0)
    files = FileStore(settings.files)
    fill(database)
    most: list[int] = []

    def note(_connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.split()[0] in ("UPDATE", "DELETE"):
            most.append(cursor.rowcount)  # type: ignore[attr-defined]

    event.listen(database.engine, "after_cursor_execute", note)
    stopped = expiring(database, files, settings)
    assert [next(stopped), next(stopped)] == [Deleted(uploads=BATCH - 1), Deleted(uploads=BATCH)]
    stopped.close()
    assert left(database)[0] == MANY + 1 - 2 * BATCH + 1
    deleted = delete_expired(database, files, settings)
    assert (deleted.uploads, deleted.results) == (MANY - 2 * BATCH, MANY)
    assert left(database) == [2, 1, 1, 1, MANY + 2]  # f3, which a job needs, and the new ones
    assert max(most) <= BATCH
    most.clear()
    assert delete_expired(database, files, settings) == Deleted()
    assert max(most) <= 0  # nothing is gone through again
    event.remove(database.engine, "after_cursor_execute", note)


def test_the_keeper_does_its_other_work_between_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bl_steer.server.operations.housekeeping.RETENTION_S", 1e-9)
    keeper = Housekeeping(ServerSettings(folder=tmp_path, keep_days=365.0))
    keeper.database.create_tables()
    fill(keeper.database)
    keeper.step(time.time() + 61.0)
    steps = 0
    while keeper.step():
        steps += 1
    assert steps > 10
    assert left(keeper.database) == [2, 1, 1, 1, MANY + 2]


def test_the_page_of_an_old_result_says_that_its_files_are_gone(site: Any) -> None:
    site.user()
    browser = site.browser()
    sent = browser.upload(("p.csv", b"x,y,counts\n1,2,3\n"))
    file = sent.headers["location"].partition("file=")[2]
    browser.post("/analyses/advise", {"file": file})
    job_id = site.finish({"t.csv": b"a\n1\n"})
    assert "all.zip" in browser.get(f"/jobs/{job_id}").text
    short = site.context.settings.model_copy(update={"keep_days": 1e-9})
    delete_expired(site.context.database, site.context.store, short, now=time.time() + 1.0)
    page = browser.get(f"/jobs/{job_id}")
    assert page.status_code == 200
    assert "The files of this result were deleted on" in page.text
    assert "d" * 64 in page.text
    assert "all.zip" not in page.text
