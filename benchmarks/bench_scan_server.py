"""What an analysis server costs the scan whose data it analyses: up, down, and hanging.

Run it with ``python benchmarks/bench_scan_server.py [repeats [state …]]``; side by side in one
session: runs that ask for nothing, and runs that ask for ``components``, which a server is to carry
out. A run is 6x6 points on the simulated film. The bound: no more than 50 ms later, and no run
failed. On a busy machine look at the session's processor time, which does not hang on neighbours.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from bench_analysis import ASKING, BOUND_MS, run_ms

from bl_steer.runs import list_runs
from bl_steer.server.auth.accounts import add_user
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.db.database import Database
from bl_steer.server.operations.serve import prepare, set_environment
from bl_steer.server.settings import ServerSettings
from bl_steer.session import Session, open_session


@contextmanager
def up(folder: Path) -> Iterator[tuple[str, str]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    set_environment({"folder": folder, "port": port, "workers": 1})
    settings = ServerSettings()
    prepare(settings)
    database = Database(settings.database)
    with database.write() as session:
        key = make_key(session, add_user(session, "beam@example.org"), "beamline", SCOPES)
    database.close()
    server = subprocess.Popen([sys.executable, "-m", "bl_steer", "serve"])
    try:
        yield settings.address, key
    finally:
        server.terminate()
        server.wait(60.0)


@contextmanager
def down(folder: Path) -> Iterator[tuple[str, str]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{one.getsockname()[1]}", "k"  # bound, but nobody listens


@contextmanager
def hanging(folder: Path) -> Iterator[tuple[str, str]]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(64)
        yield f"http://127.0.0.1:{one.getsockname()[1]}", "k"


STATES = {"up": up, "down": down, "hanging": hanging}


def costs(session: Session, md: dict[str, object]) -> tuple[float, float]:
    """Return milliseconds that a run takes, by the clock and of this process' processor time."""
    began = time.process_time()
    wall = run_ms(session, md)
    return wall, 1e3 * (time.process_time() - began)


def measure(state: str, repeats: int) -> tuple[float, int, int]:
    """Return the delay, ms; the runs that failed; the analyses done by the end of the runs."""
    with tempfile.TemporaryDirectory() as place, STATES[state](Path(place) / "service") as server:
        os.environ["BL_STEER_SERVER"], os.environ["BL_STEER_SERVER_KEY"] = server
        folder = Path(place) / "data"
        with open_session("smooth", seed=1, data_dir=folder, progress=False) as session:
            run_ms(session, ASKING)  # starts the worker, imports everything once
            plain, asking = [], []
            for _ in range(repeats):
                plain.append(costs(session, {}))
                asking.append(costs(session, ASKING))
            session.wait_for_analyses(120.0 if state == "up" else 0.0)
            rows = list_runs(session.store)
    scans = [row for row in rows if not row.analysis]
    failed = sum(row.status != "success" for row in scans)
    done = sum(row.status == "success" for row in rows) - len(scans) + failed
    wall, cpu = (np.array(asking) - np.array(plain)).T
    low, median, high = np.percentile(wall, [10, 50, 90])
    print(
        f"server {state:8s} a run: {np.median(np.array(plain)[:, 0]):.0f} ms; later by "
        f"{median:.1f} ms median, {low:.1f} … {high:.1f} (10 … 90 %); processor time of the "
        f"session {np.median(cpu):+.1f} ms; {failed} runs failed, {done} analyses done"
    )
    return float(median), failed, done


def main(repeats: int, states: list[str]) -> int:
    logging.getLogger("bl_steer").setLevel(logging.ERROR)
    found = [measure(state, repeats) for state in states]
    sound = all(delay < BOUND_MS and not failed for delay, failed, _ in found)
    print(f"bound {BOUND_MS:g} ms: {'kept' if sound else 'BROKEN'}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15, sys.argv[2:] or list(STATES)))
