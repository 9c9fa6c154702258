"""The counts of a scan in q, a frame at a time, and their mean on a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.rsm.coverage import FEWEST, HOLES, coverage
from bl_steer.analysis.rsm.geometry import circle_angles
from bl_steer.diffraction import Goniometer, QGrid, ceiling_of, find_overflows, find_sentinels
from bl_steer.files.scans import Scan
from bl_steer.protocols import Array, Progress

__all__ = ["Block", "Grid", "Samples", "gridded"]

MOST = 201
"""Cells along an axis, where nobody says how many."""
POSITIVE = ("monitor", "count_time_s", "attenuation")
BLOCK = 1 << 20
"""Pixels that are turned into q at a time."""
CEILING_8_BITS = 255
CEILINGS = (255, 1023, 4095, 16383, 32767)
"""The largest numbers of 8, 10, 12, 14 and 15 bits, in which converters count."""
FULL_AT_LEAST = 3
"""Readings of one such number, the largest of all, that are told."""


@dataclass(frozen=True)
class Block:
    """Counts and where they lie: all of shape (m,); q in 1/Å.

    ``q_across`` is at right angles to the scattering plane, along which the map is projected;
    ``scale`` makes intensities, in the samples' unit, of counts.
    """

    q_par: Array
    q_perp: Array
    q_across: Array
    counts: Array
    scale: Array

    @property
    def intensity(self) -> Array:
        """In the samples' unit."""
        return self.counts * self.scale


