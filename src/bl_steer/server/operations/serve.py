"""``bl-steer serve``: the parts of the server as processes under one supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http.client import HTTPConnection, HTTPException

from sqlalchemy.exc import ArgumentError, DBAPIError

from bl_steer.files.atomic import write_whole
from bl_steer.server.db.database import Database
from bl_steer.server.folder import PARTS, alone, make_private
from bl_steer.server.jobs.heartbeat import first_line
from bl_steer.server.jobs.worker import run_worker
from bl_steer.server.languages import load_texts
from bl_steer.server.operations.housekeeping import run_housekeeping
from bl_steer.server.operations.supervisor import Supervisor
from bl_steer.server.sandbox.caches import caches_of, make_caches
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.catalogue import builtin_entries
from bl_steer.server.web.process import first_link, serve_web
from bl_steer.server.web.rendering import load_pages

__all__ = ["parts_of", "serve", "set_environment"]

Tell = Callable[[str, str | None], None]


def parts_of(
    settings: ServerSettings, parts: Sequence[str] = PARTS
) -> dict[str, Callable[[], None]]:
    """Return what each process does, by its name, and load what they all need."""
    functions: dict[str, Callable[[], None]] = {}
    load_texts()  # for mails
    if "web" in parts:
        builtin_entries()
        load_pages()
        functions["web"] = partial(serve_web, settings)
    if "worker" in parts:
        for slot in range(settings.workers):
            functions[f"worker {slot}"] = partial(run_worker, settings, slot)
    if "keeper" in parts:
        functions["keeper"] = partial(run_housekeeping, settings)
    return functions


def tasks_of(
    settings: ServerSettings, parts: Sequence[str] = PARTS
) -> dict[str, Callable[[], None]]:
    """Return what is done once, beside the parts."""
    if "worker" in parts and caches_of(settings.caches) is None:
        return {"caches": partial(make_caches, settings.caches)}
    return {}


def set_environment(values: Mapping[str, object]) -> None:
    """Set what the command line says as the environment of all parts; None leaves it alone."""
    for name, value in values.items():
        if value is not None:
            os.environ[f"BL_STEER_SERVICE_{name.upper()}"] = str(value)


def prepare(settings: ServerSettings) -> None:
    """Make the tables.

    Raises
    ------
    RuntimeError
        Where jobs could not be kept apart, or where a restore was not finished.
    """
    problem = sandbox_problem()
    if problem and not settings.trust_packages:
        raise RuntimeError(
            f"jobs must run in a sandbox, got: {problem}; install bubblewrap, or start with "
            "--trust-packages, where nobody but trusted people can reach the server"
        )
    make_private(settings.folder)
    settings.check_restored()
    open_database(settings).close()


def open_database(settings: ServerSettings) -> Database:
    """Return the database, its tables up to date; `ConnectionError` where it cannot be had."""
    try:
        database = Database(settings.database, pool_size=1)
        database.create_tables()
    except (ArgumentError, DBAPIError) as error:
        raise ConnectionError(
            f"the server's database must answer, got {first_line(error)!r}; start it, or correct "
            "BL_STEER_SERVICE_DATABASE_URL"
        ) from error
    return database


def serve(
    settings: ServerSettings, parts: Sequence[str] = PARTS, *, tell: Tell = lambda *_: None
) -> None:
    """Run the parts until Ctrl-C or SIGTERM.

    Parameters
    ----------
    tell : gets the address as soon as it answers, and the link that makes the first account, None
        where there is one

    Raises
    ------
    FileExistsError
        When one of the parts runs in the folder already, on this machine.
    OSError
        When the folder or the port cannot be had.
    """
    with alone(settings, parts):
        if "web" in parts:
            settings = claim_port(settings)
        prepare(settings)
        if "web" in parts:
            write_whole(settings.served, f"{settings.address}\n".encode())
        each = [Announcement(settings, tell).look] if "web" in parts else []
        Supervisor(parts_of(settings, parts), tasks_of(settings, parts)).run(*each)


def claim_port(settings: ServerSettings) -> ServerSettings:
    """Return the settings with a port that can be listened at: the one given, or any for 0."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web part does
            probe.bind(address)
            probe.listen(1)
            port = int(probe.getsockname()[1])
    except OSError as error:
        raise OSError(
            f"the server must have a port of its own, got {error.strerror!r} for "
            f"{settings.host}:{settings.port}; end what listens there, or give another --port or "
            "--host"
        ) from error
    set_environment({"port": port})
    return settings.model_copy(update={"port": port})


class Announcement:
    """What is told once, when the web part answers."""

    def __init__(self, settings: ServerSettings, tell: Tell) -> None:
        self._settings = settings
        self._tell = tell
        self._made = False

    def look(self) -> None:
        """Tell the address, and the link that makes the first account, if it is time."""
        if self._made or not _answers(self._settings):
            return

        self._made = True
        database = Database(self._settings.database, pool_size=1)
        try:
            link = first_link(database, self._settings.address)
        finally:
            database.close()
        self._tell(self._settings.address, link)


def _answers(settings: ServerSettings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
