"""How quickly the analysis server answers: health, submitting, history; while two jobs run.

A whole server (web, workers, keeper) with SQLite and full sync, and 20 connections that are kept
open. Asks for: submits at 5 % of the health route's rate or more, 95 % of them within 250 ms;
the history page of a user with 100,000 jobs within 150 ms. What else the machine does disturbs all
of these; the last column does not hang on it much: processor time of the web process a request.

    python benchmarks/bench_server.py [--seconds 10] [--jobs 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import func, insert, select

from bl_steer.server.auth.accounts import add_user, start_session
from bl_steer.server.auth.api_keys import SCOPES, make_key
from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Job, User, new_id
from bl_steer.server.sandbox.limits import process_tree
from bl_steer.server.settings import ServerSettings

CONNECTIONS = 20
PORT = 8871


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def load(make: object, seconds: float, connections: int = CONNECTIONS) -> np.ndarray:
    """Return how long each request took, s; all must succeed."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        while (began := time.perf_counter()) < end:
            status, body = await ask(reader, writer, make())  # type: ignore[operator]
            assert status < 300, body[:300]
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return np.array(took)


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def measure_load(
    name: str, web: int, make: object, seconds: float, connections: int = CONNECTIONS
) -> float:
    """Put load on the server, print how it did, and return the rate, 1/s."""
    before = cpu_ms(web)
    took = asyncio.run(load(make, seconds, connections))
    cpu = (cpu_ms(web) - before) / len(took)
    rate = len(took) / seconds
    p50, p95 = 1000 * np.percentile(took, [50, 95])
    print(f"{name:40}{rate:9.1f} /s{p50:9.1f} ms{p95:9.1f} ms{cpu:9.2f} ms", flush=True)
    return rate


def cpu_ms(pid: int) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def web_of(server: int) -> int:
    """Return the process of a server that serves requests."""
    return next(
        pid
        for pid in process_tree(server)
        if Path(f"/proc/{pid}/comm").read_text().strip() == "bl-web"
    )


def wait_until(test: object, what: str, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not test():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.2)


async def one_answer(wanted: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        return await ask(reader, writer, wanted)
    finally:
        writer.close()


def answers() -> bool:
    try:
        return asyncio.run(one_answer(request("GET", "/health")))[0] == 200
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=100_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.seconds, chosen.jobs)


def measure(folder: Path, seconds: float, n_jobs: int) -> None:
    values = {"FOLDER": folder, "PORT": PORT, "RATE_PER_MINUTE": 10**7, "QUOTA_JOBS": 10**7}
    environment = {f"BL_STEER_SERVICE_{name}": str(value) for name, value in values.items()}
    os.environ |= environment
    settings = ServerSettings()
    database = Database(settings.database)
    database.create_tables()
    with database.write() as session:
        user = add_user(session, "bench@example.org", password="long enough")
        key = make_key(session, user, "bench", SCOPES)
        cookie = start_session(session, user, days=1)
    command = [sys.executable, "-m", "bl_steer", "serve"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
    try:
        wait_until(answers, "the server must answer")
        signed = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
        stack = np.random.default_rng(0).integers(0, 255, (12, 96, 96), np.uint8)
        np.save(folder / "stack.npy", stack)
        points = b"x,y,value\n" + b"".join(b"%d,%d,%d\n" % (k % 5, k // 5, k) for k in range(25))
        stack_id, points_id = (
            upload(name, body, signed)
            for name, body in (
                ("stack.npy", (folder / "stack.npy").read_bytes()),
                ("points.csv", points),
            )
        )
        long = {"pitch_nm": 50, "pixel_size_nm": 10, "steps": 100_000}
        for _ in range(2):
            asyncio.run(one_answer(submit("superres", stack_id, long, signed)))
        wait_until(lambda: running(database) == 2, "two jobs must run")
        print(f"{CONNECTIONS} connections{'rate':>37}{'median':>12}{'95 %':>12}{'CPU':>12}")
        web = web_of(server.pid)
        health_rate = measure_load("health", web, lambda: request("GET", "/health"), seconds)
        wanted = submit("advise", points_id, {}, signed)
        submit_rate = measure_load("submit, full sync", web, lambda: wanted, seconds)
        assert running(database) == 2, "two jobs must run to the end"
        fill_history(database, user, points_id, n_jobs)
        page = request("GET", "/jobs", Cookie=f"bl_steer_session={cookie}")
        measure_load(f"history of {n_jobs:,} jobs, 1 connection", web, lambda: page, seconds, 1)
        print(f"submits are {100 * submit_rate / health_rate:.1f} % of the health route's rate")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        database.close()


def upload(name: str, body: bytes, signed: dict[str, str]) -> str:
    wanted = request("POST", f"/api/v1/files?file_name={name}", body, **signed)
    status, answer = asyncio.run(one_answer(wanted))
    assert status == 201, answer
    return str(json.loads(answer)["id"])


def submit(analysis: str, file: str, params: dict[str, object], signed: dict[str, str]) -> bytes:
    body = json.dumps({"analysis": analysis, "files": [file], "params": params}).encode()
    return request("POST", "/api/v1/jobs", body, **signed)


def running(database: Database) -> int:
    with database.read() as session:
        query = select(func.count()).select_from(Job).where(Job.state == "running")
        return session.scalar(query) or 0


def fill_history(database: Database, user: User, upload_id: str, n_jobs: int) -> None:
    now = time.time()
    rows = [
        {
            "id": new_id(),
            "user_id": user.id,
            "analysis": "advise",
            "params": {},
            "upload_ids": [upload_id],
            "state": "done",
            "created": now - 1000.0 - count,
            "started": now - 1000.0 - count,
            "finished": now - 999.0 - count,
        }
        for count in range(n_jobs)
    ]
    for start in range(0, n_jobs, 10_000):
        with database.write() as session:
            session.execute(insert(Job), rows[start : start + 10_000])


if __name__ == "__main__":
    main()
