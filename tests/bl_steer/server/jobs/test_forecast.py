from __future__ import annotations

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, User, Worker
from bl_steer.server.jobs.forecast import forecast
from bl_steer.server.jobs.queue import take

NOW = 10_000.0


def add(database: Database, job_id: str, user_id: str = "u", **values: object) -> None:
    given = {"analysis": "a", "params": {}, "upload_ids": [], "created": NOW, **values}
    with database.write() as session:
        if session.get(User, user_id) is None:
            session.add(User(id=user_id, email=f"{user_id}@example.org"))
            session.flush()
        session.add(Job(id=job_id, user_id=user_id, **given))


def workers(database: Database, number: int, seen: float = NOW) -> None:
    with database.write() as session:
        session.add_all([Worker(name=f"w{k}", seen=seen) for k in range(number)])


def done(database: Database, *lasted: float, analysis: str = "a") -> None:
    for number, seconds in enumerate(lasted):
        values = {"state": "done", "started": 0.0, "finished": seconds, "created": float(number)}
        add(database, f"done {analysis} {number}", "old", analysis=analysis, **values)


def asked(database: Database, job_id: str) -> tuple[int, float | None, float | None, int]:
    with database.read() as session:
        told = forecast(session, session.get_one(Job, job_id), now=NOW)
    return told.ahead, told.wait_s, told.duration_s, told.workers


def test_a_job_waits_for_those_ahead_as_long_as_such_took(database: Database) -> None:
    workers(database, 2)
    done(database, 10.0, 20.0, 300.0)  # the middle one counts
    for number in range(2):
        add(database, f"r{number}", state="running", started=NOW - 5.0 * number)
    for number in range(3):
        add(database, f"q{number}", created=NOW + number)
    assert asked(database, "q0") == (0, 15.0, 20.0, 2)
    assert asked(database, "q1") == (1, 20.0, 20.0, 2)
    assert asked(database, "q2") == (2, 35.0, 20.0, 2)


def test_a_long_list_of_one_user_does_not_stand_before_the_others(database: Database) -> None:
    workers(database, 1)
    for number in range(20):
        add(database, f"many {number:02}", "many", created=NOW + number)
    add(database, "few", "few", created=NOW + 50.0)
    ahead, wait_s, duration_s, _ = asked(database, "few")
    assert (wait_s, duration_s) == (None, None)  # nobody knows how long such a job takes
    taken = []
    with database.write() as session:
        for _ in range(21):
            lease = take(session, "w", lease_s=60.0, now=NOW)
            assert lease is not None
            taken.append(lease.job_id)
            session.get_one(Job, lease.job_id).state = "done"
            session.flush()
            if lease.job_id == "few":
                break
    assert ahead <= len(taken) - 1
    assert asked(database, "many 19")[1] is None


def test_the_place_is_that_in_which_workers_take_jobs(database: Database) -> None:
    workers(database, 3)
    for number in range(6):
        add(database, f"a{number}", "a", created=NOW + number)
    for number in range(3):
        add(database, f"b{number}", "b", created=NOW + 10 + number)
    places = {name: asked(database, name)[0] for name in ("a0", "b0", "a1", "b1", "a5")}
    with database.write() as session:
        order = [lease.job_id for _ in range(3) if (lease := take(session, "w", lease_s=60.0))]
    assert order == ["a0", "b0", "a1"]
    assert [places[name] for name in order] == [0, 1, 2]


def test_without_workers_nothing_is_promised(database: Database) -> None:
    workers(database, 2, seen=NOW - 3600.0)
    done(database, 10.0)
    add(database, "q")
    assert asked(database, "q") == (0, None, 10.0, 0)
