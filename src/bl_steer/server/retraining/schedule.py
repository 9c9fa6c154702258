"""Retraining by itself: when enough new pairs came and enough time went by.

Housekeeping calls `start_if_due`; the training itself is a process of its own, so that it
goes on sending mails.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from bl_steer.server.db.training_tables import Retraining, Snapshot
from bl_steer.server.retraining.pairs import training_pairs
from bl_steer.server.retraining.run import Retrainings
from bl_steer.server.retraining.settings import RetrainingSettings

__all__ = ["is_due", "open_retraining", "start_if_due", "start_waiting"]

DAY_S = 86_400.0
ACTOR = "schedule"
PATIENCE_S = 5.0
"""Whoever begins a retraining on the command line carries it out at once."""

logger = logging.getLogger(__name__)


def is_due(session: Session, settings: RetrainingSettings, *, now: float | None = None) -> bool:
    """Return whether a retraining should begin by itself now."""
    now = time.time() if now is None else now
    if not settings.every_days:
        return False
    last = session.scalar(select(Retraining).order_by(Retraining.created.desc()).limit(1))
    if last is not None and now - last.created < settings.every_days * DAY_S:
        return False
    seen = select(Snapshot).order_by(Snapshot.created.desc()).limit(1)
    snapshot = session.scalar(seen)
    known = {(p["image"], p["mask"]) for p in snapshot.manifest["pairs"]} if snapshot else set()
    new = {(pair.image, pair.mask) for pair in training_pairs(session)} - known
    return len(new) >= settings.new_pairs


def start_if_due(
    retrainings: Retrainings, *, now: float | None = None
) -> subprocess.Popen[bytes] | None:
    """Begin a retraining in a process of its own where one is due; return the process."""
    if not retrainings.retraining.every_days:
        return None
    settings = retrainings.retraining
    try:
        retraining_id = retrainings.begin(
            actor=ACTOR, unless=lambda session: not is_due(session, settings, now=now)
        )
    except ValueError as error:
        logger.warning("no retraining: %s", error)
        return None
    if not retraining_id:
        return None
    return _start(retrainings, retraining_id)


def start_waiting(
    retrainings: Retrainings, *, now: float | None = None
) -> subprocess.Popen[bytes] | None:
    """Begin the oldest retraining that was queued from a page; return its process."""
    now = time.time() if now is None else now
    waiting = select(Retraining.id).where(
        Retraining.state == "queued", Retraining.created < now - PATIENCE_S
    )
    with retrainings.database.read() as session:
        oldest = session.scalar(waiting.order_by(Retraining.created).limit(1))
    return None if oldest is None else _start(retrainings, oldest)


def open_retraining(session: Session, *, now: float | None = None) -> Retraining | None:
    """Return a retraining that waits, or runs and may still be alive; None where there is none."""
    now = time.time() if now is None else now
    alive = or_(
        Retraining.state == "queued",
        and_(Retraining.state == "running", Retraining.lease_until > now),
    )
    return session.scalar(select(Retraining).where(alive).limit(1))


def _start(retrainings: Retrainings, retraining_id: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "bl_steer", "retrain", "run", retraining_id]
    command += ["--folder", str(retrainings.settings.folder.absolute())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
