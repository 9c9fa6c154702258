"""Texts that a database cannot keep: PostgreSQL none with a NUL, none of them half a surrogate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from bl_steer.server.auth.accounts import add_user, start_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Upload, User
from bl_steer.server.settings import ServerSettings
from bl_steer.server.uploads.blobs import FileStore
from bl_steer.server.uploads.uploads import Arrived, take_in
from bl_steer.server.web.app import create_app
from bl_steer.server.web.authorization import COOKIE

PASSWORD = "correct horse battery"


class Client:
    """Requests to an application in this process, as through a server."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Iterator[Client]:
    """The application on each kind of database."""
    url = database.engine.url.render_as_string(hide_password=False)
    app = create_app(ServerSettings(folder=tmp_path, database_url=url, registration=True))
    app.state.context.open()
    yield Client(app)
    app.state.context.close()


def ann(database: Database) -> User:
    with database.write() as session:
        return add_user(session, "ann@example.org", password=PASSWORD)


def test_an_address_with_a_nul_is_refused_or_leads_nowhere(
    client: Client, database: Database
) -> None:
    user = ann(database)
    with database.write() as session:
        cookie = f"{COOKIE}={start_session(session, user, days=1.0)}"
    statuses = {
        path: client.request("GET", path, headers={"Cookie": cookie}).status_code
        for path in ("/jobs/a%00b", "/jobs?analysis=a%00b", "/files/a%00b", "/analyses?a%00b=1")
    }
    assert [*statuses.values()] == [404, 422, 404, 422]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/sign-in", {"email": "a\0b@example.org", "password": PASSWORD}),
        ("/register", {"email": "ben@example.org", "name": "B\0en", "password": PASSWORD}),
    ],
)
def test_a_form_with_a_nul_is_refused_and_nothing_of_it_kept(
    client: Client, database: Database, path: str, form: dict[str, str]
) -> None:
    answer = client.request("POST", path, data=form)
    assert answer.status_code == 422
    assert "no NUL character" in answer.text
    with database.read() as session:
        assert session.scalars(select(User)).all() == []


@pytest.mark.parametrize(
    "body",
    [
        r'{"analysis": "a\u0000b", "files": ["x"]}',
        r'{"analysis": "a\ud800b", "files": ["x"]}',
        r'{"analysis": "segment", "files": ["a\u0000b"]}',
        r'{"analysis": "segment", "files": ["a\ud800b"]}',
        r'{"analysis": "segment", "files": ["a"], "params": {"model": "\udfff"}}',
        r'{"analysis": "segment", "files": ["a"], "params": {"\ud800": 1}}',
        r'{"analysis": "segment", "files": ["a"], "params": {"list": [["\u0000"]]}}',
    ],
)
def test_json_that_no_database_keeps_is_refused(
    client: Client, database: Database, body: str
) -> None:
    user = ann(database)
    with database.write() as session:
        key = make_key(session, user, "test", SCOPES)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = client.request("POST", "/api/v1/jobs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "refused.body")


@pytest.mark.parametrize(
    "text", ["試料", "😀", r"\\u0000", r"a\\\\u0000", r"a\nb", r"\ud83d\ude00", ""]
)
def test_json_of_any_other_text_comes_through(
    client: Client, database: Database, text: str
) -> None:
    user = ann(database)
    with database.write() as session:
        key = make_key(session, user, "test", SCOPES)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = f'{{"analysis": "advise", "files": ["{text}"], "params": {{"{text}": ["{text}"]}}}}'
    answer = client.request("POST", "/api/v1/jobs", content=body.encode(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "refused.params")


def test_the_name_of_a_sample_is_kept_without_a_nul(database: Database, tmp_path: Path) -> None:
    user = ann(database)
    path = tmp_path / "arrived"
    path.write_text("x,y\n1,2\n")
    store = FileStore(f"file://{tmp_path / 'files'}")
    arrived = Arrived(path, "a\0b.csv")
    upload = take_in(database, store, user, arrived, may_train=False, sample=" 試\0料 ")
    with database.read() as session:
        kept = session.get_one(Upload, upload.id)
    assert (kept.file_name, kept.sample) == ("ab.csv", "試料")
