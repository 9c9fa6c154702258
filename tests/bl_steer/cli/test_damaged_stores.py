"""What the commands save of a store that a crash, a full disk or a stopped process has left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bl_steer.cli import main
from bl_steer.runs import RecordsAlone, Run, list_runs, open_run
from bl_steer.store import Store, StoreError, catalogue

N_POINTS, N_DIED = 8, 5


def record_of(data: Path) -> Path:
    (path,) = (data / "record").glob("*.jsonl")
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def number_of(lines: list[bytes], kind: bytes, key: bytes, which: int) -> int:
    """Return the number of a line, by the kind of its document and a word in it."""
    return [n for n, line in enumerate(lines) if line.startswith(b'["' + kind) and key in line][
        which
    ]


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    """Run a command; return what it printed, and what it said on the error stream."""
    assert main(list(words)) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, captured.err


def fill_with_zeros(lines: list[bytes]) -> list[bytes]:
    n = number_of(lines, b"event", b"det_total", 2)
    return [*lines[:n], b"\0" * 300 + b"\n", *lines[n + 1 :]]


def tear(lines: list[bytes]) -> list[bytes]:
    n = number_of(lines, b"event", b"acquisition", 3)
    return [*lines[:n], lines[n][:50] + b"\n", *lines[n + 1 :]]


@pytest.mark.parametrize(("damage", "n_saved"), [(fill_with_zeros, 2), (tear, 3)])
def test_record_with_damage_in_its_midst_is_read_and_carried_on_from_there(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[list[bytes]], list[bytes]],
    n_saved: int,
) -> None:
    path = record_of(data)
    uid, at = path.stem, str(data)
    path.write_bytes(b"".join(damage(lines_of(path))))
    out, _ = told(capsys, "runs", "--data", at)
    assert "unfinished, damaged lines: 1" in out
    report = data / "report.json"
    figure = str(data / "run.png")
    words = ["show", uid, "--verify", "--data", at, "--figure", figure, "--json", str(report)]
    told(capsys, *words)
    shown = json.loads(report.read_text())
    assert (shown["decisions_that_differ"], shown["decisions_verified"]) == ([], n_saved)
    assert "1 damaged line (from line" in caplog.text
    told(capsys, "export", uid, "--data", at, "--out", str(data / "run.nxs"))

    told(capsys, "resume", uid, "--data", at, "--json", str(report))

    resumed = json.loads(report.read_text())
    assert (resumed["n_resumed"], resumed["n_points"]) == (n_saved, N_POINTS)
    assert f"has a gap: its first {n_saved} points count" in caplog.text
    undisturbed = Run.from_record(data / "finished.jsonl")
    run = open_run(RecordsAlone(data), resumed["run_uid"])
    np.testing.assert_array_equal(run.total[:n_saved], undisturbed.total[:n_saved])
    np.testing.assert_array_equal(
        run.decisions["x"][: n_saved + 1], undisturbed.decisions["x"][: n_saved + 1]
    )
    with Store.open(data) as store:
        assert sorted(store.sync()) == [uid]
        assert Run.from_tiled(store.catalog[uid]).n_points == open_run(store, uid).n_points


def test_lines_that_are_there_twice_change_nothing(data: Path) -> None:
    path = record_of(data)
    before = Run.from_record(path)
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:9], *lines[3:9], *lines[9:], lines[-1], lines[0]]))
    again = Run.from_record(path)
    assert again.n_complete == before.n_complete == N_DIED
    np.testing.assert_array_equal(again.patterns(), before.patterns())
    with Store.open(data) as store:
        assert store.sync() == [path.stem]


def test_record_without_its_start_is_named_and_the_other_runs_are_there(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = record_of(data)
    path.write_bytes(b"\0" * 40 + b"\n" + b"".join(lines_of(path)[1:]))
    (data / "record" / "empty.jsonl").touch()  # killed before its first line
    out, _ = told(capsys, "runs", "--data", str(data))
    assert len(out.splitlines()) == 1
    assert f"{path} holds no start document" in caplog.text
    assert "empty.jsonl" not in caplog.text
    for command in ("show", "export", "resume"):
        _, err = told(capsys, command, path.stem, "--data", str(data), status=2)
        assert err.splitlines()[-1].startswith("bl-steer: a run must begin with a start document")
    with Store.open(data) as store:
        assert store.sync() == []


def test_record_that_cannot_be_read_does_not_hide_the_others(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (data / "record" / f"{uuid.uuid4()}.jsonl").mkdir()
    out, _ = told(capsys, "runs", "--data", str(data))
    assert len(out.splitlines()) == 2
    assert "got 'Is a directory'" in caplog.text


@contextlib.contextmanager
def held(data: Path) -> Iterator[None]:
    """Hold the lock with which a store is opened, as a process does that was stopped there."""
    descriptor = os.open(data / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Lock the database, as a process does that was stopped in the midst of its first opening."""
    database = sqlite3.connect(data / "catalogue.db", isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=DELETE")
        database.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        database.close()


@contextlib.contextmanager
def damaged(data: Path) -> Iterator[None]:
    """Overwrite all but the head of the database."""
    database = sqlite3.connect(data / "catalogue.db")
    database.execute("PRAGMA journal_mode=DELETE")
    database.close()
    path = data / "catalogue.db"
    head = path.read_bytes()[:100]
    path.write_bytes(head + b"\xff" * (path.stat().st_size - 100))
    yield


@contextlib.contextmanager
def no_room(data: Path) -> Iterator[None]:
    """Let no file grow: it stands for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (held, r"the store must be free to be opened within 0.3 s"),
        (locked, r"the catalogue must be free within 0.3 s, got database is locked"),
        (damaged, r"the catalogue must be a sound SQLite file, got"),
        (no_room, r"the store must be a writable folder, got 'File too large'"),
    ],
)
def test_runs_are_read_from_their_records_where_the_catalogue_cannot_be_opened(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Path], contextlib.AbstractContextManager[None]],
    reason: str,
) -> None:
    for patience in ("BUSY_S", "OPENING_S"):
        monkeypatch.setattr(catalogue, patience, 0.3)
    path = record_of(data)
    with trouble(data):
        out, err = told(capsys, "runs", "--data", str(data))
        assert (len(out.splitlines()), path.stem[:8] in out) == (1, True)
        assert err.startswith(f"bl-steer: reading the records alone: {reason}")
        assert len(err.splitlines()) == 1
        _, err = told(capsys, "resume", path.stem, "--data", str(data), status=2)
        assert err.splitlines()[-1].startswith(f"bl-steer: {reason}")
        with pytest.raises(StoreError, match=reason):
            Store.open(data)
        assert len(list_runs(RecordsAlone(data))) == 1
        assert open_run(RecordsAlone(data), path.stem).n_complete == N_DIED
    if trouble is not damaged:
        told(capsys, "resume", path.stem, "--data", str(data))


def test_run_that_cannot_be_brought_into_the_catalogue_is_named_and_opens(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = record_of(data)
    with Store.open(data) as store:
        with no_room(data):
            assert store.sync() == []
        assert f"run {path.stem} could not be brought into the catalogue" in caplog.text
        assert open_run(store, path.stem).n_complete == N_DIED
        assert store.sync() == [path.stem]


def remove(frames: Path) -> None:
    frames.unlink()


def cut(frames: Path) -> None:
    os.truncate(frames, frames.stat().st_size // 2)


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (remove, "the frames of a run must be where"),
        (cut, "the frames of a run must be in a sound"),
    ],
)
def test_run_whose_frames_are_lost_is_shown_and_its_numbers_are_exported(
    data: Path, capsys: pytest.CaptureFixture[str], lose: Callable[[Path], None], reason: str
) -> None:
    path, at = record_of(data), str(data)
    for frames in (data / "frames").glob("*.h5"):
        lose(frames)
    figure = str(data / "run.png")
    out, _ = told(capsys, "show", path.stem, "--data", at, "--figure", figure)
    assert f"n_points              {N_DIED}" in out
    for words in (
        ["show", path.stem, "--verify", "--figure", figure],
        ["resume", path.stem],
        ["export", path.stem, "--out", str(data / "run.nxs")],
    ):
        _, err = told(capsys, *words, "--data", at, status=2)
        assert err.splitlines()[-1].startswith(f"bl-steer: {reason}")
    assert not list(data.glob("run*.nxs*"))
    nexus = str(data / "run.nxs")
    told(capsys, "export", path.stem, "--data", at, "--out", nexus, "--frames", "none")
    told(capsys, "export", path.stem, "--data", at, "--out", str(data / "run.csv"))


def test_export_onto_a_full_disk_leaves_no_half_a_file(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record_of(data)
    for name in ("run.nxs", "run.csv"):
        with no_room(data):
            words: list[Any] = ["export", path.stem, "--data", data, "--out", data / name]
            _, err = told(capsys, *map(str, words), status=2)
        assert "File too large" in err.splitlines()[-1]
        assert not list(data.glob("run*"))
