"""A user's files in the database, and on their way out."""

from __future__ import annotations

import asyncio
import io
import zipfile
from email.message import Message
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pytest
from fastapi.responses import FileResponse, StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Blob, JobOutput, Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.downloads import disposition, file_response, zip_response
from bl_steer.server.uploads.uploads import (
    LONGEST_NAME,
    Arrived,
    clean_name,
    delete_upload,
    file_names,
    set_training,
    take_in,
    upload_of,
    uploads_of,
    used_bytes,
)

TABLE = b"x,y\n1,2\n"


def user_of(database: Database, name: str) -> User:
    with database.write() as session:
        return add_user(session, f"{name}@example.org")


def take(
    database: Database, folder: Path, user: User, name: str = "a.csv", content: bytes = TABLE
) -> Upload:
    path = folder / "arrived"
    path.write_bytes(content)
    store = FileStore(f"file://{folder / 'files'}")
    return take_in(database, store, user, Arrived(path, name), may_train=True, sample=" 試料 1 ")


def test_a_file_is_taken_in_under_its_plain_name_and_kept_once(
    database: Database, tmp_path: Path
) -> None:
    ann, ben = user_of(database, "ann"), user_of(database, "ben")
    first = take(database, tmp_path, ann, "C:\\data\\表.csv")
    second = take(database, tmp_path, ben, "b.csv")
    assert (first.file_name, first.sample, first.media_type) == ("表.csv", "試料 1", "text/csv")
    assert first.sha256 == second.sha256
    with database.read() as session:
        assert [blob.size for blob in session.scalars(select(Blob))] == [len(TABLE)]
        assert used_bytes(session, ann.id) == used_bytes(session, ben.id) == len(TABLE)
        assert used_bytes(session, "nobody") == 0


def test_a_file_that_is_no_good_leaves_no_row_and_no_bytes(
    database: Database, tmp_path: Path
) -> None:
    ann = user_of(database, "ann")
    for name, content, reason in (
        ("a.csv", b"", "empty"),
        ("a.exe", b"MZ\0\0", r"a\.exe"),
        ("a.png", TABLE, r"a\.png"),
    ):
        with pytest.raises(Refused, match=reason):
            take(database, tmp_path, ann, name, content)
    with database.read() as session:
        assert session.scalars(select(Upload)).all() == []
    assert not (tmp_path / "files").exists()


def test_files_are_listed_the_newest_first_page_by_page(database: Database, tmp_path: Path) -> None:
    ann = user_of(database, "ann")
    uploads = [take(database, tmp_path, ann, f"{n}.csv", TABLE * (n + 1)) for n in range(4)]
    with database.read() as session:
        page, older = uploads_of(session, ann.id, limit=3)
        assert [upload.file_name for upload in page] == ["3.csv", "2.csv", "1.csv"]
        assert older == page[-1].created
        rest, older = uploads_of(session, ann.id, before=older, limit=3)
        assert older is None
        assert [upload.file_name for upload in rest] == ["0.csv"]
        ids = [upload.id for upload in uploads]
        assert file_names(session, ann.id, [*ids[:2], "nothing"]) == {
            ids[0]: "0.csv",
            ids[1]: "1.csv",
        }
        assert file_names(session, "nobody", ids) == file_names(session, ann.id, []) == {}


def test_a_file_of_another_user_or_a_deleted_one_is_not_there(
    database: Database, tmp_path: Path
) -> None:
    ann, eve = user_of(database, "ann"), user_of(database, "eve")
    upload = take(database, tmp_path, ann)
    for user, upload_id in ((eve, upload.id), (ann, "nothing")):
        with pytest.raises(Refused, match="There is no such file"), database.write() as session:
            delete_upload(session, user, upload_id)
    with database.write() as session:
        delete_upload(session, ann, upload.id)
    with database.read() as session:
        with pytest.raises(Refused, match="There is no such file"):
            upload_of(session, ann.id, upload.id)
        assert uploads_of(session, ann.id) == ([], None)
        assert used_bytes(session, ann.id) == 0
        record = session.scalars(select(AuditRecord).order_by(AuditRecord.id.desc())).first()
    assert record is not None
    assert (record.action, record.detail) == ("file delete", {"sha256": upload.sha256})


