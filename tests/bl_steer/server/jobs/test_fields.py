"""Every field of a job has a title of its own, whatever its files are called."""

from __future__ import annotations

import pytest

from bl_steer.analysis.segmentation.fields import titles_of
from bl_steer.server.db.tables import Job, Upload
from bl_steer.server.jobs.fields import field_titles


@pytest.mark.parametrize("sample", ["", "Film 7"])
def test_files_of_one_name_have_titles_that_tell_them_apart_as_warnings_do(sample: str) -> None:
    names = ["a.png", "film.png", "FILM.PNG", "film.png"]
    uploads = {
        str(number): Upload(id=str(number), file_name=name, sample=sample)
        for number, name in enumerate(names)
    }
    origins = {f"field_{number:03d}": [number, 0] for number in range(len(names))}
    titles = field_titles(Job(upload_ids=list(uploads), provenance={"origins": origins}), uploads)
    assert len(set(titles.values())) == len(names)
    said = titles_of(
        list(titles), [f"/in/{number:04d}/{name}" for number, name in enumerate(names)]
    )
    before = f"{sample} · " if sample else ""
    assert list(titles.values()) == [f"{before}{title}" for title in said]


def test_pages_of_one_file_keep_its_name() -> None:
    uploads = {"u": Upload(id="u", file_name="stack.tif", sample="")}
    provenance = {"origins": {"field_000": [0, 0], "field_001": [0, 1]}}
    titles = field_titles(Job(upload_ids=["u"], provenance=provenance), uploads)
    assert list(titles.values()) == ["stack.tif · #1", "stack.tif · #2"]
