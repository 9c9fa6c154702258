"""The database: SQLite on one machine, PostgreSQL for many; the rest of the server sees neither.

`Database.read` and `Database.write` are the ways in, `Database.write_beside` for writes that need
not wait for others, and `Database.write_together` for those that many wait for at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Engine, Result, create_engine, event, inspect, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from bl_steer.server.db import migrations
from bl_steer.server.db.audit import BESIDE, take_turn
from bl_steer.server.db.tables import Base

__all__ = ["Database", "rows_changed"]

LOCK = 0x626C5F74
"""Number of PostgreSQL's advisory lock for changes of the tables."""
BUSY_MS = 20_000
"""How long a writer waits for another in SQLite."""
CACHE_KIB = 256
"""Of pages, that a connection to SQLite keeps. A commit of another process empties it, and leaves
holes between longer-lived blocks; the system keeps the file itself."""
STATEMENTS = 32
"""That a connection to SQLite keeps parsed. One that names many ids is another for each number of
them, and takes .2 KiB an id: 128, the usual number, grew to 6 MiB a connection."""

T = TypeVar("T")
Waiting = tuple[Callable[[Session], Any], "Future[Any]"]


class Database:
    """Connections to the server's database.

    Parameters
    ----------
    url : ``sqlite:///path`` or ``postgresql+psycopg://user@host/name``
    pool_size : connections that are kept open

    Notes
    -----
    SQLite runs with a write-ahead log, a full sync at each commit and a busy timeout. A write takes
    its lock at its beginning (``BEGIN IMMEDIATE``): one that first reads and then writes would be
    refused, not delayed, where another wrote in between. Threads of one process take turns before
    that, since SQLite's own waiting sleeps longer and longer and lets late comers in first:
    without turns, 5 % of 20 writers at once wait for seconds. What comes by `write_together` while
    another has the turn shares one transaction, and so one sync of the disk. PostgreSQL runs at
    READ COMMITTED. There too, writes take turns from their beginning, so that what one has read
    stays true until it ends, but for those beside: every statement of these is right on its own, as
    the guarded UPDATE of a job's transition is. PostgreSQL reads at REPEATABLE READ, where all that
    a session reads is of one moment, as in SQLite.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options = {"timeout": BUSY_MS / 1000, "cached_statements": STATEMENTS}
            arguments: dict[str, Any] = {"connect_args": options}
        else:
            arguments = {"pool_pre_ping": True}
        self.engine: Engine = create_engine(
            parsed, pool_size=pool_size, max_overflow=2 * pool_size, **arguments
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        self._turn: AbstractContextManager[Any] = Lock() if self.is_sqlite else nullcontext()
        self._writing = self.engine.execution_options(writes=True)
        self._reading = self.engine
        if not self.is_sqlite:
            self._reading = self.engine.execution_options(isolation_level="REPEATABLE READ")
        self._gathering = Lock()
        self._waiting: list[Waiting] = []

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one state of the database and changes nothing."""
        with Session(self._reading, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction: committed at the end, rolled back by an exception.

        No other begins before it ends, in any process, but for those of `write_beside`.
        """
        with self._turn, self._transaction() as session:
            if not self.is_sqlite:
                take_turn(session)
            yield session

    @contextmanager
    def write_beside(self) -> Iterator[Session]:
        """Open a transaction as `write` does, which on PostgreSQL waits for no other.

        For work that comes often, whose statements are each right on their own, and of which
        nothing is recorded in the audit chain.
        """
        with self._turn, self._transaction(beside=True) as session:
            yield session

    def write_together(self, work: Callable[[Session], T]) -> T:
        """Carry out work in a transaction; return its result once that is committed.

        On SQLite works that wait for their turn share a transaction. Where that fails, each is
        carried out again in one of its own, so that no work fails for another's sake.

        Parameters
        ----------
        work : does nothing that its session does not undo, since it may be called twice, in any
            thread
        """
        if not self.is_sqlite:  # PostgreSQL gathers commits by itself
            with self.write_beside() as session:
                return work(session)
        result: Future[T] = Future()
        with self._gathering:
            self._waiting.append((work, result))
            is_first = len(self._waiting) == 1
        if is_first:  # waits for the turn, for all that come meanwhile
            with self._turn:
                with self._gathering:
                    gathered, self._waiting = self._waiting, []
                self._carry_out(gathered)
        return result.result()

    def _carry_out(self, gathered: Sequence[Waiting]) -> None:
        try:
            with self._transaction(beside=True) as session:
                done = [work(session) for work, _ in gathered]
        except BaseException as error:  # whatever it is, nobody may wait for ever
            if len(gathered) == 1:
                gathered[0][1].set_exception(error)
            else:
                for waiting in gathered:
                    self._carry_out([waiting])
        else:
            for (_, result), value in zip(gathered, done, strict=True):
                result.set_result(value)

    @contextmanager
    def _transaction(self, *, beside: bool = False) -> Iterator[Session]:
        own = {BESIDE: beside}
        with Session(self._writing, expire_on_commit=False, info=own) as session, session.begin():
            yield session

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Open a transaction that changes tables: one process at a time.

        SQLite changes a table by making it anew, and would take the old one's end for the end of
        all that its rows are referred by; so references are looked at once, at the end.
        """
        with self._writing.connect() as connection:
            if not self.is_sqlite:
                with connection.begin():
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                    yield connection
                return
            _refer(connection, "OFF")  # which SQLite heeds outside transactions alone
            try:
                with connection.begin():
                    yield connection
                    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                        raise RuntimeError(
                            f"a change of the tables must keep what rows refer to, got {broken}; "
                            "nothing was changed"
                        )
            finally:
                _refer(connection, "ON")

    def create_tables(self) -> None:
        """Make the tables, or bring those of an earlier version up to date."""
        with self.change() as connection:
            if inspect(connection).has_table("jobs"):
                migrations.upgrade(connection)
            else:
                Base.metadata.create_all(connection)
                migrations.stamp(connection)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def rows_changed(result: Result[Any]) -> int:
    """Return how many rows a statement has changed or deleted."""
    return result.rowcount if isinstance(result, CursorResult) else 0


def _prepare(connection: Any, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not by the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _refer(connection: Connection, switch: str) -> None:
    """Have SQLite heed references or not, before or after a transaction."""
    raw = connection.connection.dbapi_connection
    if raw is not None:
        raw.execute(f"PRAGMA foreign_keys = {switch}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
