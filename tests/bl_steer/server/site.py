"""A whole web process on loopback, for tests: a real server in a thread, real requests."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.db.tables import Job, User
from bl_steer.server.jobs.leases import Lease, Output, Produced
from bl_steer.server.jobs.queue import finish, take
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.context import Context
from bl_steer.server.web.process import make_server

PASSWORD = "correct horse battery"
CSRF = re.compile(r'name="csrf" value="([^"]*)"')


@dataclass
class Site:
    """A running web process."""

    address: str
    context: Context
    app: FastAPI
    _open: list[httpx.Client] = field(default_factory=list)

    def user(self, email: str = "ann@example.org", role: str = "user", **values: Any) -> User:
        """Make an account."""
        with self.context.database.write() as session:
            return add_user(session, email, password=PASSWORD, role=role, **values)

    def key(self, user: User, *scopes: str) -> str:
        with self.context.database.write() as session:
            return make_key(session, user, "test", scopes or SCOPES)

    def stranger(self, **headers: str) -> httpx.Client:
        client = httpx.Client(base_url=self.address, timeout=120, headers=headers)
        self._open.append(client)
        return client

    def browser(self, email: str = "ann@example.org", **headers: str) -> Browser:
        """Sign in."""
        client = self.stranger(**headers)
        answer = client.post("/sign-in", data={"email": email, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return Browser(client)

    def program(self, user: User, *scopes: str) -> httpx.Client:
        return self.stranger(Authorization=f"Bearer {self.key(user, *scopes)}")

    def take(self) -> Lease:
        """Take the next job as a worker does."""
        with self.context.database.write() as session:
            lease = take(session, "tester", lease_s=60.0)
        if lease is None:
            raise LookupError("no job waits")
        return lease

    def finish(self, files: dict[str, bytes], *, warnings: tuple[str, ...] = ()) -> str:
        """Do the next job as a worker does, with these files as its result; return its id."""
        lease = self.take()
        outputs = []
        for name, content in files.items():
            sha256, size = self.context.store.put(iter([content]))
            kind, media_type = KINDS[Path(name).suffix]
            outputs.append(Output(name, kind, sha256, size, media_type))  # type: ignore[arg-type]
        produced = Produced("d" * 64, warnings, {"version": "1"}, outputs)
        with self.context.database.write() as session:
            assert finish(session, lease, produced, address=self.address)
        return lease.job_id

    def job(self, job_id: str) -> Job:
        with self.context.database.read() as session:
            return session.get_one(Job, job_id)


KINDS = {
    ".csv": ("table", "text/csv"),
    ".png": ("figure", "image/png"),
    ".tif": ("array", "image/tiff"),
    ".npz": ("array", "application/zip"),
}


class Browser:
    """A client that is signed in and sends the CSRF token of its session with each form."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        found = CSRF.search(client.get("/account").text)
        assert found is not None
        self.csrf_token = found[1]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf_token, **(data or {})}, **options)

    def upload(self, *files: tuple[str, bytes], **data: str) -> httpx.Response:
        """Send the form as the page does, whose box for training is ticked."""
        fields = {"may_train": "1", **data}
        return self.post("/files", fields, files=[("files", one) for one in files])


@contextmanager
def running_site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Start an web process in an empty folder, on a free port."""
    chosen = ServerSettings(folder=folder, port=0, rate_per_minute=100_000, **settings)
    server = make_server(chosen)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    app: FastAPI = server.config.app  # type: ignore[assignment]
    context: Context = app.state.context
    address = f"http://127.0.0.1:{port}"
    context.settings = chosen.model_copy(update={"base_url": address})
    site = Site(address, context, app)
    try:
        yield site
    finally:
        for client in site._open:
            client.close()
        server.should_exit = True
        thread.join(120.0)
        assert not thread.is_alive()
