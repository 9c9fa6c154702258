"""Bad values in queries and JSON of every route: refused in the user's words or passed over."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from bl_steer.server.auth.accounts import add_user, start_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.auth.groups import make_group
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Upload
from bl_steer.server.jobs.queue import submit
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.app import create_app
from bl_steer.server.web.authorization import COOKIE

BAD = ("abc", "nan", "9" * 30, "é" * 600)
LOOKED_UP = {"/analyses": ["file"], "/analyses/{name}": ["file"], "/sharing": ["file", "job"]}
"""Parameters that may come several times, and are no parameters of the handler."""
BODIES = {
    "/api/v1/jobs": (
        '{"analysis": "advise"',
        "[]",
        "{}",
        '{"analysis": 3, "files": []}',
        '{"analysis": "advise", "files": 7, "mail": "perhaps", "params": []}',
        '{"analysis": "advise", "files": [], "submission_key": ""}',
        '{"analysis": "film", "files": ["%s"], "params": {"hkl": "abc", "substrate": 3}}',
        '{"analysis": "film", "files": ["%s"], "params": {"peaks": "-", "assume": "R=9"}}',
    ),
    "/api/v1/groups": ('{"name": null}', '{"name": "\\u0000"}', '{"name": ""}'),
}
ENGLISH = re.compile("[a-z]+ [a-z]+ [a-z]+")
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.fixture
def app(database: Database, tmp_path: Path) -> Iterator[FastAPI]:
    url = database.engine.url.render_as_string(hide_password=False)
    app = create_app(ServerSettings(folder=tmp_path, database_url=url, rate_per_minute=10**6))
    app.state.context.open()
    yield app
    app.state.context.close()


def prepared(app: FastAPI) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Make an administrator with a file, a job and a group.

    Returns what stands in paths, and the headers of a browser and of a program.
    """
    context = app.state.context
    sha256, size = context.store.put(io.BytesIO(b"x,y,value\n1,2,3\n"))
    with context.database.write() as session:
        user = add_user(session, "ann@example.org", password="correct horse", role="admin")
        cookie = start_session(session, user, days=1.0)
        key = make_key(session, user, "test", SCOPES)
        upload = Upload(user_id=user.id, sha256=sha256, file_name="a.csv", size=size)
        session.add(upload)
        session.flush()
        job = submit(session, user_id=user.id, analysis="advise", params={}, upload_ids=[upload.id])
        ids = {"upload_id": upload.id, "job_id": job.id, "user_id": user.id, "name": "advise"}
        ids["group_id"] = make_group(session, user, "film").id
    language = {"Accept-Language": "ja"}
    return (
        ids,
        {"Cookie": f"{COOKIE}={cookie}", **language},
        {"Authorization": f"Bearer {key}", **language},
    )


def queries(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield path and name of each parameter of a query."""
    for route in app.routes:
        if isinstance(route, APIRoute) and "GET" in route.methods:
            parts = [route.dependant, *route.dependant.dependencies]
            names = [field.alias for part in parts for field in part.query_params]
            yield from ((route.path, name) for name in names + LOOKED_UP.get(route.path, []))


def message_of(answer: httpx.Response) -> str:
    if answer.headers["content-type"].startswith("application/json"):
        return str(answer.json()["message"])
    return re.sub(r"<[^>]*>", "", answer.text.partition("<main")[2].partition("</main>")[0])


def test_a_bad_value_is_refused_in_the_users_language_or_passed_over(app: FastAPI) -> None:
    ids, browser, program = prepared(app)
    asked = sorted(set(queries(app)))
    assert {("/admin/access", "before"), ("/jobs", "zone"), ("/api/v1/jobs", "limit")} <= {*asked}

    async def ask_all() -> list[str]:
        answers = []
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            for path, name in asked:
                filled = re.sub(r"{(\w+)[^}]*}", lambda match: ids.get(match[1], "0"), path)
                for value in BAD:
                    said = f"{path}?{name}={value[:20]}"
                    params = {name: value}
                    answer = await client.get(filled, params=params, headers=browser)
                    answers.append((said, answer))
            for path, bodies in BODIES.items():
                for body in bodies:
                    content = body.replace("%s", ids["upload_id"])
                    answer = await client.post(path, content=content, headers=program)
                    assert answer.status_code == 422, body
                    answers.append((f"{path} {body}", answer))
        return [
            f"{said}: {answer.status_code} {message_of(answer)}"
            for said, answer in answers
            if answer.status_code >= 500
            or (answer.status_code == 422 and not in_japanese(message_of(answer)))
        ]

    assert asyncio.run(ask_all()) == []


def in_japanese(message: str) -> bool:
    return JAPANESE.search(message) is not None and not ENGLISH.search(message)


def test_programs_are_told_what_a_request_has_that_is_not_known_or_twice(app: FastAPI) -> None:
    ids, browser, program = prepared(app)
    job = '{"analysis": "advise", "files": ["%s"], "params": {"seed": 1, "seed": 2}}'

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [
                await client.get("/api/v1/jobs?analyis=segment", headers=program),
                await client.get("/api/v1/jobs?q=a&q=b", headers=program),
                await client.post(
                    "/api/v1/files?file_name=a.csv&smaple=7", content=b"x", headers=program
                ),
                await client.post("/api/v1/jobs", content=job % ids["upload_id"], headers=program),
                await client.get("/api/v1/jobs?analysis=advise&q=a", headers=program),
                await client.get("/jobs?utm_source=mail", headers=browser),
            ]

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 200, 200]
    told = [message_of(answer) for answer in answers[:4]]
    assert told == [
        "アドレスの analyis は使えません。使えるもの：analysis, before, group, limit, q, since, "
        "state, until。",
        "q が2回指定されています。1回だけ指定してください。",
        "アドレスの smaple は使えません。使えるもの：file_name, may_train, sample。",
        "seed が2回指定されています。1回だけ指定してください。",
    ]
