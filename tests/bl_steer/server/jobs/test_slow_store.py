"""A file store that takes longer than a lease lasts."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from bl_steer.server.db.tables import Job, Upload, User
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.leases import Swept
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
LEASE_S = 6.0


class FarStore(LocalFileSystem):  # type: ignore[misc]
    """Files of a folder, as slow as those of a store far away."""

    protocol = "far"

    def get_file(self, path1: str, path2: str, callback: Any = None, **words: Any) -> None:
        time.sleep(1.2 * LEASE_S)
        super().get_file(path1, path2, callback, **words)

    def mv(self, path1: str, path2: str, **words: Any) -> None:
        time.sleep(0.3 * LEASE_S)
        super().mv(path1, path2, **words)


def test_a_job_keeps_its_lease_while_its_files_are_fetched_and_stored(tmp_path: Path) -> None:
    """Its result, of four files here, was lost to the next attempt, and so was each after it."""
    fsspec.register_implementation("far", FarStore, clobber=True)
    worker = Worker(
        ServerSettings(
            folder=tmp_path / "service",
            files_url=f"far://{tmp_path / 'far'}",
            poll_s=0.1,
            lease_s=LEASE_S,
            job_niceness=0,
        ),
        name="w",
    )
    worker.database.create_tables()
    points = "x,y,v\n" + "".join(f"{x},{y},{x * y}\n" for x in range(3) for y in range(3))
    sha256, size = worker.files.put(io.BytesIO(points.encode()))
    with worker.database.write() as session:
        session.add(User(id="u", email="u@example.org"))
        upload = Upload(user_id="u", sha256=sha256, file_name="points.csv", size=size)
        session.add(upload)
        session.flush()
        job_id = jobs.submit(
            session,
            user_id="u",
            analysis="advise",
            params={"method": "random", "n_points": 2},
            upload_ids=[upload.id],
        ).id
    ended, swept = threading.Event(), []

    def sweep() -> None:
        while not ended.wait(0.2):
            with worker.database.write() as session:
                swept.append(jobs.sweep(session, attempts=5))

    sweeping = threading.Thread(target=sweep)
    sweeping.start()
    try:
        assert worker.step()
    finally:
        ended.set()
        sweeping.join()
    with worker.database.read() as session:
        job = session.get_one(Job, job_id)
    assert (job.state, job.attempt) == ("done", 1)
    assert set(swept) == {Swept()}
