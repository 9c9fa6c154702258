from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bl_steer.server.sandbox import run as run_module
from bl_steer.server.sandbox import watching
from bl_steer.server.sandbox.cgroup import process_cgroup
from bl_steer.server.sandbox.limits import Limits
from bl_steer.server.sandbox.run import Outcome, SandboxMissing, run_in_sandbox, sandbox_problem
from bl_steer.server.settings import ServerSettings
from bl_steer.server.sizes import MIB

needs_sandbox = pytest.mark.skipif(bool(sandbox_problem()), reason=sandbox_problem() or "-")
LIMITS = Limits(time_s=60.0, memory=200 * MIB, disk=20 * MIB, processes=30, files=200, niceness=0)


def run(code: str, folder: Path, **options: object) -> Outcome:
    folder.mkdir(exist_ok=True)
    given = {"limits": LIMITS, "readable": {}, "writable": folder, **options}
    return run_in_sandbox([sys.executable, "-c", code], **given)


@needs_sandbox
@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("pass", "ok"),
        ("import os; os.fork() or None\na = [bytearray(b'x') * 180_000_000]; input()", "memory"),
        ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", "processes"),
        (
            "import threading, time\nfor _ in range(99):\n"
            "  threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\ntime.sleep(9)",
            "processes",
        ),
        ("for n in range(99):\n  open(str(n), 'wb').write(b'x' * 10**6)\ninput()", "disk"),
        (
            "import os\nfiles = []\nfor n in range(50):\n  f = open('a', 'wb'); os.unlink('a')\n"
            "  f.write(b'x' * 10**6); f.flush(); files.append(f)\nimport time; time.sleep(60)",
            "disk",
        ),
        ("for n in range(999):\n  open(str(n), 'wb')\nimport time; time.sleep(60)", "disk"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        ("raise SystemExit(3)", "crashed"),
        ("import os; os.kill(os.getpid(), 9)", "lost"),
    ],
)
def test_each_end_has_its_cause(tmp_path: Path, code: str, cause: str) -> None:
    waiting = code.replace("input()", "import time; time.sleep(60)")
    outcome = run(waiting, tmp_path / "out")
    assert outcome.cause == cause, outcome
    assert outcome.seconds < 50


@needs_sandbox
def test_a_processor_hog_ends_at_its_time_with_all_its_children(tmp_path: Path) -> None:
    code = f"import os\nfor _ in range(3): os.fork()\nwhile True: 'of a hog {os.getpid()}'"
    outcome = run(code, tmp_path / "out", limits=Limits(time_s=1.0, memory=200 * MIB))
    assert outcome.cause == "time"
    assert left_running(f"of a hog {os.getpid()}") == []


@needs_sandbox
def test_a_sandbox_that_cannot_be_set_up_is_no_fault_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PAUSES_S", (0.01, 0.01))
    mounted = {Path("/job/in"): tmp_path / "gone"}
    outcome = run("raise SystemExit(1)", tmp_path / "out", readable=mounted)
    assert (outcome.cause, outcome.status) == ("lost", 1), outcome
    assert "Can't find source path" in outcome.last_words
    (tmp_path / "gone").mkdir()
    outcome = run("raise SystemExit(1)", tmp_path / "out", readable=mounted)
    assert (outcome.cause, outcome.status) == ("crashed", 1), outcome


@needs_sandbox
def test_a_program_is_begun_again_when_what_its_sandbox_shows_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone, said = tmp_path / "gone", []
    pause = SimpleNamespace(sleep=lambda _: gone.mkdir())
    monkeypatch.setattr(run_module, "time", pause)
    outcome = run(
        "print(input())",
        tmp_path / "out",
        readable={Path("/job/in"): gone},
        stdin=b"task\n",
        on_line=said.append,
    )
    assert (outcome.cause, said) == ("ok", ["task"]), outcome
    assert "a sandbox could not be set up: bwrap: Can't find source path" in caplog.text


HOGS = {
    "memory": "a = []\nwhile True: a.append(bytearray(b'x') * 10**7)",
    "time": "import os\nfor _ in range(4): os.fork()\nwhile True: pass",
    "disk": "n = 0\nwhile True:\n  n += 1; open(str(n), 'wb').write(b'x' * 10**6)",
    "processes": "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass",
}


