"""Every route with texts that people do not type and programs send, on each database: never a 500.

The routes are the application's own, so that a new one is tried too.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from bl_steer.server.auth.accounts import add_user, start_session, visitor_of_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.auth.permissions import ACCESS
from bl_steer.server.db.database import Database
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.app import create_app
from bl_steer.server.web.authorization import COOKIE

PASSWORD = "correct horse battery"
ADDRESS_TEXTS = ("a%00b", "%ED%A0%80", "%F0%9F%98%80%EF%BF%BF%0d%0a")
QUERY = ("again", "analysis", "before", "download", "file", "file_name", "next", "note", "sample")
FORM = (
    *("email", "name", "password", "old", "new", "role", "language", "back", "next", "days"),
    *("may_train", "disabled", "file", "parent", "submission", "p.model", "p.voxel_nm", "action"),
    *("comment", "reason", "decision", "scope:jobs:read", "sample", "token"),
)
FORM_TEXTS = (b"a%00b", b"%ED%A0%80", b"%F0%9F%98%80%EF%BF%BF")
CHARSETS = {"utf-7": b"+2AA-", "unicode_escape": b"\\ud800", "utf-16-le": b"\x00\xd8"}
JSON_TEXTS = (r"\u0000", r"a\u0000b", r"\ud800", r"\udfff\ud800", r"\uffff", "\N{GRINNING FACE}")
JSON_BODIES = (
    '{"analysis": "%s", "files": ["x"]}',
    '{"analysis": "segment", "files": ["%s"]}',
    '{"analysis": "segment", "files": ["x"], "params": {"%s": {"model": ["%s"]}}}',
    '{"analysis": "segment", "files": ["x"], "submission_key": "%s"}',
    '{"days": 3, "%s": 1}',
    '{"days": "%s"}',
    '"%s"',
)


class Visitor:
    """An administrator's requests, from a browser and by a key, to an application in here."""

    def __init__(self, app: FastAPI, database: Database) -> None:
        with database.write() as session:
            user = add_user(session, "ann@example.org", password=PASSWORD, role="admin")
            token = start_session(session, user, days=1.0)
            key = make_key(session, user, "test", SCOPES)
        with database.read() as session:
            self.csrf = visitor_of_session(session, token).csrf
        self.app = app
        self.page = {"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": self.csrf}
        self.program = {"Authorization": f"Bearer {key}"}

    def statuses(self, requests: list[tuple[str, str, dict[str, Any]]]) -> dict[str, int]:
        """Make requests one after another; return what they were answered, by what was asked."""

        async def ask() -> dict[str, int]:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                answers = {}
                for method, path, options in requests:
                    headers = self.program if "/api/v1/" in path else self.page
                    headers = {**headers, **options.pop("headers", {})}
                    answer = await client.request(method, path, headers=headers, **options)
                    asked = f"{method} {path} {options.get('content', '')!r}"
                    answers[asked] = answer.status_code
            return answers

        return asyncio.run(ask())


@pytest.fixture
def visitor(database: Database, tmp_path: Path) -> Iterator[Visitor]:
    """The application on each kind of database."""
    url = database.engine.url.render_as_string(hide_password=False)
    settings = ServerSettings(
        folder=tmp_path, database_url=url, registration=True, rate_per_minute=10**6
    )
    app = create_app(settings)
    app.state.context.open()
    yield Visitor(app, database)
    app.state.context.close()


def refused_badly(statuses: dict[str, int]) -> dict[str, int]:
    return {asked: status for asked, status in statuses.items() if status >= 500}


def routes(body: str | None = None) -> list[tuple[str, str]]:
    """Return method and path of each route; of those that end the session, none."""
    rows = [
        row
        for row, rule in ACCESS.items()
        if (body is None or rule.body == body) and row not in ("POST /sign-out",)
    ]
    return [(row.split(" ")[0], row.split(" ")[1]) for row in rows]


def test_no_text_in_an_address_is_answered_as_a_fault(visitor: Visitor) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = []
    for odd in ADDRESS_TEXTS:
        query = "&".join(f"{name}={odd}" for name in QUERY)
        for method, path in routes():
            filled = re.sub(r"\{\w+\}", odd, path)
            if filled != path:
                requests.append((method, filled, {}))
            plain = re.sub(r"\{\w+\}", "none", path)
            requests.append((method, f"{plain}?{query}&{odd}={odd}", {}))
            requests.append((method, f"{plain}?state={odd}", {}))
    assert refused_badly(visitor.statuses(requests)) == {}


