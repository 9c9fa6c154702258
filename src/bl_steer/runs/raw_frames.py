"""What of the raw frames of rocking scans does not count, told before they are put on a grid.

On a grid a cosmic ray is a bright cell as any other. `bl_steer.runs.points` asks at each point, in
a run under way and in a stored one alike; `bl_steer.features.memory` judges the patterns.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from bl_steer.diffraction import find_bad_pixels
from bl_steer.diffraction.bad_pixels import FEWEST_FRAMES, ZINGER_QUANTA, ZINGER_RATIO
from bl_steer.protocols import Array

__all__ = ["RawFrames"]

FEWEST_POINTS = 5
"""Earlier points without which no ray is told: a peak one pixel and one frame wide looks alike."""
BLOCK = (2, 4, 4)
"""Frames, rows and columns of a block: a peak may have moved by one from point to point, as on a
bent sample."""
JUDGED = (0, 1, 2, 4, 8, 16, 32, 64)
"""Points at which the pixels are judged, by the frames of one scan each."""


class RawFrames:
    """The frames of a run's rocking scans, one scan after the other.

    Notes
    -----
    A value x is a ray's where x > 3 v + 15 u for each of three v, u being the smallest value above
    0 of the scans that were judged: the brightest of the pixels around it in its frame; the
    brightest of all these in the frames before and after; and the largest but one that earlier
    points showed in its `BLOCK` and those around. So a peak that is one pixel and one frame wide,
    as that of a substrate, keeps its counts: other points show it too. Before `FEWEST_POINTS`
    points no ray is told.

    Pixels are hot, dead or stuck where most of the scans that were judged say so
    (`bl_steer.diffraction.find_bad_pixels`).

    Parameters
    ----------
    steps : as that takes it
    """

    def __init__(self, *, steps: bool = True) -> None:
        self._steps = steps
        self._n = self._n_judged = 0
        self._votes: NDArray[np.int_] = np.zeros((0, 0), dtype=int)
        self._shape: tuple[int, ...] = ()
        self._count = np.inf
        self._largest = self._second = np.zeros((0, 0, 0))

    def clean(self, frames: Array) -> float:
        """Put NaN in place of what does not count; return its share of all counts, 0 … 1.

        Parameters
        ----------
        frames : shape (n_frames, H, W), of one scan in their order, NaN where nothing was measured
        """
        if len(frames) < FEWEST_FRAMES or min(frames.shape[1:]) < 3:
            return 0.0
        if self._shape != frames.shape:
            self._shape = frames.shape
            self._n = self._n_judged = 0
            self._votes = np.zeros(frames.shape[1:], dtype=int)
            self._largest, self._second = np.zeros((2, *_blocks(frames).shape))
        total = float(np.nansum(frames))
        if self._n in JUDGED or self._n % JUDGED[-1] == 0:
            self._n_judged += 1
            self._votes += ~find_bad_pixels(frames, steps=self._steps).usable
            smallest = float(frames.min(where=frames > 0, initial=np.inf))
            self._count = min(self._count, smallest)
        bad = 2 * self._votes > self._n_judged
        left_out = float(np.nansum(frames[:, bad]))
        frames[:, bad] = np.nan
        rays = self._rays(frames) if self._n >= FEWEST_POINTS else np.empty((0, 3), dtype=int)
        self._remember(frames)
        left_out += float(frames[tuple(rays.T)].sum())
        frames[tuple(rays.T)] = np.nan
        self._n += 1
        return left_out / total if total > 0 else 0.0

    def _remember(self, frames: Array) -> None:
        largest = maximum_filter(_blocks(frames), size=3, mode="nearest")
        np.maximum(self._second, np.minimum(self._largest, largest), out=self._second)
        np.maximum(self._largest, largest, out=self._largest)

    def _rays(self, frames: Array) -> NDArray[np.int_]:
        """Return the frame, row and column of each ray, shape (n, 3)."""
        margin = ZINGER_QUANTA * self._count
        places = np.argwhere(frames > margin)
        # The nearest first: they leave few for what is further away.
        for step in sorted(product((-1, 0, 1), repeat=3), key=_far):
            if any(step) and len(places):
                values = frames[tuple(places.T)]
                places = places[values > ZINGER_RATIO * _at(frames, places + step) + margin]
        seen = self._second[tuple((places // BLOCK).T)]
        return np.asarray(places[frames[tuple(places.T)] > ZINGER_RATIO * seen + margin])


def _blocks(frames: Array) -> Array:
    """Return the largest value of each block, 0 where nothing was measured."""
    depth, *steps = BLOCK
    planes = []
    for first in range(0, len(frames), depth):  # a plane at a time stays in the cache
        plane = np.fmax.reduce(frames[first : first + depth], axis=0)
        for axis, step in enumerate(steps):
            plane = np.fmax.reduceat(plane, np.arange(0, plane.shape[axis], step), axis=axis)
        planes.append(plane)
    return np.asarray(np.nan_to_num(np.stack(planes), nan=0.0))


def _far(step: tuple[int, ...]) -> int:
    return sum(abs(s) for s in step)


def _at(frames: Array, places: NDArray[np.int_]) -> Array:
    """Return the values at some places, 0 beyond the edges and where nothing was measured."""
    shape = np.array(frames.shape)
    inside = ((places >= 0) & (places < shape)).all(axis=1)
    values = np.zeros(len(places))
    values[inside] = np.nan_to_num(frames[tuple(places[inside].T)], nan=0.0)
    return values