@needs_sandbox
@pytest.mark.parametrize("cause", HOGS)
def test_the_neighbour_of_a_hog_is_untouched(tmp_path: Path, cause: str) -> None:
    outcomes: dict[str, Outcome] = {}
    time_s = 3.0 if cause == "time" else 60.0
    limits = Limits(time_s, 200 * MIB, 20 * MIB, 30, niceness=0)

    def hog() -> None:
        outcomes["hog"] = run(HOGS[cause], tmp_path / "hog", limits=limits)

    thread = threading.Thread(target=hog)
    thread.start()
    code = "print(sum(n * n for n in range(10**6))); open('f', 'wb').write(b'x' * 10**6)"
    lines: list[str] = []
    neighbour = run(code, tmp_path / "neighbour", on_line=lines.append)
    thread.join()
    # A memory hog may be refused by the kernel before it is seen from outside.
    refused = cause == "memory" and "MemoryError" in outcomes["hog"].last_words
    assert outcomes["hog"].cause == cause or refused, outcomes["hog"]
    assert (neighbour.cause, lines) == ("ok", ["333332833333500000"]), neighbour


@needs_sandbox
def test_a_cancel_ends_the_process_and_its_children_long_before_they_would(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "for _ in range(3):\n  os.fork()\n  os.setsid() if os.getpid() != os.getsid(0) else None\n"
        f"print('up', flush=True)\ntime.sleep(300)  # cancelled by {os.getpid()}"
    )
    asked = threading.Event()
    times: list[float] = []

    def hear(line: str) -> None:
        times.append(time.monotonic())
        asked.set()

    outcome = run(code, tmp_path / "out", on_line=hear, cancelled=asked.is_set)
    ended = time.monotonic()
    assert outcome.cause == "cancelled"
    assert ended - times[0] < 30.0  # of 300
    assert left_running(f"cancelled by {os.getpid()}") == []


@needs_sandbox
def test_a_job_dies_with_its_worker(tmp_path: Path) -> None:
    inner = f"import time; print('up', flush=True); time.sleep(300)  # beside {os.getpid()}"
    outer = (
        "import sys; from pathlib import Path\n"
        "from bl_steer.server.sandbox.run import run_in_sandbox\n"
        "from bl_steer.server.sandbox.limits import Limits\n"
        f"run_in_sandbox([sys.executable, '-c', {inner!r}], readable={{}},\n"
        f"  writable=Path({str(tmp_path)!r}), limits=Limits(),\n"
        "  on_line=lambda line: print(line, flush=True))"
    )
    worker = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "up\n"
    assert marked(f"beside {os.getpid()}", but=worker.pid)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert left_running(f"beside {os.getpid()}") == []


@needs_sandbox
def test_there_is_no_network_no_secret_and_nothing_to_write_but_one_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the database's password")
    given = tmp_path / "given.txt"
    given.write_text("data")
    code = f"""
import os, socket
from pathlib import Path
def tried(do):
    try: do()
    except Exception as error: print(type(error).__name__)
    else: print('DONE')
tried(lambda: socket.create_connection(('127.0.0.1', 80), 1))
tried(lambda: socket.getaddrinfo('example.org', 80))
tried(lambda: open({str(secret)!r}))
tried(lambda: open('/etc/passwd'))
tried(lambda: open('/usr/evil', 'w'))
tried(lambda: open('/job/in/0000/given.txt', 'w'))
tried(lambda: os.setuid(0))
for place in ('/evil', '/job/evil', '/dev/evil', '/etc/evil', '/usr/evil'):
    tried(lambda: os.mkdir(place))
tried(lambda: open('/dev/shm/a', 'wb').write(b'x' * 80_000_000))
tried(lambda: open('/tmp/a', 'wb').write(b'x' * 80_000_000))
print(Path('/job/in/0000/given.txt').read_text())
print('SECRET' in os.environ, os.getuid(), sorted(os.listdir('/job')))
open('mine', 'w').write('x')
print(len([p for p in os.listdir('/proc') if p.isdigit()]) < 5)
"""
    lines: list[str] = []
    os.environ["SECRET"] = "x"
    try:
        outcome = run(
            code,
            tmp_path / "out",
            readable={Path("/job/in/0000/given.txt"): given},
            on_line=lines.append,
        )
    finally:
        del os.environ["SECRET"]
    assert outcome.cause == "ok", outcome.last_words
    assert "DONE" not in lines
    assert lines[-3:] == ["data", "False 65534 ['in', 'out']", "True"]
    assert (tmp_path / "out" / "mine").read_text() == "x"


