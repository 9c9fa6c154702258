"""A real queue server with a real Redis, started as the how-to page does it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bl_steer.runs import RecordsAlone, Run, list_runs, open_run
from bl_steer.session import RunQueue
from tests import fork_server

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "queue_server.md").read_text()
LINES = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.partition("## What JSON says")[0], re.S))
SHELL = LINES["sh"].splitlines()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class QueueServer:
    """Redis and the queue server on loopback, as the how-to page starts them.

    Parameters
    ----------
    startup : what its worker has, by default the simulated beamline
    """

    def __init__(self, folder: Path, startup: str = "from bl_steer.startup import *\n") -> None:
        self.data = folder / "data"
        (folder / "startup").mkdir()
        (folder / "startup" / "00_startup.py").write_text(startup)
        (folder / "startup" / "user_group_permissions.yaml").write_text(LINES["yaml"])
        redis, control, info = free_port(), free_port(), free_port()
        self.address = f"tcp://127.0.0.1:{control}"
        self._log = (folder / "log").open("w")
        started = [shlex.split(line.removesuffix("&")) for line in SHELL if line.endswith("&")]
        ports = [
            ["--port", str(redis), "--dir", os.fspath(folder)],
            [
                f"--redis-addr=127.0.0.1:{redis}",
                f"--zmq-control-addr={self.address}",
                f"--zmq-info-addr=tcp://127.0.0.1:{info}",
            ],
        ]
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "BL_STEER_DATA_DIR": os.fspath(self.data),
            "BL_STEER_SAMPLE": "smooth",
            "BL_STEER_SEED": "1",
            "QSERVER_ZMQ_CONTROL_ADDRESS": self.address,
            "OPHYD_CONTROL_LAYER": "dummy",  # the manager forks its worker, and may have no thread
        }
        self._processes = [
            (fork_server.Popen if command.startswith("start") else subprocess.Popen)(
                [*self.words(command), *options, *more],
                cwd=folder,
                env=self.environment,
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
            for (command, *options), more in zip(started, ports, strict=True)
        ]
        self.queue = RunQueue(self.address, timeout_s=180.0)

    def words(self, command: str) -> list[str]:
        """Return what starts a command of the page; all but Redis are of Python."""
        path = str(shutil.which(command, path=self.environment["PATH"]))
        return [path] if command == "redis-server" else [sys.executable, path]

    def until(self, reached: Callable[[dict[str, Any]], bool], seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while not reached(status := self.queue.call("status")):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)

    def open(self) -> None:
        self.queue.call("environment_open")
        self.until(lambda s: bool(s["worker_environment_exists"]) and s["manager_state"] == "idle")

    def add(self, name: str, *args: Any, **kwargs: Any) -> str:
        item = {"item_type": "plan", "name": name, "args": args, "kwargs": kwargs}
        answer = self.queue.call("queue_item_add", item=item, user="me", user_group="primary")
        return str(answer["item"]["item_uid"])

    def run(self) -> list[dict[str, Any]]:
        """Run the queue to its end; return how each item that it ran ended."""
        known = len(self.history())
        self.queue.call("queue_start")
        self.until(lambda s: s["manager_state"] == "idle")
        return [item["result"] for item in self.history()[known:]]

    def history(self) -> list[dict[str, Any]]:
        return list(self.queue.call("history_get")["items"])

    def stored(self, uid: str | int) -> Run:
        return open_run(RecordsAlone(self.data), uid)

    def uids(self) -> list[str]:
        return [row.uid for row in list_runs(RecordsAlone(self.data))]

    def measuring(self, n_points: int) -> str:
        """Wait until the run that goes on has so many points; return its uid."""
        uids: list[str] = []

        def reached(_: Mapping[str, Any]) -> bool:
            uids[:] = [r["uid"] for r in self.queue.call("re_runs")["run_list"]]
            return bool(uids) and self.stored(uids[0]).n_points >= n_points

        self.until(reached)
        return uids[0]

    def close(self) -> None:
        self.queue.close()
        for process in reversed(self._processes):
            process.terminate()
            process.wait(120.0)
        self._log.close()
