"""The analysis server under SIGKILL: is anything lost, done twice, or told twice?

Web, workers, keeper and the jobs' own processes are killed at random, each of the four as often as
asked for, while jobs are submitted over the REST API and a mail server refuses mails. Once,
everything but the supervisor is killed at the same moment.

    python benchmarks/chaos_server.py --seed 0 --database sqlite
    make chaos        # three seeds on SQLite and PostgreSQL
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
from aiosmtpd.controller import Controller
from sqlalchemy import func, select

from bl_steer.server.auth.accounts import add_user
from bl_steer.server.auth.api_keys import make_key
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, JobOutput, OutgoingMail, Worker
from bl_steer.server.operations.serve import prepare, set_environment
from bl_steer.server.sandbox.limits import process_tree
from bl_steer.server.settings import ServerSettings

PARTS = ("web", "worker", "keeper", "job")
POINTS = "x,y,value\n" + "".join(
    f"{x},{y},{100 - (x - 3) ** 2 - y}\n" for x in range(0, 9, 2) for y in range(0, 9, 2)
)
SLACK_S = 10.0
GIVE_UP_S = 120.0
OPEN = ("queued", "running")


class Mailbox:
    """A mail server that refuses some mails and remembers the others."""

    def __init__(self, refusals: float, seed: int) -> None:
        self.refusals = refusals
        self.rng = random.Random(seed)
        self.refused = 0
        self.taken: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.rng.random() < self.refusals:
            self.refused += 1
            return "451 4.3.0 try again later"
        message = message_from_bytes(envelope.content, policy=default)
        body = message.get_body(("plain",)).get_content()
        self.taken.append((re.findall(r"/jobs/([0-9a-f-]{36})", body)[0], message["Message-ID"]))
        return "250 OK"


class Server:
    """``bl-steer serve``, and its parts by the names that the system shows."""

    def __init__(self, *, log: bool) -> None:
        words = [sys.executable, "-P", "-m", "bl_steer", "serve"]
        where = None if log else subprocess.DEVNULL
        self.process = subprocess.Popen(words, stdout=where, stderr=where)

    def pids(self, part: str = "") -> list[int]:
        """Return the processes of a part, or of all, that live."""
        pid, found = self.process.pid, []
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                name = Path(f"/proc/{child}/comm").read_text()
                if name.startswith(f"bl-{part}") and _lives(int(child)):
                    found.append(int(child))
        return found

    def jobs(self) -> list[int]:
        """Return the processes below the workers."""
        below = [one for pid in self.pids("worker") for one in process_tree(pid)[1:]]
        return [pid for pid in below if _lives(pid)]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60.0)


class Killer(threading.Thread):
    """Kills one process of each part in each slot of time; what lives not then, as soon as it does.

    Parameters
    ----------
    per_minute : slots in a minute
    """

    def __init__(self, server: Server, *, per_minute: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.rng = random.Random(seed)
        self.slot_s = 60.0 / per_minute
        self.active_s = 0.0
        self.killed: Counter[str] = Counter()
        self.idle = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        last = time.monotonic()
        due = {part: self._in_slot(0) for part in PARTS}
        while not self.over.wait(0.02):
            now = time.monotonic()
            if not self.idle.is_set():
                self.active_s += now - last
                for part in PARTS:
                    if self.active_s >= due[part] and self.kill(part):
                        self.killed[part] += 1
                        due[part] = self._in_slot(self.killed[part])
            last = now

    def _in_slot(self, number: int) -> float:
        return self.slot_s * (number + self.rng.random())

    def kill(self, part: str) -> bool:
        chosen = self.server.jobs() if part == "job" else self.server.pids(part)
        return bool(chosen) and _kill(self.rng.choice(chosen))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_all(server: Server, database: Database) -> tuple[float, dict[str, int]]:
    """Kill every part at once; return when, and the attempts of the jobs that were running."""
    for pid in server.pids():
        _kill(pid)
    killed = time.time()
    with database.read() as session:
        query = select(Job.id, Job.attempt).where(Job.state == "running")
        return killed, dict(session.execute(query).tuples().all())


def recovery_s(database: Database, killed: float, running: dict[str, int]) -> float:
    """Wait until each of those jobs is in other hands or done; return how long that took."""
    while time.time() < killed + GIVE_UP_S:
        with database.read() as session:
            query = select(Job.id, Job.attempt, Job.state).where(Job.id.in_(running))
            rows = session.execute(query).all()
        if all(a > running[i] or s not in OPEN for i, a, s in rows):
            return time.time() - killed
        time.sleep(0.1)
    return float("inf")


def submit_all(address: str, key: str, n_jobs: int, done: threading.Event) -> None:
    """Submit jobs as a stubborn program does: again, with the same key, until answered."""
    with httpx.Client(
        base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=5.0
    ) as client:
        upload = _stubborn(
            lambda: client.post("/files", params={"file_name": "p.csv"}, content=POINTS.encode())
        )["id"]
        for number in range(n_jobs):
            wanted = {
                "analysis": "advise",
                "files": [upload],
                "params": {"method": "random", "n_points": 1, "seed": number},
                "mail": True,
                "submission_key": f"chaos-{number}",
            }
            _stubborn(lambda wanted=wanted: client.post("/jobs", json=wanted))
    done.set()


def _stubborn(ask: Any) -> Any:
    while True:
        try:
            answer = ask()
            if answer.status_code < 500 and answer.status_code != 429:
                return answer.raise_for_status().json()
        except httpx.TransportError:
            pass
        time.sleep(0.2)


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "bl_steer" / "server"))
    from postgres import postgres_server  # type: ignore[import-not-found]

    with postgres_server(folder / "pg", durable=True) as url:
        yield url


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run(options: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="bl-chaos-", dir="/tmp"))
    mailbox = Mailbox(options.refusals, options.seed)
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        folder.chmod(0o755)  # PostgreSQL runs as another user
        with database_url(options.database, folder) as url:
            set_environment(
                {
                    "folder": folder / "service",
                    "database_url": url,
                    "port": free_port(),
                    "smtp_host": "127.0.0.1",
                    "smtp_port": controller.port,
                    "lease_s": options.lease,
                    "poll_s": 0.25,
                    "workers": options.workers,
                    "attempts": options.attempts,
                    "job_niceness": 0,  # on a busy machine a yielding job never ends
                    "mail_attempts": 50,
                    "mail_wait_s": 0.5,
                    "quota_jobs": 10 * options.jobs,
                    "rate_per_minute": 1_000_000,
                }
            )
            return _run(options, ServerSettings(), mailbox)
    finally:
        controller.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _run(options: argparse.Namespace, settings: ServerSettings, mailbox: Mailbox) -> dict[str, Any]:
    prepare(settings)
    database = Database(settings.database)
    with database.write() as session:
        user = add_user(session, "chaos@example.org")
        key = make_key(
            session, user, "chaos", ["files:read", "files:write", "jobs:read", "jobs:write"]
        )
    began = time.time()
    server = Server(log=options.log)
    killer = Killer(server, per_minute=options.kills, seed=options.seed)
    submitted = threading.Event()
    threading.Thread(
        target=submit_all, args=(settings.address, key, options.jobs, submitted), daemon=True
    ).start()
    killer.start()
    all_killed = None
    recovery = None
    try:
        while time.time() - began < options.limit:
            time.sleep(0.1)
            open_jobs, n_jobs, unsent = _state(database)
            ended = n_jobs - open_jobs
            if all_killed is None and ended >= options.jobs // 2:
                killer.idle.set()
                all_killed = kill_all(server, database)
                recovery = recovery_s(database, *all_killed)
                killer.idle.clear()
            if submitted.is_set() and n_jobs == options.jobs and not open_jobs:
                killer.over.set()  # the last mails may go in peace, or not: see below
                if not unsent:
                    break
    finally:
        killer.over.set()
        killer.join()
        seconds = time.time() - began
        server.end()
    report = _report(options, database, mailbox)
    report |= {
        "seed": options.seed,
        "database": options.database,
        "seconds": round(seconds, 1),
        "kills": dict(killer.killed),
        "kills_per_minute": {p: round(60 * killer.killed[p] / killer.active_s, 1) for p in PARTS},
        "jobs_running_when_all_was_killed": len(all_killed[1]) if all_killed else None,
        "recovery_s": None if recovery is None else round(recovery, 1),
        "recovery_allowed_s": options.lease + SLACK_S,
        "load": os.getloadavg()[1],
    }
    database.close()
    return report


def _state(database: Database) -> tuple[int, int, int]:
    with database.read() as session:
        open_jobs = session.scalar(select(func.count()).where(Job.state.in_(OPEN)))
        n_jobs = session.scalar(select(func.count()).select_from(Job))
        unsent = session.scalar(
            select(func.count()).where(OutgoingMail.state.in_(("waiting", "sending")))
        )
    return open_jobs or 0, n_jobs or 0, unsent or 0


def _report(options: argparse.Namespace, database: Database, mailbox: Mailbox) -> dict[str, Any]:
    with database.read() as session:
        jobs = session.scalars(select(Job)).all()
        states = Counter(job.state for job in jobs)
        outputs = Counter(session.scalars(select(JobOutput.job_id)))
        ends = session.scalar(select(func.sum(Worker.jobs_done)))
        attempts = Counter(job.attempt for job in jobs)
    per_job: dict[str, set[str]] = {}
    for job_id, message_id in mailbox.taken:
        per_job.setdefault(job_id, set()).add(message_id)
    return {
        "jobs": len(jobs),
        "done": states["done"],
        "lost": options.jobs - states["done"],
        "not_done": [f"{j.state} {j.cause}: {j.message}" for j in jobs if j.state != "done"][:5],
        "results_written": ends,
        "jobs_with_other_than_4_files": sum(outputs[job.id] != 4 for job in jobs),
        "digests": len({job.digest for job in jobs}),
        "attempts": dict(sorted(attempts.items())),
        "jobs_with_a_mail": len(per_job),
        "jobs_with_two_mails": sum(len(ids) > 1 for ids in per_job.values()),
        "mails_delivered_again": len(mailbox.taken) - sum(map(len, per_job.values())),
        "mails_refused": mailbox.refused,
    }


def is_sound(report: dict[str, Any]) -> bool:
    """Return whether nothing was lost, done twice or told twice, and all recovered in time."""
    n = report["jobs"]
    return (
        report["lost"] == 0
        and report["results_written"] == n
        and report["jobs_with_other_than_4_files"] == 0
        and report["digests"] == n
        and report["jobs_with_a_mail"] == n
        and report["jobs_with_two_mails"] == 0
        and report["recovery_s"] is not None
        and report["recovery_s"] <= report["recovery_allowed_s"]
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=float, default=21.0, help="of each part in a minute")
    parser.add_argument("--refusals", type=float, default=0.3)
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=900.0)
    parser.add_argument("--log", action="store_true", help="let the parts write to the screen")
    options = parser.parse_args()
    report = run(options)
    report["sound"] = is_sound(report)
    print(json.dumps(report))
    return 0 if report["sound"] else 1


if __name__ == "__main__":
    sys.exit(main())
