"""An upload that its client breaks off is nobody's fault: a line in the log, and a 499."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.app import create_app


@pytest.mark.parametrize("path", ["/api/v1/files", "/api/v1/jobs"])
def test_a_request_that_is_broken_off_is_a_line_and_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    app = create_app(ServerSettings(folder=tmp_path))
    context = app.state.context
    context.open()
    try:
        with context.database.write() as session:
            user = add_user(session, "ann@example.org", password="correct horse battery")
            key = make_key(session, user, "test", SCOPES)
        pieces: Iterator[dict[str, Any]] = iter(
            [
                {"type": "http.request", "body": b"x,y\n1", "more_body": True},
                {"type": "http.disconnect"},
            ]
        )
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return next(pieces)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"file_name=a.csv",
            "root_path": "",
            "scheme": "http",
            "server": ("here", 80),
            "client": ("there", 1),
            "headers": [
                (b"host", b"here"),
                (b"authorization", f"Bearer {key}".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", b"1000"),
            ],
        }

        async def ask() -> None:
            await app(scope, receive, send)

        with caplog.at_level(logging.WARNING):
            asyncio.run(ask())
    finally:
        context.close()
    assert sent[0]["status"] == 499
    (said,) = caplog.records
    assert said.exc_info is None
    assert said.getMessage() == f"POST {path}: the client broke off"
