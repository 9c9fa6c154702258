"""What a job's process leaves is trusted in nothing: names, links, kinds, reports."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bl_steer.server.jobs.leases import Output, Produced
from bl_steer.server.jobs.results import Failure, UnsoundResult, collect
from bl_steer.server.uploads.blobs import FileStore

DIGEST = "d" * 64


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(f"file://{tmp_path / 'files'}")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def report(out: Path, *outputs: tuple[str, str], **values: Any) -> None:
    named = [{"name": name, "kind": kind, "media_type": "text/html"} for name, kind in outputs]
    content = {"ok": True, "digest": DIGEST, "outputs": named, **values}
    (out / "result.json").write_text(json.dumps(content))


def test_the_files_that_a_report_names_are_stored_with_types_of_our_own(
    out: Path, store: FileStore
) -> None:
    kinds = {"t.csv": "table", "a.tif": "array", "f.PNG": "figure", "x.html": "figure"}
    for name in (*kinds, "not named.csv"):
        (out / name).write_bytes(name.encode())
    report(out, *kinds.items(), ("t.csv", "table"), warnings=["mind the gap"])
    result = collect(out, store)
    assert isinstance(result, Produced)
    assert (result.digest, result.warnings) == (DIGEST, ["mind the gap"])
    assert [(output.name, output.kind, output.media_type) for output in result.outputs] == [
        ("t.csv", "table", "text/csv"),
        ("a.tif", "array", "image/tiff"),
        ("f.PNG", "figure", "image/png"),
        ("x.html", "file", "application/octet-stream"),  # a browser would run it
    ]
    for output in result.outputs:
        assert isinstance(output, Output)
        with store.open(output.sha256) as file:
            assert file.read() == output.name.encode()
    assert len(list(store.hashes())) == len(kinds)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b.csv", ".hidden", "", "a\nb", "a\0b", "x" * 192, "-a"]
)
def test_a_name_that_leads_elsewhere_is_refused(out: Path, store: FileStore, name: str) -> None:
    (out.parent / "secret").write_text("key")
    report(out, (name, "file"))
    with pytest.raises(UnsoundResult, match="an output must have a plain file name"):
        collect(out, store)
    assert list(store.hashes()) == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(name=st.text(max_size=20))
def test_whatever_a_file_is_called_nothing_outside_the_folder_is_read(
    out: Path, store: FileStore, name: str
) -> None:
    report(out, (name, "file"))
    with pytest.raises(UnsoundResult, match=r"an output must|a job must"):
        collect(out, store)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "missing"])
def test_what_is_no_plain_file_is_refused_at_once(out: Path, store: FileStore, kind: str) -> None:
    path = out / "t.csv"
    (out.parent / "secret").write_text("key")
    if kind == "link":
        path.symlink_to(out.parent / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    report(out, ("t.csv", "table"))
    with pytest.raises(UnsoundResult, match=r"an output must be a .*file.*'t\.csv'"):
        collect(out, store)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "a job must leave a report"),
        ("", "a job must leave a report"),
        ("[]", "a job must leave a report"),
        ('{"digest": "d"}', "a job must leave a report"),
        ('{"ok": true, "digest": "D"}', "a job must leave a report"),
        ('{"ok": true}', "a result must have a digest, got none"),
        ('{"ok": false, "message": "' + "x" * 10_001 + '"}', "a job must leave a report"),
        ('{"ok": true, "outputs": [{"name": "a", "kind": "page"}]}', "a job must leave a report"),
    ],
)
def test_a_report_that_is_none_is_refused(
    out: Path, store: FileStore, content: str | None, reason: str
) -> None:
    if content is not None:
        (out / "result.json").write_text(content)
    with pytest.raises(UnsoundResult, match=reason):
        collect(out, store)


def test_a_report_that_is_a_link_is_not_followed(out: Path, store: FileStore) -> None:
    (out.parent / "other.json").write_text(json.dumps({"ok": True, "digest": DIGEST}))
    (out / "result.json").symlink_to(out.parent / "other.json")
    with pytest.raises(UnsoundResult, match="a job must leave a report"):
        collect(out, store)


@pytest.mark.parametrize(
    ("cause", "message", "expected"),
    [
        ("memory", "too much", ("memory", "too much")),
        ("lies", "too much", ("error", "too much")),
        ("", "", ("error", "it failed without a word")),
    ],
)
def test_a_failure_has_a_cause_that_there_is_and_words(
    out: Path, store: FileStore, cause: str, message: str, expected: tuple[str, str]
) -> None:
    report(out, ok=False, cause=cause, message=message)
    failure = collect(out, store)
    assert isinstance(failure, Failure)
    assert (failure.cause, failure.message) == expected
