"""The access log: every request, written in batches so that no request waits for it."""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections import deque
from urllib.parse import unquote

from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.types import Scope

from bl_steer.server.auth.permissions import ACCESS
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AccessRecord

__all__ = ["AccessLog", "latest_requests", "logged_path", "masked"]

FLUSH_S = 1.0
MOST_KEPT = 100_000
COLUMNS = ("time", "user_id", "method", "path", "status", "address", "ms")
LONGEST = 500
"""Characters of a path that are kept."""
TEMPLATES = {route.partition(" ")[2]: rule.secret for route, rule in ACCESS.items()}
"""Paths of the routes, and whether a secret is in them."""
OPEN = re.compile(
    "|".join(re.sub(r"\{\w+\}", "[^/]+", path) for path, secret in TEMPLATES.items() if not secret)
)
WORDS = "|".join(
    sorted({path.split("/")[1] for path, secret in TEMPLATES.items() if secret and "{" in path})
)
SECRET = re.compile(rf"(?<![^\W_])({WORDS})(?![^\W_]).+", re.IGNORECASE | re.DOTALL)
"""What stands before a secret, and all that follows."""
TOKEN = re.compile(r"[\w-]{32,}")
"""A token by its length (`bl_steer.server.auth.tokens.new_token`), also one cut off in part."""

logger = logging.getLogger(__name__)


class AccessLog:
    """Records on their way into the database, by a thread of their own.

    Parameters
    ----------
    database : where they go

    Notes
    -----
    A process that is killed loses the records of its last second.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: deque[AccessRecord] = deque(maxlen=MOST_KEPT)
        self._writing = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, record: AccessRecord) -> None:
        """Take a record; returns at once."""
        self._waiting.append(record)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._work, name="access log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and end."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10.0)
        self.flush()

    def flush(self) -> None:
        """Write what waits; returns when all that came before is written."""
        with self._writing:
            records = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not records:
                return
            try:
                with self.database.write_beside() as session:
                    session.execute(
                        insert(AccessRecord),
                        [{name: getattr(record, name) for name in COLUMNS} for record in records],
                    )
            except SQLAlchemyError as error:
                logger.error("%d requests are not on record: %s", len(records), error)

    def _work(self) -> None:
        while not self._end.wait(FLUSH_S):
            self.flush()


def latest_requests(
    session: Session, *, before: int | None = None, user_id: str = "", limit: int = 100
) -> list[AccessRecord]:
    """Return requests, the newest first.

    Parameters
    ----------
    before : id of the record that the page begins after
    user_id : of one user only
    """
    query = select(AccessRecord).order_by(AccessRecord.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AccessRecord.id < before)
    if user_id:
        query = query.where(AccessRecord.user_id == user_id)
    return list(session.scalars(query))


def logged_path(scope: Scope) -> str:
    """Return the path of a request as logs may tell it: of secrets, the name of their place."""
    state = scope.get("state", {})
    rule = state.get("rule")
    if rule is not None:  # a route has it
        return str(state["route_path"] if rule.secret else scope["path"])[:LONGEST]
    return masked(str(scope["path"]))


def masked(path: str) -> str:
    """Return a path without what may be a secret: somebody may have mistyped a link.

    Parameters
    ----------
    path : as it came, or as it was recorded

    Notes
    -----
    Paths that a route without secrets has are as they were. Of others all is left out that follows
    the first word of a route with a secret, whatever the case, slashes and encoding, and whatever
    is as long as a token.

    >>> masked("//S/Zm9vYmFy/nix"), masked("/%73%2FZm9vYmFy"), masked("/jobs/1"), masked("/nix")
    ('//S/…', '/s/…', '/jobs/1', '/nix')
    """
    path = path[:LONGEST]
    if path in TEMPLATES or OPEN.fullmatch(path):
        return path
    plain = path
    while (decoded := unicodedata.normalize("NFKC", unquote(plain))) != plain:
        plain = decoded
    hidden = SECRET.sub(r"\1/…", TOKEN.sub("…", plain))
    return path if hidden == plain else hidden[:LONGEST]
