from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import func, select

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, JobOutput, OutgoingMail, Upload, User, Worker
from bl_steer.server.errors import Refused
from bl_steer.server.jobs import leases
from bl_steer.server.jobs import queue as jobs

RESULT = leases.Produced(
    digest="d" * 64,
    warnings=("mind the gap",),
    outputs=[leases.Output("t.csv", "table", "a" * 64, 3, "text/csv")],
)


def submit(database: Database, *, user: str = "u", **options: object) -> str:
    with database.write() as session:
        if session.get(User, user) is None:
            session.add(User(id=user, email=f"{user}@example.org"))
            session.flush()
            session.add(
                Upload(id=f"up-{user}", user_id=user, sha256="b" * 64, file_name="m.csv", size=1)
            )
            session.flush()
        options = {"upload_ids": [f"up-{user}"], **options}
        return jobs.submit(session, user_id=user, analysis="advise", params={"n": 1}, **options).id


def take(database: Database, now: float = 0.0, worker: str = "w") -> leases.Lease | None:
    with database.write_beside() as session:
        return jobs.take(session, worker, lease_s=30.0, now=now)


def job_of(database: Database, job_id: str) -> Job:
    with database.read() as session:
        job = session.get(Job, job_id)
        assert job is not None
        return job


def mails(database: Database) -> list[OutgoingMail]:
    with database.read() as session:
        return list(session.scalars(select(OutgoingMail)))


def test_a_job_goes_from_queued_to_done_with_its_files_and_one_mail(database: Database) -> None:
    job_id = submit(database)
    with database.write() as session:
        session.add(Worker(name="w", seen=0.0))
    lease = take(database)
    assert lease is not None
    assert (lease.analysis, lease.params, lease.inputs[0].file_name) == (
        "advise",
        {"n": 1},
        "m.csv",
    )
    assert take(database) is None
    with database.write() as session:
        assert jobs.renew(session, lease, lease_s=30.0, progress=(2, 5)) == "held"
    assert (job_of(database, job_id).progress_done, job_of(database, job_id).progress_total) == (
        2,
        5,
    )
    with database.write() as session:
        assert jobs.finish(session, lease, RESULT, address="http://here")
    job = job_of(database, job_id)
    assert (job.state, job.digest, job.warnings) == ("done", "d" * 64, ["mind the gap"])
    with database.read() as session:
        assert session.scalars(select(JobOutput.name)).all() == ["t.csv"]
        assert session.scalars(select(Worker.jobs_done)).all() == [1]
    (mail,) = mails(database)
    assert mail.recipient == "u@example.org"
    assert f"http://here/jobs/{job_id}" in mail.body


def test_what_an_earlier_attempt_reports_is_refused(database: Database) -> None:
    job_id = submit(database)
    late = take(database, now=0.0)
    with database.write() as session:
        assert jobs.sweep(session, attempts=5, now=31.0).requeued == 1
    current = take(database, now=31.0, worker="v")
    assert late is not None
    assert current is not None
    with database.write() as session:
        assert jobs.renew(session, late, lease_s=30.0) == "lost"
        assert not jobs.finish(session, late, RESULT)
        assert not jobs.fail(session, late, "error", "no")
        assert not jobs.return_job(session, late)
        assert not jobs.confirm_cancel(session, late)
    with database.write() as session:
        assert jobs.finish(session, current, RESULT)
        assert not jobs.finish(session, current, RESULT)
    assert job_of(database, job_id).attempt == 2
    assert len(mails(database)) == 1


def test_a_late_result_counts_while_nobody_else_has_the_job(database: Database) -> None:
    submit(database)
    lease = take(database, now=0.0)
    assert lease is not None
    with database.write() as session:
        assert jobs.finish(session, lease, RESULT, now=99.0)
    with database.write() as session:
        assert jobs.sweep(session, attempts=5, now=100.0) == leases.Swept()


def test_a_job_that_costs_too_many_workers_is_given_up_as_poison(database: Database) -> None:
    job_id = submit(database)
    for attempt in range(3):
        assert take(database, now=100.0 * attempt) is not None
        with database.write() as session:
            swept = jobs.sweep(session, attempts=3, now=100.0 * attempt + 31.0)
    assert swept == leases.Swept(poisoned=1)
    job = job_of(database, job_id)
    assert (job.state, job.cause) == ("failed", "lost")
    assert len(mails(database)) == 1


def test_a_worker_that_ends_in_order_costs_a_job_nothing(database: Database) -> None:
    job_id = submit(database)
    for _ in range(5):
        lease = take(database)
        assert lease is not None
        with database.write() as session:
            assert jobs.return_job(session, lease)
    assert (job_of(database, job_id).state, job_of(database, job_id).lost) == ("queued", 0)


def test_processes_killed_from_outside_are_counted_as_lost(database: Database) -> None:
    job_id = submit(database)
    for _ in range(2):
        lease = take(database)
        assert lease is not None
        with database.write() as session:
            assert jobs.return_job(session, lease, lost=True)
    with database.write() as session:
        assert jobs.take(session, "w", lease_s=30.0, attempts=2) is None, "it costs no third worker"
        jobs.sweep(session, attempts=2, now=1.0)
    assert job_of(database, job_id).cause == "lost"
    assert take(database) is None


