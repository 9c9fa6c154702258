"""Jobs that need GPUs run on machines of a cluster that offer them by name, and wait for those."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, Upload, User
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import dask_worker, queue
from bl_steer.server.jobs.forecast import Forecast, forecast
from bl_steer.server.jobs.worker import Worker
from bl_steer.server.packages.manifest import parse_manifest
from bl_steer.server.sandbox import bubblewrap
from bl_steer.server.sandbox.bubblewrap import bubblewrap_command
from bl_steer.server.sandbox.caches import job_environment
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.web.context import Context
from bl_steer.server.web.submissions import submit_analysis
from tests.bl_steer.server.jobs.test_dask_worker import (
    cluster,
    is_computed_on,
    job_of,
    submit,
    wait_until,
    worker,
)
from tests.bl_steer.server.packages.test_several import OLD

__all__ = ["cluster", "worker"]  # fixtures

needs_sandbox = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
Start = Callable[[], int]


@pytest.fixture
def start_machine(cluster: Any, tmp_path: Path) -> Iterator[Start]:
    """Start machines of the cluster that offer a GPU, as an administrator does; give their pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        words = ["-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        words += ["--resources", "GPU=1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        words += ["--local-directory", str(tmp_path)]
        log = (tmp_path / f"machine {len(started)}").open("wb")
        started.append(subprocess.Popen([sys.executable, *words], stdout=log, stderr=log))
        log.close()
        return started[-1].pid

    yield start
    for machine in started:
        machine.kill()
        machine.wait()


def told(worker: Worker, job_id: str) -> Forecast:
    with worker.database.read() as session:
        return forecast(session, session.get_one(Job, job_id))


@needs_sandbox
@pytest.mark.filterwarnings("ignore")
def test_a_job_waits_for_a_gpu_runs_there_and_costs_an_attempt_when_the_machine_is_lost(
    worker: Worker, start_machine: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_worker, "LOOK_EVERY_S", 0.1)
    asking, plain = submit(worker), submit(worker)
    with worker.database.write() as session:
        session.get_one(Job, asking).gpus = 1
    assert worker.step()
    assert not worker.step()
    assert (job_of(worker, asking).state, job_of(worker, plain).state) == ("queued", "done")
    assert told(worker, asking).lacks_gpu
    assert worker.machines is not None

    first = start_machine()
    wait_until(lambda: max(worker.machines.gpus()) == 1, timeout_s=60.0)
    thread = threading.Thread(target=worker.step)
    thread.start()
    wait_until(lambda: is_computed_on(first))
    os.kill(first, signal.SIGKILL)
    thread.join()
    job = job_of(worker, asking)
    assert (job.state, job.attempt, job.lost) == ("queued", 1, 1)
    wait_until(lambda: max(worker.machines.gpus()) == 0)
    assert not worker.step()
    assert told(worker, asking).lacks_gpu

    start_machine()
    wait_until(lambda: max(worker.machines.gpus()) == 1, timeout_s=60.0)
    assert worker.step()
    job = job_of(worker, asking)
    assert (job.state, job.attempt) == ("done", 2)
    assert not told(worker, asking).lacks_gpu
    worker.machines.close()
    worker.machines = worker.gpus = None
    here = submit(worker)
    with worker.database.write() as session:
        session.get_one(Job, here).gpus = 1
    assert worker.step(), "a machine by itself does any job"
    worker.machines = dask_worker.DaskMachines("", "")
    assert job_of(worker, here).digest == job_of(worker, plain).digest == job.digest


def test_a_job_is_taken_only_where_gpus_enough_are_free_on_one_machine(database: Database) -> None:
    with database.write() as session:
        session.add(User(id="u", email="u@x"))
        session.flush()
        for number, gpus in enumerate((2, 1, 1, 0)):
            asked: dict[str, Any] = {"analysis": f"needs {gpus}", "params": {}, "upload_ids": []}
            queue.submit(session, user_id="u", gpus=gpus, now=float(number), **asked)
    for offered, taken in (
        ([], ["needs 0"]),
        ([1, 1], ["needs 1"]),
        ([1, 1], ["needs 1"]),
        ([1, 1], []),
        ([2, 1], []),
        ([2, 2], ["needs 2"]),
        (None, []),
    ):
        with database.write() as session:
            assert queue.is_waiting(session, offered) == bool(taken)
            lease = queue.take(session, "w", lease_s=60.0, gpus=offered)
            assert [lease.analysis] == taken if lease else not taken


def test_the_operator_names_analyses_that_ask_for_a_gpu(tmp_path: Path) -> None:
    context = Context(ServerSettings(folder=tmp_path, gpu_analyses="segment, advise"))
    context.database.create_tables()
    sha256, size = context.store.put(io.BytesIO(b"x,y,value\n1,2,3\n"))
    with context.database.write() as session:
        user = User(id="u", email="u@x")
        session.add(user)
        session.flush()
        upload = Upload(user_id="u", sha256=sha256, file_name="a.csv", size=size)
        session.add(upload)
    asked: dict[str, Any] = {"values": {}, "language": "en", "wants_mail": False}
    job = submit_analysis(context, user, context.entry("advise"), [upload.id], **asked)
    context.close()
    assert job.gpus == 1
    assert [context.entry(name).gpus for name in ("segment", "film")] == [1, 0]
    with pytest.raises(ValueError, match=r"names by commas, of advise, .*segment"):
        ServerSettings(gpu_analyses="segment, segmnt")


def test_a_manifest_names_gpus_and_one_without_keeps_its_hash() -> None:
    manifest = parse_manifest({**OLD, "gpu": 1}, "here")
    assert manifest.model_dump(mode="json")["gpu"] == 1
    assert "gpu" not in parse_manifest(OLD, "here").model_dump(mode="json")


def test_a_sandbox_shows_devices_of_gpus_to_those_who_asked_for_them_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bubblewrap, "DEVICES", tmp_path)
    device = tmp_path / "nvidia0"
    device.touch()
    assert str(device) in bubblewrap_command(calls=3, gpus=True)
    assert str(device) not in bubblewrap_command(calls=3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert job_environment(tmp_path, Limits(gpus=1))["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in job_environment(tmp_path, Limits())


@pytest.mark.parametrize(
    ("language", "said"), [("en", "It needs 2 GPU on one machine"), ("ja", "GPU が 2 基必要")]
)
def test_the_page_of_a_job_says_that_no_machine_has_its_gpus(
    site: Any, language: str, said: str
) -> None:
    user = site.user(language=language)
    with site.context.database.write() as session:
        job = queue.submit(
            session, user_id=user.id, analysis="advise", params={}, upload_ids=[], gpus=2
        )
        session.add(dask_machine := WorkerRow(name="w", seen=time.time(), gpus=1))
    page = f"/jobs/{job.id}"
    assert said in site.browser().get(page).text
    with site.context.database.write() as session:
        session.merge(dask_machine).gpus = 2
    assert said not in site.browser().get(page).text