@dataclass(frozen=True)
class Grid:
    """Mean intensity on a regular grid.

    Parameters
    ----------
    cells : on which it is
    mean : shape (n_perp, n_par); NaN where nothing fell
    counts, n : sums of the counts, and how many fell into each cell, of the same shape
    exposure : counts that a uniform intensity of 1 would have given in each cell
    steps : (along q_par, along q_perp), cells that the steps of the scan and the pixels need to
        leave none of them empty, 1 or more: 1 unless the cells are finer
    holes : share of the measured area into which nothing fell, 0 … 1
    """

    cells: QGrid
    mean: Array
    counts: Array
    n: NDArray[np.int_]
    exposure: Array
    steps: tuple[float, float] = (1.0, 1.0)
    holes: float = 0.0

    @property
    def notes(self) -> list[str]:
        """What to know of the cells."""
        if self.holes <= HOLES:
            return []
        par, perp = (int(n / s) for n, s in zip(self.mean.shape[::-1], self.steps, strict=True))
        return [
            f"the cells are finer than the scan's steps and pixels: {100 * self.holes:.0f} % of "
            f"the measured area hold none; take cells={max(min(par, perp), FEWEST)} or leave it "
            "out"
        ]

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
    """All counts of a scan with their q; iterated in blocks, so that memory stays bounded.

    Attributes
    ----------
    stored_unit, unit : of the values as stored, and of intensities: ``"counts"``, ``"counts/s"`` or
        ``"arbitrary"``
    are_counts : the variance of a stored value is the value itself; of what was corrected, or
        interpolated, it is not known
    least_count : the least that the variance may be of the value
    """

    def __init__(self, scan: Scan, goniometer: Goniometer) -> None:
        self._scan, self._goniometer = scan, goniometer
        self._angles = goniometer.angle_table(circle_angles(scan, goniometer))
        self._scale = _scale(scan)
        self._usable = (
            None
            if scan.mask is None
            else ~np.broadcast_to(scan.mask, scan.counts.shape).reshape(len(self._angles), -1)
        )
        self._ceiling = _ceiling_of(scan.counts)
        self._full = 0
        self._lost = np.zeros(goniometer.detector.n_pixels, dtype=int)
        self._counts = np.zeros(goniometer.detector.n_pixels, dtype=bool)
        self.stored_unit = scan.stored_unit
        in_time = scan.count_time_s is not None or "time" in scan.corrected
        self.unit = "counts/s" if in_time and self.stored_unit != "arbitrary" else self.stored_unit
        is_counted = self.stored_unit == "counts"
        self.are_counts = is_counted and not scan.corrected and scan.are_whole
        self.least_count = 1.0 if is_counted else 0.0

    @property
    def size(self) -> int:
        """Number of counts."""
        return self._scan.counts.size

    @property
    def notes(self) -> list[str]:
        """What was left out."""
        notes = []
        if self._usable is not None:
            masked = self._usable.size - np.count_nonzero(self._usable)
            notes.append(f"the mask leaves out {100.0 * masked / self.size:.2g} % of the pixels")
        if dark := [name for name in POSITIVE if _without(self._scan, name)]:
            n = max(_without(self._scan, name) for name in dark)
            notes.append(
                f"{n} of {self._scan.n_points} points have no positive {' or '.join(dark)}, and "
                "are out; the beam may have been away"
            )
        full = int(self._lost[self._counts].sum()) if self._scan.kind == "area" else self._full
        if lost := int(self._lost.sum()) - full:
            share = 100.0 * lost / self.size
            notes.append(f"{lost} pixels ({share:.2g} %) hold no counts (gaps, dead), and are out")
        if full:
            notes.append(
                f"{full} readings ({100.0 * full / self.size:.2g} %) of pixels that count in other "
                "frames are no counts, and are out: where counters are full, a peak is cut off at "
                "its top, too low and too wide; weaken the beam"
            )
        if self.stored_unit == "arbitrary" and not self._scan.unit:
            notes.append(
                "the values are no whole numbers, and nothing says that they are rates: their unit "
                "is taken for arbitrary, and their noise from how the map scatters"
            )
        if self._ceiling is not None:
            bits = int(self._ceiling).bit_length()
            notes.append(
                f"{self._ceiling}, the largest number of {bits} bits, stands in several pixels and "
                "nothing above it: taken for full counters or gaps, which are out"
            )
        elif told := _like_a_ceiling(self._scan.counts):
            notes.append(told)
        return notes

    def __len__(self) -> int:
        return -(-len(self._angles) // self._step)

    @property
    def _step(self) -> int:
        return max(1, BLOCK // self._goniometer.detector.n_pixels)

    def __iter__(self) -> Iterator[Block]:
        self._lost[:], self._full = 0, 0
        directions = self._goniometer.directions().reshape(-1, 3)
        counts = self._scan.counts.reshape(len(self._angles), -1)
        for first, (along, across, normal) in zip(
            range(0, len(counts), self._step), self._in_q(directions), strict=True
        ):
            rows = slice(first, first + self._step)
            scale = np.broadcast_to(self._scale[rows], counts[rows].shape)
            usable = np.isfinite(scale)
            if self._usable is not None:
                usable &= self._usable[rows]
            valid = usable & _valid(counts[rows])
            if self._ceiling is not None:
                valid &= counts[rows] != self._ceiling
            self._full += int(np.count_nonzero(usable & self._is_full(counts[rows])))
            self._lost += np.count_nonzero(usable & ~valid, axis=0)
            self._counts |= valid.any(axis=0)
            measured = counts[rows][valid].astype(float)
            yield Block(along[valid], normal[valid], across[valid], measured, scale[valid])

    def _is_full(self, counts: NDArray[Any]) -> NDArray[np.bool_]:
        full = find_overflows(counts)
        return full if self._ceiling is None else full | (counts == self._ceiling)

    def positions(self) -> Iterator[tuple[Array, Array]]:
        """Yield q_par and q_perp of pixels, also of those that hold no counts.

        Of an area detector those of a line in the scattering plane: the others lie a little beside
        it in the map, and fill cells that hold nothing of a peak.
        """
        for along, _, normal in self._in_q(self._in_plane()):
            yield along.ravel(), normal.ravel()

    def _in_plane(self) -> Array:
        """Return the directions of pixels at one place across the plane, (n, 3)."""
        directions = self._goniometer.directions()
        if directions.ndim < 3 or min(directions.shape[:2]) < 2:
            return directions.reshape(-1, 3)
        turn = self._goniometer.matrices(self._angles[len(self._angles) // 2][None])[0][0]
        across = self._goniometer.components(directions @ turn.T)[1]
        step = max(np.abs(np.diff(across, axis=axis)).max() for axis in (0, 1))
        return np.asarray(directions[np.abs(across - np.median(across)) <= 0.5 * step])

    def _in_q(self, directions: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Yield q_par, q_across and q_perp of frames that go together, (n_frames, n_pixels)."""
        for first in range(0, len(self._angles), self._step):
            turns, offsets = self._goniometer.matrices(self._angles[first : first + self._step])
            q = directions @ turns.transpose(0, 2, 1) + offsets[:, None, :]
            yield self._goniometer.components(q)


def gridded(samples: Samples, cells: int | None, progress: Progress | None = None) -> Grid:
    """Return the mean intensity on `cells` × `cells` cells that span all counts.

    By default there are as many as give each four counts, within `FEWEST` and `MOST`, and no more
    along q_par and q_perp than the steps of the scan and the pixels fill.

    Raises
    ------
    ValueError
        When no counts are left, or all lie on one q.
    """
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
    fell = coverage(samples.positions(), low, high)
    most = int(np.clip(np.sqrt(samples.size / 4), FEWEST, MOST))
    filled = fell.finest(cells or most)
    n_par, n_perp = (cells, cells) if cells else filled
    ranges = zip(low.tolist(), high.tolist(), (n_par, n_perp), strict=True)
    spans = [(first, last, n) for first, last, n in ranges]
    grid = QGrid(spans[0], spans[1], in_plane="along")
    totals = np.zeros((4, grid.n_cells))
    for done, block in enumerate(samples, start=1):
        cell = grid.cells(block.q_par, block.q_par, block.q_perp)[1]
        columns = (block.intensity, block.counts, 1.0 / block.scale, None)
        for total, values in zip(totals, columns, strict=True):
            total += np.bincount(cell, values, grid.n_cells)
        report(done, len(samples))
    sums, counts, exposure, n = totals.reshape(4, *grid.shape)
    mean = np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0)
    steps = (n_par / filled[0], n_perp / filled[1])
    holes = fell.holes((n_par, n_perp), filled)
    return Grid(grid, mean, counts, n.astype(int), exposure, steps, holes)


def _scale(scan: Scan) -> Array:
    """Return what makes intensities of counts: (n_rows, 1) or a value for each count."""
    scale = np.ones((scan.n_points, 1))
    factors = (
        (scan.attenuation, 1.0),
        (scan.count_time_s, -1.0),
        (None if scan.monitor is None else scan.monitor / _usual(scan.monitor), -1.0),
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


def _without(scan: Scan, name: str) -> int:
    """Return how many points have no positive value of a factor."""
    values = getattr(scan, name)
    if values is None:
        return 0
    return int(np.count_nonzero(~(values.reshape(len(values), -1) > 0).any(axis=1)))


def _usual(monitor: Array) -> float:
    """Return the median over the points that had beam, as `bl_steer.diffraction.frame_scales`."""
    return float(np.median(monitor[np.isfinite(monitor) & (monitor > 0)]))


def _valid(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels hold counts, and no sentinel."""
    return np.asarray(~find_sentinels(counts) & (counts >= 0))


def _ceiling_of(counts: NDArray[Any]) -> int | None:
    """Return the number of full counters of 16 bits in a wider type, or of 8 bits; else None."""
    is_byte = counts.dtype == np.uint8
    if is_byte and np.count_nonzero(counts == CEILING_8_BITS) > 1:
        return CEILING_8_BITS
    return None if is_byte else ceiling_of(counts)


def _like_a_ceiling(counts: NDArray[Any]) -> str:
    """Return what to say where the largest count is the largest number of some bits, and often."""
    largest = np.max(counts, where=~find_sentinels(counts), initial=0)
    n = int(np.count_nonzero(counts == largest))
    if largest not in CEILINGS or n < FULL_AT_LEAST:
        return ""
    return (
        f"{largest:g}, the largest number of {int(largest).bit_length()} bits, is the largest "
        f"count and stands in {n} readings ({100.0 * n / counts.size:.2g} %): if the counter was "
        "full there, a peak is cut off at its top, too low and too wide; weaken the beam"
    )
