"""Tiled: a catalogue in SQLite and files inside this process, or on a server.

Tiled takes seconds to import, so `bl_steer.store.store` and `.writer` reach this module by the lazy
package: reading a run's record loads none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import logging
import os
import secrets
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from bluesky_tiled_plugins import TiledWriter
from bluesky_tiled_plugins.exporters import json_seq_exporter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tiled.catalog import from_uri as open_tree
from tiled.catalog.core import REQUIRED_REVISION, initialize_database
from tiled.client import from_context, from_uri
from tiled.client.context import Context
from tiled.config import Authentication
from tiled.media_type_registration import default_serialization_registry
from tiled.server.app import build_app
from tiled.structures.core import Spec

from bl_steer.store.moved import name_files_anew
from bl_steer.store.record import StoreError

__all__ = ["EmbeddedCatalogue", "catalogue_on_server", "tiled_writer", "unreadable_frames"]

RUNS = "runs"
"""Key of the container, below the root of the Tiled tree, that holds the runs."""

RUNS_SPEC = "CatalogOfBlueskyRuns"
"""Without this spec a container has no [-1], no scan id and no partial uid."""

BUSY_S = 30.0
"""How long to wait for another process that is writing."""

OPENING_S = 120.0
"""How long to wait for another process that is opening the store: busy, it takes half a minute."""

ANSWER_S = 10.0
"""How long a server may take to answer at all."""


@dataclass(frozen=True)
class EmbeddedCatalogue:
    """An open catalogue of runs and what must be closed after it.

    Parameters
    ----------
    client : Tiled's client of the runs: ``client[-1]``, ``client[scan_id]``, ``client["partial"]``
    context : Tiled's connection, in truth a call within the process
    engine : SQLAlchemy's engine of the catalogue, which other stores of this process may share
    """

    client: Any
    context: Any
    engine: Any

    @classmethod
    def open(cls, folder: Path, *, readable: Sequence[Path]) -> EmbeddedCatalogue:
        """Open the catalogue in a folder, made at the first time.

        Parameters
        ----------
        folder : holds the catalogue, its tables and its own files
        readable : folders where the frames lie that runs refer to

        Raises
        ------
        StoreError
            When the catalogue is damaged or of another version of Tiled.
        """
        database, tables, files = folder / "catalogue.db", folder / "tables.db", folder / "files"
        files.mkdir(exist_ok=True)
        with _one_at_a_time(folder / ".lock"):
            if not database.exists():
                _create(database)
            _check(database, tables)
            _sound(database, lambda: name_files_anew(database, folder, busy_s=BUSY_S))
            context, engine = _connect(database, tables, files, readable)
            try:
                return cls(_container(context), context, engine)
            except BaseException as error:
                context.close()
                if isinstance(error, Exception):  # Tiled's own, of what SQLite told it
                    raise _unsound(_one_line(error), database) from error
                raise

    def close(self) -> None:
        """Stop Tiled's thread and close its databases."""
        # Tiled keeps one engine for each catalogue of the process and disposes of it once, with
        # the first store: what another one opened since would stay open.
        portal = self.context.http_client.portal
        if portal is not None:  # at the end of the process Tiled may have ended it already
            portal.call(self.engine.dispose)
        self.context.close()


def catalogue_on_server(uri: str, *, api_key: str | None) -> Any:
    """Return Tiled's client of a container of runs on a server.

    Raises
    ------
    StoreError
        When the server cannot be reached, or the container is not one of runs.
    """
    try:
        # Tiled's client would try a dead address again and again for most of a minute.
        httpx.head(uri, timeout=ANSWER_S)
        client = from_uri(uri, api_key=api_key)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(
            f"the Tiled server must answer, got {reason!r} from {uri}; check the address and "
            "the key, or use Store.open for a store without a server"
        ) from error
    if RUNS_SPEC not in {spec.name for spec in client.specs}:
        client.context.close()
        raise StoreError(
            f"the container must have the spec {RUNS_SPEC!r}, got "
            f"{[spec.name for spec in client.specs]} at {uri}; give the address of the "
            "container that holds the runs"
        )
    return client


def tiled_writer(client: Any, *, batch_size: int) -> Callable[[str, dict[str, Any]], None]:
    """Return what writes one run's documents into a catalogue, `batch_size` rows at a time."""
    writer: Callable[[str, dict[str, Any]], None] = TiledWriter(client, batch_size=batch_size)
    return writer


