"""Fixtures that many tests share: a small film, a simulated beamline, a RunEngine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bluesky import RunEngine

from bl_steer.agents import Space
from bl_steer.session import end_run_engine
from simulators.beamline import SimulatedBeamline
from simulators.sige_film import SigeFilm

torch.set_num_threads(1)


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
