"""What mails say, in the language of the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bl_steer.server.db.tables import Job, Package, User
from bl_steer.server.jobs.fields import named_fields
from bl_steer.server.languages import has_text, in_labels, text
from bl_steer.server.packages.catalogue import title_of

__all__ = ["completion_text"]

NAMED_FILES = 3


def completion_text(
    job: Job,
    user: User,
    package: Package | None,
    file_names: Sequence[str],
    *,
    address: str,
    titles: Mapping[str, str] | None = None,
    keep_days: float = 365.0,
) -> tuple[str, str]:
    """Return subject and body of the mail that tells of a job's end.

    Parameters
    ----------
    package : that the job ran; None for a built-in analysis
    titles : how people call its fields
    """
    language = job.language

    def said_by(message: str) -> str:
        return in_labels(language, job.analysis, named_fields(message, titles or {}))

    analysis = _title(job, package)
    values = {
        "name": user.name or user.email,
        "files": _files(file_names, language),
        "link": f"{address}/jobs/{job.id}",
        "address": address,
    }
    if job.state == "done":
        notes = "".join(f"- {said_by(warning)}\n" for warning in job.warnings)
        said = f"{text(language, 'mail.warnings')}\n{notes}\n" if notes else ""
        body = text(language, "mail.done.body", **values, warnings=said, days=f"{keep_days:g}")
        return text(language, "mail.done.subject", analysis=analysis), body
    why = f"{text(language, f'cause.{job.cause}')} {text(language, f'advice.{job.cause}')}"
    body = text(language, "mail.failed.body", **values, cause=why, message=said_by(job.message))
    return text(language, "mail.failed.subject", analysis=analysis), body


def _title(job: Job, package: Package | None) -> str:
    if package is not None:
        return title_of(package, job.language)
    key = f"analysis.{job.analysis}.title"
    return text(job.language, key) if has_text(key) else job.analysis


def _files(names: Sequence[str], language: str) -> str:
    shown = ", ".join(names[:NAMED_FILES])
    more = len(names) - NAMED_FILES
    return f"{shown} {text(language, 'count.more', n=more)}" if more > 0 else shown
