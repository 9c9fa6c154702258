"""Copy the server's database and files while it runs, and bring them back.

The rows are read in one transaction, hence as they were at one moment, and written as JSON lines:
a backup of SQLite can be restored into PostgreSQL, and the other way round. It says of which
version its tables are: one of an earlier version is brought back as it was, and then up to date.
Files are copied after that; those that a row names are there by then. A later backup into the same
folder copies what is new alone. The key of the reviews is in it, without which no approval would
count: keep it as safe as the server itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from bl_steer.files.atomic import write_whole
from bl_steer.server.db import migrations
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base, Worker
from bl_steer.server.folder import PARTS, alone
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import BLOCK, FileStore

__all__ = ["Copied", "back_up", "restore"]

ROWS = "rows.jsonl"
FORM = "bl_steer server backup, form 2"
FIRST_FORM = "bl_steer server backup, form 1"
"""Of the first two versions of the tables; it does not say which."""
BATCH = 500


@dataclass(frozen=True)
class Copied:
    """How much was copied.

    Parameters
    ----------
    copied : files that were not there before
    """

    rows: int
    files: int
    copied: int


def back_up(settings: ServerSettings, target: Path) -> Copied:
    """Copy everything into a folder; an earlier backup there is replaced when this one is whole.

    Raises
    ------
    ValueError
        When a file in the store is gone or is not what its name says.
    """
    store, path = FileStore(settings.files), target / "files"
    path.mkdir(parents=True, exist_ok=True)
    target.chmod(0o700)
    database = Database(settings.database, pool_size=1)
    draft = target / f"{ROWS}.new"
    try:
        with draft.open("w", encoding="utf-8") as file:
            rows, hashes = _write_rows(database, file)
            file.flush()
            os.fsync(file.fileno())
    finally:
        database.close()
    _copy_keys(settings.keys, target / "keys")
    copied = sum(_copy_out(store, sha256, path) for sha256 in sorted(hashes))
    draft.replace(target / ROWS)
    return Copied(rows, len(hashes), copied)


def restore(settings: ServerSettings, source: Path) -> Copied:
    """Bring a backup back into a server without rows, which must not run meanwhile.

    Raises
    ------
    FileExistsError
        When a server, or another restore, is at work in the folder on this machine.
    ValueError
        When it is no whole backup, or the server has rows already.
    """
    path = source / ROWS
    if not path.exists():
        raise ValueError(f"a backup must have {ROWS}, got none in {source}; choose another folder")
    with alone(settings, PARTS):
        report = _restore(settings, source)
        settings.restoring.unlink()
        return report


def _restore(settings: ServerSettings, source: Path) -> Copied:
    path, mark = source / ROWS, str(source.absolute())
    with path.open(encoding="utf-8") as file:
        rows, files, revision = _contents_of(file, path)
    migrations.check_known(revision, "a backup")
    database = Database(settings.database, pool_size=1)
    store = FileStore(settings.files)
    resumed = settings.restoring.exists() and settings.restoring.read_text(encoding="utf-8") == mark
    try:
        # From the first change on there is a mark, without which `serve` would take what an end in
        # the middle leaves for a new server. The rows come last and all at once: as long as there
        # are none, a second restore goes over what the first one left; once they are there, all is.
        if filled := _filled(database):
            if resumed:
                return Copied(rows, len(files), 0)
            raise ValueError(
                f"a backup must go into an empty server, got rows in {', '.join(filled)}; give "
                "another folder or database"
            )
        write_whole(settings.restoring, mark.encode())
        for sha256 in sorted(files):
            _copy_in(source / "files" / sha256, sha256, store)
        _copy_keys(source / "keys", settings.keys)
        with path.open(encoding="utf-8") as file:
            _read_rows(database, file, revision)
    finally:
        database.close()
    return Copied(rows, len(files), len(files))


def _tables(connection: Connection) -> list[Table]:
    """Return our tables as they are in a database, which may be of an earlier version."""
    there = set(inspect(connection).get_table_names())
    as_they_are = MetaData()
    as_they_are.reflect(connection, only=sorted(there & set(Base.metadata.tables)))
    return as_they_are.sorted_tables


def _write_rows(database: Database, file: IO[str]) -> tuple[int, set[str]]:
    count, hashes = 0, set()
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            revision = migrations.revision_of(connection)
            file.write(json.dumps({"form": FORM, "revision": revision}) + "\n")
            for table in _tables(connection):
                query = select(table).order_by(*table.primary_key.columns)
                for row in connection.execution_options(yield_per=BATCH).execute(query).mappings():
                    file.write(json.dumps({"table": table.name, "row": dict(row)}) + "\n")
                    count += 1
                    if table.name == "blobs":
                        hashes.add(str(row["sha256"]))
    file.write(json.dumps({"end": count}) + "\n")
    return count, hashes


def _copy_out(store: FileStore, sha256: str, folder: Path) -> bool:
    """Copy one file, checked on the way; return whether it was not there before."""
    path = folder / sha256
    if path.exists():
        return False
    draft, total = path.with_suffix(".new"), hashlib.sha256()
    with store.open(sha256) as source, draft.open("wb") as target:
        while block := source.read(BLOCK):
            total.update(block)
            target.write(block)
    if total.hexdigest() != sha256:
        draft.unlink()
        raise ValueError(f"a stored file must be what its name says, got another for {sha256}")
    draft.replace(path)
    return True


def _copy_keys(source: Path, target: Path) -> None:
    """Copy private keys, for the eyes of their owner alone; one that is there stays."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in source.iterdir():
        if path.is_file() and not path.name.startswith(".") and not (target / path.name).exists():
            draft = target / f".{path.name}.new"
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(path.read_bytes())
            draft.replace(target / path.name)


