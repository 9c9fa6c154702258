"""Soft IOCs and their clients as processes of their own, on private ports.

The process of the tests stays free of EPICS.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests import fork_server

__all__ = ["PREFIX", "free_ports", "private_environment", "run_client", "serving"]

PREFIX = "SIM:"
LONGEST_S = 1200.0
"""Of a client."""
STEADY = Path(__file__).with_name("steady_ioc.py")


def free_ports(number: int) -> list[int]:
    """Return ports of the loopback that nobody uses, for TCP and UDP.

    They lie below those that the kernel gives to whoever asks for any, so that no test beside this
    one is given them before the IOC has them.
    """
    ports: list[int] = []
    candidates = iter(random.Random().sample(range(20_000, 30_000), 1_000))
    with ExitStack() as stack:
        while len(ports) < number:
            port = next(candidates)
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def private_environment(folder: Path) -> dict[str, str]:
    """Return the environment of an IOC and its clients, on ports of their own.

    Parameters
    ----------
    folder : for what IPython keeps
    """
    server, repeater = free_ports(2)
    return {
        **os.environ,
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(server),
        "EPICS_CA_REPEATER_PORT": str(repeater),
        "EPICS_CA_MAX_ARRAY_BYTES": "10000000",
        "IPYTHONDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }


def run_client(
    command: list[str], environment: dict[str, str], *, typed: str = "", folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a client; fail where it leaves a process behind, such as a repeater, and end that."""
    process = fork_server.Popen(
        command, cwd=folder, env=environment, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            printed, errors = process.communicate(typed, timeout=LONGEST_S)
            assert not (orphans := left_behind(process.pid)), orphans
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


def _session_of(entry: Path) -> int:
    """Return the session that a process of ``/proc`` belongs to; 0 where it has ended."""
    try:
        state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state == "Z" else int(session)


def left_behind(session: int) -> list[str]:
    """Return the commands of a session of processes that do not end within a minute."""
    deadline = time.monotonic() + 60.0
    while True:
        entries = [entry for entry in Path("/proc").glob("[0-9]*") if _session_of(entry) == session]
        if not entries or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    commands = []
    for entry in entries:
        with suppress(OSError):
            commands.append((entry / "cmdline").read_text().replace("\0", " "))
    return commands


@contextmanager
def serving(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    speedup: float,
    steady: bool = False,
    log: Path | None = None,
    start: Callable[..., subprocess.Popen[str]] = fork_server.Popen,
) -> Iterator[subprocess.Popen[str]]:
    """Serve the smooth film, seed 1, from a process of its own; it may be killed meanwhile.

    Parameters
    ----------
    folder : to run in
    steady : without faults of the film's own: its beam does not age, no frame is lost by chance
    log : file for where the stage has been, of a steady one
    start : what starts the process
    """
    command: list[Any] = [sys.executable, "-m", "bl_steer", "ioc", "--sample", "smooth",
                          "--seed", "1", "--prefix", PREFIX, "--speedup", speedup]  # fmt: skip
    if steady:
        command = [sys.executable, STEADY, PREFIX, speedup, *([] if log is None else [log])]
    with start(
        list(map(str, command)), cwd=folder, env=environment, text=True, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 120)[0], (
                "the IOC is not ready after 120 s"
            )
            assert process.stdout.readline().strip() == "READY"
            yield process
        finally:
            process.terminate()
            process.wait(timeout=120)
