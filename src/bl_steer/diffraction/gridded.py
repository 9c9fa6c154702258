"""From frames and angles to a map in reciprocal space: the sum, counts and variance of each cell.

`GriddedFrames` is a `bl_steer.diffraction.reduction.Reduction`: what a plan steers on.
`bl_steer.diffraction.corrections` weighs pixels, `bl_steer.diffraction.scales` frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from copy import copy
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.canonical import canonical_json
from bl_steer.diffraction.axes import FrameAxes
from bl_steer.diffraction.bad_pixels import find_flags, find_sentinels
from bl_steer.diffraction.cell_table import Cells, CellTable
from bl_steer.diffraction.corrections import PixelWeights
from bl_steer.diffraction.geometry import Goniometer
from bl_steer.diffraction.grid import QGrid
from bl_steer.diffraction.reduction import Pattern
from bl_steer.protocols import Array

__all__ = ["GriddedFrames", "GriddedMap"]

BLOCK_PIXELS = 2**18
"""Pixels that are worked on at a time: frames of point and linear detectors go together."""
TABLE_BYTES = 256 * 2**20


class GriddedFrames:
    """The reduction to a grid in reciprocal space.

    Parameters
    ----------
    goniometer : angles and pixels to q
    grid : the cells
    angles : of the circles that stay, degrees; the others come with the frames
    mask : shape of a frame, True where a pixel is not to be used
    flat : shape of a frame, relative efficiency of the pixels, by which counts are divided; pixels
        whose value is not positive are not used
    solid_angle : divide counts by the pixel's solid angle, in units of the beam centre's
    polarisation : axis of the electric field, such as ``"x+"``, or ``"unpolarised"``: divide
        counts by the polarisation factor; None to leave it
    empty : value of a pattern's cells in which no pixel fell
    sentinels : leave out values that stand for "nothing was measured here"
        (`bl_steer.diffraction.find_sentinels`, `find_flags`); earlier versions took them for counts
    table_bytes : of memory for the table, which says for angles seen before in which cells the
        pixels lie

    Raises
    ------
    ValueError
        When mask or flat field do not have the shape of a frame, or an angle is of no circle.

    Notes
    -----
    A cell's value is the mean over its pixels of I w s, with the counts I, the pixel's weight w
    (flat field, solid angle, polarisation), and the frame's scale s. Its variance is
    Σ I (w s)² / n²: that of counts, without that of the monitor. Values that are not finite, and
    sentinels, are pixels that were not measured in this frame.

    Examples
    --------
    >>> from bl_steer.diffraction import goniometer
    >>> lab = goniometer("omega-2theta")
    >>> gridded = GriddedFrames(lab, QGrid((-0.1, 0.1, 3), (4.5, 4.7, 3)))
    >>> point = gridded.begin()
    >>> point.add([7.0, 9.0], angles={"omega": 34.56, "two_theta": [69.12, 69.13]})
    >>> float(point.mean[1, 1]), int(point.n_pixels[1, 1]), float(point.variance[1, 1])
    (8.0, 2, 4.0)
    """

    takes_raw_frames: ClassVar[bool] = True
    """So what of them does not count has to be told before (`bl_steer.runs.raw_frames`)."""

    def __init__(
        self,
        goniometer: Goniometer,
        grid: QGrid,
        *,
        angles: Mapping[str, float] | None = None,
        mask: ArrayLike | None = None,
        flat: ArrayLike | None = None,
        solid_angle: bool = False,
        polarisation: str | None = None,
        empty: float = float("nan"),
        sentinels: bool = True,
        table_bytes: int = TABLE_BYTES,
    ) -> None:
        self.goniometer = goniometer
        self.grid = grid
        self.angles = dict(angles or {})
        unknown = [name for name in self.angles if name not in goniometer.circles]
        if unknown:
            raise ValueError(
                f"angles must be of the circles {', '.join(goniometer.circles)}, got "
                f"{', '.join(unknown)}; leave out the others"
            )
        self.weights = PixelWeights(
            goniometer, mask=mask, flat=flat, solid_angle=solid_angle, polarisation=polarisation
        )
        self.empty = empty
        self.sentinels = sentinels
        self._directions = np.ascontiguousarray(goniometer.directions().reshape(-1, 3).T)
        self._table = CellTable(table_bytes)

    @property
    def axes(self) -> FrameAxes:
        """Coordinates of the pattern's pixels."""
        return self.grid.axes

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses the maps should know."""
        return self.goniometer.notes

    def at(self, angles: Mapping[str, float]) -> Self:
        """Return the reduction of frames that are taken with circles at other angles, degrees.

        The direction of q_par turns with them, see `Goniometer.turned`: a reflection that a turn by
        180° brings to where another one was lies at the same q_par.
        """
        other, angles = copy(self), {**self.angles, **angles}
        other.goniometer = self.goniometer.turned(self.angles, angles)
        other.angles = angles
        other._table = CellTable(self._table.n_bytes)
        return other

    def begin(self) -> GriddedMap:
        """Return an empty map, to which frames are added as they come."""
        return GriddedMap(self)

    def reduce(
        self,
        frames: Array,
        *,
        scales: Array,
        angles: ArrayLike | Mapping[str, ArrayLike] | None = None,
    ) -> Array:
        """Return the mean of each cell, shape (n_cells,), `empty` where no pixel fell.

        Parameters
        ----------
        frames : shape (n_frames, H, W), counts as the detector gave them
        scales : shape (n_frames,), factor of each frame to the nominal beam
        angles : shape (n_frames,), of the goniometer's `rocked` circle, or lists by the circles'
            names, degrees; None where all were given before

        Raises
        ------
        ValueError
            When frames, scales or angles do not fit.
        """
        return self.measure(frames, scales=scales, angles=angles).values

    def measure(
        self,
        frames: Array,
        *,
        scales: Array,
        angles: ArrayLike | Mapping[str, ArrayLike] | None = None,
    ) -> Pattern:
        """Return what `reduce` returns, with its variance: NaN where no pixel fell."""
        point = self.begin()
        point.add(frames, angles=angles, scale=scales)
        mean = point.mean.ravel()
        values = mean if np.isnan(self.empty) else np.where(np.isnan(mean), self.empty, mean)
        return Pattern(values, point.variance.ravel(), "counts")

    def to_dict(self) -> dict[str, Any]:
        """Return all that a map depends on as JSON-compatible data; masks by their sha256."""
        return {
            "goniometer": self.goniometer.to_dict(),
            "grid": self.grid.to_dict(),
            "angles": {name: float(value) for name, value in self.angles.items()},
            **self.weights.to_dict(),
        }

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of `to_dict`, 64 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()

    def angle_table(
        self, angles: ArrayLike | Mapping[str, ArrayLike] | None, n_frames: int
    ) -> Array:
        """Return the angles of all circles, shape (n_frames, n_circles), degrees."""
        if angles is None:
            angles = {}
        elif not isinstance(angles, Mapping):
            angles = {self.goniometer.rocked: angles}
        table = self.goniometer.angle_table({**self.angles, **angles})
        if len(table) not in (1, n_frames):
            raise ValueError(
                f"angles must be one for each of {n_frames} frames, got {len(table)}; give the "
                "angle of each frame's middle"
            )
        return np.broadcast_to(table, (n_frames, table.shape[1]))

    def blocks(self, table: Array) -> Iterator[tuple[slice, Cells]]:
        """Yield frames that go together, and in which cells their pixels lie."""
        size = max(1, BLOCK_PIXELS // self._directions.shape[1])
        for first in range(0, len(table), size):
            block = slice(first, min(first + size, len(table)))
            angles = np.ascontiguousarray(table[block])
            yield block, self._table.cells(angles.tobytes(), partial(self._compute, angles))

    def _compute(self, table: Array) -> Cells:
        turns, offsets = self.goniometer.matrices(table)
        frame = self.goniometer.reference_frame
        components = (frame @ turns) @ self._directions
        components += (offsets @ frame.T)[:, :, None]
        along, across, normal = components.transpose(1, 0, 2).reshape(3, -1)
        pixels, cells = self.grid.cells(along, across, normal)
        used = self.weights.used
        if used is not None:
            keep = used[pixels % len(used)]
            pixels, cells = pixels[keep], cells[keep]
        weights = self.weights.of(pixels, self.goniometer.arm_turns(table), self._directions)
        small = np.min_scalar_type(self.grid.n_cells)
        return Cells(pixels.astype(np.uint32), cells.astype(small), weights)


class GriddedMap:
    """The map of a point under measurement: frames are added one at a time, or many.

    Attributes
    ----------
    n_frames : frames added
    """

    def __init__(self, gridded: GriddedFrames) -> None:
        self._gridded = gridded
        n_cells = gridded.grid.n_cells
        self._sums = np.zeros(n_cells)
        self._variances = np.zeros(n_cells)
        self._n_pixels = np.zeros(n_cells, dtype=np.int64)
        self.n_frames = 0

    def add(
        self,
        frames: ArrayLike,
        *,
        angles: ArrayLike | Mapping[str, ArrayLike] | None = None,
        scale: ArrayLike = 1.0,
    ) -> None:
        """Add frames.

        Parameters
        ----------
        frames : shape of a frame, or (n_frames, …), counts
        angles : as `GriddedFrames.reduce` takes them; numbers for a single frame
        scale : factor to the nominal beam, one for all frames or for each

        Raises
        ------
        ValueError
            When frames, scales or angles do not fit.
        """
        stack = self._stack(np.asarray(frames))
        scales = np.broadcast_to(np.asarray(scale, dtype=float), (len(stack),))
        if not (np.isfinite(scales) & (scales > 0)).all():
            raise ValueError(
                f"scales of frames must be positive and finite, got {scales.min():g} … "
                f"{scales.max():g}; leave out frames without beam"
            )
        table = self._gridded.angle_table(angles, len(stack))
        for block, cells in self._gridded.blocks(table):
            self._add(stack[block].reshape(-1), cells, scales[block])
        self.n_frames += len(stack)

    @property
    def sums(self) -> Array:
        """Sum of each cell."""
        return self._sums.reshape(self._gridded.grid.shape)

    @property
    def n_pixels(self) -> NDArray[np.int64]:
        """Pixels in each cell."""
        return self._n_pixels.reshape(self._gridded.grid.shape)

    @property
    def mean(self) -> Array:
        """Mean of each cell, NaN where no pixel fell."""
        return self._per_pixel(self._sums, 1)

    @property
    def variance(self) -> Array:
        """Variance of the mean of each cell, NaN where no pixel fell."""
        return self._per_pixel(self._variances, 2)

    def _per_pixel(self, total: Array, power: int) -> Array:
        n = np.where(self._n_pixels > 0, self._n_pixels, np.nan) ** power
        return np.asarray((total / n).reshape(self._gridded.grid.shape))

    def _stack(self, frames: NDArray[Any]) -> NDArray[Any]:
        detector = self._gridded.goniometer.detector
        n = detector.n_pixels
        if frames.shape == detector.shape:
            return frames[None]
        own = frames.shape[1:] if frames.ndim > 1 else ()
        # A plan's frames have rows and columns; those of linear and point detectors are thin.
        if tuple(s for s in own if s != 1) != tuple(s for s in detector.shape if s != 1):
            raise ValueError(
                f"frames must have the shape {detector.shape} of the {detector.kind} detector of "
                f"the goniometer, got {own or frames.shape} ({frames.size // max(len(frames), 1)} "
                f"pixels in place of {n}); give the goniometer the detector's region"
            )
        return frames

    def _add(self, counts: NDArray[Any], block: Cells, scales: Array) -> None:
        n_cells = len(self._sums)
        pixels, cells, weights = block
        stored = counts.take(pixels)
        values = stored.astype(float)
        if self._gridded.sentinels:
            values[find_sentinels(stored) | find_flags(stored)] = np.nan
        cells = cells.astype(np.intp)
        scale = scales[0]
        factor: Any = scale if weights is None else weights * scale
        if (scales != scale).any():
            each = scales[pixels // (len(counts) // len(scales))]
            factor = each if weights is None else weights * each
        first = np.bincount(cells, values, n_cells)
        if not np.isfinite(first).all():
            measured = np.isfinite(values)
            values, cells = values[measured], cells[measured]
            factor = factor[measured] if np.ndim(factor) else factor
            first = np.bincount(cells, values, n_cells)
        if np.ndim(factor):
            self._sums += np.bincount(cells, values * factor, n_cells)
            self._variances += np.bincount(cells, values * factor**2, n_cells)
        else:
            self._sums += first * factor
            self._variances += first * factor**2
        self._n_pixels += np.bincount(cells, minlength=n_cells)
