"""The parts of a long computation, in processes of this machine beside one another.

Each part is computed in one thread by the same code, so that the results are the same bit for bit
in any number of processes. `bl_steer.processing.executors.dask_cluster` is the sibling for many
machines.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, TypeVar

from bl_steer.processing.executors.local_process import cause_of, worker_environment
from bl_steer.settings import Settings
from bl_steer.single_thread import single_thread

__all__ = ["each_result", "usable_processes"]

MODULE = "bl_steer.processing.executors.part_processes"
COMMAND = (sys.executable, "-P", "-X", "faulthandler", "-m", MODULE)
WORTH_S = 30.0
"""Processor time of what is left to do, below which no process is started: each loads for some 5 s
what it computes with."""
ROOM = 2 * 2**30
"""Memory that a process may need, bytes."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")

Part = TypeVar("Part")
Result = TypeVar("Result")


def usable_processes() -> int:
    """Return in how many processes to compute: ``BL_STEER_PROCESSES``, or one a usable core.

    Usable is what affinity and the quota of a control group leave, with 2 GiB of memory for each.
    """
    if (told := Settings().processes) is not None:
        return told
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # no such file, or no limit: "max"
        share, period = QUOTA.read_text().split()
        cores = min(cores, int(share) // int(period))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(cores, memory // ROOM))


def each_result(
    step: Callable[[Any], Result],
    parts: Sequence[Part],
    *,
    load: Callable[[Part], Any] | None = None,
    processes: int | None = None,
    apart: bool = False,
) -> Generator[tuple[int, Result], None, None]:
    """Do a step for each part; yield the number of a part and its result as it is done.

    Parameters
    ----------
    step : a function of a module, or a ``partial`` of one: it is pickled, with what it returns
    parts : what is to be done
    load : gives what the step gets of a part, when its turn comes; the part itself by default
    processes : how many; by default those of `usable_processes` where the first part, which is done
        in this one, shows that there is enough to do
    apart : none in this process, even if one is enough, so that the memory of what it loads and
        leaves behind goes with it; where ``BL_STEER_PROCESSES`` is 1, here all the same

    Raises
    ------
    RuntimeError
        When one of the processes dies. What a step raises is raised here.

    Notes
    -----
    Where no process can be started, this one does all. None outlives the iteration, or this one.
    """
    given = load or _itself
    waiting = deque(enumerate(parts))
    apart = apart and Settings().processes != 1
    if processes is None and waiting and not apart:
        began = time.process_time()
        number, part = waiting.popleft()
        result = step(given(part))
        is_long = (time.process_time() - began) * len(waiting) > WORTH_S
        processes = usable_processes() if is_long else 1
        yield number, result
    count = min(processes or 1, len(waiting))
    with _started(step, count if count > 1 or apart else 0) as workers:
        while workers and (waiting or any(worker.number is not None for worker in workers)):
            for worker in _heard(workers):
                done = worker.number
                try:
                    answer = worker.answer()
                except (EOFError, OSError):
                    workers.remove(worker)
                    if not worker.is_ready:
                        continue  # it could not begin: the others do its parts, or this process
                    raise worker.lost() from None
                if waiting:
                    worker.number, part = waiting.popleft()
                    worker.send(given(part))
                if done is not None:
                    yield done, answer
    for number, part in waiting:
        yield number, step(given(part))


def _itself(part: Any) -> Any:
    return part


def _heard(workers: list[_Worker]) -> list[_Worker]:
    """Return the workers that have answered, or died; wait for the first."""
    connections = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in connections]


class _Worker:
    """A process that does one part at a time."""

    def __init__(self) -> None:
        self.number: int | None = None
        """Of the part under way."""
        self.is_ready = False
        self.connection, theirs = Pipe()
        try:
            self._process = subprocess.Popen(
                [*COMMAND, str(theirs.fileno())],
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.DEVNULL,
                env=worker_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()

    def send(self, given: Any) -> None:
        # Not `Connection.send`: torch would have its tensors shared, in files of /dev/shm.
        self.connection.send_bytes(pickle.dumps(given, protocol=5))

    def answer(self) -> Any:
        """Return the result of the part under way; nothing where it tells that it can begin."""
        error, result = pickle.loads(self.connection.recv_bytes())
        self.is_ready, self.number = True, None
        if error is not None:
            raise error
        return result

    def lost(self) -> RuntimeError:
        return RuntimeError(
            "the processes of a computation must live, got the end of one by "
            f"{cause_of(self._process.wait())}; BL_STEER_PROCESSES=1 computes in one"
        )

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self.connection.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextmanager
def _started(step: Callable[[Any], Any], processes: int) -> Iterator[list[_Worker]]:
    """Start processes, fewer where the system allows no more; end them at last."""
    started: list[_Worker] = []
    try:
        with suppress(OSError):  # as many as the system allows
            started.extend(_Worker() for _ in range(processes))
        for worker in started:
            with suppress(OSError):  # it has ended already: no answer will come
                worker.send(step)
        yield list(started)
    finally:
        for worker in started:
            worker.end()


def main() -> None:
    """Do the parts that come through the connection whose number is the argument."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    step = pickle.loads(connection.recv_bytes())
    with single_thread():
        connection.send_bytes(pickle.dumps((None, None)))
        while True:
            try:
                given = pickle.loads(connection.recv_bytes())
            except EOFError:
                return
            connection.send_bytes(_done(step, given))


def _done(step: Callable[[Any], Any], given: Any) -> bytes:
    try:
        return pickle.dumps((None, step(given)), protocol=5)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))  # some can be written and not read
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return pickle.dumps((error, None))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
