"""Jobs of the server on the machines of a dask cluster.

The table stays the truth: our worker holds the lease, and asks for cancels and limits as it does
for a job beside it. A machine of the cluster has bl_steer and reaches the file store under the
same URL; it gets neither the database nor any secret. It stops a job whose future was released,
which is what a cancel does, and what dask does itself when our worker dies.

A machine offers GPUs as a resource of that name, ``dask worker ADDRESS --resources GPU=1``; a job
that needs some runs there alone, and waits in the table as long as none are free.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from bl_steer.server.jobs.execution import Ended, Execution, stopped
from bl_steer.server.packages.manifest import PackageError
from bl_steer.server.sandbox.run import Outcome, SandboxMissing
from bl_steer.server.uploads.blobs import FileStore, StoredFileMissing

__all__ = ["ClusterAway", "DaskMachines"]

CONNECT_S = 30.0
TICK_S = 0.05
LOOK_EVERY_S = 2.0
"""How often is looked whether a machine with GPUs is still there, s."""
GPU = "GPU"
HEAR_EVERY_S = 0.5
"""Progress that passes through the scheduler, at most one line in this time, s."""

logger = logging.getLogger(__name__)


class ClusterAway(OSError):
    """The scheduler does not answer."""


class DaskMachines:
    """A dask cluster as the place where one worker's jobs are carried out.

    Parameters
    ----------
    address : of the scheduler, e.g. ``"tcp://10.0.0.5:8786"``
    files_url : of the file store
    """

    def __init__(self, address: str, files_url: str) -> None:
        self.address = address
        self._files_url = files_url
        self._topic = f"bl-steer-{uuid4()}"
        self._client: Any = None
        self._hear: Callable[[str], None] | None = None
        self._key = ""

    def connect(self) -> None:
        """See that the cluster is there.

        Raises
        ------
        ClusterAway
            When the scheduler does not answer.
        """
        if self._client is not None and self._client.status == "running":
            return
        # Every worker imports this module; one without a cluster does without distributed's weight.
        from distributed import Client

        self.close()
        try:
            self._client = Client(self.address, timeout=CONNECT_S, set_as_default=False)
            self._client.subscribe_topic(self._topic, self._heard)
        except (OSError, ValueError) as error:
            raise ClusterAway(
                f"the dask scheduler must answer, got {str(error) or type(error).__name__} from "
                f"{self.address}; start it, or leave BL_STEER_SERVICE_DASK empty"
            ) from error

    def gpus(self) -> list[int]:
        """Return how many GPUs each machine of the cluster offers."""
        machines = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return [int(machine["resources"].get(GPU, 0)) for machine in machines]

    def run(
        self, execution: Execution, *, hear: Callable[[str], None], over: Callable[[], bool]
    ) -> Ended:
        """Have a machine carry a job out; one that is lost on the way ends as ``lost``.

        Raises
        ------
        SandboxMissing, StoredFileMissing, PackageError
            As `Execution.run` on that machine.
        """
        key = self._key = f"bl-steer-job-{uuid4()}"
        self._hear = hear
        future: Any = None
        needed, look_due = execution.limits.gpus, time.monotonic() + LOOK_EVERY_S
        try:
            future = self._client.submit(
                _on_machine,
                execution,
                self._files_url,
                self._topic,
                key=key,
                pure=False,
                resources={GPU: needed} if needed else None,
            )
            while not future.done():
                if over():
                    return stopped()
                if needed and time.monotonic() > look_due:
                    look_due = time.monotonic() + LOOK_EVERY_S
                    if max(self.gpus(), default=0) < needed:  # dask would wait for another
                        raise ClusterAway("the machine with the GPUs is gone")
                time.sleep(TICK_S)
            ended: Ended = future.result()
        except (SandboxMissing, StoredFileMissing, PackageError):
            raise
        except Exception as error:
            logger.warning("a job was lost on the dask cluster: %s: %s", type(error), error)
            return Ended(Outcome("lost", 0, str(error), 0.0, 0))
        finally:
            self._hear, self._key = None, ""
            if future is not None:
                future.release()
        return ended

    def close(self) -> None:
        """Leave the cluster; a job under way there is given up."""
        if self._client is not None:
            with contextlib.suppress(OSError, TimeoutError):
                self._client.close(timeout=1.0)
            self._client = None

    def _heard(self, event: tuple[float, Any]) -> None:
        key, line = event[1]
        if (hear := self._hear) is not None and key == self._key:
            hear(line)


def _on_machine(execution: Execution, files_url: str, topic: str) -> Ended:
    """Carry a job out on a machine of the cluster, as long as somebody waits for it."""
    from distributed import get_worker  # here as in `DaskMachines.connect`

    worker = get_worker()
    key = worker.get_current_task()
    reported_at = 0.0

    def over() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing"

    def hear(line: str) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at > HEAR_EVERY_S:
            reported_at = time.monotonic()
            worker.log_event(topic, (key, line))

    with tempfile.TemporaryDirectory(prefix="job-", dir=worker.local_directory) as folder:
        return execution.run(Path(folder), FileStore(files_url), hear=hear, over=over)
