from __future__ import annotations

import io
import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from bl_steer.files.atomic import alone_in
from bl_steer.files.maps.points import point_inputs
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_files import read_exact
from bl_steer.server.db.tables import Job, JobOutput, Upload, User
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import execution
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.heartbeat import Heartbeat
from bl_steer.server.jobs.leases import Lease, Produced, Swept
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.sandbox import caches
from bl_steer.server.sandbox import run as sandbox
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

pytestmark = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")

POINTS = "x (um),y (um),counts\n" + "".join(
    f"{x},{y},{100 - (x - 3) ** 2 - (y - 2) ** 2}\n" for x in range(0, 6, 2) for y in range(0, 6, 2)
)
LIGHT = {"method": "random", "n_points": 2}


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return worker_in(tmp_path)


def worker_in(folder: Path, **settings: Any) -> Worker:
    worker = Worker(
        ServerSettings(folder=folder / "service", poll_s=0.1, job_niceness=0, **settings), name="w"
    )
    worker.database.create_tables()
    with worker.database.write() as session:
        session.add(User(id="u", email="u@example.org"))
    return worker


def submit(
    worker: Worker,
    content: str | bytes = POINTS,
    *,
    name: str = "測定 1.csv",
    analysis: str = "advise",
    **params: object,
) -> str:
    sha256, size = worker.files.put(
        io.BytesIO(content if isinstance(content, bytes) else content.encode())
    )
    with worker.database.write() as session:
        upload = Upload(user_id="u", sha256=sha256, file_name=name, size=size)
        session.add(upload)
        session.flush()
        return jobs.submit(
            session, user_id="u", analysis=analysis, params=params or LIGHT, upload_ids=[upload.id]
        ).id


def job_of(worker: Worker, job_id: str) -> Job:
    with worker.database.read() as session:
        return session.get_one(Job, job_id)


def test_a_job_is_done_with_files_and_the_digest_of_a_notebook(
    worker: Worker, tmp_path: Path
) -> None:
    job_id = submit(worker)
    assert worker.step()
    assert not worker.step()
    job = job_of(worker, job_id)
    assert (job.state, job.message) == ("done", "")
    (tmp_path / "points.csv").write_text(POINTS)
    analysis = find_analysis("advise")
    here = analysis.run(point_inputs(tmp_path / "points.csv"), make_params(analysis, LIGHT))
    assert job.digest == digest_of(here)
    with worker.database.read() as session:
        outputs = {one.name: one for one in session.scalars(select(JobOutput))}
        assert session.get_one(WorkerRow, "w").jobs_done == 1
    assert set(outputs) == {"suggestions.csv", "best.csv", "advice.png", "result.npz"}
    with worker.files.open(outputs["result.npz"].sha256) as file:
        (tmp_path / "r.npz").write_bytes(file.read())
    assert digest_of(read_exact(tmp_path / "r.npz")) == job.digest
    assert job.provenance["tables"]["suggestions"]["rows"] == 2
    assert job.progress_total in (0, 2)
    assert not any((worker.settings.work / "w").iterdir())


def test_a_file_that_does_not_fit_fails_with_its_reason(worker: Worker) -> None:
    job_id = submit(worker, "x,y\n1,2\n")
    worker.step()
    job = job_of(worker, job_id)
    assert (job.state, job.cause) == ("failed", "input")
    assert "columns x, y and value" in job.message


def test_a_file_of_another_kind_is_refused_before_it_is_read(worker: Worker) -> None:
    job_id = submit(worker, name="picture.png")
    worker.step()
    assert job_of(worker, job_id).cause == "input"
    assert "must end in .csv" in job_of(worker, job_id).message


def test_a_parameter_that_does_not_fit_fails_the_job(worker: Worker) -> None:
    job_id = submit(worker, n_points=0)
    worker.step()
    assert job_of(worker, job_id).cause == "input"
    assert "n_points" in job_of(worker, job_id).message


