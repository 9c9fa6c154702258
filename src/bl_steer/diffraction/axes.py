"""The coordinates of a frame's pixels, in q for a reciprocal-space map, in channels for spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bl_steer.protocols import Array

__all__ = ["FrameAxes"]


@dataclass(frozen=True)
class FrameAxes:
    """Where the pixels of an H×W frame lie.

    Parameters
    ----------
    qx : shape (W,), in-plane momentum transfer of the columns, in `unit`
    qz : shape (H,), out-of-plane momentum transfer of the rows, in `unit`
    unit : unit of both axes; ``"1/Å"`` for a reciprocal-space map
    """

    qx: Array
    qz: Array
    unit: str = "1/Å"

    @classmethod
    def channels(cls, shape: tuple[int, int], unit: str = "channel") -> FrameAxes:
        """Return pixel indices as axes, for patterns that have no q.

        >>> FrameAxes.channels((1, 4)).qx
        array([0., 1., 2., 3.])
        """
        height, width = shape
        return cls(np.arange(width, dtype=float), np.arange(height, dtype=float), unit)

    @property
    def shape(self) -> tuple[int, int]:
        """Frame shape (H, W)."""
        return len(self.qz), len(self.qx)

    def mesh(self) -> tuple[Array, Array]:
        """Return q_x and q_z of every pixel, each flattened row by row to (H·W,)."""
        qx, qz = np.meshgrid(self.qx, self.qz)
        return qx.ravel(), qz.ravel()
