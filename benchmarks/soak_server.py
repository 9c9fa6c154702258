"""Ten minutes of the analysis server at work: does the memory of any of its processes grow?

A whole server (web, two workers, keeper) with SQLite. Four visitors upload, submit, look at pages,
download, share and delete, a round every few seconds each; the resident memory of each process is
read every 10 s after a minute of warm-up. The jobs' own processes do not count: they end. Flat is
a process whose memory in the last third is, in the mean, within 3 % of that in the first third.

    python benchmarks/soak_server.py [--minutes 10] [--out FILE.csv]
    make soak
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import TextIO

import httpx
import numpy as np
from bench_server import answers, wait_until

from bl_steer.server.auth.accounts import add_user, start_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.client import Client
from bl_steer.server.db.database import Database
from bl_steer.server.sandbox.limits import usage_of
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB

PORT = 8871
VISITORS = 4
ROUND_S = 5.0
WARM_UP_S = 60.0
EVERY_S = 10.0
FLAT = 0.03
PAGES = ("/", "/files", "/analyses", "/analyses/advise", "/jobs", "/account", "/api", "/health")
POINTS = b"x,y,value\n" + b"".join(b"%d,%d,%d\n" % (k % 5, k // 5, 7 * k % 50) for k in range(25))


class Visitor(threading.Thread):
    """Somebody at work, with a browser and a program; one job at a time."""

    def __init__(self, address: str, cookie: str, key: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.over = threading.Event()
        self.done: Counter[str] = Counter()
        self.problem: BaseException | None = None
        self._browser = httpx.Client(
            base_url=address, cookies={"bl_steer_session": cookie}, timeout=60.0
        )
        self._program = Client(address, key)
        self._job: str | None = None

    def run(self) -> None:
        try:
            began = time.monotonic()
            while not self.over.wait(max(0.0, began + ROUND_S - time.monotonic())):
                began = time.monotonic()
                self.work()
        except BaseException as error:
            self.problem = error

    def work(self) -> None:
        for page in PAGES:
            self.look(page)
        path = self.folder / "points.csv"
        path.write_bytes(POINTS)
        points = self._program.upload(path)
        path = self.folder / "stack.npy"
        np.save(path, np.zeros((4, 512, 512), np.uint8))
        stack = self._program.upload(path)
        self.done["uploads"] += 2
        self.look(f"/files/{stack}")
        self._program._ask("DELETE", f"/files/{stack}")
        if self._job is None:
            self._job = self._program.submit("advise", [points])["id"]
            self.done["jobs"] += 1
        self.look(f"/jobs/{self._job}")
        job = self._program.job(self._job)
        if job["state"] not in ("queued", "running", "done"):
            raise RuntimeError(f"a job must end well, got {job}")
        if job["state"] == "done":
            self.fetch(self._job)
            self._job = None

    def fetch(self, job: str) -> None:
        self._program.download(job, self.folder / "result")
        zipfile.ZipFile(io.BytesIO(self.look(f"/jobs/{job}/all.zip"))).testzip()
        self.done["downloads"] += 2
        link = self._program.share(job)
        for page in (link, f"{link}/all.zip"):
            self.look(page)
        self.done["shares"] += 1

    def look(self, page: str) -> bytes:
        answer = self._browser.get(page)
        answer.raise_for_status()
        self.done["pages"] += 1
        return answer.content


def parts_of(server: int) -> dict[str, int]:
    """Return the processes of a server by the name of their part."""
    pids = map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())
    names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in pids}
    return {name.removeprefix("bl-"): pid for name, pid in names.items() if name != "bl-caches"}


def sample(
    server: int, minutes: float, out: TextIO | None
) -> tuple[np.ndarray, dict[str, list[float]]]:
    """Return times, min, and the memory of each part then, MiB; each is written as it is taken."""
    parts = parts_of(server)
    if out is not None:
        out.write(",".join(["minute", *parts]) + "\n")
    times: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in parts}
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < 60 * minutes:
        times.append(elapsed / 60)
        for name, pid in parts.items():
            taken[name].append(usage_of([pid]).memory / MIB)
        if out is not None:
            row = [times[-1], *(values[-1] for values in taken.values())]
            out.write(",".join(f"{value:.2f}" for value in row) + "\n")
            out.flush()
        time.sleep(EVERY_S)
    if parts_of(server) != parts:
        raise RuntimeError(f"no part may have been started anew, got {parts_of(server)}")
    return np.array(times), taken


def judge(times: np.ndarray, taken: dict[str, list[float]]) -> bool:
    """Print how each part did; return whether all are flat."""
    print(f"{'MiB':12}{'first third':>12}{'last third':>12}{'growth':>9}{'slope/min':>11}")
    flat = True
    third = len(times) // 3
    for name, values in taken.items():
        first, last = np.mean(values[:third]), np.mean(values[-third:])
        slope = np.polyfit(times, values, 1)[0]
        fine = last / first - 1 <= FLAT
        flat &= bool(fine)
        word = "" if fine else "   grows"
        print(f"{name:12}{first:12.1f}{last:12.1f}{last / first - 1:9.1%}{slope:11.2f}{word}")
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, help="all samples, as CSV")
    chosen = parser.parse_args()
    written = chosen.out.open("w") if chosen.out else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, written as out:
        times, taken = soak(Path(folder), chosen.minutes, out)
    sys.exit(0 if judge(times, taken) else 1)


def soak(
    folder: Path, minutes: float, out: TextIO | None
) -> tuple[np.ndarray, dict[str, list[float]]]:
    """Run a server with visitors, and return what its parts took meanwhile."""
    values = {"FOLDER": folder / "service", "PORT": PORT, "JOB_NICENESS": 0}
    os.environ |= {f"BL_STEER_SERVICE_{name}": str(value) for name, value in values.items()}
    settings = ServerSettings()
    database = Database(settings.database)
    database.create_tables()
    visitors = []
    for number in range(VISITORS):
        with database.write() as session:
            user = add_user(session, f"visitor{number}@example.org", password="long enough")
            key = make_key(session, user, "soak", SCOPES)
            cookie = start_session(session, user, days=1)
        own = folder / str(number)
        own.mkdir()
        visitors.append(Visitor(settings.address, cookie, key, own))
    database.close()
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "bl_steer", "serve"], stdout=log, stderr=log
        )
    try:
        wait_until(answers, "the server must answer")
        for one in visitors:
            one.start()
        time.sleep(WARM_UP_S)
        before = sum((one.done for one in visitors), Counter())
        samples = sample(server.pid, minutes, out)
        done = sum((one.done for one in visitors), Counter()) - before
        for one in visitors:
            one.over.set()
            one.join(60.0)
            if one.problem is not None:
                raise RuntimeError("every request must succeed") from one.problem
        print(f"in {minutes:g} minutes", *(f"{count} {what}" for what, count in done.items()))
        return samples
    except BaseException:
        print((folder / "log").read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(60)


if __name__ == "__main__":
    main()
