"""Share links and the history of jobs: whose they are, how long, and page by page."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import AuditRecord, Job, JobOutput, Share, Upload, User
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.history import (
    HistoryPage,
    job_of,
    jobs_of,
    number_open,
    output_of,
    outputs_of,
)
from bl_steer.server.jobs.shares import open_share, revoke_share, share_job, shares_of

STATES = ("queued", "running", "done", "failed", "cancelled")


def fill(database: Database, number: int = 5) -> tuple[User, User, list[str]]:
    """Make two users; the first gets jobs of every state, one second after another."""
    with database.write() as session:
        ann, eve = (User(email=f"{name}@example.org") for name in ("ann", "eve"))
        session.add_all([ann, eve])
        session.flush()
        upload = Upload(id="up", user_id=ann.id, sha256="b" * 64, file_name="試料.csv", size=1)
        session.add(upload)
        session.flush()
        jobs = [
            Job(
                user_id=ann.id,
                analysis=("advise", "components")[count % 2],
                params={},
                upload_ids=["up"],
                state=STATES[count % 5],
                created=float(count),
            )
            for count in range(number)
        ]
        session.add_all(jobs)
        session.flush()
        return ann, eve, [job.id for job in jobs]


def test_pages_of_a_history_hold_each_job_once_the_newest_first(database: Database) -> None:
    ann, eve, ids = fill(database, 12)
    pages: list[HistoryPage] = []
    before = None
    with database.read() as session:
        while not pages or before is not None:
            pages.append(jobs_of(session, ann.id, before=before, limit=5))
            before = pages[-1].next_before
        assert [len(page.jobs) for page in pages] == [5, 5, 2]
        assert [job.id for page in pages for job in page.jobs] == ids[::-1]
        assert pages[0].file_names == {"up": "試料.csv"}
        assert jobs_of(session, ann.id, limit=12).next_before is None
        assert jobs_of(session, eve.id).jobs == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12])
def test_pages_lose_no_job_of_the_same_time(database: Database, limit: int) -> None:
    ann, _, ids = fill(database, 12)
    with database.write() as session:
        session.execute(update(Job).values(created=func.round(Job.created / 3)))
    seen: list[str] = []
    before, more = None, True
    with database.read() as session:
        while more:
            page = jobs_of(session, ann.id, before=before, limit=limit)
            assert len(page.jobs) <= limit + 2
            seen += [job.id for job in page.jobs]
            before, more = page.next_before, page.next_before is not None
    assert sorted(seen) == sorted(ids)


def test_a_history_is_narrowed_by_state_and_analysis(database: Database) -> None:
    ann, eve, ids = fill(database, 10)
    with database.read() as session:
        done = jobs_of(session, ann.id, state="done").jobs
        assert [job.id for job in done] == [ids[7], ids[2]]
        narrow = jobs_of(session, ann.id, state="done", analysis="advise").jobs
        assert [job.id for job in narrow] == [ids[2]]
        assert jobs_of(session, ann.id, state="done", analysis="segment").jobs == []
        assert (number_open(session, ann.id), number_open(session, eve.id)) == (4, 0)


def test_a_job_and_its_files_are_there_for_its_user_alone(database: Database) -> None:
    ann, eve, ids = fill(database)
    with database.write() as session:
        for name in ("b.csv", "a.png"):
            session.add(
                JobOutput(
                    job_id=ids[2], name=name, kind="file", sha256="c" * 64, size=1, media_type="x/y"
                )
            )
    with database.read() as session:
        assert job_of(session, ann.id, ids[2]).state == "done"
        for user_id, job_id in ((eve.id, ids[2]), (ann.id, "nothing"), ("", ids[2])):
            with pytest.raises(Refused, match="no such analysis in your history"):
                job_of(session, user_id, job_id)
        assert [output.name for output in outputs_of(session, ids[2])] == ["a.png", "b.csv"]
        assert output_of(session, ids[2], "a.png").size == 1
        for job_id, name in ((ids[2], "c.csv"), (ids[1], "a.png")):
            with pytest.raises(Refused, match="no such file in this result"):
                output_of(session, job_id, name)


@pytest.mark.parametrize("days", [0.0, -1.0, 365.1, float("inf"), float("nan")])
def test_a_link_for_no_time_or_for_too_long_is_refused(database: Database, days: float) -> None:
    ann, _, ids = fill(database)
    with pytest.raises(Refused, match="365 days at most"), database.write() as session:
        share_job(session, ann, job_of(session, ann.id, ids[2]), days=days)
    with database.read() as session:
        assert session.scalars(select(Share)).all() == []


def test_a_link_opens_its_job_and_counts_who_looks(database: Database) -> None:
    ann, _, ids = fill(database)
    with database.write() as session:
        share, token = share_job(session, ann, job_of(session, ann.id, ids[2]), days=365.0)
    assert token not in repr(vars(share))
    with database.write() as session:
        for counts in (True, True, False):
            assert open_share(session, token, counts=counts).id == ids[2]
        for wrong in ("", "nothing", token + "x", token.swapcase()):
            with pytest.raises(Refused, match="expired, was revoked, or never was"):
                open_share(session, wrong)
    with database.read() as session:
        assert session.get_one(Share, share.id).views == 2


def test_a_link_ends_with_its_time(database: Database) -> None:
    ann, _, ids = fill(database)
    with database.write() as session:
        _, token = share_job(session, ann, job_of(session, ann.id, ids[2]), days=1.0)
        assert len(shares_of(session, ids[2])) == 1
        session.execute(update(Share).values(expires=1.0))
        assert shares_of(session, ids[2]) == []
        with pytest.raises(Refused, match="expired"):
            open_share(session, token)


def test_a_link_is_revoked_by_whose_result_it_is_and_that_is_on_record_once(
    database: Database,
) -> None:
    ann, eve, ids = fill(database)
    with database.write() as session:
        share, token = share_job(session, ann, job_of(session, ann.id, ids[2]), days=1.0)
    for user, share_id in ((eve, share.id), (ann, "nothing")):
        with pytest.raises(Refused, match="never was"), database.write() as session:
            revoke_share(session, user, share_id)
    for _ in range(2):
        with database.write() as session:
            assert revoke_share(session, ann, share.id).revoked is not None
    with database.read() as session:
        with pytest.raises(Refused, match="was revoked"):
            open_share(session, token)
        actions = session.scalars(select(AuditRecord.action).order_by(AuditRecord.id)).all()
    assert actions == ["share add", "share revoke"]
