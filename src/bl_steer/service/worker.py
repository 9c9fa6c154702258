"""A worker: takes queued jobs, one after the other, each in a sandboxed process of its own.

``python -m bl_steer.service.worker --slot N`` is one worker; a machine has as many as jobs at a
time. It may die at any moment: its job's processes die with it, and the keeper gives the job to
another worker when the lease is over.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bl_steer.drafts import alone_in
from bl_steer.service import jobs
from bl_steer.service.caches import cache_environment, caches_of
from bl_steer.service.database import Database
from bl_steer.service.files import FileStore, StoredFileMissing
from bl_steer.service.hold import Hold, first_line
from bl_steer.service.job_process import Task
from bl_steer.service.leases import Lease
from bl_steer.service.limits import Limits
from bl_steer.service.packages.checking import check_next
from bl_steer.service.packages.manifest import PackageError
from bl_steer.service.packages.store import PackageStore
from bl_steer.service.results import Failure, UnsoundResult, collect
from bl_steer.service.sandbox import Outcome, SandboxMissing, run_in_sandbox
from bl_steer.service.settings import ServiceSettings
from bl_steer.service.tables import Worker as WorkerRow
from bl_steer.service.walls import JOB

__all__ = ["Worker", "main"]

COMMAND = (sys.executable, "-P", "-X", "faulthandler", "-m", "bl_steer.service.job_process")
LONGEST_WAIT_S = 5.0
SEEN_EVERY_S = 10.0
MESSAGES = {
    "time": "the analysis must end within {time:g} s, got no result in that time; give it less",
    "memory": "the analysis must fit into {memory:.3g} GiB of memory, got more; give it less",
    "disk": "the analysis must fit into {disk:.3g} GiB of disk, got more; give it less",
    "processes": "the analysis must make at most {processes} processes and threads, got more",
    "crashed": "the analysis' process must live, got its end with status {status}",
}

logger = logging.getLogger(__name__)


class Worker:
    """Take jobs and carry them out.

    Parameters
    ----------
    name : of this worker, in the table of workers
    """

    def __init__(self, settings: ServiceSettings, *, name: str) -> None:
        self.settings = settings
        self.name = name
        self.database = Database(settings.database, pool_size=2)
        self.files = FileStore(settings.files)
        self.packages = PackageStore(settings)
        self.stopping = False
        self.seen = 0.0

    def run(self) -> None:
        """Work until `stop`; what the database does meanwhile only makes it wait.

        Raises
        ------
        FileExistsError
            When a worker of this name lives on this machine.
        """
        with alone_in(self._place()):
            self._clear()
            self._work()

    def _work(self) -> None:
        wait = self.settings.poll_s
        while not self.stopping:
            try:
                worked = self.step()
            except (DBAPIError, PoolTimeout) as error:
                logger.warning(
                    "worker %s: the database is not there: %s", self.name, first_line(error)
                )
                wait = min(LONGEST_WAIT_S, 2 * wait)
                worked = False
            else:
                wait = self.settings.poll_s
            if not worked and not self.stopping:
                time.sleep(wait)

    def step(self) -> bool:
        """Do one job, or check one package, if one waits; return whether there was one."""
        now = time.time()
        with self.database.read() as session:  # a look costs no lock
            waiting = jobs.is_waiting(session)
        if now - self.seen > SEEN_EVERY_S:
            self._note(now)
        if not waiting:
            trusted = self.settings.trust_packages
            return check_next(self.database, self.packages, trusted=trusted) is not None
        with self.database.write() as session:
            lease = jobs.take(session, self.name, lease_s=self.settings.lease_s)
        if lease is None:
            return False
        logger.info("job %s: attempt %d", lease.job_id, lease.attempt)
        folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._place()))
        try:
            self._carry_out(lease, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def stop(self) -> None:
        """End soon: a job under way goes back into the queue."""
        self.stopping = True

    def _carry_out(self, lease: Lease, folder: Path) -> None:
        hold = Hold(self, lease)
        try:
            outcome = self._execute(lease, folder, hold)
        except SandboxMissing as error:
            self._end(lease, "sandbox", str(error))
            return
        except StoredFileMissing as error:
            self._end(lease, "input", str(error))
            return
        except PackageError as error:
            self._end(lease, "package", str(error))
            return
        if hold.answer == "lost":
            logger.warning("job %s: another worker has it", lease.job_id)
        elif outcome.cause == "cancelled":
            self._cancelled(lease, asked=hold.answer == "cancel")
        elif outcome.cause == "lost":
            logger.warning("job %s: its process was killed from outside", lease.job_id)
            self._write(lambda session: jobs.return_job(session, lease, lost=True))
        elif outcome.cause != "ok":
            self._end(lease, outcome.cause, self._message(outcome), outcome.last_words)
        else:
            self._keep(lease, folder, outcome)

    def _execute(self, lease: Lease, folder: Path, hold: Hold) -> Outcome:
        out = folder / "out"
        out.mkdir()
        out.chmod(0o700)
        apart = shutil.which("bwrap") is not None
        seen = JOB if apart else folder  # without walls, a job sees the paths as they are
        readable = self._inputs(lease, folder, seen)
        paths = [str(one) for one in readable]
        package = caches = permit = ""
        if lease.package_sha256:
            with self.database.read() as session:
                place, shown = self.packages.permitted(session, lease.package_sha256)
            package, permit = str(JOB / "package" if apart else place), shown.model_dump_json()
            readable[Path(package)] = place
        if (made := caches_of(self.settings.caches)) is not None:
            caches = str(JOB / "caches" if apart else made)
            readable[Path(caches)] = made
        task = Task(
            analysis=lease.analysis,
            paths=paths,
            params=dict(lease.params),
            out=str(seen / "out"),
            package=package,
            permit=permit,
            caches=caches,
        )
        if hold.over():  # cancelled meanwhile, or preparing took too long
            return Outcome("cancelled", 0, "", 0.0, 0)
        return run_in_sandbox(
            COMMAND,
            readable=readable,
            writable=out,
            limits=Limits.of(self.settings),
            stdin=json.dumps(asdict(task)).encode(),
            on_line=hold.hear,
            cancelled=hold.over,
            environment=cache_environment(seen / "out" / ".caches"),
            hidden=[self.settings.folder],
            trusted=self.settings.trust_packages,
        )

    def _inputs(self, lease: Lease, folder: Path, seen: Path) -> dict[Path, Path]:
        """Return the files of a job by the path that it sees; each in a folder of its own."""
        found = {}
        for number, one in enumerate(lease.inputs):
            path = seen / "in" / f"{number:04d}" / _plain_name(one.file_name)
            found[path] = self.files.path_for(one.sha256, folder)
            if seen == folder:
                path.parent.mkdir(parents=True)
                path.symlink_to(found[path])
        return found

    def _keep(self, lease: Lease, folder: Path, outcome: Outcome) -> None:
        try:
            found = collect(folder / "out", self.files)
        except UnsoundResult as error:
            self._end(lease, "error", str(error), outcome.last_words)
            return
        if isinstance(found, Failure):
            self._end(lease, found.cause, found.message, outcome.last_words)
            return
        address, keep_days = self.settings.address, self.settings.keep_days

        def finish(session: Session) -> bool:
            return jobs.finish(session, lease, found, address=address, keep_days=keep_days)

        if self._write(finish):
            logger.info("job %s: done in %.1f s", lease.job_id, outcome.seconds)

    def _end(self, lease: Lease, cause: str, message: str, last_words: str = "") -> None:
        logger.info("job %s: failed (%s): %s", lease.job_id, cause, message)
        self._write(
            lambda session: jobs.fail(
                session,
                lease,
                cause,
                message,
                last_words=last_words.replace("\0", ""),
                address=self.settings.address,
            )
        )

    def _cancelled(self, lease: Lease, *, asked: bool) -> None:
        if asked:
            self._write(lambda session: jobs.confirm_cancel(session, lease))
        else:  # this worker is to end
            self._write(lambda session: jobs.return_job(session, lease))

    def _write(self, change: Callable[..., bool]) -> bool:
        """Change a job, and try again while the database is away and the lease may hold."""
        deadline = time.monotonic() + self.settings.lease_s
        while True:
            try:
                with self.database.write() as session:
                    return change(session)
            except (DBAPIError, PoolTimeout) as error:
                if time.monotonic() > deadline:
                    logger.error(
                        "worker %s: a result is given up: %s", self.name, first_line(error)
                    )
                    return False
                time.sleep(min(1.0, self.settings.poll_s))

    def _message(self, outcome: Outcome) -> str:
        limits = Limits.of(self.settings)
        return MESSAGES[outcome.cause].format(
            time=limits.time_s,
            memory=limits.memory / 2**30,
            disk=limits.disk / 2**30,
            processes=limits.processes,
            status=outcome.status,
        )

    def _note(self, now: float) -> None:
        with self.database.write() as session:
            row = session.get(WorkerRow, self.name)
            if row is None:
                session.add(WorkerRow(name=self.name, seen=now))
            else:
                row.seen = now
        self.seen = now

    def _place(self) -> Path:
        place = self.settings.work / self.name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _clear(self) -> None:
        """Remove what an earlier worker of this name left when it was killed."""
        for left in self._place().iterdir():
            shutil.rmtree(left, ignore_errors=True)


def _plain_name(name: str) -> str:
    """Return a file name without what could lead elsewhere; suffixes stay."""
    plain = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return plain.strip(". ")[-120:] or "upload"


def main(argv: list[str] | None = None) -> None:
    """Run one worker until SIGTERM or Ctrl-C."""
    from bl_steer.service.supervisor import die_with_parent

    parser = argparse.ArgumentParser(prog="python -m bl_steer.service.worker")
    parser.add_argument("--slot", type=int, default=0)
    arguments = parser.parse_args(argv)
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    worker = Worker(ServiceSettings(), name=f"{socket.gethostname()[:60]}-{arguments.slot}")

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()


if __name__ == "__main__":
    main()
