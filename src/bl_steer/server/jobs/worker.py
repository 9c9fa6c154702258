"""A worker: takes queued jobs, one after the other, each in a sandboxed process of its own.

A machine has as many workers as jobs at a time. With a dask cluster, that process is on one of its
machines, and all else stays here. A worker may die at any moment: its job's processes die with it,
and the next worker in its place gives the job back as soon as it starts; where none starts, the
housekeeping does when the lease is over.
"""

from __future__ import annotations

import logging
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bl_steer.files.atomic import alone_in
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Package
from bl_steer.server.db.tables import Worker as WorkerRow
from bl_steer.server.jobs import queue as jobs
from bl_steer.server.jobs.dask_worker import ClusterAway, DaskMachines
from bl_steer.server.jobs.execution import Ended, Execution, message_of
from bl_steer.server.jobs.heartbeat import Heartbeat, first_line
from bl_steer.server.jobs.leases import Claim, Lease, Produced
from bl_steer.server.jobs.results import Failure
from bl_steer.server.packages.checking import check_next, package_is_next
from bl_steer.server.packages.manifest import PackageError, read_manifest
from bl_steer.server.packages.store import PackageStore
from bl_steer.server.room import LEAST_ROOM, folders_of, is_full, room_of
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, SandboxMissing
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB, amount
from bl_steer.server.told_paths import without_folders
from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing

__all__ = ["Worker", "run_worker"]

LONGEST_WAIT_S = 5.0
SEEN_EVERY_S = 10.0

logger = logging.getLogger(__name__)


