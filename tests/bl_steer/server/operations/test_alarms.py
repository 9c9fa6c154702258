from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bl_steer.server.db.tables import Job, OutgoingMail, User, Worker
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.operations import alarms
from bl_steer.server.operations.housekeeping import Housekeeping
from bl_steer.server.settings import ServerSettings


@pytest.fixture
def keeper(tmp_path: Path) -> Housekeeping:
    made = Housekeeping(
        ServerSettings(folder=tmp_path, alarm_to="admin@example.org", alarm_after_s=60.0)
    )
    made.database.create_tables()
    made._began -= 100.0
    with made.database.write() as session:
        session.add(User(id="u", email="u@example.org"))
        for name in ("a", "b"):
            session.add(Worker(name=name, seen=time.time()))
    return made


def told(keeper: Housekeeping, *, after_s: float = 0.0, **seen: float) -> list[str]:
    """Return the mails that a look adds, with workers heard of so many seconds ago."""
    now = time.time() + after_s
    with keeper.database.write() as session:
        before = set(session.scalars(select(OutgoingMail.id)))
        for name in ("a", "b"):
            row = update(Worker).where(Worker.name == name)
            session.execute(row.values(seen=now - seen.get(name, 0.0)))
    keeper._look_due = 0.0
    keeper._watch(now)
    with keeper.database.read() as session:
        mails = session.scalars(select(OutgoingMail).where(OutgoingMail.id.not_in(before)))
        return [f"{mail.subject}\n{mail.body}" for mail in mails]


def submit(keeper: Housekeeping, **values: Any) -> None:
    with keeper.database.write() as session:
        row = jobs.submit(session, user_id="u", analysis="advise", params={}, upload_ids=[])
        for name, value in {"created": time.time() - 100.0, **values}.items():
            setattr(row, name, value)


def test_alarms_are_in_the_language_of_the_account_that_reads_them(keeper: Housekeeping) -> None:
    with keeper.database.write() as session:
        session.add(User(id="ad", email="admin@example.org", role="admin", language="ja"))
    (mail,) = told(keeper, b=61.0)
    assert mail.startswith("bl_steer: ワーカー b から 61 秒間連絡がありません\n")
    submit(keeper)
    (mail,) = told(keeper, after_s=10.0, a=200.0, b=200.0)
    assert "件のジョブが待っていますが" in mail
    assert not re.search("[a-z]{2,} [a-z]{2,} [a-z]", mail)


def test_one_silent_worker_of_several_is_told_of_once_a_day(keeper: Housekeeping) -> None:
    assert told(keeper) == []
    (mail,) = told(keeper, b=61.0)
    assert mail.startswith("bl_steer: The worker b was not heard of for 61 s\n")
    assert told(keeper, b=90.0) == []
    (mail,) = told(keeper, a=70.0, b=90.0)
    assert "worker a" in mail
    assert "worker b" not in mail


def test_a_worker_that_was_told_to_end_raises_no_alarm(keeper: Housekeeping) -> None:
    with keeper.database.write() as session:
        session.execute(update(Worker).where(Worker.name == "b").values(ended=time.time()))
    assert told(keeper, b=61.0) == []
    assert told(keeper, after_s=2 * alarms.DAY_S, b=3 * alarms.DAY_S) == []  # it was taken away


def test_a_queue_that_stands_is_told_of_and_one_that_moves_is_not(keeper: Housekeeping) -> None:
    submit(keeper)
    submit(keeper, state="done", finished=time.time() - 10.0)
    assert told(keeper) == []
    with keeper.database.write() as session:
        session.execute(update(Job).where(Job.state == "done").values(finished=time.time() - 100))
    (mail,) = told(keeper)
    assert "1 jobs wait for more than 60 s, and none runs" in mail
    submit(keeper, state="running")
    keeper._alarmed.clear()
    assert told(keeper) == []


def test_a_disk_without_room_is_told_of(
    keeper: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "LEAST_ROOM", 2**62)
    (mail,) = told(keeper)
    assert "of room, and no job is taken below" in mail
