"""Keep the parts of the server running: what dies is started again, and all end together."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

__all__ = ["Supervisor", "die_with_parent"]

PARENT = "BL_STEER_SERVICE_PARENT"
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
LONG_ENOUGH_S = 2.0
"""What lived so long did not die of its start: it is started again at once."""
GRACE_S = 8.0
PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


def die_with_parent() -> None:
    """Have this process killed when the supervisor that started it dies, however that dies."""
    parent = int(os.environ.get(PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        os._exit(1)


@dataclass
class _Part:
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    wait_s: float = FIRST_WAIT_S
    due: float = 0.0


class Supervisor:
    """Run commands side by side, each started again when it ends.

    Parameters
    ----------
    parts : command of each part, by its name
    """

    def __init__(self, parts: Mapping[str, Sequence[str]]) -> None:
        self._parts = {name: _Part(command) for name, command in parts.items()}
        self._stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the parts that run."""
        return {
            name: part.process.pid
            for name, part in self._parts.items()
            if part.process is not None and part.process.poll() is None
        }

    def run(self, each: Callable[[], None] = lambda: None) -> None:
        """Run the parts until SIGTERM or Ctrl-C, then end them all.

        Parameters
        ----------
        each : called after each look at the parts, some ten times in a second
        """

        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        try:
            while not self._stopping:
                self.step()
                each()
                time.sleep(0.1)
            logger.info("stopping …")
        finally:
            self.end()

    def step(self) -> None:
        """Start what does not run."""
        now = time.monotonic()
        for name, part in self._parts.items():
            if part.process is not None and part.process.poll() is not None:
                lived = now - part.began
                logger.warning(
                    "%s ended (%s) after %.1f s; it is started again",
                    name,
                    part.process.returncode,
                    lived,
                )
                quick = lived < LONG_ENOUGH_S
                part.wait_s = min(LONGEST_WAIT_S, 2 * part.wait_s) if quick else FIRST_WAIT_S
                part.process, part.due = None, now + part.wait_s
            if part.process is None and now >= part.due:
                part.process, part.began = _start(part.command), now

    def end(self) -> None:
        """End all parts: first as they like, then at once."""
        running = [p.process for p in self._parts.values() if p.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, PARENT: str(os.getpid())},
        start_new_session=True,  # Ctrl-C reaches the supervisor, which ends the parts in order
    )
