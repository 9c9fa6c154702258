"""What an administrator must hear of before users do: silent workers, a queue that stands, no room.

`bl_steer.server.operations.housekeeping` looks every second and writes the mails;
`bl_steer.server.operations.check` says what is missing when it is asked.
"""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, Worker
from bl_steer.server.room import LEAST_ROOM, folders_of, room_of
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import amount

__all__ = ["DAY_S", "troubles"]

DAY_S = 86_400.0
"""A worker that is silent for longer was told of, or was taken away."""


def troubles(session: Session, settings: ServerSettings, now: float) -> dict[str, str]:
    """Return what is wrong, in a sentence each, by a name under which it is told once a day."""
    since = now - settings.alarm_after_s
    silent = select(Worker).where(Worker.seen < since, Worker.seen > now - DAY_S)
    found = {
        f"worker {worker.name}": (
            f"The worker {worker.name} was not heard of for {now - worker.seen:.0f} s; look after "
            "its process or its machine."
        )
        for worker in session.scalars(silent.order_by(Worker.name))
    }
    last_seen = session.scalar(select(func.max(Worker.seen)))
    waiting = session.scalar(select(func.count()).where(Job.state == "queued", Job.created < since))
    if waiting and (last_seen is None or last_seen < since):
        heard = "ever" if last_seen is None else f"for {now - last_seen:.0f} s"
        found["workers"] = f"{waiting} jobs wait, and no worker was heard of {heard}."
    elif waiting and _stands(session, since):
        found["queue"] = (
            f"{waiting} jobs wait for more than {settings.alarm_after_s:.0f} s, and none runs or "
            "has ended since, though workers are heard of; look into their log."
        )
    if (left := room_of(folders_of(settings))) < LEAST_ROOM:
        found["room"] = (
            f"The disk of {settings.folder.absolute()} has {amount(left)} of room, and no job is "
            f"taken below {amount(LEAST_ROOM)}; delete something there."
        )
    return found


def _stands(session: Session, since: float) -> bool:
    moves = or_(
        Job.state == "running",
        *((Job.state == state) & (Job.finished > since) for state in ("done", "failed")),
    )
    return session.scalar(select(Job.id).where(moves).limit(1)) is None
