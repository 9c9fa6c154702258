"""Two processes on one store: what one carries out, the other leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bl_steer.analysis import Request, pending_analyses
from bl_steer.processing.claims import Claims
from bl_steer.store import Store
from tests import fork_server

ANALYSIS = """
import time
from typing import ClassVar
from pathlib import Path
import numpy as np
from pydantic import BaseModel
from bl_steer.protocols import AnalysisResult, Inputs

class Params(BaseModel):
    seconds: float = 0.0

class Waits:
    name: ClassVar[str] = "waits"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = Params

    def inputs_of(self, run):
        return Inputs({}, source={"run": run.uid})

    def run(self, inputs, params, progress=None):
        if progress is not None:
            progress(0, 1)
        time.sleep(params.seconds)
        about = {"name": self.name, "version": "1", "params": params.model_dump(), "weights": None}
        return AnalysisResult({"t": {"done": np.ones(1)}}, {}, about)
"""
SESSION = """
import sys
import numpy as np
from bl_steer.agents import Space
from bl_steer.session import open_session

with open_session("smooth", data_dir="data", progress=False) as session:
    asked = [{"name": "own:Waits", "params": {"seconds": 600.0}}, "own:Waits"]
    grid = Space.grid(np.linspace(0.0, 150.0, 2), np.linspace(0.0, 150.0, 2))
    session.run(session.map_sample(grid=grid, md={"analyses": asked}))
    print("measured", flush=True)
    sys.stdin.readline()
"""
PENDING = ("-m", "bl_steer", "analyse", "--pending", "--data", "data", "--json")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(ANALYSIS)
    return tmp_path


def start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(place), *sys.path])
    return fork_server.Popen(
        [sys.executable, *arguments],
        cwd=place,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return printed


def test_pending_leaves_what_a_living_session_does_and_takes_it_over_when_that_is_killed(
    place: Path,
) -> None:
    session = start(place, "-c", SESSION)
    assert session.stdout is not None
    assert session.stdout.readline() == "measured\n"
    printed = finish(start(place, *PENDING, "beside.json"))
    assert printed.count(f"process {session.pid} on ") == 2
    assert json.loads((place / "beside.json").read_text()) == []
    session.send_signal(signal.SIGKILL)
    session.communicate()
    with Store.open(place / "data") as store:
        long, short = pending_analyses(store)
        with Claims(store.path) as claims:
            assert claims.take(long) == ""  # so that the command need not wait for it
            printed = finish(start(place, *PENDING, "after.json"))
            assert f"process {os.getpid()} on " in printed
        (report,) = json.loads((place / "after.json").read_text())
        assert (report["raw_run"], report["params"]) == (short.raw_uid, {"seconds": 0.0})
        assert pending_analyses(store) == [long]


def raw_run(asked: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    uid, now = str(uuid4()), time.time()
    stop = {"uid": str(uuid4()), "run_start": uid, "time": now, "exit_status": "success"}
    start_ = {"uid": uid, "time": now, "plan_name": "count", "analyses": asked}
    return [("start", start_), ("stop", {**stop, "reason": "", "num_events": {}})]


def test_two_that_carry_out_pending_analyses_at_once_share_them(place: Path) -> None:
    with Store.open(place / "data") as store:
        for _ in range(6):
            store.add_run(raw_run([{"name": "own:Waits", "params": {"seconds": 0.2}}]))
    both = [start(place, *PENDING, f"{n}.json") for n in range(2)]
    for process in both:
        finish(process)
    done = [
        report["raw_run"]
        for n in range(2)
        for report in json.loads((place / f"{n}.json").read_text())
    ]
    assert set(Counter(done).values()) == {1}
    assert len(done) == 6
    assert [path.name for path in (place / "data" / "claims").iterdir()] == ["turnstile"]


def test_a_claim_is_seen_by_others_until_it_is_given_up(tmp_path: Path) -> None:
    mine, yours = Claims(tmp_path), Claims(tmp_path)
    one, other = Request("u", "a"), Request("u", "a", {"seed": 1})
    mine.add(one)
    assert yours.take(one).startswith(f"process {os.getpid()} on ")
    assert yours.take(other) == ""
    assert mine.take(one) == ""  # one's own claim is in nobody's way
    assert mine.take(other) != ""
    mine.close()
    assert yours.take(one) == ""
    yours.close()


def test_a_claim_that_is_given_up_while_others_look_at_it_ends_no_command(tmp_path: Path) -> None:
    """Its file was read by a name that its owner had taken away by then."""
    mine, yours, request = Claims(tmp_path), Claims(tmp_path), Request("u", "a")
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            mine.add(request)
            mine.close()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(1000):
            yours.take(request)
            yours.close()
    finally:
        ended.set()
        other.join()
    assert yours.take(request) == ""
    yours.close()
