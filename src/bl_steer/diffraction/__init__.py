"""From angles and frames to reciprocal space, and from composition and strain to peaks."""

from bl_steer.diffraction.axes import FrameAxes
from bl_steer.diffraction.sige import (
    elastic_constants,
    lattice_parameter,
    peak_position,
    strained_lattice,
)

__all__ = [
    "FrameAxes",
    "elastic_constants",
    "lattice_parameter",
    "peak_position",
    "strained_lattice",
]
