from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing

CONTENT = b"micrograph" * 300_000


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    place = tmp_path / "files"
    return FileStore(f"{request.param}://{place}")


def test_a_file_is_found_under_the_hash_of_its_content(store: FileStore, tmp_path: Path) -> None:
    sha256, size = store.put(io.BytesIO(CONTENT))
    assert (sha256, size) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    with store.open(sha256) as file:
        assert file.read() == CONTENT
    assert store.path_for(sha256, tmp_path).read_bytes() == CONTENT
    assert store.put(iter([CONTENT[:10], CONTENT[10:]])) == (sha256, size)
    assert list(store.hashes()) == [sha256]
    assert store.age_s(sha256) < 60


def test_what_was_broken_off_leaves_nothing(store: FileStore) -> None:
    def broken() -> object:
        yield b"begin"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        store.put(broken())
    assert list(store.hashes()) == []
    assert store.clear_drafts(older_than_s=-1.0) == 0


def test_a_deleted_file_is_gone(store: FileStore, tmp_path: Path) -> None:
    sha256, _ = store.put(io.BytesIO(b"x"))
    store.delete(sha256)
    store.delete(sha256)
    assert not store.has(sha256)
    with pytest.raises(StoredFileMissing, match=sha256):
        store.open(sha256)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "a" * 63 + "/"])
def test_nothing_but_a_hash_names_a_file(store: FileStore, name: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        store.open(name)