@pytest.mark.parametrize(
    ("policy", "wish", "allowed"),
    [
        ("always", False, True),
        ("opt-out", False, False),
        ("opt-out", True, True),
        ("opt-in", True, True),
        ("opt-in", False, False),
    ],
)
def test_a_file_is_for_training_as_its_user_wishes_where_the_policy_leaves_that(
    database: Database,
    tmp_path: Path,
    policy: Literal["always", "opt-out", "opt-in"],
    wish: bool,
    allowed: bool,
) -> None:
    ann = user_of(database, "ann")
    upload = take(database, tmp_path, ann)
    for _ in range(2):  # the second changes nothing, and is not on record
        with database.write() as session:
            changed = set_training(session, ann, upload.id, may_train=wish, policy=policy)
        assert changed.may_train is allowed
    with database.read() as session:
        query = select(AuditRecord).where(AuditRecord.action == "file training")
        assert len(session.scalars(query).all()) == (0 if allowed else 1)


@given(name=st.text(max_size=400))
def test_a_name_has_no_folder_no_control_character_and_an_end(name: str) -> None:
    clean = clean_name(name)
    assert 0 < len(clean) <= LONGEST_NAME
    assert clean.isprintable()
    assert not set(clean) & set('/\\"<>|:*?')
    assert clean not in (".", "..")
    assert clean_name(clean) == clean


def test_a_long_name_keeps_its_suffix() -> None:
    assert clean_name("x" * 500 + ".tiff") == "x" * (LONGEST_NAME - 5) + ".tiff"
    assert clean_name("x." + "y" * 500) == "x." + "y" * (LONGEST_NAME - 2)


@given(name=st.text(st.characters(codec="utf-8"), max_size=60), inline=st.booleans())
def test_a_name_in_a_header_is_ascii_and_comes_back_as_it_was(name: str, inline: bool) -> None:
    header = disposition(name, inline=inline)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header.partition("; filename*")[0]
    assert message.get_content_disposition() == ("inline" if inline else "attachment")
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name


async def _body(response: StreamingResponse) -> bytes:
    blocks = [block async for block in response.body_iterator]
    return b"".join(block for block in blocks if isinstance(block, bytes))


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    return FileStore(f"{request.param}://{tmp_path / 'store'}")


@pytest.mark.parametrize(
    ("media_type", "save", "sent_as", "how"),
    [
        ("image/png", False, "image/png", "inline"),
        ("image/png", True, "application/octet-stream", "attachment"),
        ("text/csv", False, "text/csv", "attachment"),
        ("text/html", False, "application/octet-stream", "attachment"),
        ("image/svg+xml", False, "application/octet-stream", "attachment"),
    ],
)
def test_a_browser_shows_pictures_alone_and_runs_nothing(
    store: FileStore, media_type: str, save: bool, sent_as: str, how: str
) -> None:
    sha256, _ = store.put(io.BytesIO(b"content"))
    response = file_response(store, sha256, "名.x", media_type, save=save)
    assert response.headers["content-type"].partition(";")[0] == sent_as
    assert response.headers["content-disposition"].startswith(f"{how};")
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["etag"] == f'"{sha256}"'
    if isinstance(response, FileResponse):
        assert Path(response.path).read_bytes() == b"content"
    else:
        assert isinstance(response, StreamingResponse)
        assert asyncio.run(_body(response)) == b"content"


def test_a_file_whose_bytes_are_gone_is_told_as_gone(store: FileStore) -> None:
    with pytest.raises(Refused, match="no longer kept") as caught:
        file_response(store, "0" * 64, "a.csv", "text/csv")
    assert caught.value.status == 410


def test_a_zip_holds_all_files_and_packs_again_what_is_not_packed(store: FileStore) -> None:
    contents = {"t.csv": b"1,2\n" * 1000, "f.png": b"\x89PNG" * 1000, "試料.txt": b""}
    types = {"t.csv": "text/csv", "f.png": "image/png", "試料.txt": "text/plain"}
    outputs = []
    for name, content in contents.items():
        sha256, size = store.put(io.BytesIO(content))
        outputs.append(JobOutput(name=name, sha256=sha256, size=size, media_type=types[name]))
    response = zip_response(store, outputs, "all.zip")
    assert isinstance(response, StreamingResponse)
    packed = asyncio.run(_body(response))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    assert sizes["f.png"] == 4000
    assert sizes["t.csv"] < 400
    assert asyncio.run(_body(zip_response(store, outputs, "all.zip"))) == packed  # type: ignore[arg-type]
