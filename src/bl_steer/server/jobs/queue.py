"""How a job goes from queued to done: each transition is one guarded change of its row.

The table is the truth. A worker holds a job by a lease, and by the number of its attempt: what
comes from an earlier attempt is refused, however late it comes. Every function works in a session
of `bl_steer.server.db.database.Database.write`, and commits nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from bl_steer.server.auth.accounts import lock_user
from bl_steer.server.db.tables import Job, JobOutput, Upload
from bl_steer.server.errors import Refused
from bl_steer.server.jobs.history import number_open, submitted
from bl_steer.server.jobs.leases import CAUSES, Claim, Held, InputFile, Lease, Produced, Swept
from bl_steer.server.jobs.search import link_files
from bl_steer.server.jobs.transitions import change, count, ended, given_up, held, queued
from bl_steer.server.mail.outbox import post_completion
from bl_steer.server.uploads.uploads import file_names, register_file

__all__ = [
    "cancel",
    "confirm_cancel",
    "fail",
    "finish",
    "is_waiting",
    "look",
    "renew",
    "return_job",
    "submit",
    "sweep",
    "take",
]

MANY = 2**31 - 1


def submit(
    session: Session,
    *,
    user_id: str,
    analysis: str,
    params: Mapping[str, Any],
    upload_ids: Sequence[str],
    inputs: Mapping[str, Sequence[str]] | None = None,
    language: str = "en",
    wants_mail: bool = True,
    package_sha256: str | None = None,
    gpus: int = 0,
    parent_id: str | None = None,
    run_uid: str | None = None,
    submission_key: str | None = None,
    most_open: int | None = None,
    now: float | None = None,
) -> Job:
    """Queue a job; the same submission key of the same user gives the job that there is already.

    Parameters
    ----------
    inputs : which of the uploads is which input, where the analysis has several
    gpus : that it needs, on one machine of a cluster
    most_open : jobs of a user that may wait or run at a time; no limit by default

    Raises
    ------
    ValueError
        When an upload is not that user's, or is deleted.
    Refused
        When the user has too many jobs open.
    """
    if most_open is not None:
        lock_user(session, user_id)
    if submission_key is not None:
        known = submitted(session, user_id, submission_key)
        if known is not None:
            return known
    if most_open is not None and number_open(session, user_id) >= most_open:
        raise Refused(429, "refused.quota_jobs", most=most_open, retry_after_s=60)
    named = {name: list(dict.fromkeys(own)) for name, own in (inputs or {}).items()}
    ids = [key for own in named.values() for key in own] or list(dict.fromkeys(upload_ids))
    names = file_names(session, user_id, ids)
    if missing := [upload_id for upload_id in ids if upload_id not in names]:
        raise ValueError(
            f"uploads must be yours and not deleted, got {', '.join(missing)}; upload them again"
        )
    job = Job(
        user_id=user_id,
        analysis=analysis,
        package_sha256=package_sha256,
        gpus=gpus,
        params=dict(params),
        upload_ids=ids,
        inputs=named or None,
        language=language,
        wants_mail=wants_mail,
        parent_id=parent_id,
        run_uid=run_uid,
        submission_key=submission_key,
        created=time.time() if now is None else now,
    )
    session.add(job)
    session.flush()
    link_files(session, job)
    return job


def take(
    session: Session,
    worker: str,
    *,
    lease_s: float,
    attempts: int = MANY,
    gpus: Sequence[int] | None = None,
    now: float | None = None,
) -> Lease | None:
    """Lease the next queued job to a worker; None where nothing waits that can be done.

    The user with the fewest running jobs comes first, then the oldest job: a long list of one
    user does not keep the others waiting. What cost `attempts` workers is left to `sweep`.

    Parameters
    ----------
    gpus : of each machine of the worker's cluster; None where it does any job itself
    """
    now = time.time() if now is None else now
    busy = aliased(Job)
    running = (  # once for all who wait, not for each waiting job
        select(busy.user_id, func.count().label("jobs"))
        .where(busy.state == "running")
        .group_by(busy.user_id)
        .subquery()
    )
    query = (
        select(Job)
        .outerjoin(running, running.c.user_id == Job.user_id)
        .where(Job.state == "queued", Job.lost < attempts, *_fit(session, gpus))
        .order_by(func.coalesce(running.c.jobs, 0), Job.created, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=Job)
    )
    job = session.scalars(query).one_or_none()
    if job is None or not change(
        session,
        (Job.id == job.id, Job.state == "queued"),
        state="running",
        attempt=Job.attempt + 1,
        lease_owner=worker,
        lease_until=now + lease_s,
        started=now,
        progress_done=0,
        progress_total=0,
    ):
        return None
    session.refresh(job)
    uploads = session.scalars(select(Upload).where(Upload.id.in_(job.upload_ids)))
    files = {upload.id: upload for upload in uploads}
    return Lease(
        job_id=job.id,
        attempt=job.attempt,
        worker=worker,
        analysis=job.analysis,
        package_sha256=job.package_sha256,
        params=job.params,
        inputs=[
            InputFile(files[key].sha256, files[key].file_name, files[key].size, name)
            for name, keys in (job.inputs or {"": job.upload_ids}).items()
            for key in keys
        ],
        language=job.language,
        run_uid=job.run_uid,
        gpus=job.gpus,
    )


def is_waiting(session: Session, gpus: Sequence[int] | None = None) -> bool:
    """Return whether any job waits that can be done, as in `take`; a look that locks nothing."""
    waiting = select(Job.id).where(Job.state == "queued", *_fit(session, gpus))
    return session.scalar(waiting.limit(1)) is not None


def _fit(session: Session, gpus: Sequence[int] | None) -> tuple[ColumnElement[bool], ...]:
    """Return what tells the jobs for which a cluster's machines have free GPUs enough."""
    if gpus is None:
        return ()
    running = select(func.coalesce(func.sum(Job.gpus), 0)).where(Job.state == "running")
    free = sum(gpus) - (session.scalar(running) or 0)
    return (Job.gpus <= max(0, min(max(gpus, default=0), free)),)


