"""A film that loses no frame unless a test asks for it, and two axes with a peak between them."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ophyd.sim import Syn2DGauss, SynAxis

from simulators.film.beamline import SimulatedBeamline
from simulators.film.sige_film import SigeFilm


class MortalFilm(SigeFilm):
    """A film whose shots `dead` give no numbers."""

    dead: Container[int] = frozenset()

    def expose(self, *args: Any, shot: int, **kwargs: Any) -> Any:
        frame, monitor = super().expose(*args, shot=shot, **kwargs)
        return (frame * np.nan if shot in self.dead else frame), monitor


@pytest.fixture(autouse=True)
def _no_dead_frames_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.film.sige_film.DEAD_PROBABILITY", 0.0)


@pytest.fixture
def mortal(tmp_path: Path) -> SimulatedBeamline:
    """A beamline; put the numbers of dead shots into ``mortal.sample.dead``."""
    return SimulatedBeamline(MortalFilm("smooth", seed=1), frames_dir=tmp_path)


@pytest.fixture
def axes() -> tuple[SynAxis, SynAxis]:
    return SynAxis(name="mx"), SynAxis(name="my")


@pytest.fixture
def counter(axes: tuple[SynAxis, SynAxis]) -> Any:
    x, y = axes
    return Syn2DGauss("counter", x, "mx", y, "my", center=(30, 70), Imax=1000, sigma=25)
