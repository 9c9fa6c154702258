"""The guarded change of a job's row that every transition of `bl_steer.server.jobs.queue` is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from bl_steer.server.db.database import rows_changed
from bl_steer.server.db.tables import Job, Worker
from bl_steer.server.jobs.leases import Claim

__all__ = ["change", "count", "ended", "given_up", "held", "queued"]

UNHELD = {"lease_owner": None, "lease_until": None}


def held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Return what tells the row of a job that is still held by a claim."""
    return (Job.id == claim.job_id, Job.attempt == claim.attempt, Job.state == "running")


def queued() -> dict[str, Any]:
    """Return the values of a job that waits again: it has not begun."""
    return {"state": "queued", **UNHELD, "started": None}


def ended(state: str, now: float) -> dict[str, Any]:
    """Return the values of a job that is over."""
    return {"state": state, **UNHELD, "finished": now}


def given_up(state: str, now: float) -> dict[str, Any]:
    """Return the values of a job that ends as its worker fell silent, nobody knows when."""
    return {**ended(state, now), "started": None}


def change(session: Session, guard: Sequence[ColumnElement[bool]], **values: Any) -> bool:
    """Change the one row that fits; return whether there was one."""
    statement = (
        update(Job).where(*guard).values(**values).execution_options(synchronize_session=False)
    )
    result = session.execute(statement)
    return rows_changed(result) == 1


def count(session: Session, worker: str, now: float) -> None:
    """Count a job for the worker that did it."""
    statement = update(Worker).where(Worker.name == worker)
    session.execute(statement.values(jobs_done=Worker.jobs_done + 1, seen=now))
