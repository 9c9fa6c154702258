"""The protective cap of a simulated specimen, with the notches by which slices are tracked.

A bright layer over the specimen has V-shaped notches, filled with something dark. Those on the
left run straight into the specimen: they show how the image drifts. Those on the right run at an
angle: they move along x as the face recedes, and so show how deep it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from simulators.electron.fibsem_sample import OXIDE, VOID

__all__ = ["NotchedCap"]


@dataclass(frozen=True)
class NotchedCap:
    """A cap over a field of view, as phases: as bright as oxide, dark as void above its surface.

    Parameters
    ----------
    surface_nm : place of the notches' upper ends, from the upper edge of the undrifted field
    notch_nm : depth of a notch
    thickness_nm : place of the cap's lower end
    spacing_nm : mean distance of the notches
    slope : by how much the notches on the right move along x for each nm of depth
    """

    surface_nm: float = 160.0
    notch_nm: float = 240.0
    thickness_nm: float = 640.0
    spacing_nm: float = 300.0
    slope: float = 0.5

    def __post_init__(self) -> None:
        inside = 0.0 < self.surface_nm < self.surface_nm + self.notch_nm < self.thickness_nm
        if not inside or not self.spacing_nm > 0.0:
            raise ValueError(
                f"notches must lie within the cap, got {self.surface_nm:g} nm and {self.notch_nm:g}"
                f" nm of {self.thickness_nm:g} nm, {self.spacing_nm:g} nm apart; try NotchedCap()"
            )

    def paint(
        self, labels: NDArray[np.uint8], *, y: Array, x: Array, z: float, middle: float
    ) -> NDArray[np.uint8]:
        """Return the labels of a section with the cap over them.

        Parameters
        ----------
        labels : shape (H, W)
        y, x : positions of the rows and columns, nm from the undrifted field's upper left
        z : depth of the face, nm
        middle : where straight notches end and slanted ones begin, nm
        """
        painted = labels.copy()
        rows = y < self.thickness_nm
        nearest = np.where(x < middle, self._to_nearest(x), self._to_nearest(x - self.slope * z))
        # A notch is a V: its sides show how the image moves along x and along y.
        inner = np.clip(1.0 - 2.0 * nearest / self.spacing_nm, 0.0, None)
        surface = self.surface_nm + self.notch_nm * inner
        painted[rows] = np.where(y[rows, None] < surface, VOID, OXIDE)
        return painted

    def _to_nearest(self, u: Array) -> Array:
        """Return the distance along x to the nearest notch, whose positions are not periodic."""
        cell = np.floor(u / self.spacing_nm)
        distance = np.full(u.shape, np.inf)
        for near in (cell - 1.0, cell, cell + 1.0):
            wander = 0.2 * np.sin(12.9898 * near + 78.233)
            distance = np.minimum(distance, np.abs(u - (near + 0.5 + wander) * self.spacing_nm))
        return distance
