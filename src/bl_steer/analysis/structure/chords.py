"""Chord lengths: how long lines along z, y and x stay in a phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bl_steer.analysis.structure.volume import LabelVolume
from bl_steer.protocols import Array, Progress

__all__ = ["Chords", "chord_lengths"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Chords:
    """Chords of each phase along z, y and x; NaN where there are none.

    Parameters
    ----------
    uncut : chords with both ends inside the box, by phase and length in voxels; for each axis an
        array (n_phases, voxels of the axis)
    mean_nm, median_nm : shape (n_phases, 3)
    step_nm : length of a voxel along each axis
    """

    uncut: tuple[Ints, Ints, Ints]
    mean_nm: Array
    median_nm: Array
    step_nm: tuple[float, float, float]

    def shares(self, phase: int, axis: int) -> tuple[Array, Array]:
        """Return the lengths that occur, nm, and the share of each among the phase's chords.

        A long chord seldom lies wholly inside the box: each counts 1 / (places it could have).

        References
        ----------
        Miles (1974) in Harding & Kendall, Stochastic Geometry, Wiley, p. 202.
        """
        counts = self.uncut[axis][phase]
        lengths = np.flatnonzero(counts)
        weights = counts[lengths] / (len(counts) - 1 - lengths)
        shares = weights / max(float(weights.sum()), np.finfo(float).tiny)
        return np.asarray(lengths * self.step_nm[axis], dtype=float), np.asarray(shares)


def chord_lengths(volume: LabelVolume, *, progress: Progress | None = None) -> Chords:
    """Return the chords of each phase along the axes.

    Notes
    -----
    The mean is twice the length of line inside the phase over its ends, per length of line that
    could be seen; it takes the chords into account that the box cuts, and is unbiased. The median
    is that of `Chords.shares`; it knows no chord as long as the box.
    """
    n_phases = len(volume.names)
    _, height, width = volume.shape
    z, y, x = (np.zeros((n_phases, n), dtype=np.int64) for n in volume.shape)
    ends = np.zeros((3, n_phases), dtype=np.int64)
    began = np.full((height, width), -1, dtype=np.int64)
    for slab in volume.slabs(1, progress):
        _add_chords(slab.phases, slab.first, slab.start, began, z, y, x, ends)
    step = volume.voxel_size_nm
    lengths = np.array(volume.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A line of n voxels has n - 1 faces between neighbours where a chord can be seen to end.
        per_length = ends.T / (volume.n_voxels * (lengths - 1) / lengths)
        mean = 2 * volume.fractions[:, None] / per_length * np.array(step)
    mean[~np.isfinite(mean)] = np.nan
    chords = Chords((z, y, x), mean, np.full((n_phases, 3), np.nan), step)
    for phase, axis in np.ndindex(n_phases, 3):
        chords.median_nm[phase, axis] = _median(*chords.shares(phase, axis))
    return chords


def _median(lengths: Array, shares: Array) -> float:
    if not len(lengths):
        return float("nan")
    return float(lengths[np.searchsorted(np.cumsum(shares), 0.5 - 1e-12)])


@njit(nogil=True, cache=True)
def _add_chords(
    slab: NDArray[np.uint8],
    first: int,
    start: int,
    began: Ints,
    uncut_z: Ints,
    uncut_y: Ints,
    uncut_x: Ints,
    ends: Ints,
) -> None:
    """Add the chords that end in a slab.

    Parameters
    ----------
    began : z where the chord at each (y, x) began, -1 at the face of the box; changed in place
    uncut_z, uncut_y, uncut_x, ends : changed in place
    """
    depth, height, width = slab.shape
    columns = np.empty(width, dtype=np.int64)
    for z in range(first, depth):
        columns[:] = -1
        if z > 0:
            _step(slab[z - 1], slab[z], start + z - first, began, uncut_z, ends[0])
        for y in range(height):
            if y > 0:
                _step(slab[z, y - 1 : y], slab[z, y : y + 1], y, columns[None], uncut_y, ends[1])
            row = slab[z, y]
            begin = -1
            for x in range(1, width):
                if row[x] != row[x - 1]:
                    ends[2, row[x - 1]] += 1
                    ends[2, row[x]] += 1
                    if begin >= 0:
                        uncut_x[row[x - 1], x - begin] += 1
                    begin = x


@njit(nogil=True, cache=True)
def _step(
    before: NDArray[np.uint8],
    here: NDArray[np.uint8],
    position: int,
    began: Ints,
    uncut: Ints,
    ends: Ints,
) -> None:
    """Add the chords that end between two neighbouring planes, or rows."""
    for y in range(here.shape[0]):
        for x in range(here.shape[1]):
            if here[y, x] != before[y, x]:
                ends[before[y, x]] += 1
                ends[here[y, x]] += 1
                if began[y, x] >= 0:
                    uncut[before[y, x], position - began[y, x]] += 1
                began[y, x] = position
