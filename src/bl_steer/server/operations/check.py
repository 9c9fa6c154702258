"""``bl-steer serve --check``: what a server lacks, before its users find out.

Nothing is changed but for a small file that is written and taken away again. It may run before the
first start, while the server runs, and on each machine that runs a part of it.
"""

from __future__ import annotations

import os
import platform
import smtplib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from uuid import uuid4

from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from bl_steer.files.atomic import alone_in
from bl_steer.server.db import migrations
from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import User, Worker
from bl_steer.server.environment import misspelt
from bl_steer.server.folder import PARTS
from bl_steer.server.jobs.heartbeat import first_line
from bl_steer.server.mail.smtp import connected
from bl_steer.server.packages.approval import KEY_FILE, ReviewKey
from bl_steer.server.room import LEAST_ROOM, folders_of, room_of
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB, amount
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Finding", "check_server"]

SKEW_S = 5.0
"""Difference of two machines' clocks that does no harm: leases last longer."""

Grade = Literal["ok", "note", "FAULT"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    grade : ``ok``; ``note`` for what may be meant so; ``FAULT`` for what users will meet
    what : that was looked at
    said : what was found, and the remedy where there is one
    """

    grade: Grade
    what: str
    said: str


def check_server(settings: ServerSettings) -> Iterator[Finding]:
    """Yield what was found, as soon as it was."""
    yield from _versions()
    yield from _settings()
    yield from _storage(settings)
    yield from _database(settings)
    yield from _key(settings)
    yield from _sandbox(settings)
    yield from _user()
    yield from _mail(settings)
    yield from _address(settings)
    yield from _parts(settings)


def _versions() -> Iterator[Finding]:
    ours = f"bl_steer {version('bl-steer')} (tables of {migrations.head()})"
    yield Finding("ok", "versions", f"{ours}, Python {platform.python_version()}")


def _settings() -> Iterator[Finding]:
    for name, near in misspelt(os.environ).items():
        hint = f"write {near}" if near else "take it away"
        yield Finding("FAULT", "settings", f"{name} is no setting of the server; {hint}")


def _storage(settings: ServerSettings) -> Iterator[Finding]:
    folder = settings.folder.absolute()
    try:
        left = room_of(folders_of(settings))
        mode = folder.stat().st_mode & 0o077 if folder.exists() else 0
    except OSError as error:
        yield Finding("FAULT", "folder", f"{folder}: {error.strerror}; give another --folder")
        return
    remedy = "give it more room, or lower BL_STEER_SERVICE_KEEP_DAYS"
    short = left < settings.max_upload_mib * MIB
    grade: Grade = "FAULT" if left < LEAST_ROOM else "note" if short else "ok"
    more = f", less than the largest upload may take; {remedy}" if short else ""
    yield Finding(grade, "room", f"{amount(left)} at {folder}{more}")
    if mode:
        said = f"others may read {folder}; run chmod 700"
        yield Finding("FAULT", "folder", said)
    yield from _files(settings)


def _files(settings: ServerSettings) -> Iterator[Finding]:
    if not settings.files_url and not settings.folder.exists():
        yield Finding("note", "files", f"{settings.folder} is made at the first start")
        return
    try:
        store = FileStore(settings.files)
        began = time.time()
        sha256, _ = store.put(iter([uuid4().bytes]))
        skew = store.age_s(sha256) - (time.time() - began)
        store.delete(sha256)
    except Exception as error:  # of whichever library reaches the store
        reason = first_line(error) or type(error).__name__
        yield Finding(
            "FAULT", "files", f"{settings.files}: {reason}; see BL_STEER_SERVICE_FILES_URL"
        )
        return
    yield Finding("ok", "files", f"written to {settings.files} and deleted again")
    if abs(skew) > SKEW_S:
        yield Finding("FAULT", "clocks", f"the file store's is {skew:+.0f} s off; set both by NTP")


def _database(settings: ServerSettings) -> Iterator[Finding]:
    if not settings.database_url and not (settings.folder / "service.db").exists():
        yield Finding("note", "database", "none yet; it is made at the first start")
        return
    try:
        database = Database(settings.database, pool_size=1)
    except (ArgumentError, ImportError) as error:
        said = f"{first_line(error)}; correct BL_STEER_SERVICE_DATABASE_URL"
        yield Finding("FAULT", "database", said)
        return
    try:
        yield from _inside(database, settings)
    except DBAPIError as error:
        said = f"{first_line(error)}; start it, or correct BL_STEER_SERVICE_DATABASE_URL"
        yield Finding("FAULT", "database", said)
    except RuntimeError as error:  # of a newer program
        yield Finding("FAULT", "database", str(error))
    finally:
        database.close()


def _inside(database: Database, settings: ServerSettings) -> Iterator[Finding]:
    kind = database.engine.dialect.name
    with database.read() as session:
        revision = migrations.revision_of(session.connection())
        if revision is None or not inspect(session.connection()).has_table("jobs"):
            yield Finding("note", "database", f"{kind} answers; tables are made at the first start")
            return
        if revision != migrations.head():
            said = (
                f"{kind} has the tables of {revision}, of an earlier version; make a backup, then "
            )
            yield Finding(
                "note", "database", said + "start the server, which brings them up to date"
            )
            return
        yield Finding("ok", "database", f"{kind} answers, tables of {revision}")
        if not database.is_sqlite:
            skew = float(session.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)
            skew -= time.time()
            fine = abs(skew) <= SKEW_S
            more = "" if fine else "; set both by NTP"
            said = f"the database's is {skew:+.1f} s off this machine's{more}"
            yield Finding("ok" if fine else "FAULT", "clocks", said)
        broken = broken_link(session)
        said = "the chain is whole"
        if broken is not None:
            said = f"the chain is broken at number {broken}; compare with a backup"
        yield Finding("ok" if broken is None else "FAULT", "audit", said)
        admins = select(func.count()).where(User.role == "admin", User.disabled.is_(None))
        if not session.scalar(admins):
            said = "no administrator; 'bl-steer server add-user EMAIL --role admin' makes one"
            yield Finding("FAULT", "accounts", said)
        yield from _workers(list(session.scalars(select(Worker))), settings)


def _workers(workers: list[Worker], settings: ServerSettings) -> Iterator[Finding]:
    now = time.time()
    since = now - settings.alarm_after_s
    alive = [worker for worker in workers if worker.seen > since and worker.ended is None]
    ahead = max((worker.seen - now for worker in workers), default=0.0)
    if ahead > SKEW_S:
        said = f"a worker's is {ahead:+.0f} s off this machine's; set both by NTP"
        yield Finding("FAULT", "clocks", said)
    if alive:
        yield Finding("ok", "workers", f"{len(alive)} heard of lately")
    else:
        said = f"none heard of in {settings.alarm_after_s:.0f} s; jobs wait until one is started"
        yield Finding("note", "workers", said)


def _key(settings: ServerSettings) -> Iterator[Finding]:
    if not (settings.keys / KEY_FILE).exists():
        yield Finding("note", "key", f"{settings.keys / KEY_FILE} is made for the first approval")
        return
    try:
        ReviewKey.open(settings.keys)
    except OSError as error:
        yield Finding("FAULT", "key", str(error))
    else:
        yield Finding("ok", "key", "of the reviews, for its owner's eyes alone; is it in a backup?")


def _sandbox(settings: ServerSettings) -> Iterator[Finding]:
    problem = sandbox_problem()
    if not problem:
        said = "bubblewrap makes namespaces, the filter of system calls holds"
        yield Finding("ok", "sandbox", said)
    elif settings.trust_packages:
        yield Finding(
            "note", "sandbox", f"{problem}; jobs run without one, as --trust-packages says"
        )
    else:
        said = f"{problem}; install bubblewrap and let users make namespaces (make system)"
        yield Finding("FAULT", "sandbox", said)


def _user() -> Iterator[Finding]:
    """A job that got out of its sandbox could do what this user may."""
    if os.geteuid() == 0:
        said = "root runs it, whom a way out of a sandbox would give the machine; run it as a user"
        yield Finding("note", "user", f"{said} of its own")


def _mail(settings: ServerSettings) -> Iterator[Finding]:
    if not settings.smtp_host:
        said = "no mail is sent; set BL_STEER_SERVICE_SMTP_HOST, or users look at pages themselves"
        yield Finding("note", "mail", said)
        return
    place = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        with connected(settings) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        said = f"{place}: {first_line(error)}; correct BL_STEER_SERVICE_SMTP_…"
        yield Finding("FAULT", "mail", said)
    else:
        yield Finding("ok", "mail", f"{place} answers")
    if not settings.alarm_to:
        said = "nobody hears of silent workers; set BL_STEER_SERVICE_ALARM_TO"
        yield Finding("note", "alarms", said)


def _address(settings: ServerSettings) -> Iterator[Finding]:
    secure = settings.address.startswith("https://")
    if secure != settings.behind_tls:
        said = f"{settings.address} and BEHIND_TLS={settings.behind_tls} do not fit; set both"
        yield Finding("FAULT", "address", said)
    elif not secure and not _is_here(settings.host):
        said = f"{settings.address} is open to the network without HTTPS: whoever listens has the "
        said += "passwords; put a proxy before it, and set BASE_URL=https://… and BEHIND_TLS=1"
        yield Finding("FAULT", "address", said)
    elif not settings.base_url:
        said = f"links in mails begin with {settings.address}; set BASE_URL to what users see"
        yield Finding("note", "address", said)
    else:
        yield Finding("ok", "address", settings.address)


def _is_here(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(settings: ServerSettings) -> Iterator[Finding]:
    """Say which parts run here: each holds a lock in the folder."""
    machine = socket.gethostname()[:60]
    running = [part for part in PARTS if _is_held(settings.folder / "locks" / f"{machine}-{part}")]
    if set(running) == set(PARTS):
        yield Finding("ok", "parts", f"{', '.join(running)} run here")
    else:
        there = ", ".join(running) or "none"
        missing = ", ".join(part for part in PARTS if part not in running)
        said = f"{there} run here; {missing} must run here or elsewhere (bl-steer serve)"
        yield Finding("note", "parts", said)


def _is_held(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with alone_in(folder):
            return False
    except FileExistsError:
        return True
