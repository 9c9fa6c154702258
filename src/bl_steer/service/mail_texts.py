"""What mails say."""

from __future__ import annotations

from bl_steer.service.tables import Job, User

__all__ = ["completion_text"]


def completion_text(job: Job, user: User, *, address: str) -> tuple[str, str]:
    """Return subject and body of the mail that tells of a job's end, in the job's language."""
    link = f"{address}/jobs/{job.id}"
    name = user.name or user.email
    if job.state == "done":
        warnings = "".join(f"\nNote: {one}" for one in job.warnings)
        return (
            f"Your analysis {job.analysis} is done",
            f"Dear {name},\n\nthe result is here:\n{link}\n{warnings}\n",
        )
    return (
        f"Your analysis {job.analysis} failed",
        f"Dear {name},\n\nthe analysis gave no result: {job.message}\n\n{link}\n",
    )
