"""Which pixels of a frame lie in which cells of a grid, remembered by the angles of the frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["CellTable", "Cells"]


class Cells(NamedTuple):
    """Which pixels of a block of frames lie in which cells, and with what weight."""

    pixels: NDArray[np.integer[Any]]
    cells: NDArray[np.integer[Any]]
    weights: Array | None

    @property
    def n_bytes(self) -> int:
        """Memory that they take."""
        return sum(array.nbytes for array in self if array is not None)


class CellTable:
    """The cells of angles seen before; the longest unused go first.

    Parameters
    ----------
    n_bytes : of memory, at most
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self._table: OrderedDict[bytes, Cells] = OrderedDict()
        self._held = 0

    def cells(self, key: bytes, compute: Callable[[], Cells]) -> Cells:
        """Return the cells of some angles, computed where they are not known."""
        if key in self._table:
            self._table.move_to_end(key)
            return self._table[key]
        cells = self._table[key] = compute()
        self._held += cells.n_bytes
        while self._held > self.n_bytes:
            self._held -= self._table.popitem(last=False)[1].n_bytes
        return cells
