"""Telling those who used a package that it was revoked, and why: on pages and by mail."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from bl_steer.server.db.tables import Job, OutgoingMail, Package, User
from bl_steer.server.errors import Refused
from bl_steer.server.languages import text
from bl_steer.server.mail.outbox import post
from bl_steer.server.packages.catalogue import title_of

__all__ = ["gone_analyses", "gone_analysis", "revoked_because", "tell_users"]

TOLD = ("queued", "running", "done")
"""States of the jobs whose users are told; others have no result to doubt."""
LISTED = 10


def revoked_because(session: Session, sha256: str | None) -> str | None:
    """Return why a package was revoked; None for one that was not, and for our own analyses."""
    package = session.get(Package, sha256) if sha256 else None
    if package is None or package.state != "revoked":
        return None
    return str(package.report.get("revoked", ""))


def gone_analyses(
    session: Session, jobs: Iterable[Job], offered: Collection[str]
) -> dict[str, Refused]:
    """Return why jobs cannot be repeated, by their ids; nothing of those that can.

    Parameters
    ----------
    offered : names of the analyses that there are now
    """
    return {job.id: gone_analysis(session, job) for job in jobs if job.analysis not in offered}


def gone_analysis(session: Session, job: Job) -> Refused:
    """Return the refusal to repeat a job whose analysis is not offered any more."""
    reason = revoked_because(session, job.package_sha256)
    if reason is None:
        return Refused(410, "refused.withdrawn", analysis=job.analysis)
    return Refused(410, "refused.revoked", analysis=job.analysis, reason=reason)


def tell_users(
    session: Session, package: Package, reason: str, *, address: str
) -> list[OutgoingMail]:
    """Write one mail to each user with a result of a package, in the language of that user.

    Parameters
    ----------
    reason : of the revocation
    address : of the pages
    """
    rows = session.execute(
        select(User, Job)
        .join(Job, Job.user_id == User.id)
        .where(Job.package_sha256 == package.sha256, Job.state.in_(TOLD), User.disabled.is_(None))
        .order_by(User.email, Job.created.desc())
    ).tuples()
    jobs: dict[str, tuple[User, list[Job]]] = {}
    for user, job in rows:
        jobs.setdefault(user.id, (user, []))[1].append(job)
    return [_post(session, package, reason, address, *row) for row in jobs.values()]


def _post(
    session: Session, package: Package, reason: str, address: str, user: User, jobs: list[Job]
) -> OutgoingMail:
    language = user.written_in(jobs[0].language)
    links = [f"{address}/jobs/{job.id}" for job in jobs[:LISTED]]
    if len(jobs) > LISTED:
        links.append(text(language, "count.more", n=len(jobs) - LISTED))
    values = {"name": user.name or user.email, "links": "\n".join(links), "address": address}
    title = title_of(package, language)
    about = {"package": f"{title} {package.version}", "reason": reason.strip()}
    return post(
        session,
        recipient=user.email,
        subject=text(language, "mail.revoked.subject", package=about["package"]),
        body=text(language, "mail.revoked.body", **values, **about),
    )
