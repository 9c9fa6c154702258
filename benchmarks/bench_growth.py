"""A laboratory's second decade: 10⁶ jobs and 10⁵ files in PostgreSQL; how long do pages take?

A PostgreSQL of its own, with full sync, is filled by ``generate_series``: 100 users, of whom one
has a third of everything, 10⁶ jobs in all states, as many mails and two files of results each, 10⁵
uploads, 10⁶ requests in the access log, 10⁵ links of the audit chain. Then a whole web process is
asked over HTTP for the pages that list things, the first and deep ones, with each filter; claims of
the queue are timed while 2,000 jobs wait; and retention deletes what is old while a writer beside
it notes its longest wait. Asked for: 200 ms for a page (median of five, after one that warms up).

    python benchmarks/bench_growth.py [--jobs 1000000]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import insert, select, text

from bl_steer.server.db import audit
from bl_steer.server.db.audit import record_event
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Base
from bl_steer.server.jobs import queue
from bl_steer.server.operations.retention import Deleted, expiring
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore

ALLOWED_MS = 200.0
USERS = 100
YEAR_S = 365 * 86_400.0
FILL = """
INSERT INTO users (id, email, name, role, language, created)
  SELECT 'u' || g, 'u' || g || '@example.org', '', 'user', '', 0 FROM generate_series(2, {users}) g;
INSERT INTO blobs (sha256, size, created)
  SELECT encode(sha256(('f' || g)::bytea), 'hex'), 1000000, 0 FROM generate_series(1, {files}) g;
INSERT INTO uploads (id, user_id, sha256, file_name, media_type, size, created, may_train, sample)
  SELECT 'f' || g, CASE WHEN g % 3 = 0 THEN '{owner}' ELSE 'u' || 2 + g % {others} END,
    encode(sha256(('f' || g)::bytea), 'hex'), 'micrograph ' || g || '.tif', 'image/tiff', 1000000,
    {now} - {span} * g / {files}, true, 'film ' || g % 500 FROM generate_series(1, {files}) g;
INSERT INTO jobs (id, user_id, analysis, params, upload_ids, state, attempt, lost, cancel_requested,
    progress_done, progress_total, cause, message, last_words, digest, warnings, provenance,
    language, wants_mail, created, started, finished)
  SELECT 'j' || g, CASE WHEN g % 3 = 0 THEN '{owner}' ELSE 'u' || 2 + g % {others} END,
    (ARRAY['segment', 'advise', 'structure', 'superres'])[1 + (g / 3) % 4],
    '{{"pixel_size_nm": 10}}', json_build_array('f' || 1 + g % {files}),
    CASE (g / 3) % 1000 WHEN 7 THEN 'failed' WHEN 8 THEN 'cancelled' ELSE 'done' END,
    1, 0, false, 1, 1, CASE (g / 3) % 1000 WHEN 7 THEN 'error' ELSE '' END, '', '',
    repeat('a', 64), '[]', '{{"version": "1"}}', 'en', true,
    {now} - {span} * g / {jobs}, {now} - {span} * g / {jobs} + 5, {now} - {span} * g / {jobs} + 60
  FROM generate_series(1, {jobs}) g;
INSERT INTO job_files (job_id, upload_id) SELECT id, upload_ids->>0 FROM jobs;
INSERT INTO job_outputs (job_id, name, kind, sha256, size, media_type)
  SELECT 'j' || g, name, 'table', encode(sha256(('r' || g % {files})::bytea), 'hex'), 1000, ''
  FROM generate_series(1, {jobs}) g, unnest(ARRAY['a.csv', 'b.csv']) name;
INSERT INTO blobs (sha256, size, created)
  SELECT encode(sha256(('r' || g)::bytea), 'hex'), 1000, 0 FROM generate_series(0, {files} - 1) g;
INSERT INTO outbox (id, job_id, recipient, subject, body, message_id, state, attempt, not_before,
    problem, created, sent)
  SELECT 'm' || g, 'j' || g, 'a@example.org', 'done', repeat('b', 400), 'i' || g, 'sent', 1, 0, '',
    {now} - {span} * g / {jobs}, {now} - {span} * g / {jobs} FROM generate_series(1, {jobs}) g;
