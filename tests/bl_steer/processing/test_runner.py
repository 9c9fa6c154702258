"""Whatever an analysis does, the measurement goes on and the user is told."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bl_steer.analysis import Request, analyses_of, open_analysis, pending_analyses
from bl_steer.processing.callback import FollowRuns
from bl_steer.processing.executors.local_process import LocalProcess, _Patience
from bl_steer.processing.job import Job, execute
from bl_steer.processing.runner import AnalysisRunner, Executor
from bl_steer.runs import open_run
from bl_steer.store import Document, Store

Place = Callable[[str], str]
Measure = Callable[..., str]


@pytest.fixture
def process() -> Iterator[LocalProcess]:
    worker = LocalProcess()
    yield worker
    worker.close()


@pytest.fixture
def runner(store: Store, process: LocalProcess) -> Iterator[AnalysisRunner]:
    opened = AnalysisRunner(store, make=lambda: process, time_limit_s=120.0)
    yield opened
    opened.close()


def reason_of(store: Store, uid: str) -> str:
    run = open_run(store, uid)
    assert run.status == "fail"
    assert run.stop is not None
    return str(run.stop["reason"])


def test_each_way_to_fail_is_stored_and_the_next_job_goes_on(
    runner: AnalysisRunner,
    process: LocalProcess,
    store: Store,
    measured: Measure,
    own_analyses: Place,
) -> None:
    raw = measured()
    raises, unknown, killed, good = (
        runner.submit(Request(raw, name))
        for name in (
            own_analyses("Raises"),
            "no-such-analysis",
            own_analyses("IsKilled"),
            own_analyses("SumCounts"),
        )
    )
    assert reason_of(store, raises.result(60)) == "ZeroDivisionError: nothing to divide by"
    traceback = open_run(store, raises.result()).stop["traceback"]
    assert "in run\n    raise ZeroDivisionError" in traceback
    assert "must be one of advise, align-slices, components" in reason_of(store, unknown.result(60))
    assert "must live, got its end by SIGKILL" in reason_of(store, killed.result(60))
    assert open_analysis(store, good.result(60)).tables["sum"]["total"] == [6.5]
    assert len(analyses_of(store, raw)) == 4
    assert runner.wait(60.0)


def test_a_worker_killed_from_outside_is_told_and_replaced(
    runner: AnalysisRunner,
    process: LocalProcess,
    store: Store,
    measured: Measure,
    own_analyses: Place,
) -> None:
    raw = measured()
    future = runner.submit(Request(raw, own_analyses("Sleeps")))
    deadline = time.monotonic() + 60.0
    while process.pid is None and time.monotonic() < deadline:
        time.sleep(0.01)
    first = process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert "SIGKILL; perhaps the machine ran out of memory" in reason_of(store, future.result(60))
    again = runner.submit(Request(raw, own_analyses("SumCounts"), {"factor": 2.0}))
    assert open_analysis(store, again.result(60)).tables["sum"]["total"] == [13.0]
    assert process.pid not in (None, first)


def test_one_that_does_not_get_on_is_ended(
    store: Store, process: LocalProcess, measured: Measure, own_analyses: Place
) -> None:
    runner = AnalysisRunner(store, make=lambda: process, time_limit_s=0.3)
    uid = runner.submit(Request(measured(), own_analyses("Sleeps"))).result(60)
    assert reason_of(store, uid).startswith("the analysis must get on within 0.3 s")
    runner.close()


class GoneTerminal:
    """Nobody is there any more to be told."""

    def progress(self, request: Request, done: int, total: int) -> None:
        raise BrokenPipeError

    def finished(self, request: Request, uid: str, reason: str) -> None:
        raise BrokenPipeError


def test_an_analysis_goes_on_where_nobody_can_be_told(
    store: Store, process: LocalProcess, measured: Measure, own_analyses: Place
) -> None:
    runner = AnalysisRunner(store, make=lambda: process, watch=GoneTerminal())
    future = runner.submit(Request(measured(), own_analyses("SumCounts")))
    assert open_analysis(store, future.result(60)).tables["sum"]["total"] == [6.5]
    assert runner.wait(60.0)
    runner.close()


def test_what_gets_on_may_take_long() -> None:
    process = subprocess.Popen(["sleep", "600"], text=True)
    limit_s, longest_s = 3.0, math.inf
    while longest_s > limit_s / 2:  # this computer was away for so long, and noted no progress
        process.kill()
        process.wait()
        process = subprocess.Popen(["sleep", "600"], text=True)
        patience, longest_s, last = _Patience(process, limit_s), 0.0, time.monotonic()
        for done in range(40):
            time.sleep(0.1)
            patience.note_progress(done)
            longest_s, last = max(longest_s, time.monotonic() - last), time.monotonic()
    assert process.poll() is None
    assert not patience.lost
    began = time.monotonic()
    while process.poll() is None and time.monotonic() < began + 30.0:
        patience.note_progress(11)  # the same again is no progress
        time.sleep(0.05)
    assert process.wait(timeout=60.0) == -signal.SIGKILL
    assert patience.lost


def test_patience_that_has_ended_kills_nobody() -> None:
    """The process has the next job by then."""
    process, usual = subprocess.Popen(["sleep", "600"], text=True), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(1500):
            patience = _Patience(process, 0.001)
            time.sleep(0.0005 + 1e-6 * (number % 900))  # some end as the time is over
            patience.end()
            lost = patience.lost
            time.sleep(0.001)
            assert patience.lost == lost
    finally:
        sys.setswitchinterval(usual)
        process.kill()
        process.wait()


def test_what_an_analysis_prints_is_no_answer_and_its_bad_figure_no_failure(
    runner: AnalysisRunner, store: Store, measured: Measure, own_analyses: Place
) -> None:
    uid = runner.submit(Request(measured(), own_analyses("Chatters"))).result(60)
    read = open_analysis(store, uid)
    assert read.tables["sum"]["total"] == [6.5]
    assert "figure 'bad' was not drawn" in read.warnings[0]


def test_a_run_without_a_record_is_told(runner: AnalysisRunner, store: Store) -> None:
    uid = runner.submit(Request("no-such-run", "components")).result(60)
    assert "record must be a readable file" in reason_of(store, uid)


class Blocked:
    """An executor that holds every job until it is let go."""

    parallel = 1

    def __init__(self) -> None:
        self.free = threading.Event()

    def execute(self, job: Job, **_: Any) -> list[Document] | None:
        self.free.wait(120.0)
        return execute(job)

    def close(self) -> None:
        self.free.set()


def test_the_callback_returns_while_the_runner_is_blocked(
    store: Store, measured: Measure, raw_run: Callable[..., list[Document]], own_analyses: Place
) -> None:
    blocked = Blocked()
    runner = AnalysisRunner(store, make=lambda: blocked)
    callback = FollowRuns(runner.submit)
    documents = raw_run({"analyses": [own_analyses("SumCounts")]})
    raw = store.add_run(documents)
    for name, doc in documents:
        callback(name, doc)
    assert not runner.wait(0.05)
    assert analyses_of(store, raw) == []
    blocked.free.set()
    assert runner.wait(60.0)
    assert len(analyses_of(store, raw)) == 1
    runner.close()


def test_ctrl_c_while_waiting_is_heard(
    store: Store, measured: Measure, own_analyses: Place
) -> None:
    blocked = Blocked()
    runner = AnalysisRunner(store, make=lambda: blocked)
    runner.submit(Request(measured(), own_analyses("SumCounts")))
    # Taken by the timer's thread, as the system may give it to any.
    press = threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
    late = threading.Timer(60.0, blocked.free.set)
    late.start()

    def wait() -> None:
        press.start()
        runner.wait()

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert not blocked.free.is_set()
    late.cancel()
    blocked.free.set()
    assert runner.wait(60.0)
    runner.close()


def test_what_is_left_at_close_is_pending_and_carried_out_later(
    store: Store,
    process: LocalProcess,
    raw_run: Callable[..., list[Document]],
    own_analyses: Place,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = AnalysisRunner(store, make=lambda: process)
    raw = store.add_run(raw_run({"analyses": [own_analyses("Sleeps"), own_analyses("SumCounts")]}))
    for request in pending_analyses(store):
        runner.submit(request)
    began = time.monotonic()
    assert not runner.close(0.1)
    assert time.monotonic() - began < 60.0
    assert "2 analyses were left; 'bl-steer analyse --pending'" in caplog.text
    assert [r.raw_uid for r in pending_analyses(store)] == [raw, raw]
    with pytest.raises(RuntimeError, match="must be open to take requests"):
        runner.submit(Request(raw, "components"))


def test_a_place_that_cannot_be_reached_fails_each_request_and_blocks_nobody(
    store: Store, measured: Measure, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable() -> Executor:
        raise OSError("nobody answers")

    runner = AnalysisRunner(store, make=unreachable)
    futures = [runner.submit(Request(measured(), "components")) for _ in range(2)]
    for future in futures:
        assert reason_of(store, future.result(60)) == "OSError: nobody answers"
    assert runner.close()
    assert "analyses cannot be carried out" in caplog.text


def test_the_worker_ends_with_its_parent(
    process: LocalProcess, store: Store, measured: Measure, own_analyses: Place
) -> None:
    job = Job.of(store, Request(measured(), own_analyses("SumCounts")))
    assert process.execute(job, time_limit_s=120.0) is not None
    worker = process._process
    assert worker is not None
    assert worker.stdin is not None
    worker.stdin.close()  # as the end of this process would
    assert worker.wait(60.0) == 0
