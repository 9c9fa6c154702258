"""What every simulated sample answers, and may be asked: the contract with the simulated beamline.

`simulators.film.sige_film.SigeFilm` computes it from physics,
`simulators.film.recorded_map.RecordedMap` looks it up in a recorded map.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = ["Sample", "check_exposure", "checked_places"]


def checked_places(x: Array, y: Array) -> tuple[Array, Array]:
    """Return positions as arrays (n,)."""
    x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"x and y must be finite and of one length, got shapes {x.shape} and {y.shape}; give "
            "one finite x and y for each place"
        )
    return x, y


def check_exposure(exposure_s: float, shot: int) -> None:
    """Refuse an exposure that no detector can make."""
    if not 0.0 < exposure_s < np.inf:
        raise ValueError(
            f"exposure_s must be positive and finite, got {exposure_s:g} s; give e.g. 10 s"
        )
    if shot < 0:
        raise ValueError(f"shot must be 0 or above, got {shot}; count exposures from 0")


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
