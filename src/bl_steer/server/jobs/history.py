"""A user's jobs: one, and page by page, at the same speed with a hundred as with 100,000."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import Session, load_only

from bl_steer.server.db.pages import page_of
from bl_steer.server.db.tables import GroupJob, Job, JobFile, JobOutput, Upload
from bl_steer.server.errors import missing
from bl_steer.server.jobs.leases import OPEN
from bl_steer.server.jobs.search import few_jobs_of, is_of_files

__all__ = [
    "HistoryPage",
    "job_of",
    "jobs_of",
    "number_open",
    "output_of",
    "outputs_of",
    "submitted",
    "waiting_by_file",
]

SHOWN = (
    *("id", "user_id", "analysis", "package_sha256", "state", "created", "started", "finished"),
    *("upload_ids", "cause"),
)
OPEN_OF = (  # made once: asked at every submission
    select(func.count())
    .select_from(Job)
    .where(Job.user_id == bindparam("user_id"), or_(*(Job.state == state for state in OPEN)))
)
SUBMITTED = select(Job).where(  # made once, like the one above
    Job.user_id == bindparam("user_id"), Job.submission_key == bindparam("submission_key")
)


@dataclass(frozen=True)
class HistoryPage:
    """Some jobs, the newest first.

    Parameters
    ----------
    file_names : of the jobs' uploads, by id; deleted ones too
    next_before : where the next page begins; None on the last
    """

    jobs: Sequence[Job]
    file_names: dict[str, str]
    next_before: float | None


def jobs_of(
    session: Session,
    user_id: str,
    *,
    before: float | None = None,
    state: str = "",
    analysis: str = "",
    words: str = "",
    since: float | None = None,
    until: float | None = None,
    group_id: str = "",
    limit: int = 25,
) -> HistoryPage:
    """Return a page of a user's jobs, or of all that are shared with a group.

    Parameters
    ----------
    before : time of the job that the page begins after, s since 1970
    state, analysis : only such jobs; all by default
    words : all of them stand in the name or the specimen of one of the job's files
    since, until : only jobs that were submitted from then on, and before then, s since 1970
    """
    shared = select(GroupJob.job_id).where(GroupJob.group_id == group_id)
    query = select(Job).where(Job.id.in_(shared) if group_id else Job.user_id == user_id)
    if state:
        query = query.where(Job.state == state)
    if analysis:
        query = query.where(Job.analysis == analysis)
    if since is not None:
        query = query.where(Job.created >= since)
    if until is not None:
        query = query.where(Job.created < until)
    if words.strip():
        few = None if group_id else few_jobs_of(session, user_id, words)
        if few is None:
            query = query.where(is_of_files(words))
        else:
            query = _newest(session, query.where(Job.id.in_(few)), before, limit)
    columns = load_only(*(getattr(Job, name) for name in SHOWN))
    query = query.options(columns)
    jobs, older = page_of(session, query, Job.created, before=before, limit=limit)
    upload_ids = {upload_id for job in jobs for upload_id in job.upload_ids[:3]}
    names = session.execute(select(Upload.id, Upload.file_name).where(Upload.id.in_(upload_ids)))
    return HistoryPage(jobs, dict(names.tuples().all()), older)


def _newest(
    session: Session, query: Select[tuple[Job]], before: float | None, limit: int
) -> Select[tuple[Job]]:
    """Return a query for no more of some jobs than a page needs, and one that is older.

    All are looked at, by their keys: asked for in order, a database may walk the whole history.
    """
    keys = query.with_only_columns(Job.created, Job.id)
    if before is not None:
        keys = keys.where(Job.created < before)
    rows = sorted(session.execute(keys).tuples(), reverse=True)
    last = rows[min(limit, len(rows)) - 1][0] if rows else 0.0
    shown = sum(created >= last for created, _ in rows)
    return select(Job).where(Job.id.in_([job_id for _, job_id in rows[: shown + 1]]))


def job_of(session: Session, user_id: str, job_id: str) -> Job:
    """Return one job of a user; `Refused` where there is none."""
    job = session.get(Job, job_id)
    if job is None or job.user_id != user_id:
        raise missing("job")
    return job


def number_open(session: Session, user_id: str) -> int:
    """Return how many of a user's jobs wait or run."""
    return session.scalar(OPEN_OF, {"user_id": user_id}) or 0


def submitted(session: Session, user_id: str, submission_key: str) -> Job | None:
    """Return the job that a user submitted with a key; None where there is none."""
    return session.scalar(SUBMITTED, {"user_id": user_id, "submission_key": submission_key})


def outputs_of(session: Session, job_id: str) -> list[JobOutput]:
    """Return the files of a result, by name."""
    return list(
        session.scalars(
            select(JobOutput).where(JobOutput.job_id == job_id).order_by(JobOutput.name)
        )
    )


def output_of(session: Session, job_id: str, name: str) -> JobOutput:
    """Return one file of a result; `Refused` where there is none."""
    output = session.get(JobOutput, (job_id, name))
    if output is None:
        raise missing("output")
    return output


def waiting_by_file(session: Session, upload_ids: Sequence[str]) -> dict[str, int]:
    """Return how many jobs wait that are of a file, by its id, where any does."""
    rows = session.execute(
        select(JobFile.upload_id, func.count())
        .join(Job, Job.id == JobFile.job_id)
        .where(JobFile.upload_id.in_(upload_ids), Job.state == "queued")
        .group_by(JobFile.upload_id)
    )
    return dict(rows.tuples().all())
