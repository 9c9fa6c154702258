"""A job as any machine can carry it out: its files from the file store, its result into it.

Nothing here knows the database. A worker executes a job on its own machine, or has one of a dask
cluster do it (`bl_steer.server.jobs.dask_worker`).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bl_steer.server.jobs.leases import InputFile, Produced
from bl_steer.server.jobs.process import Task
from bl_steer.server.jobs.results import Failure, UnsoundResult, collect
from bl_steer.server.packages.archive import unpack
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.sandbox.bubblewrap import JOB
from bl_steer.server.sandbox.caches import caches_of, job_environment
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, is_kept_apart, run_in_sandbox
from bl_steer.server.uploads.blobs import FileStore

__all__ = ["Ended", "Execution", "message_of", "stopped"]

COMMAND = (sys.executable, "-P", "-X", "faulthandler", "-m", "bl_steer.server.jobs.process")

ASK_EVERY_S = 0.2

MESSAGES = {
    "time": "the analysis must end within {time:g} s, got no result in that time; give it less",
    "memory": "the analysis must fit into {memory:.3g} GiB of memory, got more; give it less",
    "disk": "the analysis must fit into {disk:.3g} GiB of disk, got more; give it less",
    "processes": "the analysis must make at most {processes} processes and threads, got more",
    "crashed": "the analysis' process must live, got its end with status {status}",
}


@dataclass(frozen=True)
class Ended:
    """How an execution ended; with what it left, where its process ended by itself and well."""

    outcome: Outcome
    found: Produced | Failure | None = None


@dataclass(frozen=True)
class Execution:
    """What has to be done, of which files, within which limits.

    Parameters
    ----------
    package : sha256 of the package's archive in the file store; empty for none
    permit : what shows to the job's process that the package may run, JSON
    dependencies : folder of the libraries that it asks for, None for none
    most_bytes : of an unpacked package
    caches : folder of `bl_steer.server.sandbox.caches`, used where there is one
    hidden : folder that no job may see
    trusted : run it without a sandbox where there is none
    """

    analysis: str
    params: Mapping[str, Any]
    inputs: Sequence[InputFile]
    limits: Limits
    caches: Path
    hidden: Path
    package: str = ""
    permit: str = ""
    dependencies: Path | None = None
    most_bytes: int = 0
    trusted: bool = False

    def run(
        self,
        folder: Path,
        files: FileStore,
        *,
        package: Path | None = None,
        hear: Callable[[str], None],
        over: Callable[[], bool],
    ) -> Ended:
        """Carry it out.

        Parameters
        ----------
        folder : empty, for all that it needs and leaves
        package : folder of the unpacked package, where it lies on this machine already
        hear : called with each line that the job's process says
        over : asked some 20 times a second whether to stop

        Raises
        ------
        SandboxMissing
            When nothing keeps a job apart here.
        StoredFileMissing
            When an input is gone, or the file store is not that of the server.
        PackageError
            When the archive holds no package, or its dependencies are not on this machine.
        """
        out = folder / "out"
        out.mkdir()
        out.chmod(0o700)
        apart = is_kept_apart(trusted=self.trusted)
        seen = JOB if apart else folder  # without a sandbox, a job sees the paths as they are
        with _asked_meanwhile(over):  # a far store takes its time
            readable = self._inputs(folder, seen, files)
        paths = [str(path) for path in readable]
        names = [file.input for file in self.inputs]
        named = caches = ""
        if self.package:
            with _asked_meanwhile(over):
                unpacked = package or self._unpacked(folder, files)
            named = str(JOB / "package" if apart else unpacked)
            readable[Path(named)] = unpacked
        libraries = ""
        if self.dependencies is not None:
            if not self.dependencies.is_dir():
                raise PackageError(
                    "the dependencies of a package must lie on each machine that runs it, got none "
                    "here; give the machines of a cluster the server's folder"
                )
            libraries = str(JOB / "dependencies" if apart else self.dependencies)
            readable[Path(libraries)] = self.dependencies
        if (cached := caches_of(self.caches)) is not None:
            caches = str(JOB / "caches" if apart else cached)
            readable[Path(caches)] = cached
        task = Task(
            analysis=self.analysis,
            paths=paths,
            names=names if any(names) else (),
            params=dict(self.params),
            out=str(seen / "out"),
            package=named,
            permit=self.permit,
            dependencies=libraries,
            caches=caches,
        )
        if over():  # cancelled meanwhile, or preparing took too long
            return stopped()
        outcome = run_in_sandbox(
            COMMAND,
            readable=readable,
            writable=out,
            limits=self.limits,
            stdin=json.dumps(asdict(task)).encode(),
            on_line=hear,
            cancelled=over,
            environment=job_environment(seen / "out", self.limits),
            hidden=[self.hidden],
            trusted=self.trusted,
        )
        if outcome.cause != "ok":
            return Ended(outcome)
        try:
            with _asked_meanwhile(over):
                return Ended(outcome, collect(out, files))
        except UnsoundResult as error:
            return Ended(outcome, Failure(cause="error", message=str(error)))

    def _inputs(self, folder: Path, seen: Path, files: FileStore) -> dict[Path, Path]:
        """Return the files of a job by the path that it sees; each in a folder of its own."""
        stored = {}
        for number, file in enumerate(self.inputs):
            path = seen / "in" / f"{number:04d}" / _plain_name(file.file_name)
            stored[path] = files.path_for(file.sha256, folder)
            if seen == folder:
                path.parent.mkdir(parents=True)
                path.symlink_to(stored[path])
        return stored

    def _unpacked(self, folder: Path, files: FileStore) -> Path:
        with files.open(self.package) as archive:
            return unpack(archive, folder / "packages", most_bytes=self.most_bytes)


@contextmanager
def _asked_meanwhile(over: Callable[[], bool]) -> Iterator[None]:
    """Ask `over` beside a block that takes as long as files do, so that the job's lease is kept."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(ASK_EVERY_S):
            over()

    asking = threading.Thread(target=ask, name="lease", daemon=True)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def stopped() -> Ended:
    """Return the end of an execution that was stopped from outside."""
    return Ended(Outcome("cancelled", 0, "", 0.0, 0))


def message_of(outcome: Outcome, limits: Limits) -> str:
    """Return what a user is told of an execution that did not end by itself and well."""
    return MESSAGES[outcome.cause].format(
        time=limits.time_s,
        memory=limits.memory / 2**30,
        disk=limits.disk / 2**30,
        processes=limits.processes,
        status=outcome.status,
    )


def _plain_name(name: str) -> str:
    """Return a file name without what could lead elsewhere; suffixes stay."""
    plain = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return plain.strip(". ")[-120:] or "upload"