def test_a_failure_says_why_and_is_not_repeated(database: Database) -> None:
    job_id = submit(database)
    lease = take(database)
    assert lease is not None
    with database.write() as session:
        assert jobs.fail(session, lease, "memory", "it takes 9 GiB", last_words="Killed")
    job = job_of(database, job_id)
    assert (job.state, job.cause, job.message) == ("failed", "memory", "it takes 9 GiB")
    assert take(database) is None
    assert "it takes 9 GiB" in mails(database)[0].body
    with database.write() as session, pytest.raises(ValueError, match="must be one of"):
        jobs.fail(session, lease, "bad luck", "")


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_by_its_worker(
    database: Database,
) -> None:
    waiting, running = submit(database), submit(database)
    with database.write() as session:
        assert jobs.cancel(session, waiting)
    lease = take(database)
    assert lease is not None
    assert lease.job_id == running
    with database.write() as session:
        assert jobs.cancel(session, running)
        assert jobs.renew(session, lease, lease_s=30.0) == "cancel"
        assert jobs.confirm_cancel(session, lease)
        assert not jobs.cancel(session, running)
    assert {job_of(database, one).state for one in (waiting, running)} == {"cancelled"}
    assert mails(database) == []


def test_a_cancelled_job_whose_worker_died_is_not_tried_again(database: Database) -> None:
    job_id = submit(database)
    take(database, now=0.0)
    with database.write() as session:
        jobs.cancel(session, job_id)
        assert jobs.sweep(session, attempts=5, now=31.0) == leases.Swept(cancelled=1)
    assert job_of(database, job_id).state == "cancelled"


def test_a_job_that_waits_again_or_whose_worker_died_has_no_duration(database: Database) -> None:
    ends = {"cancelled while it waits": 5, "cancelled by nobody heard": 5, "given up": 1}
    for how, attempts in ends.items():
        job_id = submit(database)
        lease = take(database, now=100.0)
        assert lease is not None
        assert job_of(database, job_id).started == 100.0
        with database.write() as session:
            if how == "cancelled while it waits":
                assert jobs.return_job(session, lease)
            if how != "given up":
                assert jobs.cancel(session, job_id, now=9000.0)
            jobs.sweep(session, attempts=attempts, now=9000.0)
        job = job_of(database, job_id)
        assert (job.state in ("cancelled", "failed"), job.finished) == (True, 9000.0), how
        assert job.started is None, how


def test_a_submission_sent_twice_is_one_job_and_not_that_of_another_user(
    database: Database,
) -> None:
    first = submit(database, submission_key="k")
    assert submit(database, submission_key="k") == first
    assert submit(database, user="v", submission_key="k") != first


def test_only_ones_own_uploads_can_be_analysed(database: Database) -> None:
    submit(database)
    with pytest.raises(ValueError, match="must be yours"):
        submit(database, user="v", upload_ids=["up-u"])
    with database.write() as session:
        session.get_one(Upload, "up-u").deleted = 1.0
    with pytest.raises(ValueError, match="must be yours"):
        submit(database)


def test_a_user_with_many_jobs_does_not_keep_the_others_waiting(database: Database) -> None:
    for number in range(3):
        submit(database, now=float(number))
    later = submit(database, user="v", now=10.0)
    first, second = take(database), take(database)
    assert first is not None
    assert second is not None
    assert second.job_id == later


def test_who_wants_no_mail_gets_none(database: Database) -> None:
    submit(database, wants_mail=False)
    lease = take(database)
    assert lease is not None
    with database.write() as session:
        jobs.finish(session, lease, RESULT)
    assert mails(database) == []


def test_many_workers_at_once_do_each_job_once(database: Database) -> None:
    wanted = {submit(database) for _ in range(24)}
    done: list[str] = []
    problems: list[BaseException] = []

    def work(name: str) -> None:
        try:
            while (lease := take(database, worker=name)) is not None:
                with database.write_beside() as session:
                    if jobs.finish(session, lease, leases.Produced("e" * 64)):
                        done.append(lease.job_id)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with database.read() as session:
        states = session.execute(select(Job.state, Job.attempt)).all()
    # In PostgreSQL a worker may find all rows locked by others and end early, with jobs left.
    assert len(done) == len(set(done)) == sum(state == "done" for state, _ in states)
    assert set(done) <= wanted
    assert all(attempt <= 1 for _, attempt in states)
    assert len(mails(database)) == len(done)
    assert done


def test_jobs_submitted_at_the_same_time_keep_within_the_number_of_open_ones(
    database: Database,
) -> None:
    submit(database, user="ann")

    def again(_: int) -> None:
        with suppress(Refused), database.write_beside() as session:
            jobs.submit(
                session,
                user_id="ann",
                analysis="advise",
                params={},
                upload_ids=["up-ann"],
                most_open=3,
            )

    with ThreadPoolExecutor(6) as pool:
        with database.write() as session:
            session.execute(select(User.id).where(User.id == "ann").with_for_update())
            waiting = [pool.submit(again, number) for number in range(6)]
            time.sleep(0.5)
        for submission in waiting:
            submission.result(timeout=120)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 3