def test_no_text_in_a_form_is_answered_as_a_fault(visitor: Visitor) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = []
    plain = {"Content-Type": "application/x-www-form-urlencoded"}
    for method, path in routes("form"):
        filled = re.sub(r"\{\w+\}", "none", path)
        for odd in FORM_TEXTS:
            boxes = b"&".join(name.encode() + b"=" + odd for name in FORM)
            content = b"csrf=" + visitor.csrf.encode() + b"&" + boxes + b"&" + odd + b"=1"
            requests.append((method, filled, {"content": content, "headers": plain}))
        for charset, odd in CHARSETS.items():
            content = multipart({"csrf": visitor.csrf.encode(), **dict.fromkeys(FORM, odd)})
            kind = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
            requests.append((method, filled, {"content": content, "headers": kind}))
    assert refused_badly(visitor.statuses(requests)) == {}


def test_no_text_of_an_upload_is_answered_as_a_fault(visitor: Visitor) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = []
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    for method, path in routes("files"):
        filled = re.sub(r"\{\w+\}", "none", path)
        for odd in (b"a\0b", b"\xed\xa0\x80", b"\xff", "😀".encode()):
            content = multipart(dict.fromkeys(("sample", "may_train", "image"), odd), odd + b".csv")
            requests.append((method, filled, {"content": content, "headers": kind}))
    assert refused_badly(visitor.statuses(requests)) == {}


def test_no_text_in_json_is_answered_as_a_fault(visitor: Visitor) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = []
    kind = {"Content-Type": "application/json"}
    for method, path in routes("json"):
        filled = re.sub(r"\{\w+\}", "none", path)
        bodies = [body.replace("%s", odd).encode() for body in JSON_BODIES for odd in JSON_TEXTS]
        bodies += [b"\xff\xfe{\0}\0", b"[" * 100_000, b"1e999", b"NaN", b'{"days": NaN}', b""]
        requests += [(method, filled, {"content": body, "headers": kind}) for body in bodies]
    assert refused_badly(visitor.statuses(requests)) == {}


def test_no_text_in_a_header_is_answered_as_a_fault(visitor: Visitor) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = []
    names = ("Cookie", "Authorization", "Accept-Language", "Origin", "Content-Type", "Host")
    for name in names:
        for odd in (
            b"\xff",
            b"\xed\xa0\x80",
            b"http://[",
            b"Bearer \xff",
            b"q=;;,%",
            b"charset=\xff",
        ):
            options = {"headers": {name: odd}}
            requests += [("GET", "/", {**options}), ("POST", "/api/v1/jobs", {**options})]
    assert refused_badly(visitor.statuses(requests)) == {}


def test_a_connection_that_is_kept_goes_on_after_each_kind_of_error(site: Any) -> None:
    @site.app.get("/breaks")
    def breaks() -> None:
        raise AttributeError("a fault of a route")

    where = urlsplit(site.address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=60)
    try:
        for method, path, body, expected in (
            ("GET", "/breaks", None, 500),
            ("GET", "/jobs/a%00b", None, 303),
            ("GET", "/none", None, 404),
            ("POST", "/register", b"a=1", 404),
            ("POST", "/sign-in", b"email=a%00b", 422),
            ("POST", "/api/v1/jobs", json.dumps({"a": "\0"}).encode(), 401),
            ("POST", "/sign-in", b"a" * 100_000, 413),
        ):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, path, body=body, headers=kind)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected, path
            connection.request("GET", "/health")
            healthy = connection.getresponse()
            healthy.read()
            assert healthy.status == 200, path
    finally:
        connection.close()


def multipart(boxes: dict[str, bytes], file_name: bytes = b"") -> bytes:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in boxes.items()
    ]
    if file_name:
        named = b'form-data; name="files"; filename="%s"' % file_name
        parts.append(b"--b\r\nContent-Disposition: " + named + b"\r\n\r\nx,y\n1,2\n\r\n")
    return b"".join(parts) + b"--b--\r\n"
