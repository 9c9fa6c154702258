"""Fixtures that many tests share: a small film, a simulated beamline, a RunEngine."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiled.server.app
import torch
from bluesky import RunEngine
from event_model import DocumentNames, schema_validators
from fastapi.dependencies import utils as dependency_utils
from hypothesis import settings

from bl_steer.agents import Space
from bl_steer.runs import Run
from bl_steer.session import end_run_engine
from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm

torch.set_num_threads(1)
# A busy machine may take long over an example that has nothing wrong with it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.environ.setdefault("AIOSMTPD_CONTROLLER_TIMEOUT", "120")  # s, for a mail server to start
# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

make_routes = tiled.server.app.get_router


@functools.cache
def routes_of(*registries: Any) -> Any:
    return make_routes(*registries, {})


def shared_routes(*arguments: Any) -> Any:
    *registries, authenticators = arguments
    return make_routes(*arguments) if authenticators else routes_of(*registries)


# Tiled builds the routes of its API anew for each store, a second of work; they are all alike.
tiled.server.app.get_router = shared_routes

get_dependant = dependency_utils.get_dependant
dependants: dict[tuple[Any, ...], Any] = {}


def remembered_dependant(**options: Any) -> Any:
    key = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in options.items())
    if key not in dependants:
        dependants[key] = get_dependant(**options)
    return dependants[key]


# FastAPI takes the signatures of what a request depends on apart at each request to Tiled, a
# quarter of the time of a test with a store.
dependency_utils.get_dependant = remembered_dependant


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look for doctests in no script that a test starts: that would import it."""
    is_script = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_script else None


class Documents:
    """The documents of the latest run, in their order, each checked against its schema."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, doc: dict[str, Any]) -> None:
        schema_validators[DocumentNames[name]].validate(doc)
        if name == "start":
            self.all.clear()
        self.all.append((name, doc))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [doc for kind, doc in self.all if kind == name]

    def descriptor(self, stream: str) -> dict[str, Any]:
        (descriptor,) = (doc for doc in self.named("descriptor") if doc["name"] == stream)
        return descriptor

    def events(self, stream: str) -> list[dict[str, Any]]:
        """Return the events of a stream; none where it does not exist."""
        uids = [doc["uid"] for doc in self.named("descriptor") if doc["name"] == stream]
        return [doc for doc in self.named("event") if doc["descriptor"] in uids]

    def column(self, stream: str, key: str) -> list[Any]:
        return [event["data"][key] for event in self.events(stream)]

    @property
    def stop(self) -> dict[str, Any]:
        (stop,) = self.named("stop")
        return stop

    @property
    def run(self) -> Run:
        return Run.from_documents(self.all)


@pytest.fixture(scope="session")
def film() -> SigeFilm:
    return SigeFilm("smooth", seed=1)


@pytest.fixture
def beamline(film: SigeFilm, tmp_path: Path) -> SimulatedBeamline:
    return SimulatedBeamline(film, frames_dir=tmp_path / "frames")


@pytest.fixture
def coarse_grid() -> Space:
    """6×6 points over the film: small enough to exhaust."""
    places = np.linspace(0.0, 150.0, 6)
    return Space.grid(places, places)


@pytest.fixture
def RE() -> Iterator[RunEngine]:
    engine = RunEngine({}, call_returns_result=True)
    yield engine
    end_run_engine(engine)


@pytest.fixture
def documents(RE: RunEngine) -> Documents:
    """What the RunEngine emits."""
    emitted = Documents()
    RE.subscribe(emitted)
    return emitted