@needs_sandbox
def test_numbers_are_computed_by_the_machine_code_that_the_server_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "-")
    code = "import json, os; json.dump(dict(os.environ), open('seen', 'w'))"
    assert run(code, tmp_path / "out").cause == "ok"
    seen = json.loads((tmp_path / "out" / "seen").read_text())
    assert seen["OPENBLAS_CORETYPE"] == "Nehalem"
    assert "SECRET_OF_THE_SERVER" not in seen


@needs_sandbox
def test_a_job_computes_in_processes_beside_one_another_within_its_limits(tmp_path: Path) -> None:
    settings = ServerSettings(folder=tmp_path, job_cores=2, job_processes=9, job_niceness=0)
    code = """
import math
from bl_steer.processing.executors.part_processes import each_result, usable_processes
print(usable_processes(), sorted(each_result(math.factorial, [3, 5, 4], processes=2)))
"""
    said: list[str] = []
    outcome = run(
        code,
        tmp_path / "out",
        limits=Limits.of(settings),
        environment={"BL_STEER_PROCESSES": str(Limits.of(settings).cores)},
        on_line=said.append,
    )
    assert outcome.cause == "ok", outcome
    assert said == ["2 [(0, 6), (1, 120), (2, 24)]"]
    assert Limits.of(settings.model_copy(update={"job_processes": 3})).cores == 1


@needs_sandbox
def test_a_folder_below_a_readable_one_can_be_hidden(tmp_path: Path) -> None:
    import bl_steer

    inside = Path(bl_steer.__file__).parent / "models"
    lines: list[str] = []
    code = f"import os; print(os.listdir({str(inside)!r}))"
    run(code, tmp_path / "out", hidden=[inside], on_line=lines.append)
    assert lines == ["[]"]


@needs_sandbox
def test_what_a_program_says_is_cut_to_size(tmp_path: Path) -> None:
    code = "import sys\nsys.stdout.write('x' * 10**6 + '\\nend\\n'); sys.stderr.write('y' * 10**6)"
    lines: list[str] = []
    outcome = run(code, tmp_path / "out", on_line=lines.append)
    assert max(map(len, lines)) <= watching.LONGEST_LINE
    assert lines[-1] == "end"
    assert len(outcome.last_words) == watching.LAST_WORDS


def test_without_bubblewrap_nothing_runs_unless_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prlimit", "nice"):
        os.symlink(subprocess.check_output(["which", name], text=True).strip(), tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in sandbox_problem()
    with pytest.raises(SandboxMissing, match="install it"):
        run("pass", tmp_path / "out")
    assert run("open('x', 'w')", tmp_path / "out", trusted=True).cause == "ok"
    assert (tmp_path / "out" / "x").exists()


def test_a_trusted_program_runs_where_bubblewrap_makes_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that may make no namespaces."""
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho No permissions to create new namespace >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(run_module, "PAUSES_S", ())
    assert "No permissions" in sandbox_problem()
    assert run("open('x', 'w')", tmp_path / "out").cause == "lost"
    assert not (tmp_path / "out" / "x").exists()
    outcome = run("open('x', 'w'); raise SystemExit(1)", tmp_path / "out", trusted=True)
    assert (outcome.cause, outcome.status) == ("crashed", 1)
    assert (tmp_path / "out" / "x").exists()


def marked(text: str, *, but: int = 0) -> list[int]:
    """Return the running processes with a text in their command line, which names their test's."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) not in (os.getpid(), but):
                words = (entry / "cmdline").read_bytes()
                found += [int(entry.name)] if text.encode() in words else []
    return found


def left_running(text: str) -> list[int]:
    """Return what of them does not end; where root does not run the sandbox, it takes a moment."""
    deadline = time.monotonic() + 60.0
    while (found := marked(text)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_what_a_worker_that_was_killed_left_in_its_group_ends_with_the_next_job() -> None:
    code = (
        "import os, signal, subprocess, sys\n"
        "from bl_steer.server.sandbox.cgroup import enter_command, process_cgroup\n"
        "with process_cgroup(5) as group:\n"
        "    words = [*enter_command(group), 'sleep', '600']\n"
        "    left = subprocess.Popen(words, stdout=2)\n"
        "    while group and str(left.pid) not in (group / 'cgroup.procs').read_text(): pass\n"
        "    print(group or '', left.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    *group, left = killed.stdout.split()
    try:
        if not group:
            pytest.skip("this process may make no control group")
        deadline = time.monotonic() + 60.0
        while Path(group[0]).exists():  # it can be removed only when nothing in it lives
            with process_cgroup(5):
                assert time.monotonic() < deadline
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(left), signal.SIGKILL)
