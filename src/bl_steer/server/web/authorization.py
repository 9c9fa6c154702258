"""Authorization before every route: who is there, may they, and is the request their own.

It runs before anything of the body is read, by the route's row of
`bl_steer.server.auth.permissions.ACCESS`. Routes get what it found by
`bl_steer.server.web.dependencies`.
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from bl_steer.server.auth.accounts import Visitor, visitor_of_session
from bl_steer.server.auth.api_keys import note_use, visitor_of_key
from bl_steer.server.auth.groups import owner_for
from bl_steer.server.auth.permissions import ACCESS, FORM_BYTES, Rule
from bl_steer.server.auth.sessions import SEEN_EVERY_S, note_seen
from bl_steer.server.auth.tokens import hash_token
from bl_steer.server.db.tables import User
from bl_steer.server.errors import Refused
from bl_steer.server.languages import TextKey
from bl_steer.server.sizes import MIB, amount
from bl_steer.server.uploads.multipart import Arrival
from bl_steer.server.web.context import Context
from bl_steer.server.web.rendering import language_of

__all__ = [
    "COOKIE",
    "AuthorizedRoute",
    "check_csrf_token",
    "read_upload_form",
    "visitor_of_browser",
]

COOKIE = "bl_steer_session"
SAFE = ("GET", "HEAD", "OPTIONS")
CSRF_FIELD = "csrf"
"""Name of the form's hidden field with the session's CSRF token."""
PROGRAMS = "/api/"
"""Where what is not known is refused: nobody sees there that it was passed over."""
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""What no text may have: PostgreSQL keeps no NUL, and half a surrogate pair is no UTF-8."""

logger = logging.getLogger(__name__)


class AuthorizedRoute(APIRoute):
    """A route that checks its request first; one without a row in the table cannot be made."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request: the checks, then the route."""
        handle = super().get_route_handler()
        path = self.path_format
        rules = {method: ACCESS[f"{method} {path}"] for method in self.methods or ()}
        parts = (self.dependant, *self.dependant.dependencies)
        known = sorted(field.alias for part in parts for field in part.query_params)

        async def handle_authorized(request: Request) -> Response:
            await _authorize(request, rules[request.method], path)
            if path.startswith(PROGRAMS):
                _check_query([name for name, _ in request.query_params.multi_items()], known)
            return await handle(request)

        return handle_authorized


def check_csrf_token(request: Request, token: str) -> None:
    """Refuse a form that did not come from a page of this session."""
    visitor: Visitor = request.state.visitor
    if visitor.csrf and not hmac.compare_digest(token.encode(), visitor.csrf.encode()):
        raise Refused(403, "refused.forged")


async def read_upload_form(request: Request, arrival: Arrival) -> None:
    """Read a form with files as it comes; its CSRF token is checked before the first file."""

    def check(fields: dict[str, str]) -> None:
        _check_text([*fields, *fields.values()])
        check_csrf_token(request, fields.get(CSRF_FIELD, request.headers.get("x-csrf-token", "")))

    await arrival.read_form(request.stream(), request.headers.get("content-type", ""), check=check)
    request.state.form = arrival.fields


async def _authorize(request: Request, rule: Rule, path: str) -> None:
    request.state.rule, request.state.route_path = rule, path
    context: Context = request.app.state.context
    visitor = request.state.visitor = await _visitor(request, context)
    if not rule.free:
        _check_rate(request, context, visitor)
    if rule.who != "anyone":
        if visitor.user is None:
            raise Refused(401, "refused.not_signed_in")
        if not visitor.is_at_least(rule.who):
            raise Refused(403, "refused.role_needed")
    if visitor.scopes is not None and rule.who != "anyone" and not rule.scope:
        raise Refused(403, "refused.key_for_page")
    if visitor.scopes is not None and rule.who != "anyone" and rule.scope not in visitor.scopes:
        raise Refused(403, "refused.scope_needed", scope=rule.scope)
    if UNSTORABLE.search(request.scope["path"]):  # nothing is kept under such a name
        raise Refused(404, "refused.no_page")
    if rule.members and visitor.user is not None:
        named = {key: request.path_params.get(key, "") for key in ("upload_id", "job_id")}
        request.state.owner_id = await run_in_threadpool(_owner, context, visitor.user, named)
    _check_text(part for item in request.query_params.multi_items() for part in item)
    if request.method in SAFE:
        return
    _check_origin(request, context)
    await _open_body(request, rule, context, visitor)