def look(session: Session, lease: Lease) -> Held:
    """Say whether to go on with a job, without renewing its lease."""
    cancelling = session.scalar(select(Job.cancel_requested).where(*held(lease)))
    if cancelling is None:
        return "lost"
    return "cancel" if cancelling else "held"


def renew(
    session: Session,
    lease: Lease,
    *,
    lease_s: float,
    progress: tuple[int, int] | None = None,
    now: float | None = None,
) -> Held:
    """Hold a job for longer, and report its progress; say whether to go on with it."""
    now = time.time() if now is None else now
    values: dict[str, Any] = {"lease_until": now + lease_s}
    if progress is not None:
        values |= {"progress_done": progress[0], "progress_total": progress[1]}
    if not change(session, held(lease), **values):
        return "lost"
    cancelling = session.scalar(select(Job.cancel_requested).where(Job.id == lease.job_id))
    return "cancel" if cancelling else "held"


def finish(
    session: Session,
    lease: Lease,
    produced: Produced,
    *,
    address: str = "",
    keep_days: float = 365.0,
    now: float | None = None,
) -> bool:
    """Keep a result, its files and the mail that tells of it, all at once or not at all.

    Returns False, and keeps nothing, where the job is no longer this lease's.
    """
    now = time.time() if now is None else now
    if not change(
        session,
        held(lease),
        **ended("done", now),
        digest=produced.digest,
        warnings=list(produced.warnings),
        provenance=dict(produced.provenance),
        cause="",
        message="",
    ):
        return False
    for output in sorted(produced.outputs, key=lambda output: output.sha256):
        # In one order: two workers that hold each other's next row would wait for ever.
        register_file(session, output.sha256, output.size)
    for output in produced.outputs:
        session.add(
            JobOutput(
                job_id=lease.job_id,
                name=output.name,
                kind=output.kind,
                sha256=output.sha256,
                size=output.size,
                media_type=output.media_type,
            )
        )
    count(session, lease.worker, now)
    post_completion(session, lease.job_id, address=address, keep_days=keep_days, now=now)
    return True


def fail(
    session: Session,
    lease: Lease,
    cause: str,
    message: str,
    *,
    last_words: str = "",
    address: str = "",
    now: float | None = None,
) -> bool:
    """End a job that failed by itself: it is not tried again."""
    now = time.time() if now is None else now
    if cause not in CAUSES:
        raise ValueError(f"a cause must be one of {', '.join(CAUSES)}, got {cause!r}")
    said = {"cause": cause, "message": message, "last_words": last_words}
    if not change(session, held(lease), **ended("failed", now), **said):
        return False
    count(session, lease.worker, now)
    post_completion(session, lease.job_id, address=address, now=now)
    return True


def return_job(session: Session, claim: Claim, *, lost: bool = False) -> bool:
    """Put a job back into the queue: its worker ends or is dead, or its process was killed.

    Parameters
    ----------
    lost : count it as one worker that the job cost
    """
    return change(session, held(claim), **queued(), lost=Job.lost + int(lost))


def cancel(session: Session, job_id: str, *, now: float | None = None) -> bool:
    """End a waiting job at once, ask the worker of a running one to end it; False if it is over."""
    now = time.time() if now is None else now
    waits = (Job.id == job_id, Job.state == "queued")
    return change(session, waits, **ended("cancelled", now), cancel_requested=True) or change(
        session, (Job.id == job_id, Job.state == "running"), cancel_requested=True
    )


def confirm_cancel(session: Session, lease: Lease, *, now: float | None = None) -> bool:
    """Note that a job's process is gone, as its user asked."""
    now = time.time() if now is None else now
    return change(session, held(lease), **ended("cancelled", now))


def sweep(session: Session, *, attempts: int, address: str = "", now: float | None = None) -> Swept:
    """Find jobs whose workers fell silent: queue them again, or give them up.

    Parameters
    ----------
    attempts : workers that one job may cost; with the last, it has failed
    """
    now = time.time() if now is None else now
    silent = and_(Job.state == "running", Job.lease_until < now)
    spent = and_(Job.state == "queued", Job.lost >= attempts)
    left = select(Job).where(or_(silent, spent)).with_for_update(skip_locked=True)
    counts = {"requeued": 0, "poisoned": 0, "cancelled": 0}
    for job in session.scalars(left).all():
        guard = (
            Job.id == job.id,
            Job.attempt == job.attempt,
            Job.state == job.state,
            or_(Job.state == "queued", Job.lease_until < now),
        )
        lost = job.lost + int(job.state == "running")
        if job.cancel_requested:
            outcome, values = "cancelled", given_up("cancelled", now)
        elif lost >= attempts:
            outcome = "poisoned"
            values = {
                **given_up("failed", now),
                "cause": "lost",
                "message": f"{lost} workers were lost with this job; it is not tried again",
            }
        else:
            outcome, values = "requeued", queued()
        if change(session, guard, **values, lost=lost):
            counts[outcome] += 1
            if outcome == "poisoned":
                post_completion(session, job.id, address=address, now=now)
    return Swept(**counts)
