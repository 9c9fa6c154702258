"""A film on which only those frames are lost that a test asks for."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