async def _visitor(request: Request, context: Context) -> Visitor:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await run_in_threadpool(_by_key, context, key.strip())
    return await visitor_of_browser(request, context)


async def visitor_of_browser(request: Request, context: Context) -> Visitor:
    """Return whose browser session a request is of; nobody's where it has none."""
    if token := request.cookies.get(COOKIE, ""):
        return await run_in_threadpool(_by_session, context, token, language_of(request))
    return Visitor()


def _by_key(context: Context, key: str) -> Visitor:
    with context.database.read() as session:
        visitor = visitor_of_key(session, key)
    if visitor.user is None:
        raise Refused(401, "refused.key")
    if context.is_due(f"key {key}", every_s=SEEN_EVERY_S):
        _note(context, lambda session: note_use(session, key))
    return visitor


def _owner(context: Context, user: User, named: dict[str, str]) -> str:
    with context.database.read() as session:
        return owner_for(session, user, **named)


def _by_session(context: Context, token: str, language: str) -> Visitor:
    with context.database.read() as session:
        visitor = visitor_of_session(session, token)
    if visitor.user and context.is_due(f"session {hash_token(token)}", every_s=SEEN_EVERY_S):
        _note(context, lambda session: note_seen(session, token, language=language))
    return visitor


def _note(context: Context, change: Callable[[Session], object]) -> None:
    """Note that somebody was here; where the database cannot, nobody is kept out for that."""
    try:
        with context.database.write_beside() as session:
            change(session)
    except OperationalError as error:
        logger.warning("a visit is not noted: %s", error)


def _check_rate(request: Request, context: Context, visitor: Visitor) -> None:
    address = request.client.host if request.client else ""
    wait = context.rate.wait_s(visitor.user.id if visitor.user else address)
    if wait:
        raise Refused(429, "refused.too_often", retry_after_s=math.ceil(wait))


def _check_origin(request: Request, context: Context) -> None:
    """Refuse what a page of another site sends; browsers say where a form comes from."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site == "cross-site":
        raise Refused(403, "refused.forged")
    if origin is None:
        return
    own_hosts = {request.headers.get("host", ""), urlsplit(context.settings.address).netloc}
    if urlsplit(origin).netloc not in own_hosts:
        raise Refused(403, "refused.forged")


def _check_text(texts: Iterable[str]) -> None:
    """Refuse what no database keeps; SQLite takes a NUL, but its backup could not go elsewhere."""
    if any(UNSTORABLE.search(text) for text in texts):
        raise Refused(422, "refused.body", reason=TextKey("invalid.character"))


def _check_query(names: list[str], known: list[str]) -> None:
    """Refuse what a query has that the route does not take, and what it has twice."""
    for name in names:
        if name not in known:
            raise Refused(422, "refused.query", name=name, known=", ".join(known) or "–")
    _check_once(names)


def _check_once(names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise Refused(422, "refused.twice", name=name)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_once(name for name, _ in pairs)
    return dict(pairs)


def _check_json(body: bytes) -> None:
    """Check all texts of a JSON body, names too; what is no JSON is refused when it is read."""
    try:
        texts = [json.loads(body, object_pairs_hook=_fields)]
    except (ValueError, RecursionError):
        return
    while texts:
        value = texts.pop()
        if isinstance(value, str):
            _check_text([value])
        elif isinstance(value, list):
            texts.extend(value)
        elif isinstance(value, dict):
            texts.extend([*value, *value.values()])


async def _open_body(request: Request, rule: Rule, context: Context, visitor: Visitor) -> None:
    limit = FORM_BYTES
    if rule.body == "files" and visitor.user is not None:
        # Not less where a quota is nearly full: the files that fit are kept, the others named.
        files = 1 if rule.scope else context.settings.max_files
        limit += files * context.settings.max_upload_mib * MIB
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise Refused(413, "refused.too_large", most=amount(limit))
    if visitor.user is not None:  # others may send no more than `middleware.UNKNOWN_BYTES`
        request.state.body.limit = limit
    if rule.body == "json":
        # Kept by the request; FastAPI would call a refusal a bad JSON.
        _check_json(await request.body())
    if rule.body == "form":
        request.state.form = form = await request.form(max_files=0, max_fields=1000)
        _check_text(str(part) for item in form.multi_items() for part in item)
        check_csrf_token(request, str(form.get(CSRF_FIELD, "")))
    elif rule.body != "files" or "x-csrf-token" in request.headers or rule.scope:
        # Programs with a key bring no token; a script of our own pages brings it as a header.
        check_csrf_token(request, request.headers.get("x-csrf-token", ""))
