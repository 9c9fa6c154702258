"""How fine the cells of a map may be: no finer than the steps of a scan and its pixels fill.

Judged by where pixels fell, and not by step widths: it holds for meshes, rocking scans with frames,
scans along hkl, and several scans of one map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bl_steer.protocols import Array

__all__ = ["FEWEST", "HOLES", "Coverage", "coverage"]

FEWEST = 8
"""Cells along an axis, at least."""
FINEST = 2048
"""Cells along an axis by which where pixels fell is known: many more than a map has."""
FINER = 1.08
"""Factor between numbers of cells that are tried one after another."""
HOLES = 0.01
"""Share of empty cells in a measured area that still counts as filled."""


@dataclass(frozen=True)
class Coverage:
    """Where pixels fell, shape (FINEST, FINEST) over q_perp and q_par."""

    fell: NDArray[np.bool_]

    def finest(self, most: int) -> tuple[int, int]:
        """Return the numbers of cells along q_par and q_perp, at most `most`, that are filled."""
        n = (min(FEWEST, most), min(FEWEST, most))
        for par, perp in ((True, True), (True, False), (False, True)):
            for finer in _finer(n[0] if par else n[1], most):
                trial = (finer if par else n[0], finer if perp else n[1])
                if self.holes(trial, n) > HOLES:
                    break
                n = trial
        return n

    def holes(self, n: tuple[int, int], filled: tuple[int, int]) -> float:
        """Return the share of empty ones among n cells, along q_par and q_perp.

        Parameters
        ----------
        filled : numbers of cells that leave no holes; those among them whose neighbours are all
            filled are the measured area
        """
        inner = ndimage.binary_erosion(self._cells(filled), np.ones((3, 3)))
        rows, columns = (
            ((np.arange(fine) + 0.5) * coarse / fine).astype(int)
            for fine, coarse in zip(n[::-1], filled[::-1], strict=True)
        )
        inside = inner[np.ix_(rows, columns)]
        return float(1.0 - self._cells(n)[inside].mean()) if inside.any() else 0.0

    def _cells(self, n: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which of n cells, along q_par and q_perp, hold a pixel."""
        # The first of the fine cells of each, and so many that none is without.
        starts = [np.arange(m) * FINEST // m for m in n]
        rows = np.logical_or.reduceat(self.fell, starts[1], axis=0)
        return np.asarray(np.logical_or.reduceat(rows, starts[0], axis=1))


def coverage(positions: Iterable[tuple[Array, Array]], low: Array, high: Array) -> Coverage:
    """Return where pixels fell.

    Parameters
    ----------
    positions : pairs of q_par and q_perp, each of shape (m,)
    low, high : (q_par, q_perp) between which
    """
    fell = np.zeros((FINEST, FINEST), dtype=bool)
    per_unit = (FINEST - 1e-6) / (high - low)
    for q_par, q_perp in positions:
        column = np.floor((q_par - low[0]) * per_unit[0]).astype(int)
        row = np.floor((q_perp - low[1]) * per_unit[1]).astype(int)
        inside = (column >= 0) & (column < FINEST) & (row >= 0) & (row < FINEST)
        fell[row[inside], column[inside]] = True
    return Coverage(fell)


def _finer(n: int, most: int) -> Iterator[int]:
    while n < most:
        n = min(max(n + 1, int(n * FINER)), most)
        yield n
