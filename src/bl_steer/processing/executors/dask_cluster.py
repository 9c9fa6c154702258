"""Carry out jobs and the parts of large ones on a dask cluster.

The cluster's machines must see the store's folder under the same path, and have bl_steer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from bl_steer.processing.documents import failure_documents
from bl_steer.processing.executors.local_process import LocalProcess
from bl_steer.processing.executors.part_processes import each_result
from bl_steer.processing.job import Job
from bl_steer.protocols import Progress
from bl_steer.store import Document

__all__ = ["DaskCluster", "each_part"]

PARALLEL = 8
CONNECT_S = 30.0


class DaskCluster:
    """A dask cluster as the place where analyses are carried out, each in a process of its own.

    Parameters
    ----------
    address : of the scheduler, e.g. ``"tcp://10.0.0.5:8786"``
    parallel : jobs handed over at a time

    Raises
    ------
    OSError
        When the scheduler does not answer.
    """

    def __init__(self, address: str, *, parallel: int = PARALLEL) -> None:
        # Here, since an analysis on one machine need not wait a second for what it does not use.
        from distributed import Client

        self.parallel = parallel
        self._closed = False
        try:
            self._client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OSError(
                f"the dask scheduler must answer, got {str(error) or type(error).__name__} from "
                f"{address}; check BL_STEER_DASK, or leave it empty to analyse on this machine"
            ) from error

    def execute(
        self, job: Job, *, time_limit_s: float, progress: Progress | None = None
    ) -> list[Document] | None:
        """Carry out a job; the same contract as `LocalProcess.execute`, without progress."""
        future: Any = None
        try:
            # Never pure: to ask again must compute again.
            future = self._client.submit(_alone, job.to_json(), time_limit_s, pure=False)
            documents: list[Document] | None = future.result()
        except BaseException as error:
            if self._closed:
                return None
            reason = f"the dask cluster failed: {type(error).__name__}: {error}"
            return failure_documents(reason, request=job.request)
        finally:
            if future is not None:
                future.release()
        return documents

    def close(self) -> None:
        """Leave the cluster; jobs under way there are given up."""
        self._closed = True
        self._client.close()


def _alone(line: str, time_limit_s: float) -> list[Document] | None:
    """Carry out a job on a machine of the cluster, where Python could not kill a thread."""
    process = LocalProcess()
    try:
        return process.execute(Job.from_json(line), time_limit_s=time_limit_s)
    finally:
        process.close()


def each_part(
    step: Callable[[int], int],
    parts: Sequence[int],
    scheduler: str | None,
    *,
    processes: int | None = None,
) -> Generator[int, None, None]:
    """Do a step for each part of a volume, and yield what each returns as it is done.

    Parameters
    ----------
    scheduler : address of a dask cluster that sees the same files; None works on this machine
    processes : on this machine, as in `bl_steer.processing.executors.part_processes.each_result`

    Raises
    ------
    ConnectionError
        When the scheduler does not answer.
    """
    if scheduler is None:
        for _, result in each_result(step, parts, processes=processes):
            yield result
        return
    from distributed import Client, as_completed  # here for the same reason as above

    try:
        connected = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"a dask cluster must answer at its address, got {error} for {scheduler}; start it, or "
            "leave the address out"
        ) from error
    with connected as client:
        # Never pure: to ask again must compute again.
        futures = client.map(step, list(parts), pure=False)
        for future in as_completed(futures, loop=client.loop):
            yield int(future.result())