def _copy_in(path: Path, sha256: str, store: FileStore) -> None:
    try:
        with path.open("rb") as file:
            stored, _ = store.put(file)
    except FileNotFoundError as error:
        raise ValueError(f"a backup must hold all its files, got none for {sha256}") from error
    if stored != sha256:
        store.delete(stored)
        raise ValueError(f"a backup's file must be what its name says, got another for {sha256}")


def _contents_of(file: IO[str], path: Path) -> tuple[int, set[str], str]:
    """Return rows, files and version of a backup; `ValueError` unless it is whole."""
    hashes, count, complete, revision = set(), 0, False, "0001"
    for line in _lines(file, path):
        if "row" in line:
            count += 1
            if line["table"] == "blobs":
                hashes.add(line["row"]["sha256"])
            elif line["table"] == "users" and "heir_id" in line["row"]:
                revision = max(revision, "0002")  # of the first form
        revision = line.get("revision") or revision
        complete = line.get("end") == count
    if not complete:
        raise ValueError(f"a backup must be whole, got {path} without its end; use another")
    return count, hashes, revision


def _lines(file: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    for number, text_ in enumerate(file):
        try:
            line = json.loads(text_)
        except ValueError as error:
            raise ValueError(f"a backup must be JSON lines, got {error} in {path}") from error
        if number == 0 and line.get("form") not in (FORM, FIRST_FORM):
            raise ValueError(f"a backup must be of the form {FORM!r}, got {line} in {path}")
        yield line


def _filled(database: Database) -> list[str]:
    """Return the tables with rows, of those that there are."""
    with database.read() as session:
        connection = session.connection()
        return [
            table.name
            for table in _tables(connection)
            if connection.execute(select(table).limit(1)).first() is not None
        ]


def _read_rows(database: Database, file: IO[str], revision: str) -> None:
    """Make the tables as they were, put the rows in, and bring all up to date, or nothing."""
    with database.change() as connection:
        for table in reversed(_tables(connection)):  # empty, and maybe of another version
            table.drop(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        migrations.upgrade(connection, revision)
        tables = {table.name: table for table in _tables(connection)}
        rows = (line for line in map(json.loads, file) if "row" in line)
        for name, of_table in groupby(rows, key=itemgetter("table")):
            while batch := [line["row"] for line in islice(of_table, BATCH)]:
                connection.execute(insert(tables[name]), batch)
        if not database.is_sqlite:
            for table in tables.values():
                _go_on_counting(connection, table)
        migrations.upgrade(connection)
        # Its workers are not here: check, alarms and forecast took them for alive, or silent.
        gone = update(Worker).where(Worker.ended.is_(None))
        connection.execute(gone.values(ended=Worker.seen))


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Let PostgreSQL's counter of a table begin after the restored rows."""
    (key, *others) = table.primary_key.columns
    if others or not isinstance(key.type, Integer | BigInteger):
        return
    name = f"pg_get_serial_sequence('{table.name}', '{key.name}')"
    query = f"SELECT setval({name}, (SELECT max({key.name}) FROM {table.name}))"
    if connection.scalar(select(func.max(key))) is not None:
        connection.execute(text(query))