INSERT INTO access_log (time, user_id, method, path, status, address, ms)
  SELECT {now} - {span} * g / {jobs}, 'u' || 2 + g % {others}, 'GET', '/jobs/j' || g, 200,
    '127.0.0.1', 5 FROM generate_series({jobs}, 1, -1) g;
"""


def beside(name: str) -> ModuleType:
    """Load a module of the server's tests: their servers are the real ones."""
    place = Path(__file__).parents[1] / "tests" / "bl_steer" / "server" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"growth_{name}", place)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{place} must be there; run the benchmark in its repository")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def fill(database: Database, owner: str, n_jobs: int, *, links: int) -> None:
    """Make users, files, jobs, mails and requests; the oldest are of ten years ago."""
    set_defaults(database)
    values = {"owner": owner, "jobs": n_jobs, "files": n_jobs // 10, "now": time.time()}
    values |= {"users": USERS, "others": USERS - 1, "span": 10 * YEAR_S}
    for statement in FILL.format(**values).split(";\n"):
        if statement.strip():
            with database.write() as session:
                session.execute(text(statement.replace(":", "\\:").replace("\\:\\:", "::")))
    add_links(database, links)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def set_defaults(database: Database) -> None:
    """Let PostgreSQL know the defaults that SQLAlchemy fills in, so that rows name few."""
    with database.change() as connection:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if column.default is not None and column.default.is_scalar:
                    value = str(column.default.arg).replace("'", "''")
                    change = f"ALTER COLUMN {column.name} SET DEFAULT '{value}'"
                    connection.execute(text(f"ALTER TABLE {table.name} {change}"))


def add_links(database: Database, number: int) -> None:
    """Lengthen the audit chain, as `record_event` does it, many at once."""
    with database.write() as session:
        last = session.scalar(select(AuditRecord).order_by(AuditRecord.id.desc()).limit(1))
        previous, rows = last.hash if last else audit.FIRST_HASH, []
        for count in range(number):
            row = {"time": float(count), "actor": "keeper", "action": "file delete"}
            row |= {"object": f"f{count}", "detail": {"size": count}, "previous_hash": previous}
            row["hash"] = previous = audit._hash(AuditRecord(**row))
            rows.append(row)
        session.execute(insert(AuditRecord), rows)


def pages(n_jobs: int) -> dict[str, str]:
    """Return what is asked for, by what it is; times are of the last, the middle and the first."""
    middle, old = (time.time() - years * YEAR_S for years in (5, 9.9))
    job = n_jobs // 2 // 3 * 3
    found = {"first page, upload": "/", "files": "/files", "files, deep": f"/files?before={old}"}
    found |= {"history": "/jobs", "history, middle": f"/jobs?before={middle}"}
    found |= {"history, deep": f"/jobs?before={old}"}
    for state in ("queued", "running", "done", "failed", "cancelled"):
        found[f"history, {state}"] = f"/jobs?state={state}"
        found[f"history, {state}, deep"] = f"/jobs?state={state}&before={old}"
    found["history, segment"] = "/jobs?analysis=segment"
    found["history, an analysis never used"] = "/jobs?analysis=reconstruct"
    found["history, segment, failed"] = "/jobs?analysis=segment&state=failed"
    found["history, segment, failed, deep"] = f"/jobs?analysis=segment&state=failed&before={old}"
    found["history, never used, failed"] = "/jobs?analysis=reconstruct&state=failed"
    rare, words = f"micrograph {n_jobs // 20 // 3 * 3}", "micrograph tif"
    found["search, one file"] = f"/jobs?q={rare}"
    found["search, a specimen"] = "/jobs?q=film 123"
    found["search, nothing"] = "/jobs?q=nowhere"
    found["search, all files"] = f"/jobs?q={words}"
    found["search, all files, failed, deep"] = f"/jobs?q={words}&state=failed&before={old}"
    found["search, half of the files"] = "/jobs?q=film 1"
    found["search, a week"] = "/jobs?q=film&since=2024-03-01&until=2024-03-07"
    found |= {"a result": f"/jobs/j{job}", "form of an analysis": "/analyses/advise"}
    found |= {"masks and training": "/training", "packages": "/packages", "account": "/account"}
    found |= {
        "administration": "/admin",
        "accounts": "/admin/users",
        "account of": "/admin/users/u2",
    }
    found |= {"access log": "/admin/access", "access log, deep": "/admin/access?before=1000"}
    found |= {"audit trail": "/admin/audit", "audit trail, deep": "/admin/audit?before=1000"}
    found["REST, search"] = "/api/v1/jobs?q=film 123"
    found |= {"REST, jobs": "/api/v1/jobs", "REST, files": "/api/v1/files", "metrics": "/metrics"}
    return found


def milliseconds(does: Callable[[], Any], times: int = 5) -> list[float]:
    """Return how long each of several calls takes, the first of all left out, ms."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        does()
        took.append(1000 * (time.perf_counter() - began))
    return took[1:]


def measure_pages(site: Any, program: Any, n_jobs: int) -> bool:
    """Print how long each page takes; return whether all are quick enough."""
    browser = site.browser("owner@example.org")
    fine = True
    for name, path in pages(n_jobs).items():
        client = program if path.startswith("/api") else browser

        def ask(client: Any = client, path: str = path) -> None:
            answer = client.get(path)
            if answer.status_code != 200:
                raise RuntimeError(f"every page must answer, got {answer.status_code} for {path}")

        took = milliseconds(ask)
        fine &= (slow := statistics.median(took)) <= ALLOWED_MS
        word = "" if slow <= ALLOWED_MS else "   slow"
        print(f"{name:34}{slow:9.1f} ms{max(took):9.1f} ms{word}", flush=True)
    return fine


def measure_queue(database: Database, owner: str) -> None:
    """Print how long a worker needs to take a job while 2,000 wait, of ten users."""
    with database.write() as session:
        for number in range(2000):
            user = owner if number % 10 == 0 else f"u{2 + number % 10}"
            queue.submit(session, user_id=user, analysis="advise", params={}, upload_ids=[])

    def take() -> None:
        with database.write() as session:
            if queue.take(session, "w", lease_s=600.0) is None:
                raise RuntimeError("a job must wait")

    def look() -> None:
        with database.read() as session:
            queue.is_waiting(session)

    for name, does in (("claim of a job, 2,000 wait", take), ("look whether a job waits", look)):
        took = milliseconds(does, 50)
        print(f"{name:34}{statistics.median(took):9.1f} ms{max(took):9.1f} ms", flush=True)


def measure_retention(database: Database, settings: ServerSettings, seconds: float = 60.0) -> None:
    """Print what retention deletes in a minute, and how long a writer beside it has to wait."""
    over = threading.Event()
    waits: list[float] = []

    def write() -> None:
        while not over.wait(0.02):
            began = time.perf_counter()
            with database.write() as session:
                record_event(session, "writer", "test")
            waits.append(1000 * (time.perf_counter() - began))

    writer = threading.Thread(target=write)
    writer.start()
    began, deleted, batches = time.perf_counter(), Deleted(), []
    try:
        for part in expiring(database, FileStore(settings.files), settings):
            deleted += part
            batches.append(time.perf_counter())
            if batches[-1] > began + seconds:
                break
    finally:
        over.set()
        writer.join()
    took = [1000 * (b - a) for a, b in zip([began, *batches], batches, strict=False)]
    print(f"retention in {batches[-1] - began:.0f} s: {deleted}")
    for name, values in (("a batch", took), ("a write beside it", waits)):
        values.sort()
        print(f"{name:34}{statistics.median(values):9.1f} ms{values[-1]:9.1f} ms of {len(values)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument(
        "--pages", action="store_true", help="pages alone, without queue and retention"
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bl-growth-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        with beside("postgres").postgres_server(folder / "pg", durable=True) as url:
            sys.exit(0 if measure(folder, url, chosen) else 1)


def measure(folder: Path, url: str, chosen: argparse.Namespace) -> bool:
    """Fill a database, and measure."""
    with beside("site").running_site(folder / "service", database_url=url) as site:
        owner = site.user("owner@example.org", role="admin")
        began = time.perf_counter()
        fill(site.context.database, owner.id, chosen.jobs, links=100_000)
        print(
            f"filled in {time.perf_counter() - began:.0f} s; median and slowest of five", flush=True
        )
        fine = measure_pages(site, site.program(owner), chosen.jobs)
        if not chosen.pages:
            measure_queue(site.context.database, owner.id)
            measure_retention(site.context.database, site.context.settings)
        return fine


if __name__ == "__main__":
    main()
