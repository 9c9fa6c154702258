from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bl_steer.service.sandbox import sandbox_problem
from bl_steer.service.supervisor import Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
FAMILY = (
    "import sys, time; from bl_steer.service.supervisor import Supervisor\n"
    "code = 'from bl_steer.service.supervisor import die_with_parent as d; d();"
    " import time; print(1, flush=True); time.sleep(600)'\n"
    "s = Supervisor({'a': [sys.executable, '-c', code]}); s.step()\n"
    "print(s.pids['a'], flush=True)\n"
    "time.sleep(600)"
)


def until(what: Callable[[], object], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_part_that_dies_is_started_again_and_all_end_together() -> None:
    supervisor = Supervisor({"a": SLEEPER, "b": SLEEPER})
    try:
        supervisor.step()
        before = supervisor.pids
        os.kill(before["a"], signal.SIGKILL)
        until(lambda: "a" not in supervisor.pids)

        def again() -> bool:
            supervisor.step()
            return "a" in supervisor.pids

        until(again)
        assert supervisor.pids["a"] != before["a"]
        assert supervisor.pids["b"] == before["b"]
    finally:
        running = supervisor.pids.values()
        supervisor.end()
    assert not any(map(alive, running))


def test_a_part_that_cannot_start_is_tried_less_and_less_often() -> None:
    supervisor = Supervisor({"a": [sys.executable, "-c", "raise SystemExit(1)"]})
    part = supervisor._parts["a"]
    waits = []
    try:
        while len(waits) < 3:
            supervisor.step()
            if part.process is None:
                waits.append(part.wait_s)
                part.due = 0.0
            time.sleep(0.01)
    finally:
        supervisor.end()
    assert waits == [0.2, 0.4, 0.8]


def test_parts_die_with_a_supervisor_that_is_killed() -> None:
    family = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert family.stdout is not None
    pid = int(family.stdout.readline())
    assert family.stdout.readline() == "1\n"
    assert alive(pid)
    family.kill()
    family.wait()
    family.stdout.close()
    until(lambda: not alive(pid), seconds=5.0)


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_one_command_serves_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    words = ["-m", "bl_steer", "serve", "--folder", str(tmp_path), "--port", "0", "--workers", "1"]
    port = free_port()
    words[words.index("0")] = str(port)
    server = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    try:
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        link = server.stdout.readline().split()[-1]
        assert httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
        assert httpx.get(link).status_code == 200
        until(lambda: (tmp_path / "work").is_dir())
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        assert len(children) == 3
        (worker,) = (tmp_path / "work").iterdir()
        (worker / "job-under-way").mkdir()
        elsewhere = tmp_path.with_name("elsewhere")
        for folder, part, reason in (
            (tmp_path, "worker", "a server's folder must have one worker part on a machine"),
            (elsewhere, "web", f"in use' for 127.0.0.1:{port}; end what listens there"),
        ):
            second = subprocess.run(
                [sys.executable, *words, "--folder", str(folder), "--part", part],
                capture_output=True,
                text=True,
                timeout=60.0,
            )
            assert second.returncode == 2
            assert second.stdout == ""
            assert reason in second.stderr
            assert second.stderr.count("\n") == 1
        assert (worker / "job-under-way").is_dir()
        assert (tmp_path / "service.db").exists()
        assert tmp_path.stat().st_mode & 0o077 == 0
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30.0)
        server.stdout.close()
    assert not any(alive(int(pid)) for pid in children)


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
