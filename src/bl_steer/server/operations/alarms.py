"""What an administrator must hear of before users do: silent workers, a queue that stands, no room.

`bl_steer.server.operations.housekeeping` looks every second and writes the mails;
`bl_steer.server.operations.check` says what is missing when it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, Worker
from bl_steer.server.languages import text
from bl_steer.server.room import LEAST_ROOM, folders_of, room_of
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import amount

__all__ = ["DAY_S", "Trouble", "troubles"]

DAY_S = 86_400.0
"""A worker that is silent for longer was told of, or was taken away; who was told to end is not
told of."""


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong.

    Parameters
    ----------
    key : of its text, without ``alarm.``
    values : that the text names
    """

    key: str
    values: Mapping[str, object]

    def in_language(self, language: str) -> str:
        """Return it as a sentence."""
        return text(language, f"alarm.{self.key}", **self.values)


def troubles(session: Session, settings: ServerSettings, now: float) -> dict[str, Trouble]:
    """Return what is wrong, by a name under which it is told once a day."""
    since = now - settings.alarm_after_s
    silent = select(Worker).where(
        Worker.seen < since, Worker.seen > now - DAY_S, Worker.ended.is_(None)
    )
    found = {
        f"worker {worker.name}": Trouble(
            "silent", {"name": worker.name, "time": f"{now - worker.seen:.0f}"}
        )
        for worker in session.scalars(silent.order_by(Worker.name))
    }
    last_seen = session.scalar(select(func.max(Worker.seen)))
    waiting = session.scalar(select(func.count()).where(Job.state == "queued", Job.created < since))
    if waiting and (last_seen is None or last_seen < since):
        if last_seen is None:
            found["workers"] = Trouble("no_worker", {"number": waiting})
        else:
            since_s = f"{now - last_seen:.0f}"
            found["workers"] = Trouble("no_worker_since", {"number": waiting, "time": since_s})
    elif waiting and _stands(session, since):
        after = f"{settings.alarm_after_s:.0f}"
        found["queue"] = Trouble("queue", {"number": waiting, "time": after})
    if (left := room_of(folders_of(settings))) < LEAST_ROOM:
        about = {"folder": settings.folder.absolute(), "left": amount(left)}
        found["room"] = Trouble("room", {**about, "least": amount(LEAST_ROOM)})
    return found


def _stands(session: Session, since: float) -> bool:
    moves = or_(
        Job.state == "running",
        *((Job.state == state) & (Job.finished > since) for state in ("done", "failed")),
    )
    return session.scalar(select(Job.id).where(moves).limit(1)) is None
