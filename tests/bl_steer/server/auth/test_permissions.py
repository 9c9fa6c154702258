from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from PIL import Image
from sqlalchemy import select

from bl_steer.server.auth.api_keys import make_key
from bl_steer.server.auth.groups import make_group
from bl_steer.server.auth.permissions import ACCESS
from bl_steer.server.db.tables import ApiKey, Job, SignIn, User
from bl_steer.server.jobs.shares import share_job
from bl_steer.server.web.app import ROUTERS
from bl_steer.server.web.authorization import AuthorizedRoute

WHO = ("stranger", "user", "reviewer", "admin", "key", "narrow key")
RANK = {"stranger": 0, "user": 1, "reviewer": 2, "admin": 3}
NEEDED = {"anyone": 0, "user": 1, "reviewer": 2, "admin": 3}
PAGES_FOR_STRANGERS = "/sign-in?next="


def routes() -> list[APIRoute]:
    found = [route for module in ROUTERS for route in module.router.routes]
    assert all(isinstance(route, APIRoute) for route in found)
    return found  # type: ignore[return-value]


def test_every_route_has_a_row_goes_through_the_gate_and_every_row_has_a_route() -> None:
    made = [f"{method} {route.path}" for route in routes() for method in route.methods or ()]
    assert sorted(made) == sorted(ACCESS)
    assert all(isinstance(route, AuthorizedRoute) for route in routes())


def test_a_route_without_a_row_cannot_be_made() -> None:
    router = APIRouter(route_class=AuthorizedRoute)
    with pytest.raises(KeyError, match="GET /secret"):
        router.get("/secret")(lambda: None)


@dataclass
class House:
    """An server with a visitor of each kind."""

    site: Any
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def house(site_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with site_module.running_site(tmp_path_factory.mktemp("access")) as site:
        made = House(site, {"stranger": site.stranger()})
        for role in ("user", "reviewer", "admin"):
            user = site.user(f"{role}@example.org", role)
            browser = site.browser(f"{role}@example.org")
            made.clients[role], made.tokens[role] = browser.client, browser.csrf_token
            if role == "admin":
                made.clients["key"] = site.program(user)
                made.clients["narrow key"] = site.program(user, "packages:write")
        yield made


@pytest.mark.parametrize("row", ACCESS)
def test_each_route_lets_in_whom_its_row_says_and_nobody_else(house: House, row: str) -> None:
    rule = ACCESS[row]
    method, path = row.split(" ")
    path = re.sub(r"\{\w+\}", "none", path)
    ends_access = row in ("POST /sign-out", "POST /account/password", "POST /account/keys/end")
    for who in WHO:
        if ends_access and who != "stranger":
            continue
        form: dict[str, Any] = {}
        if rule.body == "form":
            form = {"data": {"csrf": house.tokens.get(who, "")}}
        headers = {"X-CSRF-Token": house.tokens.get(who, "")}
        answer = house.clients[who].request(method, path, headers=headers, **form)
        assert answer.status_code < 500, f"{row} for {who}: {answer.status_code}"
        let_in = not is_refused(answer) or row == "POST /sign-in"  # that one asks who is there
        assert let_in == may(who, row), f"{row} for {who}: {answer.status_code}"


def may(who: str, row: str) -> bool:
    rule = ACCESS[row]
    if row == "GET /":  # leads strangers to the sign-in, and everybody else is at home
        return who != "stranger"
    if rule.who == "anyone":
        return True
    if who == "key":
        return bool(rule.scope)
    if who == "narrow key":
        return rule.scope == "packages:write"
    return RANK[who] >= NEEDED[rule.who]


def is_refused(answer: httpx.Response) -> bool:
    if answer.status_code in (401, 403):
        return True
    return answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")


PARTS = {
    "name": "a.csv",
    "view": "field_000",
    "plane": "0",
    "step": "1",
    "x": "0",
    "y": "0",
}
"""Of a result, and of what is looked at in it."""
OBJECTS = [
    row
    for row in ACCESS
    if re.search(r"\{(upload_id|job_id|share_id|key_id|session_id|user_id|group_id)\}", row)
    and "/s/" not in row
]


@pytest.mark.parametrize("row", OBJECTS)
def test_what_belongs_to_another_user_is_not_there(house: House, row: str) -> None:
    ids = objects_of(house)
    method, path = row.split(" ")
    layer = "image" if path.startswith("/files/") else "labels"
    path = path.format(**ids, **PARTS, layer=layer)
    for who in ("reviewer", "user"):
        owner = who == "user"
        if owner and (method != "GET"):
            continue  # what changes things is tried by strangers to them only
        data: dict[str, Any] = {"csrf": house.tokens[who], "days": "3"}
        options: dict[str, Any] = {"data": data} if ACCESS[row].body == "form" else {}
        if ACCESS[row].body == "json":
            options = {"json": {"email": "user@example.org"} if "/members" in path else {"days": 3}}
        headers = {"X-CSRF-Token": house.tokens[who]}
        answer = house.clients[who].request(method, path, headers=headers, **options)
        if "/admin/" in row:
            assert answer.status_code == 403
        else:
            assert (answer.status_code == 404) == (not owner), f"{who}: {answer.status_code}"


def objects_of(house: House) -> dict[str, str]:
    """Return ids of objects of the plain user; made once."""
    if hasattr(house, "ids"):
        return house.ids  # type: ignore[no-any-return]
    client, token = house.clients["user"], house.tokens["user"]
    image = io.BytesIO()
    Image.new("L", (9, 5), 7).save(image, "tiff")
    sent = client.post(
        "/files", data={"csrf": token}, files=[("files", ("a.csv", b"x,y,value\n1,2,3\n"))]
    )
    upload_id = sent.headers["location"].partition("file=")[2]
    made = client.post("/analyses/advise", data={"csrf": token, "file": upload_id})
    job_id = made.headers["location"].rpartition("/")[2]
    result = {"a.csv": b"a\n1\n", "field_000_labels.tif": image.getvalue()}
    assert house.site.finish(result) == job_id
    with house.site.context.database.write() as session:
        user = session.scalars(select(User).where(User.email == "user@example.org")).one()
        share, _ = share_job(session, user, session.get_one(Job, job_id), days=3)
        make_key(session, user, "k", ["jobs:read"])
        key = session.scalars(select(ApiKey).where(ApiKey.user_id == user.id)).one()
        signed_in = session.scalars(select(SignIn).where(SignIn.user_id == user.id)).first()
        assert signed_in is not None
        ids = {
            "upload_id": upload_id,
            "job_id": job_id,
            "share_id": share.id,
            "key_id": key.id,
            "session_id": signed_in.token_hash,
            "user_id": user.id,
            "group_id": make_group(session, user, "g").id,
        }
    house.ids = ids  # type: ignore[attr-defined]
    return ids
