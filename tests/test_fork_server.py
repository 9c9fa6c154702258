"""What is forked begins, speaks and ends as a new process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import fork_server

TOLD = """
import os, signal, sys
print(sys.argv, sys.path[0], __name__, os.getcwd(), dict(os.environ), sys.stdin.read())
print(signal.getsignal(signal.SIGINT), os.getppid(), os.getsid(0) == os.getpid())
print(sorted(os.listdir("/proc/self/fd")), file=sys.stderr)
"""
ENDS = ["0", "sys.exit(3)", "sys.exit('why')", "os.kill(os.getpid(), 9)", "sys.exit(True)"]


@pytest.mark.parametrize("new_session", [False, True])
@pytest.mark.parametrize("way", ["-c", "-m", "script"])
def test_a_process_has_what_it_is_started_with(way: str, new_session: bool, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(TOLD)
    words = {"-c": ["-c", TOLD], "-m": ["-m", "told"], "script": ["told.py"]}[way]
    options: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {"OPHYD_CONTROL_LAYER": "dummy", "LC_ALL": "C.UTF-8", "A": "é"},
        "input": "typed",
        "capture_output": True,
        "start_new_session": new_session,
        "check": True,
    }
    forked = fork_server.run([sys.executable, *words, "word"], **options)
    new = subprocess.run([sys.executable, *words, "word"], text=True, **options)
    assert (forked.stdout, forked.stderr) == (new.stdout, new.stderr)
    assert str(os.getpid()) in forked.stdout


@pytest.mark.parametrize("code", ENDS)
def test_a_process_ends_with_its_status(code: str) -> None:
    words = [sys.executable, "-c", f"import os, sys; {code}"]
    forked = fork_server.run(words, capture_output=True)
    new = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (forked.returncode, forked.stderr) == (new.returncode, new.stderr)


def test_ctrl_c_interrupts_a_process() -> None:
    code = "import time; print(1, flush=True); time.sleep(60)"
    with fork_server.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120.0)
    assert errors.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT
