"""Pages, workers and the keeper find what they need by an index, however many years there are.

SQLite says which tables a statement would read from end to end; the indices are those of
PostgreSQL. ``benchmarks/bench_growth.py`` measures 10⁶ jobs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bl_steer.server.db.database import Database
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.operations.housekeeping import Housekeeping
from bl_steer.server.operations.retention import delete_expired
from bl_steer.server.settings import ServerSettings

GROWING = re.compile(r"^SCAN (jobs|job_files|job_outputs|uploads|outbox)\b(?!.* USING)")
"""What SQLite says of a table that is read whole; by an index it begins with SEARCH."""
PAGES = (
    "/",
    "/files",
    "/jobs",
    "/analyses/advise",
    "/training",
    "/packages",
    "/account",
    "/metrics",
)
PAGES += (
    "/admin",
    "/admin/users",
    "/admin/users/{user}",
    "/admin/access",
    "/admin/audit",
    "/ready",
)
FILTERED = (
    "state=done",
    "analysis=advise",
    "state=failed&analysis=advise",
    "before=1",
    "state=done&before=1",
    "q=film",
    "q=film&state=done&before=1",
    "since=2020-01-01&until=2021-01-01",
)


def scans_of(database: Database) -> list[tuple[str, str]]:
    """Return what is read whole from now on, with its statement; grows as statements run."""
    found: list[tuple[str, str]] = []

    def look(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.split()[0] not in ("SELECT", "UPDATE", "DELETE"):
            return
        raw = connection.connection.dbapi_connection
        plan = raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        found.extend((row[3], statement) for row in plan if GROWING.search(row[3]))

    event.listen(database.engine, "before_cursor_execute", look)
    return found


@pytest.fixture
def scans(site: Any) -> list[tuple[str, str]]:
    return scans_of(site.context.database)


def test_no_page_reads_a_growing_table_from_end_to_end(
    site: Any, scans: list[tuple[str, str]]
) -> None:
    user = site.user("ann@example.org", role="admin")
    browser, program = site.browser(), site.program(user)
    shown = [page.format(user=user.id) for page in PAGES]
    shown += [f"/jobs?{filtered}" for filtered in FILTERED] + ["/files?before=1"]
    for client in (browser, program):
        programs = ("/api/v1/jobs", "/api/v1/jobs?q=film", "/api/v1/files")
        for page in shown if client is browser else programs:
            assert client.get(page).status_code == 200
    assert not scans


def test_neither_worker_nor_keeper_reads_a_growing_table_from_end_to_end(tmp_path: Path) -> None:
    keeper = Housekeeping(ServerSettings(folder=tmp_path, smtp_host="127.0.0.1"))
    keeper.database.create_tables()
    scans = scans_of(keeper.database)
    keeper.step()
    delete_expired(keeper.database, keeper.files, keeper.settings)
    with keeper.database.write() as session:
        assert jobs.take(session, "w", lease_s=1.0) is None
        assert not jobs.is_waiting(session)
    assert not scans