def test_a_cancelled_job_ends_while_its_process_runs(worker: Worker) -> None:
    job_id = submit(worker, method="bayesian", n_points=50, pitch=0.03)
    began: list[float] = []

    def cancel_when_running() -> None:
        with worker.database.write() as session:
            assert jobs.cancel(session, job_id)
        began.append(time.monotonic())

    def later() -> None:
        while job_of(worker, job_id).state != "running":
            time.sleep(0.05)
        time.sleep(0.5)
        cancel_when_running()

    thread = threading.Thread(target=later)
    thread.start()
    worker.step()
    ended = time.monotonic()
    thread.join()
    assert job_of(worker, job_id).state == "cancelled"
    assert ended - began[0] < 30.0


def test_a_busy_worker_is_heard_of(tmp_path: Path) -> None:
    busy = Worker(ServerSettings(folder=tmp_path, lease_s=0.2, poll_s=0.01), name="w")
    busy.database.create_tables()
    with busy.database.write() as session:
        session.add(User(id="u", email="u@example.org"))
    submit(busy)
    busy._note(time.time() - 1000.0)
    with busy.database.write() as session:
        lease = jobs.take(session, "w", lease_s=60.0)
    assert lease is not None
    heartbeat = Heartbeat(busy, lease)
    time.sleep(0.06)
    assert not heartbeat.over()
    with busy.database.read() as session:
        assert session.get_one(WorkerRow, "w").seen == pytest.approx(time.time(), abs=60.0)


