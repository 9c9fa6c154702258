"""What every simulated sample answers: the contract between samples and the simulated beamline.

`simulators.film.sige_film.SigeFilm` computes it from physics,
`simulators.film.recorded_map.RecordedMap` looks it up in a recorded map.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = ["Sample"]


class Sample(Protocol):
    """A sample under the beam. All positions in `unit`, all times in seconds."""

    name: str
    unit: str
    axes: FrameAxes
    nominal_monitor: float
    """Counts per second of the beam monitor at the nominal beam."""

    @property
    def grid(self) -> tuple[Array, Array]:
        """Coordinates that the sample is meant to be mapped on: x and y of every point, each (n,).

        For a regular grid the points run along x first.
        """
        ...

    @property
    def grid_shape(self) -> tuple[int, int] | None:
        """Shape (n_y, n_x) where the points form a regular grid, None for scattered points."""
        ...

    def rates(self, x: Array, y: Array, *, rocking_deg: float = 0.0) -> Array:
        """Return noise-free count rates, shape (n, H, W), counts/s. Never shown to an agent.

        `rocking_deg` is the angle of the circle that rocks the sample, from where it was aligned.
        """
        ...

    def expose(
        self,
        x: float,
        y: float,
        *,
        exposure_s: float,
        time_s: float,
        shot: int,
        rocking_deg: float = 0.0,
    ) -> tuple[NDArray[np.float64], float]:
        """Return one measured frame (H, W) in counts, and the beam monitor's counts.

        Noise is a function of the film's seed and `shot`, so that a repeated shot number gives the
        same noise; drift is a function of `time_s` since the start.
        """
        ...
