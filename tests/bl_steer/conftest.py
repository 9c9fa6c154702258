"""A store, and raw runs that are small enough for a test of what happens around an analysis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bl_steer.store import Document, Store


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