def test_a_worker_that_is_told_to_end_gives_its_job_back(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    job_id = submit(worker)
    with worker.database.write() as session:
        lease = jobs.take(session, "w", lease_s=30.0)
    assert lease is not None
    worker.stop()
    folder = worker.settings.work / "w-x"
    folder.mkdir(parents=True)
    worker._carry_out(lease, folder)
    job = job_of(worker, job_id)
    assert (job.state, job.lost) == ("queued", 0)
    assert f"job {job_id}: this worker ends; it waits again, uncounted" in caplog.text
    with worker.database.write() as session:  # it would be the last that it may cost
        assert jobs.sweep(session, attempts=1) == Swept()
        again = jobs.take(session, "w", lease_s=30.0, attempts=1)
    assert again is not None
    assert (again.job_id, again.attempt) == (job_id, 2)


def test_a_worker_leaves_what_a_living_one_of_its_name_works_on(worker: Worker) -> None:
    under_way = worker.settings.work / "w" / "job-x"
    under_way.mkdir(parents=True)
    with alone_in(under_way.parent), pytest.raises(FileExistsError):
        worker.run()
    assert under_way.is_dir()
    worker.stop()
    worker.run()
    assert not under_way.exists()
    with worker.database.read() as session:
        assert session.get_one(WorkerRow, "w").ended is not None
    worker.stopping = False
    worker._note(time.time())
    with worker.database.read() as session:
        assert session.get_one(WorkerRow, "w").ended is None


KILLED = """
import sys
from pathlib import Path
from bl_steer.server.settings import ServerSettings
from bl_steer.server.jobs.worker import Worker
Worker(ServerSettings(folder=Path(sys.argv[1]), lease_s=3600.0), name="w").run()
"""


def test_a_job_of_a_killed_worker_is_given_back_by_the_next_one_long_before_its_lease_is_over(
    worker: Worker,
) -> None:
    job_id = submit(worker, method="bayesian", n_points=50, pitch=0.03)
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(worker.settings.folder)])
    while not any((worker.settings.work / "w").glob(f"job-1-{job_id}-*")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    job = job_of(worker, job_id)
    assert (job.state, job.attempt) == ("running", 1)
    assert job.lease_until is not None
    assert job.lease_until > time.time() + 3000.0
    thread = threading.Thread(target=worker.run)
    thread.start()
    while (job := job_of(worker, job_id)).attempt == 1:
        assert thread.is_alive()
        time.sleep(0.02)
    worker.stop()
    thread.join()
    assert (job.attempt, job.lost) == (2, 1)
    with worker.database.write() as session:  # the dead one could keep nothing any more
        assert not jobs.finish(session, claimed(job_id, attempt=1), Produced("d" * 64))


def claimed(job_id: str, attempt: int) -> Lease:
    return Lease(job_id, attempt, "w", "advise", None, {}, (), "en")


def test_what_a_killed_worker_left_gives_no_job_back_that_another_has_by_now(
    worker: Worker,
) -> None:
    job_id = submit(worker)
    for _ in range(2):
        with worker.database.write() as session:
            lease = jobs.take(session, "other", lease_s=30.0)
            assert lease is not None
            if lease.attempt == 1:
                jobs.return_job(session, lease)
    (worker.settings.work / "w" / f"job-1-{job_id}-x").mkdir(parents=True)
    (worker.settings.work / "w" / "job-1-nothing-x").mkdir()
    thread = threading.Thread(target=worker.run)
    thread.start()
    while worker.seen == 0.0:  # it has looked for work
        time.sleep(0.02)
    worker.stop()
    thread.join()
    job = job_of(worker, job_id)
    assert (job.state, job.attempt, job.lease_owner, job.lost) == ("running", 2, "other", 0)
    assert not any((worker.settings.work / "w").iterdir())


def test_a_job_sees_only_what_was_made_for_all_jobs_and_gets_the_same_digest(
    worker: Worker, tmp_path: Path
) -> None:
    first = submit(worker)
    worker.step()
    made = worker.settings.caches
    (made / "matplotlib").mkdir(parents=True)
    (made / "matplotlib" / "fontlist.json").write_text("not a list of fonts")
    (made / caches.MADE).write_text(caches._stamp())
    assert caches.caches_of(made) == made
    second = submit(worker)
    worker.step()
    assert job_of(worker, first).digest == job_of(worker, second).digest
    assert (made / "matplotlib" / "fontlist.json").read_text() == "not a list of fonts"
    (made / caches.MADE).write_text("of other versions")
    assert caches.caches_of(made) is None


@pytest.mark.parametrize("broken", [False, True], ids=["missing", "broken"])
def test_without_bubblewrap_jobs_run_only_where_the_operator_trusts_them(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("prlimit", "nice"):
        (place / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(place))
    refused = submit(worker)
    worker.step()
    assert job_of(worker, refused).cause == "sandbox"
    if broken:
        (place / "bwrap").symlink_to("/bin/false")
    worker.settings = worker.settings.model_copy(update={"trust_packages": True})
    done = submit(worker)
    worker.step()
    assert job_of(worker, done).state == "done", job_of(worker, done).message


def test_an_upload_whose_file_is_gone_fails_the_job(worker: Worker) -> None:
    job_id = submit(worker)
    for sha256 in list(worker.files.hashes()):
        worker.files.delete(sha256)
    worker.step()
    assert job_of(worker, job_id).cause == "input"


def test_a_job_whose_sandbox_cannot_be_set_up_is_tried_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a folder that it is to see went between the look at it and its mount."""
    job_id = submit(worker)
    monkeypatch.setattr(execution, "caches_of", lambda folder: folder / "gone")
    monkeypatch.setattr(sandbox, "PAUSES_S", ())
    assert worker.step()
    assert (job_of(worker, job_id).state, job_of(worker, job_id).lost) == ("queued", 1)
    monkeypatch.undo()
    worker.step()
    assert (job_of(worker, job_id).state, job_of(worker, job_id).attempt) == ("done", 2)


def test_a_job_that_asks_for_too_much_memory_is_told_so_in_words(tmp_path: Path) -> None:
    worker = worker_in(tmp_path, job_memory_mib=512)
    packed = io.BytesIO()
    np.savez_compressed(packed, x=np.zeros(2**26 + 1))  # whole, and larger than the limit
    job_id = submit(worker, packed.getvalue(), name="m.npz")
    assert worker.step()
    job = job_of(worker, job_id)
    assert (job.cause, "must fit into 0.5 GiB of memory" in job.message) == ("memory", True)
