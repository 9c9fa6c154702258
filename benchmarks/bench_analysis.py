"""What an analysis costs the run that asks for it, and the run that is measured beside it.

Run it with ``python benchmarks/bench_analysis.py [repeats]``; side by side: runs that ask for
nothing, runs that ask for ``components``, and runs measured while that analysis goes on. A run is
6×6 points on the simulated film. The bound: a request delays its run by less than 50 ms.
"""

import logging
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
import time
from queue import SimpleQueue

import numpy as np

from bl_steer.agents import Space
from bl_steer.processing.callback import FollowRuns
from bl_steer.session import Session, open_session

BOUND_MS = 50.0
GRID = Space.grid(np.linspace(0.0, 150.0, 6), np.linspace(0.0, 150.0, 6))
ASKING = {"analyses": ["components"]}


def run_ms(session: Session, md: dict[str, object]) -> float:
    """Return milliseconds from the plan's start to RE's return."""
    began = time.perf_counter()
    session.run(session.map_sample(grid=GRID, md=md))
    return 1e3 * (time.perf_counter() - began)


def callback_us() -> float:
    """Return the median microseconds that the callback takes at a stop document."""
    queue: SimpleQueue[object] = SimpleQueue()
    follow, times = FollowRuns(queue.put), []
    for i in range(1000):
        follow("start", {"uid": f"u{i}", **ASKING})
        began = time.perf_counter()
        follow("stop", {"run_start": f"u{i}", "exit_status": "success"})
        times.append(time.perf_counter() - began)
    return 1e6 * float(np.median(times))


def report(label: str, times: np.ndarray) -> None:
    low, median, high = np.percentile(times, [10, 50, 90])
    print(f"{label:44s}{median:9.1f} ms median {low:9.1f} … {high:.1f} (10 … 90 %)")


def main(repeats: int) -> int:
    logging.getLogger("bl_steer").setLevel(logging.ERROR)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session("smooth", seed=1, data_dir=folder, progress=False) as session,
    ):
        run_ms(session, ASKING)  # starts the worker, imports everything once
        session.wait_for_analyses(120.0)
        plain, asking = [], []
        for _ in range(repeats):  # alternately: the machine's mood is the same for both
            plain.append(run_ms(session, {}))
            asking.append(run_ms(session, ASKING))
            session.wait_for_analyses(120.0)
        uid = next(iter(session.store.catalog))  # the first run
        beside = []
        for _ in range(repeats):
            future = session.analyse(uid, "components")
            while not future.done() and len(beside) < 10 * repeats:
                beside.append(run_ms(session, {}))
        session.wait_for_analyses(120.0)
        rows = [np.array(rows) for rows in (plain, asking, beside)]
        report("run that asks for nothing", rows[0])
        report("run that asks for components", rows[1])
        report(f"run while components are computed (n={len(beside)})", rows[2])
        print(f"callback at a stop document: {callback_us():.1f} µs")
        delay = float(np.median(rows[1] - rows[0]))
        print(f"delay of a run by its own request: {delay:.1f} ms (bound {BOUND_MS:g} ms)")
        return int(delay > BOUND_MS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8))