class Worker:
    """Take jobs and carry them out.

    Parameters
    ----------
    name : of this worker, in the table of workers
    """

    def __init__(self, settings: ServerSettings, *, name: str) -> None:
        self.settings = settings
        self.name = name
        self.database = Database(settings.database, pool_size=2)
        self.files = FileStore(settings.files)
        self.packages = PackageStore(settings)
        self.machines = DaskMachines(settings.dask, settings.files) if settings.dask else None
        self.stopping = False
        self.seen = 0.0
        self.gpus: list[int] | None = None if self.machines is None else []

    def run(self) -> None:
        """Work until `stop`; what the database does meanwhile only makes it wait.

        Raises
        ------
        FileExistsError
            When a worker of this name lives on this machine.
        """
        with alone_in(self._place()):
            self._work(self._clear())

    def _work(self, left: list[Claim]) -> None:
        """Work, after the jobs that a dead worker left are given back."""
        wait = self.settings.poll_s
        while not self.stopping:
            try:
                while left:
                    self._give_back(left[-1])
                    left.pop()
                worked = self.step()
            except (DBAPIError, PoolTimeout, ClusterAway) as error:
                what = "cluster" if isinstance(error, ClusterAway) else "database"
                logger.warning(
                    "worker %s: the %s is not there: %s", self.name, what, first_line(error)
                )
                wait = min(LONGEST_WAIT_S, 2 * wait)
                worked = False
            else:
                wait = self.settings.poll_s
            if not worked and not self.stopping:
                time.sleep(wait)
        self._over()

    def step(self) -> bool:
        """Do one job, or check one package, if one waits; return whether there was one."""
        now = time.time()
        with self.database.read() as session:  # a look costs no lock
            waiting = jobs.is_waiting(session)
        if now - self.seen > SEEN_EVERY_S:
            self._note(now)
        if self._is_full():
            return False
        if waiting and self.machines is not None:
            self.machines.connect()  # a job is not taken in vain
            waiting = self._is_for(self.machines.gpus(), now)
        if not waiting or package_is_next(self.database):
            trusted = self.settings.trust_packages
            checked = check_next(self.database, self.packages, over=self._over, trusted=trusted)
            if checked is not None or not waiting:
                return checked is not None
        with self.database.write_beside() as session:
            lease = jobs.take(
                session,
                self.name,
                lease_s=self.settings.lease_s,
                attempts=self.settings.attempts,
                gpus=self.gpus,
            )
        if lease is None:
            return False
        logger.info("job %s: attempt %d", lease.job_id, lease.attempt)
        prefix = f"job-{lease.attempt}-{lease.job_id}-"  # `_claim_of` reads it
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._place()))
        except OSError as error:
            self._without_room(lease, error=error)
            return False
        try:
            self._carry_out(lease, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _is_for(self, gpus: list[int], now: float) -> bool:
        """Note what the machines of the cluster offer; return whether a job waits that fits."""
        changed, self.gpus = gpus != self.gpus, gpus
        if changed:
            self._note(now)
        with self.database.read() as session:
            return jobs.is_waiting(session, gpus)

    def stop(self) -> None:
        """End soon: a job under way goes back into the queue."""
        self.stopping = True

    def _carry_out(self, lease: Lease, folder: Path) -> None:
        heartbeat = Heartbeat(self, lease)
        try:
            ended = self._execute(lease, folder, heartbeat)
        except (SandboxMissing, StoredFileMissing, PackageError) as error:
            lacking = "sandbox" if isinstance(error, SandboxMissing) else "input"
            self._end(lease, "package" if isinstance(error, PackageError) else lacking, str(error))
            return
        except OSError as error:
            self._without_room(lease, folder, error)
            return
        outcome, report = ended.outcome, ended.found
        if heartbeat.answer == "lost":
            logger.warning("job %s: another worker has it", lease.job_id)
        elif outcome.cause == "cancelled":
            self._cancelled(lease, asked=heartbeat.answer == "cancel")
        elif outcome.cause == "lost":
            logger.warning("job %s: its process was lost: %s", lease.job_id, outcome.last_words)
            self._write(lambda session: jobs.return_job(session, lease, lost=True))
        elif isinstance(report, Produced):
            self._keep(lease, report, outcome)
        elif outcome.cause != "disk" and self._is_full():  # it took no more than it may
            self._without_room(lease, folder)
        elif isinstance(report, Failure):
            # How a library says it tells a user nothing; the last words keep it.
            own = report.cause != "memory"
            died = replace(outcome, cause="memory")
            message = report.message if own else message_of(died, self._limits(lease))
            self._end(lease, report.cause, message, outcome.last_words)
        else:
            message = message_of(outcome, self._limits(lease))
            self._end(lease, outcome.cause, message, outcome.last_words)

    def _is_full(self) -> bool:
        """Return whether this machine has no room for the work of jobs."""
        apart = self.machines is not None  # which have disks of their own
        if apart or (left := room_of(folders_of(self.settings))) >= LEAST_ROOM:
            return False
        logger.error("ALARM: no job is taken, the disk has %s of room left", amount(left))
        return True

    def _without_room(
        self, lease: Lease, folder: Path | None = None, error: OSError | None = None
    ) -> None:
        """Let a job wait again for which the disk had no room; the last time, it has failed."""
        if error is not None and not is_full(error):
            raise error
        if folder is not None:  # the database may have no room either
            shutil.rmtree(folder, ignore_errors=True)
        logger.warning("job %s: no room on the disk; it waits again", lease.job_id)
        self._write(lambda session: jobs.return_job(session, lease, lost=True))

    def _execute(self, lease: Lease, folder: Path, heartbeat: Heartbeat) -> Ended:
        package, archive, permit, dependencies = None, "", "", None
        if lease.package_sha256:
            with self.database.read() as session:
                package, shown = self.packages.permitted(session, lease.package_sha256)
                archive = session.get_one(Package, lease.package_sha256).blob_sha256
            dependencies = self.packages.dependencies_of(read_manifest(package))
            permit = shown.model_dump_json()
        execution = Execution(
            lease.analysis,
            lease.params,
            lease.inputs,
            self._limits(lease),
            caches=self.settings.caches,
            hidden=self.settings.folder.absolute(),
            package=archive,
            permit=permit,
            dependencies=dependencies,
            most_bytes=self.settings.max_upload_mib * MIB,
            trusted=self.settings.trust_packages,
        )
        if self.machines is not None:
            return self.machines.run(execution, hear=heartbeat.hear, over=heartbeat.over)
        return execution.run(
            folder, self.files, package=package, hear=heartbeat.hear, over=heartbeat.over
        )

    def _limits(self, lease: Lease) -> Limits:
        return replace(Limits.of(self.settings), gpus=lease.gpus)

    def _keep(self, lease: Lease, produced: Produced, outcome: Outcome) -> None:
        address, keep_days = self.settings.address, self.settings.keep_days

        def finish(session: Session) -> bool:
            return jobs.finish(session, lease, produced, address=address, keep_days=keep_days)

        if self._write(finish):
            logger.info("job %s: done in %.1f s", lease.job_id, outcome.seconds)

    def _end(self, lease: Lease, cause: str, message: str, last_words: str = "") -> None:
        logger.info("job %s: failed (%s): %s", lease.job_id, cause, message)
        message = without_folders(message, ours=self.settings.folders)
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
        elif self._write(lambda session: jobs.return_job(session, lease)):
            logger.info("job %s: this worker ends; it waits again, uncounted", lease.job_id)

    def _write(self, change: Callable[..., bool]) -> bool:
        """Change a job, and try again while the database is away and the lease may hold."""
        deadline = time.monotonic() + self.settings.lease_s
        while True:
            try:
                with self.database.write_beside() as session:
                    return change(session)
            except (DBAPIError, PoolTimeout) as error:
                if time.monotonic() > deadline:
                    logger.error("worker %s: a result is lost: %s", self.name, first_line(error))
                    return False
                time.sleep(min(1.0, self.settings.poll_s))

    def _over(self) -> bool:
        """Note that this worker lives during a check, or that it ends; return whether to stop."""
        now = time.time()
        if self.stopping or now - self.seen > min(SEEN_EVERY_S, self.settings.alarm_after_s / 4):
            try:
                self._note(now)
            except (DBAPIError, PoolTimeout) as error:
                logger.warning("worker %s: not noted: %s", self.name, first_line(error))
                self.seen = now  # not at every look while the database is away
        return self.stopping

    def _note(self, now: float) -> None:
        most = None if self.gpus is None else max(self.gpus, default=0)
        with self.database.write_beside() as session:
            ended = now if self.stopping else None
            session.merge(WorkerRow(name=self.name, seen=now, gpus=most, ended=ended))
        self.seen = now

    def _place(self) -> Path:
        folder = self.settings.work / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _clear(self) -> list[Claim]:
        """Remove what an earlier worker left here when it was killed; return the jobs it held.

        It is dead, since this process has its place alone. Should it live all the same, its claims
        are no longer good once the jobs are given back: it can keep nothing of them.
        """
        folders = list(self._place().iterdir())
        for left in folders:
            shutil.rmtree(left, ignore_errors=True)
        return [claim for left in folders if (claim := _claim_of(left.name)) is not None]

    def _give_back(self, claim: Claim) -> None:
        with self.database.write_beside() as session:
            if jobs.return_job(session, claim, lost=True):
                logger.warning("job %s: its worker died; it waits again", claim.job_id)


def _claim_of(folder: str) -> Claim | None:
    """Return what the folder of a job under way says of it; None for any other name."""
    match = re.fullmatch(r"job-(\d{1,9})-([0-9a-f-]{36})-\w+", folder)
    return None if match is None else Claim(match[2], int(match[1]))


def run_worker(settings: ServerSettings, slot: int = 0) -> None:
    """Run one worker until SIGTERM or Ctrl-C.

    Parameters
    ----------
    slot : number of the worker on this machine
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    worker = Worker(settings, name=f"{socket.gethostname()[:60]}-{slot}")

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()
    if worker.machines is not None:
        worker.machines.close()
