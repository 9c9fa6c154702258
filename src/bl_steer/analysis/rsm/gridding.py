"""The counts of a scan in q, a frame at a time, and their mean on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.rsm.geometry import circle_angles
from bl_steer.diffraction import Goniometer, QGrid, find_sentinels
from bl_steer.files.scans import Scan
from bl_steer.protocols import Array, Progress

__all__ = ["Block", "Grid", "Samples", "gridded"]

FEWEST, MOST = 33, 201
"""Cells along an axis, where nobody says how many."""
BLOCK = 1 << 20
"""Pixels that are turned into q at a time."""


@dataclass(frozen=True)
class Block:
    """Counts and where they lie: all of shape (m,); q in 1/Å, intensity in the samples' unit."""

    q_par: Array
    q_perp: Array
    counts: Array
    intensity: Array


@dataclass(frozen=True)
class Grid:
    """Mean intensity on a regular grid.

    Parameters
    ----------
    cells : on which it is
    mean : shape (n_perp, n_par); NaN where nothing fell
    counts, n : sums of the counts, and how many fell into each cell, of the same shape
    """

    cells: QGrid
    mean: Array
    counts: Array
    n: NDArray[np.int_]

    @property
    def q_par(self) -> Array:
        """Centres of the cells, 1/Å."""
        return self.cells.centres[1]

    @property
    def q_perp(self) -> Array:
        """Centres of the cells, 1/Å."""
        return self.cells.centres[0]

    def cells_of(self, block: Block) -> NDArray[np.intp]:
        """Return the cell of each count, counted row by row."""
        return self.cells.cells(block.q_par, block.q_par, block.q_perp)[1]


class Samples:
    """All counts of a scan with their q; iterated in blocks, so that memory stays bounded."""

    def __init__(self, scan: Scan, goniometer: Goniometer) -> None:
        self._scan, self._goniometer = scan, goniometer
        self._angles = goniometer.angle_table(circle_angles(scan, goniometer))
        self._scale = _scale(scan)
        self._masked = 0
        in_time = scan.count_time_s is not None or "time" in scan.corrected
        self.unit = "counts/s" if in_time else "counts"

    @property
    def size(self) -> int:
        """Number of counts."""
        return self._scan.counts.size

    @property
    def notes(self) -> list[str]:
        """What was left out."""
        if not self._masked:
            return []
        share = 100.0 * self._masked / self._scan.counts.size
        return [f"{self._masked} pixels ({share:.2g} %) hold no counts (gaps, dead), and are out"]

    def __len__(self) -> int:
        return -(-len(self._angles) // self._step)

    @property
    def _step(self) -> int:
        return max(1, BLOCK // self._goniometer.detector.n_pixels)

    def __iter__(self) -> Iterator[Block]:
        self._masked = 0
        counts = self._scan.counts.reshape(len(self._angles), -1)
        directions = self._goniometer.directions().reshape(-1, 3)
        for first in range(0, len(counts), self._step):
            rows = slice(first, first + self._step)
            turns, offsets = self._goniometer.matrices(self._angles[rows])
            q = directions @ turns.transpose(0, 2, 1) + offsets[:, None, :]
            along, _, normal = self._goniometer.components(q)
            scale = np.broadcast_to(self._scale[rows], counts[rows].shape)
            valid = _valid(counts[rows]) & np.isfinite(scale)
            self._masked += int(valid.size - np.count_nonzero(valid))
            measured = counts[rows][valid].astype(float)
            yield Block(along[valid], normal[valid], measured, measured * scale[valid])


def gridded(samples: Samples, cells: int | None, progress: Progress | None = None) -> Grid:
    """Return the mean intensity on `cells` × `cells` cells that span all counts.

    By default there are as many as give each four counts, within `FEWEST` and `MOST`.

    Raises
    ------
    ValueError
        When no counts are left, or all lie on one q.
    """
    cells = cells or int(np.clip(np.sqrt(samples.size / 4), FEWEST, MOST))
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    report = progress or (lambda done, total: None)
    for block in samples:
        if len(block.q_par):
            low = np.minimum(low, [block.q_par.min(), block.q_perp.min()])
            high = np.maximum(high, [block.q_par.max(), block.q_perp.max()])
    if not (high - low > 1e-9).all():
        raise ValueError(
            "a map must span q_par and q_perp, got "
            f"{np.maximum(high - low, 0.0).round(6).tolist()} 1/Å of them; scan two circles, or "
            "one with a linear or area detector"
        )
    spans = [(float(a), float(b), cells) for a, b in zip(low, high, strict=True)]
    grid = QGrid(spans[0], spans[1], in_plane="along")
    totals = np.zeros((3, grid.n_cells))
    for done, block in enumerate(samples, start=1):
        cell = grid.cells(block.q_par, block.q_par, block.q_perp)[1]
        for total, values in zip(totals, (block.intensity, block.counts, None), strict=True):
            total += np.bincount(cell, values, grid.n_cells)
        report(done, len(samples))
    sums, counts, n = totals.reshape(3, *grid.shape)
    mean = np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0)
    return Grid(grid, mean, counts, n.astype(int))


def _scale(scan: Scan) -> Array:
    """Return what makes intensities of counts: (n_rows, 1) or a value for each count."""
    scale = np.ones((scan.n_points, 1))
    factors = (
        (scan.attenuation, 1.0),
        (scan.count_time_s, -1.0),
        (None if scan.monitor is None else scan.monitor / _mean(scan.monitor), -1.0),
    )
    for values, power in factors:
        if values is not None:
            column = values.reshape(len(values), -1)
            usable = np.where(column > 0, column, np.nan)
            scale = scale * usable**power
    return (
        scale.reshape(-1, 1)
        if scan.has_angle_a_channel and scale.shape[1] > 1
        else (np.repeat(scale, scan.counts.shape[1], axis=0) if scan.has_angle_a_channel else scale)
    )


def _mean(monitor: Array) -> float:
    """Return the mean over the points that had beam."""
    return float(np.mean(monitor[np.isfinite(monitor) & (monitor > 0)]))


def _valid(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels hold counts, and no sentinel."""
    return np.asarray(~find_sentinels(counts) & (counts >= 0))
