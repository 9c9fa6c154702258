"""How people call the fields of a job, which programs number: on pages, in tables and in mails."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bl_steer.server.db.tables import Job, Upload

__all__ = ["field_titles", "named_fields", "origins_of"]


def origins_of(job: Job) -> dict[str, tuple[int, int]]:
    """Return the number of the upload and the page of each field, as far as the job tells."""
    said: Any = job.provenance.get("origins")
    origins = {}
    for name, origin in (said if isinstance(said, dict) else {}).items():
        whole = isinstance(origin, list) and [type(part) for part in origin] == [int, int]
        if whole and min(origin) >= 0:
            origins[str(name)] = (origin[0], origin[1])
    return origins


def field_titles(job: Job, uploads: Mapping[str, Upload]) -> dict[str, str]:
    """Return how people call the fields of a job: by specimen where its owner named it, else file.

    Files of one name have the number of their folder before it, as in what an analysis says.

    Parameters
    ----------
    uploads : of the job, by id, deleted ones too
    """
    origins = {
        name: (number, uploads[job.upload_ids[number]], page)
        for name, (number, page) in origins_of(job).items()
        if 0 <= number < len(job.upload_ids) and job.upload_ids[number] in uploads
    }
    several = {upload.id for _, upload, page in origins.values() if page}
    samples = [upload.sample for _, upload, _ in origins.values()]
    files = Counter(
        name for name, _ in {(one.file_name, number) for number, one, _ in origins.values()}
    )
    titles = {}
    for name, (number, upload, page) in origins.items():
        alone = upload.sample and samples.count(upload.sample) == 1
        words = [upload.sample] if upload.sample else []
        file = upload.file_name
        words += [] if alone else [f"{number:04d}/{file}" if files[file] > 1 else file]
        words += [f"#{page + 1}"] if upload.id in several else []
        titles[name] = " · ".join(words)
    return titles


def named_fields(said: str, titles: Mapping[str, str]) -> str:
    """Return what an analysis says with its fields called as people call them.

    Examples
    --------
    >>> named_fields("field_000: a.png and field_0001 look alike", {"field_000": "Film 7"})
    'Film 7 and field_0001 look alike'
    """
    found = "|".join(map(re.escape, sorted(titles, key=len, reverse=True)))
    if not found:
        return said
    named = rf"\b({found})(?!\w)(?:: [^,;:]*?\.\w{{2,4}}\b)?"
    return re.sub(named, lambda match: titles[match[1]], said)
