"""The outermost layer of the web process: how much may come in, how slowly, and what is logged.

A body is read only as far as `bl_steer.server.web.authorization` allows: `UNKNOWN_BYTES` until it
knows who is there. One that stalls ends its connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bl_steer.server.db.tables import AccessRecord
from bl_steer.server.errors import Refused
from bl_steer.server.sizes import amount
from bl_steer.server.web.access_log import logged_path

__all__ = ["UNKNOWN_BYTES", "AccessMiddleware", "Body", "security_headers"]

UNKNOWN_BYTES = 64 * 1024
STALL_S = 10.0
"""Longest wait for the next piece of a body."""
START_S = 20.0
SLOWEST = 4096.0
"""A body must keep this pace on the whole after `START_S`, bytes a second."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "X-Permitted-Cross-Domain-Policies": "none",
}
"""Of each answer, by the rules of OWASP's Secure Headers and Mozilla's Observatory."""
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=63072000"}
"""Of a server behind HTTPS: browsers then come by nothing else for two years."""


def security_headers(*, behind_tls: bool) -> dict[str, str]:
    """Return the headers by which browsers guard the pages."""
    return {**HEADERS, **(HTTPS_HEADERS if behind_tls else {})}


class Body:
    """A request's body on its way in.

    Parameters
    ----------
    receive : what gives its pieces
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._began = time.monotonic()
        self.limit = UNKNOWN_BYTES
        self.read = 0
        self.complete = False

    async def __call__(self) -> Message:
        """Return the next piece; `Refused` if there is too much of it, or it does not come."""
        if self.complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), STALL_S)
        except TimeoutError:
            raise Refused(408, "refused.slow") from None
        if message["type"] == "http.request":
            self.read += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        if self.read > self.limit:
            raise Refused(413, "refused.too_large", most=amount(self.limit))
        elapsed = time.monotonic() - self._began
        if not self.complete and elapsed > START_S + self.read / SLOWEST:
            raise Refused(408, "refused.slow")
        return message


class AccessMiddleware:
    """Put limits around an application, headers on its answers, and each request on record.

    Parameters
    ----------
    record : called with each request's record and route, from the event loop; must not block
    headers : of each answer that says nothing else, see `security_headers`
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        record: Callable[[AccessRecord, str], None],
        headers: Mapping[str, str],
    ) -> None:
        self.app = app
        self.record = record
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = Body(receive)
        state = scope.setdefault("state", {})
        state["body"] = body
        began = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, scope, body)
            await send(message)

        # HEAD is answered as GET; uvicorn, which has the scope as it came, leaves out the body.
        as_get = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            await self.app(as_get, body, answer)
        finally:
            ms = 1000 * (time.perf_counter() - began)
            self.record(_record(scope, state, status, ms), state.get("route_path", "none"))

    def _complete(self, message: Message, scope: Scope, body: Body) -> None:
        headers = MutableHeaders(scope=message)
        for name, value in self.headers.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if not body.complete and _has_body(scope):
            headers["Connection"] = "close"  # what is still to come is not waited for


def _has_body(scope: Scope) -> bool:
    sent = dict(scope["headers"])
    return b"transfer-encoding" in sent or sent.get(b"content-length", b"0") != b"0"


def _record(scope: Scope, state: dict[str, Any], status: int, ms: float) -> AccessRecord:
    visitor = state.get("visitor")
    return AccessRecord(
        time=time.time(),
        user_id=visitor.user.id if visitor is not None and visitor.user else None,
        method=str(scope["method"])[:10],
        path=logged_path(scope).replace("\0", "�"),
        status=status,
        address=(scope.get("client") or ("",))[0][:64],
        ms=ms,
    )
