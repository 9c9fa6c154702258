"""A store, raw runs small enough for a test of what surrounds an analysis, a stack of slices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import pytest

from bl_steer.processing.executors import local_process
from bl_steer.protocols import Array
from bl_steer.slicing import TrackingMarks
from bl_steer.store import Document, Store
from simulators.electron.fibsem import SimulatedFibSem, View
from simulators.electron.slice_faults import SliceFaults
from simulators.electron.tracking_marks import NotchedCap
from tests import fork_server

PITCH_NM, PIXEL_NM = 100.0, 10.0


def make_run(md: dict[str, Any] | None = None, *, status: str | None = "success") -> list[Document]:
    """Return the documents of a run of three points; None as status leaves it unfinished."""
    uid, descriptor, now = str(uuid4()), str(uuid4()), time.time()
    start = {"uid": uid, "time": now, "plan_name": "count", **(md or {})}
    key = {"source": "sim", "dtype": "number", "dtype_numpy": "<f8", "shape": []}
    page = {
        "uid": [str(uuid4()) for _ in range(3)],
        "descriptor": descriptor,
        "seq_num": [1, 2, 3],
        "time": [now] * 3,
        "data": {"counts": [1.0, 2.0, 3.5]},
        "timestamps": {"counts": [now] * 3},
        "filled": {},
    }
    documents: list[Document] = [
        ("start", start),
        (
            "descriptor",
            {
                "uid": descriptor,
                "run_start": uid,
                "time": now,
                "name": "primary",
                "data_keys": {"counts": key},
                "configuration": {},
                "hints": {},
                "object_keys": {"det": ["counts"]},
            },
        ),
        ("event_page", page),
    ]
    if status is not None:
        stop = {"uid": str(uuid4()), "run_start": uid, "time": now, "exit_status": status}
        documents.append(("stop", {**stop, "reason": "", "num_events": {"primary": 3}}))
    return documents


@pytest.fixture
def raw_run() -> Callable[..., list[Document]]:
    """Return the documents of a raw run."""
    return make_run


@pytest.fixture(scope="module")
def forked_worker() -> Iterator[None]:
    """Let the process beside a measurement start with everything loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_process, "subprocess", fork_server)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def measured(store: Store) -> Callable[..., str]:
    """Store a raw run; return its uid."""

    def measure(md: dict[str, Any] | None = None, *, status: str | None = "success") -> str:
        return store.add_run(make_run(md, status=status))

    return measure


@pytest.fixture
def own_analyses(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Make the classes of `small_analyses` importable; return a class' place."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return lambda name: f"small_analyses:{name}"


class NotchedStack(NamedTuple):
    """Images (H, W) of neighbouring faces, how they were seen, and the marks in them."""

    images: list[Any]
    views: list[View]
    marks: TrackingMarks

    @property
    def drift_px(self) -> Array:
        """True drift (y, x) of each image against the first."""
        drift = np.array([view.displacement_nm for view in self.views]) / PIXEL_NM
        return np.asarray(drift - drift[0])

    @property
    def faces(self) -> list[Any]:
        """The specimen alone."""
        return [image[self.marks.specimen_from :] for image in self.images]


@pytest.fixture(scope="session")
def stack() -> NotchedStack:
    """Return seven images with all faults of imaging."""
    faults = SliceFaults(failed=0.0, twice=0.0, lost=0.0, focus_drift_um=0.0, seed=2)
    fibsem = SimulatedFibSem("network", seed=6, shape=(256, 256), cap=NotchedCap(), faults=faults)
    assert fibsem.marks is not None
    images, views = [], []
    for number in range(7):
        fibsem.mill.set(PITCH_NM * number).wait(60.0)
        fibsem.sem.trigger().wait(60.0)
        images.append(fibsem.sem.frames()[0].copy())
        views.append(fibsem.views()[-1])
    return NotchedStack(images, views, fibsem.marks)
