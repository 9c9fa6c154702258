"""A server whose disk fills: a file system of its own that is really full."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bl_steer.server.db.audit import broken_link
from bl_steer.server.db.tables import Blob, Upload
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs import worker as worker_module
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.room import is_full, room_of
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.sizes import MIB

POINTS = b"x,y,counts\n" + b"".join(b"%d,%d,%d\n" % (k % 5, k // 5, 7 * k) for k in range(25))
SIZE_MIB = 12


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(options, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here (that takes root)")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def stuffed(disk: Path, *, left: int) -> Callable[[], None]:
    """Fill the disk but for some bytes; return what makes room again."""
    path = disk / "stuffing"
    with path.open("wb") as file:
        while (room := room_of([disk]) - left) > 0:
            file.write(bytes(min(room, MIB)))
            file.flush()
    return path.unlink


def until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_an_upload_that_finds_no_room_is_refused_and_leaves_nothing(
    disk: Path, site_module: Any, language: str
) -> None:
    said = {"en": "A disk of the server is full", "ja": "ディスクに空きがない"}[language]
    with site_module.running_site(disk / "server") as site:
        user = site.user()
        browser = site.browser(**{"Accept-Language": language})
        program = site.program(user)
        program.headers["Accept-Language"] = language
        make_room = stuffed(disk, left=MIB)
        large = b"x,y\n" + b"1,2\n" * MIB
        page = browser.upload(("large.csv", large))
        answer = program.post("/api/v1/files", params={"file_name": "l.csv"}, content=large)
        assert (page.status_code, answer.status_code) == (507, 507)
        assert said in page.text
        assert said in answer.json()["message"]
        assert answer.json()["error"] == "error.disk_full"
        assert list((disk / "server" / "arrivals").iterdir()) == []
        assert list(site.context.store.hashes()) == []
        assert not list((disk / "server").rglob("drafts/*"))
        with site.context.database.read() as session:
            assert session.scalar(select(func.count()).select_from(Upload)) == 0
        make_room()
        assert browser.upload(("points.csv", POINTS)).status_code == 303


def test_pages_are_shown_while_the_database_has_no_room_and_writing_goes_on_after(
    disk: Path, site_module: Any
) -> None:
    with site_module.running_site(disk / "server") as site:
        site.user()
        browser = site.browser()
        make_room = stuffed(disk, left=0)
        answers = [browser.post("/account", {"name": "ä" * 150}) for _ in range(40)]
        assert {answer.status_code for answer in answers} <= {200, 303, 507}
        assert answers[-1].status_code == 507
        site.context._noted.clear()  # as a minute later: visits are to be noted
        for page in ("/", "/files", "/jobs", "/account", "/health", "/ready"):
            assert browser.get(page).status_code == 200, page
        make_room()
        assert browser.post("/account", {"name": "Ann"}).status_code in (200, 303)
        assert browser.upload(("points.csv", POINTS)).status_code == 303
        with site.context.database.read() as session:
            assert broken_link(session) is None
            assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_job_whose_result_finds_no_room_waits_and_is_done_when_there_is(
    disk: Path, site_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LEAST_ROOM", MIB // 16)
    rare = {"lease_s": 300.0, "alarm_after_s": 300.0}  # each renewal takes room of the database
    with site_module.running_site(disk / "server", **rare) as site:
        user = site.user()
        sha256, size = site.context.store.put(io.BytesIO(POINTS))
        with site.context.database.write() as session:
            session.add(Blob(sha256=sha256, size=size))
            upload = Upload(user_id=user.id, sha256=sha256, file_name="p.csv", size=size)
            session.add(upload)
            session.flush()
            wanted = {"method": "random", "n_points": 2}
            job_id = jobs.submit(
                session,
                user_id=user.id,
                analysis="advise",
                params=wanted,
                upload_ids=[upload.id],
            ).id
        worker = Worker(site.context.settings, name="w")
        make_room = stuffed(disk, left=MIB // 32)
        assert not worker.step()
        assert site.job(job_id).attempt == 0  # not taken in vain
        make_room()
        make_room = stuffed(disk, left=MIB // 8)
        assert worker.step()
        job = site.job(job_id)
        assert (job.state, job.lost, job.cause) == ("queued", 1, ""), job.message
        # What found room stays, whole: the next attempt makes the same.
        stored = list(site.context.store.hashes())
        assert sha256 in stored
        for each in stored:
            with site.context.store.open(each) as file:
                assert hashlib.sha256(file.read()).hexdigest() == each
        assert not list((disk / "server").rglob("drafts/*"))
        make_room()
        assert worker.step()
        assert site.job(job_id).state == "done"
        worker.database.close()


def test_errors_of_full_disks_are_known_by_what_they_came_from() -> None:
    full, in_other_words = OSError(28, "No space left on device"), RuntimeError("no result")
    in_other_words.__cause__ = full
    assert is_full(in_other_words)
    assert not is_full(OSError(13, "Permission denied"))
    assert not is_full(ValueError("28"))