def unreadable_frames(client: Any, uid: str) -> str:
    """Say what of a run a server cannot read; empty where it can read a pixel of each file."""
    for name, stream in client[uid].items():
        keys = stream.metadata.get("data_keys", {})
        for key, part in stream.base.items():
            if not keys.get(key, {}).get("external"):
                continue
            # Not by Tiled's client, which asks again for half a minute.
            answer = part.context.http_client.get(
                part.item["links"]["full"],
                params={"slice": ",".join("0" * len(part.shape))},
                headers={"Accept": "application/octet-stream"},
                timeout=ANSWER_S,
            )
            if answer.is_error:
                return f"status {answer.status_code} for {key} of stream {name} of run {uid}"
    return ""


def _connect(
    database: Path, tables: Path, files: Path, readable: Sequence[Path]
) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        # Here and not above, for its warning: starlette 1.x would have its test client on httpx2,
        # which Tiled does not use yet.
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
        import starlette.testclient  # noqa: F401
    logging.getLogger("tiled.server.app").setLevel(logging.WARNING)
    default_serialization_registry.register("BlueskyRun", "application/json-seq", json_seq_exporter)
    tree = open_tree(
        f"sqlite:///{database}",
        writable_storage=[str(files), f"sqlite:///{tables}"],
        readable_storage=[str(part) for part in readable],
    )
    app = build_app(tree, Authentication(single_user_api_key=_key()))
    return Context.from_app(app), tree.context.engine


@functools.cache
def _key() -> str:
    """Return this process' key: Tiled knows one at a time, another would shut the first out."""
    return secrets.token_hex(32)


def _container(context: Any) -> Any:
    root = from_context(context)
    if RUNS not in root:
        root.create_container(RUNS, specs=[Spec(RUNS_SPEC, version="3.0")])
    return root[RUNS]


def _create(database: Path) -> None:
    """Make an empty catalogue beside its place and move it there: a crash leaves none or all.

    Tiled's ``init_if_not_exists`` would start a subprocess at every open, some seconds.
    """
    draft = database.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # Off this thread, which in a notebook has a running event loop already.
    failures: list[BaseException] = []
    thread = threading.Thread(target=_run_initialisation, args=(draft, failures))
    thread.start()
    thread.join()
    if failures:
        raise StoreError(
            f"the catalogue must be creatable, got {_one_line(failures[0])} for {database}; "
            "free some space there or open the store elsewhere"
        ) from failures[0]
    draft.replace(database)


def _run_initialisation(draft: Path, failures: list[BaseException]) -> None:
    try:
        asyncio.run(_initialise(draft))
    except Exception as error:  # handed to the caller's thread
        failures.append(error)


async def _initialise(draft: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{draft}")
    try:
        await initialize_database(engine)
        async with engine.begin() as connection:
            # What alembic's "stamp" writes, without its configuration file and second connection.
            await connection.execute(
                text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            )
            await connection.execute(
                text("INSERT INTO alembic_version VALUES (:revision)"),
                {"revision": REQUIRED_REVISION},
            )
    finally:
        await engine.dispose()


def _check(database: Path, tables: Path) -> None:
    """Raise where SQLite cannot read a file or Tiled would refuse its version."""
    (revision,) = _query(database, "SELECT version_num FROM alembic_version") or ("none",)
    if revision != REQUIRED_REVISION:
        raise StoreError(
            f"the catalogue must have revision {REQUIRED_REVISION}, got {revision} in {database}; "
            f"run 'tiled catalog upgrade-database sqlite:///{database}'"
        )
    for path in (database, tables):
        # Lets one process read while another writes, even one that was stopped in the midst of
        # it. Tiled asks for it too, but within a transaction, where SQLite ignores it.
        _query(path, "PRAGMA journal_mode=WAL")


def _query(path: Path, statement: str) -> Any:
    def fetch() -> Any:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_S)) as connection:
            return connection.execute(statement).fetchone()

    return _sound(path, fetch)


def _sound(path: Path, action: Callable[[], Any]) -> Any:
    """Do something with a database; raise `StoreError` where SQLite cannot."""
    try:
        return action()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreError(
                f"the catalogue must be free within {BUSY_S:g} s, got {_one_line(error)} for "
                f"{path}; another process holds it: wait for it, or end it"
            ) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            raise StoreError(
                f"the catalogue must be writable, got {_one_line(error)} for {path}; set the "
                "permissions of the file and its folder"
            ) from error
        raise _unsound(_one_line(error), path) from error


def _unsound(reason: str, path: Path) -> StoreError:
    return StoreError(
        f"the catalogue must be a sound SQLite file, got {reason} for {path}; move catalogue.db "
        "and tables.db away and open the store again: sync() rebuilds them from the records"
    )


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Keep a second process from making the same catalogue at the same time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + OPENING_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"the store must be free to be opened within {OPENING_S:g} s, got {path} "
                        "held by another process, perhaps a stopped one; end that process"
                    ) from error
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
