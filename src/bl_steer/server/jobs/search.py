"""Jobs by the names and specimens of their files, within the time of a page for 10⁶ of them.

Words are sought in all of a user's files, which are few beside the jobs. Where few jobs are of
files that fit, all of these are looked at; where many are, the history is walked from its newest
job on until a page is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, insert, literal, select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, JobFile, Upload
from bl_steer.server.texts import folded

__all__ = ["few_jobs_of", "is_of_files", "link_files"]

MOST_FILES = 1000
MOST_JOBS = 5000


def link_files(session: Session, job: Job) -> None:
    """Note the files of a new job, so that it is found by them."""
    rows = [{"job_id": job.id, "upload_id": upload_id} for upload_id in set(job.upload_ids)]
    if rows:
        session.execute(insert(JobFile), rows)


def few_jobs_of(session: Session, user_id: str, words: str) -> Sequence[str] | None:
    """Return the ids of a user's jobs with a file that has all words; None where there are many."""
    files = select(Upload.id).where(Upload.user_id == user_id, *_has(words))
    found = session.scalars(files.limit(MOST_FILES + 1)).all()
    if len(found) > MOST_FILES:
        return None
    jobs = select(JobFile.job_id).where(JobFile.upload_id.in_(found)).distinct()
    ids = session.scalars(jobs.limit(MOST_JOBS + 1)).all()
    return None if len(ids) > MOST_JOBS else ids


def is_of_files(words: str) -> ColumnElement[bool]:
    """Return whether a job is of a file whose name and specimen have all words between them."""
    files = select(literal(1)).select_from(JobFile).join(Upload, Upload.id == JobFile.upload_id)
    # Not EXISTS: PostgreSQL would join all jobs with all files before it sorts them.
    one = files.where(JobFile.job_id == Job.id, *_has(words)).limit(1)
    return one.scalar_subquery() == 1


def _has(words: str) -> list[ColumnElement[bool]]:
    return [Upload.searched.contains(word, autoescape=True) for word in folded(words).split()]
