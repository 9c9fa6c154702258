"""The web application: FastAPI, built by a call.

`bl_steer.server.auth.permissions` says who may do what, `bl_steer.server.web.authorization` sees to
it, and `bl_steer.server.web.middleware` limits what comes in before both.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import DataError, OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bl_steer.server.errors import Refused
from bl_steer.server.languages import TextKey
from bl_steer.server.room import is_full
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.access_log import logged_path
from bl_steer.server.web.authorization import visitor_of_browser
from bl_steer.server.web.context import Context
from bl_steer.server.web.forms import problem_of
from bl_steer.server.web.middleware import AccessMiddleware, security_headers
from bl_steer.server.web.rendering import language_of, load_pages, local_path, render
from bl_steer.server.web.routes import (
    account,
    admin,
    analyses,
    api,
    files,
    group_api,
    groups,
    jobs,
    masks,
    operations,
    packages,
    resets,
    tables,
    training,
    views,
)
from bl_steer.server.web.routes import oidc as oidc_routes
from bl_steer.server.web.routes import shares as shared
from bl_steer.server.web.routes import sign_in as entrance

__all__ = ["create_app"]

ROUTERS = (
    entrance,
    resets,
    oidc_routes,
    files,
    analyses,
    jobs,
    masks,
    views,
    training,
    tables,
    shared,
    groups,
    account,
    packages,
    admin,
    operations,
    api,
    group_api,
)
API = "/api/v1/"
GONE = 499
"""What nginx calls a request whose client broke it off; no server sends it."""
KEYS = {404: "refused.no_page", 405: "error.method"}

logger = logging.getLogger(__name__)


def create_app(settings: ServerSettings | None = None) -> FastAPI:
    """Return the application; its tables and folders are made when it starts."""
    context = Context(settings or ServerSettings())
    load_pages()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(context.open)
        yield
        await run_in_threadpool(context.close)

    app = FastAPI(
        title="bl_steer analysis server",
        version="1",
        description="Upload, choose an analysis, get the result.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.context = context
    for module in ROUTERS:
        # As they are: a router inside the application is searched twice, and more slowly.
        app.router.routes.extend(module.router.routes)
    app.state.headers = security_headers(behind_tls=context.settings.behind_tls)
    app.add_middleware(AccessMiddleware, record=context.record, headers=app.state.headers)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(OperationalError, _busy)
    app.add_exception_handler(OSError, _unwritable)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)
    _describe_keys(app)
    return app


def _describe_keys(app: FastAPI) -> None:
    """Say in the API's description that a key is needed."""
    build = app.openapi

    def openapi() -> dict[str, object]:
        described = build()
        parts = described.setdefault("components", {})
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"key": []}]
        return described

    app.openapi = openapi  # type: ignore[method-assign]


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    page = request.method == "GET" and not _is_program(request)
    if error.status == 401 and page and error.key == "refused.not_signed_in":
        query = f"?{request.url.query}" if request.url.query else ""
        where = local_path(request.url.path + query)
        return RedirectResponse("/sign-in?" + urlencode({"next": where}), 303)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401 and _is_program(request):
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(request, error.status, error, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    if not hasattr(request.state, "visitor") and not _is_program(request):
        # Where there is no such route nobody was asked for: the page is in their language, too.
        with suppress(OperationalError):
            context = request.app.state.context
            request.state.visitor = await visitor_of_browser(request, context)
    if status in KEYS:
        return _answer(request, status, Refused(status, KEYS[status]), headers)
    reason = TextKey("invalid.form") if status == 400 else str(getattr(error, "detail", ""))[:200]
    return _answer(request, status, Refused(status, "refused.body", reason=reason), headers)


async def _invalid(request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    reason = "; ".join(_sentence(problem, language_of(request)) for problem in problems)
    return _answer(request, 422, Refused(422, "refused.body", reason=reason[:1000]), {})


def _sentence(problem: Mapping[str, Any], language: str) -> str:
    """Return what is wrong with one value of a request: of its address, or of its JSON."""
    where, *names = problem["loc"]
    inside = names and problem["type"] != "json_invalid"  # of which it tells the place
    name = ".".join(map(str, names)) if inside else where
    beside = " (query)" if inside and where == "query" else ""
    return f"{name}{beside}: {problem_of(problem, language)}"


async def _unstorable(request: Request, error: Exception) -> Response:
    """Refuse a value that the database cannot keep, such as a number beyond its column."""
    logger.warning(
        "%s %s: %s", request.method, logged_path(request.scope), getattr(error, "orig", error)
    )
    reason = TextKey("invalid.beyond")
    return _answer(request, 422, Refused(422, "refused.body", reason=reason), {})


async def _unwritable(request: Request, error: Exception) -> Response:
    """Say that a disk is full; it is nobody's request that is wrong."""
    if not is_full(error):
        raise error
    logger.error("ALARM: a disk of the server is full: %s", error)
    return _answer(request, 507, Refused(507, "error.disk_full"), {"Retry-After": "60"})


async def _busy(request: Request, error: Exception) -> Response:
    if is_full(error):
        return await _unwritable(request, error)
    logger.error("the database does not answer: %s", error)
    return _answer(request, 503, Refused(503, "error.busy"), {"Retry-After": "5"})


async def _gone(request: Request, error: Exception) -> Response:
    """Note that a client went away while its request came in; nobody reads the answer."""
    logger.warning("%s %s: the client broke off", request.method, logged_path(request.scope))
    return Response(status_code=GONE)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, logged_path(request.scope), exc_info=error)
    # The error goes on to uvicorn, which then closes the connection: whoever keeps it must know.
    headers = {**request.app.state.headers, "Cache-Control": "no-store", "Connection": "close"}
    return _answer(request, 500, Refused(500, "error.unexpected"), headers)


def _answer(request: Request, status: int, refused: Refused, headers: dict[str, str]) -> Response:
    message = refused.in_language(language_of(request))
    if _is_program(request):
        return JSONResponse({"error": refused.key, "message": message}, status, headers)
    return render(request, "error", status=status, headers=headers, message=message)


def _is_program(request: Request) -> bool:
    return request.url.path.startswith(API) or "authorization" in request.headers
