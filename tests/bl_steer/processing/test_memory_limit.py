"""An analysis that takes too much memory is told so; the worker and the session live on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bl_steer.analysis import Request
from bl_steer.processing.executors.local_process import LocalProcess
from bl_steer.processing.job import Job
from bl_steer.processing.memory_limit import out_of_memory
from bl_steer.processing.runner import AnalysisRunner
from bl_steer.runs import open_run
from bl_steer.store import Store

ANALYSES = """
from typing import ClassVar
import numpy as np
from pydantic import BaseModel
from bl_steer.protocols import AnalysisResult, Inputs

KEPT = []

class Params(BaseModel):
    gib: float = 0.0
    keep: bool = False

class Allocates:
    name: ClassVar[str] = "allocates"
    version: ClassVar[str] = "1"
    Params: ClassVar[type[BaseModel]] = Params

    def inputs_of(self, run):
        return Inputs({}, source={"run": run.uid})

    def run(self, inputs, params, progress=None):
        taken = np.ones(int(params.gib * 2**30), np.uint8)
        if params.keep:
            KEPT.append(taken)
        about = {"name": self.name, "version": "1", "params": params.model_dump(), "weights": None}
        return AnalysisResult({"t": {"size": np.array([taken.size])}}, {}, about)

class WithTorch(Allocates):
    name: ClassVar[str] = "with-torch"

    def run(self, inputs, params, progress=None):
        import torch
        torch.ones(int(params.gib * 2**30), dtype=torch.uint8)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with one raw run, and analyses that may take 1 GiB."""
    (tmp_path / "hungry.py").write_text(ANALYSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB", "1")
    with Store.open(tmp_path / "data") as opened:
        uid = str(uuid4())
        stop = {"uid": str(uuid4()), "run_start": uid, "time": 1.0, "exit_status": "success"}
        opened.add_run(
            [
                ("start", {"uid": uid, "time": 0.0, "plan_name": "count"}),
                ("stop", {**stop, "reason": "", "num_events": {}}),
            ]
        )
        yield opened


def request(store: Store, name: str, **params: Any) -> Request:
    (record,) = (p for p in store.record_dir.iterdir() if '"analysis":' not in p.read_text())
    return Request(record.stem, f"hungry:{name}", params)


def test_too_much_memory_is_a_stored_failure_with_the_remedy_and_the_next_goes_on(
    store: Store,
) -> None:
    process = LocalProcess()
    runner = AnalysisRunner(store, make=lambda: process)
    asked = [request(store, "Allocates", gib=3.0), request(store, "Allocates", gib=0.1)]
    too_much, fits = (runner.submit(one).result(300.0) for one in asked)
    runner.close()
    failed = open_run(store, too_much)
    assert failed.status == "fail"
    assert failed.stop is not None
    reason = str(failed.stop["reason"])
    assert reason.startswith("the analysis must fit into its memory, got MemoryError: Unable to")
    assert reason.endswith(
        "the limit is 1 GiB: give it less to do, or a higher limit "
        "(BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB)"
    )
    assert open_run(store, fits).status == "success"


def test_a_worker_that_keeps_memory_is_replaced(store: Store) -> None:
    process = LocalProcess()
    seen = []
    for gib in (0.6, 0.6, 0.1):
        job = Job.of(store, request(store, "Allocates", gib=gib, keep=True))
        documents = process.execute(job, time_limit_s=300.0)
        assert documents is not None
        seen.append(documents[-1][1]["exit_status"])
    process.close()
    assert seen == ["success"] * 3


def test_torch_says_it_in_other_words(store: Store) -> None:
    process = LocalProcess()
    job = Job.of(store, request(store, "WithTorch", gib=3.0))
    documents = process.execute(job, time_limit_s=300.0)
    process.close()
    assert documents is not None
    assert "BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB" in documents[-1][1]["reason"]


def test_this_process_has_no_limit_of_its_own(store: Store) -> None:
    assert len(bytearray(2 * 2**30)) == 2 * 2**30
    assert os.environ["BL_STEER_ANALYSIS_MEMORY_LIMIT_GIB"] == "1"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: no"),
            True,
        ),
        (OSError(12, "Cannot allocate memory"), True),
        (ValueError("grey levels must be finite"), False),
    ],
)
def test_errors_that_mean_it_are_known(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected
