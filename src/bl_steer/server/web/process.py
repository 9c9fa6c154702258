"""The web process: uvicorn, with an end for requests whose headers never come."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import threading
import time
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bl_steer.server.auth.accounts import invite
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Invitation, User
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.app import create_app
from bl_steer.server.web.catalogue import builtin_entries

__all__ = ["first_link", "make_server", "return_memory", "serve_web"]

HEADERS_S = 10.0
"""How long a request's line and headers may take."""
KEEP_ALIVE_S = 15
END_S = 10
M_ARENA_MAX, ARENAS = -8, 2
"""Option of `mallopt(3)`, and how many parts the memory of all threads has."""
M_MMAP_THRESHOLD, LARGE = -3, 16 * 1024
"""Another, and bytes of a block from which it is taken from the system by itself."""
TRIM_S = 20.0


class PromptProtocol(HttpToolsProtocol):
    """A connection that is closed where a request is begun and its headers do not come."""

    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Take data; wait anew where they begin another request."""
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if self._clock is None and idle and self.parser is not None:
            self._start_clock()

    def on_headers_complete(self) -> None:
        """Stop waiting: `bl_steer.server.web.middleware` watches the body."""
        self._stop_clock()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Stop waiting: uvicorn closes what stays idle."""
        self._stop_clock()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(HEADERS_S, self.transport.close)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def make_server(
    settings: ServerSettings, *, app: FastAPI | None = None, **options: Any
) -> uvicorn.Server:
    """Return the server, not yet running.

    Parameters
    ----------
    app : a new one by default
    options : further ones of `uvicorn.Config`
    """
    config = uvicorn.Config(
        app or create_app(settings),
        host=settings.host,
        port=settings.port,
        http=PromptProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or "127.0.0.1",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=END_S,
        backlog=2048,
        **{"log_level": "warning", **options},
    )
    return uvicorn.Server(config)


def serve_web(settings: ServerSettings) -> None:
    """Serve until a signal ends it."""
    return_memory()
    app = create_app(settings)
    threading.Thread(target=_load, name="catalogue", daemon=True).start()
    app.state.context.planes.keep_ready()
    make_server(settings, app=app).run()


def return_memory(every_s: float = TRIM_S) -> None:
    """Let threads share what they free, and give it back to the system, where glibc is in use.

    Each of up to eight threads a core would have a part of the memory to itself, and keep some
    7 MiB of it; Python's lock lets but one of them work at a time. Uploads, archives and figures
    would be laid between small blocks that live long, from the first such block on that was freed.
    What small blocks leave between one another is seldom filled again, and is given back now and
    then.
    """
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim")):
        return
    libc.mallopt(M_ARENA_MAX, ARENAS)
    libc.mallopt(M_MMAP_THRESHOLD, LARGE)

    def trim() -> None:
        while True:
            time.sleep(every_s)
            libc.malloc_trim(0)

    threading.Thread(target=trim, name="memory", daemon=True).start()


def _load() -> None:
    """Import what analyses need, before a visitor waits for it, and keep it from the collector.

    It stays to the end. Python would look through all of it for garbage again and again, for 0.2 s
    each time, in which nobody is served.
    """
    builtin_entries()
    gc.freeze()


def first_link(database: Database, address: str) -> str | None:
    """Return a link that makes the first administrator; None where there is an account.

    An earlier such link is no longer good.
    """
    with database.write() as session:
        if session.scalar(select(func.count()).select_from(User)):
            return None
        first = "first start"
        for invitation in session.scalars(select(Invitation).where(Invitation.by == first)):
            invitation.used = invitation.used or time.time()
        return f"{address}/join/{invite(session, by=first, role='admin')}"
