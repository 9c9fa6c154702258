from __future__ import annotations

import math
import operator
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from bl_steer.processing.executors import part_processes
from bl_steer.processing.executors.part_processes import each_result, usable_processes

PARTS = [3, 5, 2, 8, 7]


def pids_of_children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread of an earlier test that has just ended
            found += map(int, (task / "children").read_text().split())
    return found


def test_processes_give_what_one_gives_by_the_number_of_the_part() -> None:
    alone = dict(each_result(math.factorial, PARTS, processes=1))
    assert alone == {n: math.factorial(part) for n, part in enumerate(PARTS)}
    beside = each_result(math.factorial, [str(part) for part in PARTS], load=int, processes=2)
    assert dict(beside) == alone


def test_what_is_short_is_done_in_this_process() -> None:
    before = pids_of_children()
    with closing(each_result(os.path.realpath, ["/proc/self", "/proc/self"])) as results:
        for _, path in results:
            assert path == f"/proc/{os.getpid()}"
            assert pids_of_children() == before


def test_an_error_of_a_step_is_raised_here_and_no_process_is_left() -> None:
    before = pids_of_children()
    results = each_result(partial(operator.truediv, 1), [2, 0, 4], processes=2)
    with pytest.raises(ZeroDivisionError), closing(results):
        list(results)
    assert pids_of_children() == before


def test_no_process_is_left_when_the_work_is_broken_off() -> None:
    before = pids_of_children()
    with closing(each_result(time.sleep, [0, 60, 60], processes=2)) as results:
        next(results)
        assert len(pids_of_children()) == len(before) + 2
    assert pids_of_children() == before


def test_a_process_that_dies_is_named_and_the_way_to_do_without() -> None:
    results = each_result(eval, [KILL, KILL], processes=2)
    with pytest.raises(RuntimeError, match=r"end of one by SIGKILL.*BL_STEER_PROCESSES=1"):
        list(results)


KILL = "__import__('os').kill(__import__('os').getpid(), 9)"


def test_where_no_process_can_begin_this_one_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (("/nowhere/python",), (sys.executable, "-c", "raise SystemExit(1)")):
        monkeypatch.setattr(part_processes, "COMMAND", command)
        found = dict(each_result(math.factorial, PARTS, processes=2))
        assert found == {n: math.factorial(part) for n, part in enumerate(PARTS)}


PARENT = """
import time
from bl_steer.processing.executors.part_processes import each_result
for number, _ in each_result(time.sleep, [0, 0, 60, 60], processes=2):
    print(number, flush=True)
"""


def test_processes_end_with_the_one_that_started_them() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    for _ in range(2):
        parent.stdout.readline()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(_lives(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _lives(pid: str) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_as_many_processes_as_cores_may_be_used_or_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BL_STEER_PROCESSES", raising=False)
    monkeypatch.setattr(part_processes, "ROOM", 2**20)
    monkeypatch.setattr(part_processes, "QUOTA", tmp_path / "none")
    assert usable_processes() == len(os.sched_getaffinity(0))
    monkeypatch.setattr(part_processes, "QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert usable_processes() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_processes() == len(os.sched_getaffinity(0))
    monkeypatch.setenv("BL_STEER_PROCESSES", "5")
    assert usable_processes() == 5
