from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

import bl_steer
from bl_steer.server.sandbox.run import sandbox_problem
from tests import fork_server

FAMILY = """
import os, signal, sys, time
from functools import partial
from multiprocessing import get_context
from bl_steer.server.operations import supervisor
from bl_steer.server.operations.supervisor import Supervisor

def tell(word): os.write(1, f"{word}\\n".encode())
def sleep(): tell("asleep"); time.sleep(600)
def fail(): raise SystemExit(1)
def die(): signal.raise_signal(signal.SIGSEGV)
"""
"""Parts share a pipe: each line is a single write, since `print` may write its newline apart."""


class Family:
    """A supervisor in a process of its own, since it forks."""

    def __init__(self, parts: str, then: str = "") -> None:
        code = f"{FAMILY}\ns = Supervisor({parts})\n{then or 's.run()'}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def parts(self) -> dict[str, int]:
        """Process ids by the names that the system shows."""
        return parts_of(self.process.pid)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Family:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def parts_of(pid: int) -> dict[str, int]:
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


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
    with Family("{'a': sleep, 'b': sleep}") as family:
        assert [family.line(), family.line()] == ["asleep", "asleep"]
        before = family.parts
        assert set(before) == {"bl-a", "bl-b"}
        os.kill(before["bl-a"], signal.SIGKILL)
        assert family.line() == "asleep"
        after = family.parts
        assert after["bl-a"] != before["bl-a"]
        assert after["bl-b"] == before["bl-b"]
        family.process.send_signal(signal.SIGINT)
        assert family.process.wait(60.0) == 0
        assert not any(map(alive, after.values()))


@pytest.mark.parametrize("end", ["fail", "die"])
def test_a_part_that_cannot_start_is_tried_less_and_less_often(end: str) -> None:
    then = """
supervisor.LONG_ENOUGH_S = 600.0  # a busy machine may need seconds for a start
waits, part = [], s._parts["a"]
while len(waits) < 3:
    s.step()
    if part.process is None:
        waits.append(part.wait_s)
        part.due = 0.0
    time.sleep(0.01)
print(waits)
"""
    with Family(f"{{'a': {end}}}", then) as family:
        assert family.line() == "[0.2, 0.4, 0.8]"


def test_a_part_that_returns_is_started_again_and_a_task_is_not() -> None:
    parts = "{'a': partial(tell, 'a')}, {'b': partial(tell, 'b'), 'c': fail}"
    with Family(parts) as family:
        said = [family.line() for _ in range(4)]
    assert said.count("a") == 3
    assert said.count("b") == 1


def test_a_task_that_is_killed_is_started_again() -> None:
    with Family("{}, {'a': sleep}") as family:
        assert family.line() == "asleep"
        os.kill(family.parts["bl-a"], signal.SIGKILL)
        assert family.line() == "asleep"


def test_a_part_that_is_ended_as_it_begins_ends_at_once() -> None:
    then = "s.step(); s.end(); print(s._parts['a'].process.exitcode)"
    with Family("{'a': partial(time.sleep, 600)}", then) as family:
        assert family.line() == str(-signal.SIGTERM)  # else it is killed, `GRACE_S` later


def test_parts_import_anew_where_a_fork_is_not_safe() -> None:
    then = "supervisor.CONTEXT = get_context('spawn'); s.step(); time.sleep(600)"
    with Family("{'a': partial(print, 'here', flush=True)}", then) as family:
        assert family.line() == "here"


def test_parts_die_with_a_supervisor_that_is_killed() -> None:
    with Family("{'a': sleep}") as family:
        assert family.line() == "asleep"
        (pid,) = family.parts.values()
        assert alive(pid)
    until(lambda: not alive(pid))


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_one_command_serves_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    words = ["-m", "bl_steer", "serve", "--folder", str(tmp_path), "--port", "0", "--workers", "1"]
    port = free_port()
    words[words.index("0")] = str(port)
    server = fork_server.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # A server is without EPICS, whose threads would not be in the parts that it forks.
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OPHYD_CONTROL_LAYER": "dummy"},
    )
    assert server.stdout is not None
    try:
        assert f"http://127.0.0.1:{port}" in server.stdout.readline()
        link = server.stdout.readline().split()[-1]
        assert httpx.get(f"http://127.0.0.1:{port}/ready", timeout=120).status_code == 200
        assert httpx.get(link, timeout=120).status_code == 200
        names = {"bl-web", "bl-worker 0", "bl-keeper"}  # a part has its own a moment after it began
        until(lambda: set(parts_of(server.pid)) - {"bl-caches"} == names)
        until(lambda: seen_workers(tmp_path / "service.db"))  # it has cleared its folder by then
        children = parts_of(server.pid)
        (worker,) = (tmp_path / "work").iterdir()
        (worker / "job-under-way").mkdir()
        elsewhere = tmp_path.with_name("elsewhere")
        for folder, part, reason in (
            (tmp_path, "worker", "where a server is at work already with its part 'worker'"),
            (elsewhere, "web", f"in use' for 127.0.0.1:{port}; end what listens there"),
        ):
            second = fork_server.run(
                [sys.executable, *words, "--folder", str(folder), "--part", part],
                capture_output=True,
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
        server.wait(60.0)
        server.stdout.close()
    assert not any(map(alive, children.values()))


@pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
def test_a_server_that_is_upgraded_under_way_goes_on_as_it_began(tmp_path: Path) -> None:
    code = tmp_path / "code"
    shutil.copytree(Path(bl_steer.__file__).parent, code / "bl_steer")
    places = os.pathsep.join([str(code), os.environ.get("PYTHONPATH", "")])
    words = ["serve", "--folder", str(tmp_path / "server"), "--port", "0", "--part", "web"]
    server = subprocess.Popen(
        [sys.executable, "-m", "bl_steer", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": places},
    )
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[-4]
        link = server.stdout.readline().split()[-1]
        service = code / "bl_steer" / "server"
        for pattern, new in {"*.html": "{{ new() }}", "*.po": "", "*.py": "raise new"}.items():
            for path in service.rglob(pattern):
                if "migrations" not in path.parts:
                    path.write_text(new)
        shutil.rmtree(service / "web" / "static")
        before = parts_of(server.pid)["bl-web"]
        os.kill(before, signal.SIGKILL)
        until(lambda: parts_of(server.pid).get("bl-web", before) != before)
        patient = {"transport": httpx.HTTPTransport(retries=9), "timeout": 120}
        with httpx.Client(base_url=address, **patient) as client:
            account = {"email": "ann@example.org", "password": "correct horse battery"}
            assert client.post(link, data=account).status_code == 303
            paths = ["/", "/files", "/analyses", "/analyses/advise", "/jobs", "/account", "/api"]
            paths += ["/packages", "/admin", "/admin/users", "/admin/access", "/admin/audit"]
            paths += re.findall('/static/[^"]+', client.get("/").text)
            assert {client.get(one).status_code for one in paths} == {200}
            client.cookies.set("bl_steer_language", "ja")
            assert client.get("/nowhere").status_code == 404
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60.0)
        server.stdout.close()


def seen_workers(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return int(connection.execute("SELECT count(*) FROM workers").fetchone()[0])


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
