"""The gate before every route: who is there, may they, and is the request their own.

It runs before anything of the body is read, by the row of
`bl_steer.server.auth.permissions.ACCESS`.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from bl_steer.server.auth.accounts import Visitor, visitor_of_session
from bl_steer.server.auth.api_keys import note_use, visitor_of_key
from bl_steer.server.auth.permissions import ACCESS, FORM_BYTES, Rule
from bl_steer.server.errors import Refused
from bl_steer.server.settings import MIB
from bl_steer.server.web.context import Office
from bl_steer.server.web.rendering import amount

__all__ = ["COOKIE", "GatedRoute", "check_word", "form_of", "office_of", "visitor_of"]

COOKIE = "bl_steer_session"
SAFE = ("GET", "HEAD", "OPTIONS")
WORD = "csrf"
"""Name of the form's hidden box with the session's word."""


class GatedRoute(APIRoute):
    """A route that is reached through the gate; one without a row in the table is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request: the gate, then the route."""
        handle = super().get_route_handler()
        path = self.path_format
        rules = {method: ACCESS[f"{method} {path}"] for method in self.methods or ()}

        async def handle_behind_gate(request: Request) -> Response:
            await _pass(request, rules[request.method], path)
            return await handle(request)

        return handle_behind_gate


def office_of(request: Request) -> Office:
    """Return what the routes work with."""
    office: Office = request.app.state.office
    return office


def visitor_of(request: Request) -> Visitor:
    """Return who is there, as the gate found."""
    visitor: Visitor = request.state.visitor
    return visitor


def form_of(request: Request) -> dict[str, str]:
    """Return the form's boxes as text, the last of each name."""
    form: FormData = request.state.form
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def check_word(request: Request, word: str) -> None:
    """Refuse a form that did not come from a page of this session."""
    visitor = visitor_of(request)
    if visitor.csrf and not hmac.compare_digest(word.encode(), visitor.csrf.encode()):
        raise Refused(403, "refused.forged")


async def _pass(request: Request, rule: Rule, path: str) -> None:
    request.state.rule, request.state.route_path = rule, path
    office = office_of(request)
    visitor = request.state.visitor = await _visitor(request, office)
    if not rule.free:
        _check_rate(request, office, visitor)
    if rule.who != "anyone":
        if visitor.user is None:
            raise Refused(401, "refused.not_signed_in")
        if not visitor.is_at_least(rule.who):
            raise Refused(403, "refused.role_needed")
    if visitor.scopes is not None and rule.who != "anyone" and not rule.scope:
        raise Refused(403, "refused.key_for_page")
    if visitor.scopes is not None and rule.who != "anyone" and rule.scope not in visitor.scopes:
        raise Refused(403, "refused.scope_needed", scope=rule.scope)
    if request.method in SAFE:
        return
    _check_origin(request, office)
    await _open_body(request, rule, office, visitor)


async def _visitor(request: Request, office: Office) -> Visitor:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await run_in_threadpool(_by_key, office, key.strip())
    if token := request.cookies.get(COOKIE, ""):
        return await run_in_threadpool(_by_session, office, token)
    return Visitor()


def _by_key(office: Office, key: str) -> Visitor:
    with office.database.read() as session:
        visitor = visitor_of_key(session, key)
    if visitor.user is None:
        raise Refused(401, "refused.key")
    if office.is_due(f"key {key}", every_s=60.0):
        with office.database.write() as session:
            note_use(session, key)
    return visitor


def _by_session(office: Office, token: str) -> Visitor:
    with office.database.read() as session:
        return visitor_of_session(session, token)


def _check_rate(request: Request, office: Office, visitor: Visitor) -> None:
    address = request.client.host if request.client else ""
    wait = office.rate.wait_s(visitor.user.id if visitor.user else address)
    if wait:
        raise Refused(429, "refused.too_often", retry_after_s=math.ceil(wait))


def _check_origin(request: Request, office: Office) -> None:
    """Refuse what a page of another site sends; browsers say where a form comes from."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site == "cross-site":
        raise Refused(403, "refused.forged")
    if origin is None:
        return
    ours = {request.headers.get("host", ""), urlsplit(office.settings.address).netloc}
    if urlsplit(origin).netloc not in ours:
        raise Refused(403, "refused.forged")


async def _open_body(request: Request, rule: Rule, office: Office, visitor: Visitor) -> None:
    limit = FORM_BYTES
    if rule.body == "files" and visitor.user is not None:
        # Not less where a quota is nearly full: the files that fit are kept, the others named.
        files = 1 if rule.scope else office.settings.max_files
        limit += files * office.settings.max_upload_mib * MIB
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise Refused(413, "refused.too_large", most=amount(limit))
    if visitor.user is not None:  # others may send as much as the doorman lets strangers
        request.state.body.limit = limit
    if rule.body == "json":
        await request.body()  # kept by the request; FastAPI would call a refusal a bad JSON
    if rule.body == "form":
        request.state.form = form = await request.form(max_files=0, max_fields=1000)
        check_word(request, str(form.get(WORD, "")))
    elif rule.body != "files" or "x-csrf-token" in request.headers or rule.scope:
        # Programs with a key bring no word; a script of our own pages brings it as a header.
        check_word(request, request.headers.get("x-csrf-token", ""))
