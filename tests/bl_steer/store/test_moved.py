"""A folder that was moved: which file a URI means then, and what the catalogue names after it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from bl_steer.store.moved import found_uri, name_files_anew


def uri_of(path: Path) -> str:
    return f"file://localhost{path}"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Where a store was, and where it is now, with a file of frames and a file of Tiled's."""
    old, new = tmp_path / "old", tmp_path / "new"
    for part in ("frames/run", "files/runs/table"):
        (new / part).mkdir(parents=True)
    (new / "frames/run/a.h5").touch()
    (new / "files/runs/table/b.parquet").touch()
    return old, new


def renamed(folder: Path, *uris: str) -> list[str]:
    database = folder / "catalogue.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE assets (id INTEGER PRIMARY KEY, data_uri TEXT)")
        connection.executemany("INSERT INTO assets (data_uri) VALUES (?)", [(u,) for u in uris])
        connection.commit()
    name_files_anew(database, folder, busy_s=1.0)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [uri for (uri,) in connection.execute("SELECT data_uri FROM assets ORDER BY id")]


def test_a_file_where_it_was_written_keeps_its_uri(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
        (folder / "a.h5").touch()
    assert found_uri(uri_of(there / "a.h5"), here) == uri_of(there / "a.h5")


def test_a_file_that_lies_in_the_folder_of_frames_alone_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    assert found_uri("file://localhost/gone/a.h5", tmp_path) == uri_of(tmp_path / "a.h5")


def test_a_file_that_lies_nowhere_keeps_its_uri(tmp_path: Path) -> None:
    assert found_uri("file://localhost/gone/a.h5", tmp_path) == "file://localhost/gone/a.h5"


@pytest.mark.parametrize("path", ["frames/run/a.h5", "files/runs/table/b.parquet"])
def test_the_catalogue_names_files_of_a_moved_folder_where_they_are(
    folders: tuple[Path, Path], path: str
) -> None:
    old, new = folders
    assert renamed(new, uri_of(old / path)) == [uri_of(new / path)]


def test_the_tables_of_a_moved_folder_are_its_own(folders: tuple[Path, Path]) -> None:
    old, new = folders
    (uri,) = renamed(new, f"sqlite://localhost/{old / 'tables.db'}")
    assert uri == f"sqlite://localhost/{new / 'tables.db'}"


def test_the_last_folder_of_that_name_counts(folders: tuple[Path, Path]) -> None:
    _, new = folders
    (uri,) = renamed(new, "file://localhost/data/frames/beamtime/frames/run/a.h5")
    assert uri == uri_of(new / "frames/run/a.h5")


@pytest.mark.parametrize(
    "uri",
    [
        "file://localhost/elsewhere/frames/run/lost.h5",
        "file://localhost/elsewhere/pictures/run/a.h5",
    ],
)
def test_what_is_not_in_the_folder_keeps_its_name(folders: tuple[Path, Path], uri: str) -> None:
    assert renamed(folders[1], uri) == [uri]


def test_naming_files_twice_changes_nothing_more(folders: tuple[Path, Path]) -> None:
    old, new = folders
    once = renamed(new, uri_of(old / "frames/run/a.h5"), uri_of(new / "frames/run/a.h5"))
    name_files_anew(new / "catalogue.db", new, busy_s=1.0)
    with contextlib.closing(sqlite3.connect(new / "catalogue.db")) as connection:
        again = [uri for (uri,) in connection.execute("SELECT data_uri FROM assets ORDER BY id")]
    assert once == again == [uri_of(new / "frames/run/a.h5")] * 2


def test_a_database_that_is_none_is_an_error_of_sqlite(tmp_path: Path) -> None:
    (tmp_path / "catalogue.db").write_text("no database, but long enough to have a header" * 9)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        name_files_anew(tmp_path / "catalogue.db", tmp_path, busy_s=0.1)
