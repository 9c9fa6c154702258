"""Jobs of the server on a dask cluster: a scheduler, and a worker process that dask starts anew."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bl_steer.server.db.tables import Job, JobOutput, Upload, User
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.dask_worker import ClusterAway, DaskMachines
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings

pytestmark = [
    pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-"),
    pytest.mark.filterwarnings("ignore"),
]

POINTS = "x,y,counts\n" + "".join(
    f"{x},{y},{100 - (x - 3) ** 2 - (y - 2) ** 2}\n" for x in range(0, 6, 2) for y in range(0, 6, 2)
)
LIGHT = {"method": "random", "n_points": 2}
LONG = {"method": "bayesian", "n_points": 50, "pitch": 0.03}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import dask
    from distributed import LocalCluster  # before the set, which ends with all that came in it

    with warnings.catch_warnings(), dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as made:
            yield made
        gc.collect()  # sockets that dask leaves open are told of here, and nowhere else


@pytest.fixture
def worker(cluster: Any, tmp_path: Path) -> Iterator[Worker]:
    settings = ServerSettings(
        folder=tmp_path / "service", poll_s=0.1, job_niceness=0, dask=cluster.scheduler_address
    )
    made = Worker(settings, name="w")
    made.database.create_tables()
    with made.database.write() as session:
        session.add(User(id="u", email="u@example.org"))
    yield made
    assert made.machines is not None
    made.machines.close()


def submit(worker: Worker, content: str = POINTS, **params: Any) -> str:
    sha256, size = worker.files.put(io.BytesIO(content.encode()))
    with worker.database.write() as session:
        upload = Upload(user_id="u", sha256=sha256, file_name="points.csv", size=size)
        session.add(upload)
        session.flush()
        return jobs.submit(
            session, user_id="u", analysis="advise", params=params or LIGHT, upload_ids=[upload.id]
        ).id


def job_of(worker: Worker, job_id: str) -> Job:
    with worker.database.read() as session:
        return session.get_one(Job, job_id)


def job_processes() -> dict[int, int]:
    """Return the parent of each sandboxed job on this computer."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes()
            status = (place / "status").read_text()
        except OSError:
            continue
        if all(word in words for word in (b"bwrap", b"server.jobs.process", b"--unshare-all")):
            parent = int(status.partition("PPid:")[2].split()[0])
            found[int(place.name)] = parent
    return found


def machine_pid(cluster: Any) -> int:
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=120)
        return int(next(iter(client.run(os.getpid).values())))


def wait_until(true: Any, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_computed_on(pid: int) -> bool:
    return pid in job_processes().values()


def test_a_job_is_done_on_the_cluster_with_the_digest_of_this_machine(
    worker: Worker,
) -> None:
    there = submit(worker)
    assert worker.step()
    job = job_of(worker, there)
    assert (job.state, job.message) == ("done", "")
    machines, worker.machines = worker.machines, None
    here = submit(worker)
    assert worker.step()
    worker.machines = machines
    assert job_of(worker, here).digest == job.digest
    with worker.database.read() as session:
        outputs = session.query(JobOutput).filter_by(job_id=there).all()
    assert {one.name for one in outputs} >= {"suggestions.csv", "advice.png", "result.npz"}
    assert all(worker.files.has(one.sha256) for one in outputs)
    bad = submit(worker, "x,y\n1,2\n")
    worker.step()
    assert job_of(worker, bad).cause == "input"


def test_limits_are_kept_on_the_machine_and_a_missing_file_is_named(worker: Worker) -> None:
    worker.settings = worker.settings.model_copy(update={"job_time_s": 0.5})
    slow = submit(worker, **LONG)
    worker.step()
    assert job_of(worker, slow).cause == "time"
    gone = submit(worker)
    for sha256 in list(worker.files.hashes()):
        worker.files.delete(sha256)
    worker.step()
    job = job_of(worker, gone)
    assert (job.state, job.cause) == ("failed", "input")


def test_a_cancel_ends_the_process_on_the_machine(worker: Worker, cluster: Any) -> None:
    pid = machine_pid(cluster)
    job_id = submit(worker, **LONG)
    thread = threading.Thread(target=worker.step)
    thread.start()
    wait_until(lambda: is_computed_on(pid))
    wait_until(lambda: job_of(worker, job_id).progress_done > 0)
    assert job_of(worker, job_id).state == "running"
    began = time.monotonic()
    with worker.database.write() as session:
        assert jobs.cancel(session, job_id)
    thread.join()
    wait_until(lambda: not is_computed_on(pid))
    assert time.monotonic() - began < 30.0
    assert job_of(worker, job_id).state == "cancelled"
    after = submit(worker)
    worker.step()
    assert job_of(worker, after).state == "done"


def test_a_job_whose_machine_is_killed_is_retried_and_done(worker: Worker, cluster: Any) -> None:
    pid = machine_pid(cluster)
    job_id = submit(worker)
    thread = threading.Thread(target=worker.step)
    thread.start()
    wait_until(lambda: is_computed_on(pid))
    os.kill(pid, signal.SIGKILL)
    thread.join()
    job = job_of(worker, job_id)
    assert (job.state, job.lost) == ("queued", 1)
    assert worker.step()
    job = job_of(worker, job_id)
    assert (job.state, job.attempt) == ("done", 2)
    assert machine_pid(cluster) != pid


def test_the_process_on_the_machine_ends_when_the_worker_that_waits_for_it_is_killed(
    worker: Worker, cluster: Any
) -> None:
    pid = machine_pid(cluster)
    job_id = submit(worker, **LONG)
    settings = worker.settings
    environment = {
        "BL_STEER_SERVICE_FOLDER": str(settings.folder),
        "BL_STEER_SERVICE_DASK": settings.dask,
    }
    code = (
        "from bl_steer.server.jobs.worker import run_worker;"
        " from bl_steer.server.settings import ServerSettings; run_worker(ServerSettings())"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **environment})
    try:
        wait_until(lambda: is_computed_on(pid))
    finally:
        killed.kill()
        killed.wait()
    wait_until(lambda: not is_computed_on(pid))
    assert job_of(worker, job_id).state == "running", "until its lease is over"


def test_no_job_is_taken_while_the_scheduler_is_away(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bl_steer.server.jobs import dask_worker as dask_machines

    monkeypatch.setattr(dask_machines, "CONNECT_S", 0.5)
    worker.machines = DaskMachines("tcp://127.0.0.1:9", worker.settings.files)
    job_id = submit(worker)
    with pytest.raises(ClusterAway, match=r"must answer, got .* from tcp://127.0.0.1:9"):
        worker.step()
    assert job_of(worker, job_id).state == "queued"
    assert job_of(worker, job_id).attempt == 0
