"""What the patterns of a run tell together: which cells count, and which counts are spikes.

One pattern cannot tell a peak that is one cell wide from a cosmic ray; the same cell at the other
points can. `bl_steer.features.spikes` is the rule without memory, by which runs of earlier
versions were steered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import find_bad_pixels, find_sentinels, find_zingers
from bl_steer.diffraction.bad_pixels import around, usual_counts
from bl_steer.protocols import Array

__all__ = ["Masks", "PatternMemory", "make_memory", "memory_of"]

FEWEST = 5
"""Patterns from which on spikes are told; hot and dead cells take ten."""
STUCK_COUNTS = 10.0
"""Counts that ten patterns share by chance once in 11⁹ times, see `bl_steer.runs.pixels`."""
FEWEST_TO_STICK = 10


Masks = bool | Literal["first", "second"]
"""Whether patterns are judged by all together; "first" and "second": as the first versions did that
could, which took two rays on one cell for a peak, and the first noise of few counts for hot."""


def make_memory(masks: Masks, shape: tuple[int, int]) -> PatternMemory | None:
    """Return the memory of a feature that is to judge patterns together; else None."""
    return PatternMemory(shape, steps=masks != "first", again=masks is True) if masks else None


def memory_of(feature: object) -> PatternMemory | None:
    """Return the memory of a feature; None where it has none."""
    memory = getattr(feature, "memory", None)
    return memory if isinstance(memory, PatternMemory) else None


class PatternMemory:
    """The patterns so far, and what of them counts.

    Parameters
    ----------
    shape : frame shape (H, W)
    steps : as `bl_steer.diffraction.find_bad_pixels` takes it
    again : as `bl_steer.diffraction.bad_pixels.usual_counts` takes it

    Attributes
    ----------
    version : how often it has changed what counts of earlier patterns
    usable : shape (n_pixels,), the cells that count: measured in all patterns so far, and neither
        hot, dead nor stuck (`bl_steer.diffraction.find_bad_pixels`)
    masked_share : share of all counts so far that lies in hot cells and spikes, 0 … 1
    exposures_differ : whether one count is not worth the same in all patterns, as these are brought
        to one exposure time; False by default

    Notes
    -----
    Cells are judged at five patterns, and then whenever these have grown by a fifth, by five at
    least. Spikes (`bl_steer.diffraction.find_zingers`) are told by the same cell of other patterns,
    never by one pattern alone: among fewer than five none is. They take the median of their
    neighbours.
    """

    def __init__(self, shape: tuple[int, int], *, steps: bool = True, again: bool = True) -> None:
        self.shape = shape
        self._steps = steps
        self._again = again
        self.version = 0
        n_pixels = shape[0] * shape[1]
        self.usable = np.ones(n_pixels, dtype=bool)
        self.masked_share = 0.0
        self.exposures_differ = False
        self._measured = np.ones(n_pixels, dtype=bool)
        self._bad = np.zeros(n_pixels, dtype=bool)
        self._usual: Array | None = None
        self._patterns: list[Array] = []
        self._n = 0
        self._next = FEWEST
        self._spikes = np.empty((0, 2), dtype=np.intp)
        self._noise = np.zeros((2, n_pixels))
        self._smallest = np.inf

    @property
    def n_spikes(self) -> int:
        """Counts of the patterns so far that are taken for spikes."""
        return len(self._spikes)

    @property
    def patterns(self) -> Array:
        """All patterns so far as they came, (n_points, n_pixels)."""
        return np.concatenate(self._patterns)

    @property
    def count(self) -> Array:
        """What one count is worth in each cell, (n_pixels,), in the patterns' unit.

        The variance over the value, where the reduction told variances; else the smallest value
        above 0 of all patterns. Patterns that are no counts have hardly any noise by that.
        """
        variance, value = self._noise
        if value.sum() > 0:
            overall = float(variance.sum() / value.sum())
            return np.asarray(
                np.divide(variance, value, out=np.full(len(value), overall), where=value > 0)
            )
        return np.full(len(value), self._smallest if np.isfinite(self._smallest) else 1.0)

    def count_of(self, patterns: Array) -> Array:
        """Return what one count is worth in patterns, (n_points, n_pixels); or (n_pixels,) in all.

        Where exposures differ, it is not less than the smallest value above 0 of the pattern.
        """
        if not self.exposures_differ:
            return self.count
        smallest = np.min(patterns, axis=1, where=patterns > 0, initial=np.inf)
        return np.maximum(self.count, np.where(np.isfinite(smallest), smallest, 0.0)[:, None])

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        known = np.isfinite(patterns) & np.isfinite(variances) & (patterns > 0)
        self._noise += np.where(known, (variances, patterns), 0.0).sum(axis=1)

    def take(self, patterns: Array) -> None:
        """Take newly measured patterns, (n_new, n_pixels)."""
        self._patterns.append(patterns)
        self._n += len(patterns)
        absent = find_sentinels(patterns)
        seen = patterns[~absent & (patterns > 0)]
        self._smallest = min(self._smallest, float(seen.min(initial=np.inf)))
        self._measured &= ~absent.any(axis=0)
        before, spikes = self.usable, self._spikes
        if self._n >= self._next:
            self._next = max(self._n + 5, -(-6 * self._n // 5))
            self._judge()
        self.usable = self._measured & ~self._bad
        if not (np.array_equal(before, self.usable) and np.array_equal(spikes, self._spikes)):
            self.version += 1

    def forget(self, rows: Sequence[int]) -> None:
        """Leave patterns out that turned out not to have been measured as they seemed.

        Parameters
        ----------
        rows : of `patterns`; what counts is judged anew when the next pattern is taken
        """
        left = np.delete(self.patterns, rows, axis=0)
        self._patterns = [left]
        self._measured = np.asarray(~find_sentinels(left).any(axis=0))

    def cleaned(self, patterns: Array) -> Array:
        """Return patterns, (n_points, n_pixels), without spikes, and 0 where a cell is not usable.

        A cell that is usable, and was not measured in one of these patterns, takes the median of
        its neighbours as well.
        """
        values = np.where(find_sentinels(patterns) | ~self.usable, np.nan, patterns)
        replaced = np.isnan(values) & self.usable
        if self._usual is not None:
            replaced |= self._zingers(values)
        if replaced.any():
            rows = np.flatnonzero(replaced.any(axis=1))
            frames = np.where(replaced, np.nan, values)[rows].reshape(-1, *self.shape)
            medians = np.stack([around(frame, np.isnan(frame), np.nanmedian) for frame in frames])
            values[rows] = np.where(replaced[rows], medians.reshape(len(rows), -1), values[rows])
        return np.where(self.usable, values, 0.0)

    def _judge(self) -> None:
        patterns = self.patterns
        patterns = np.where(find_sentinels(patterns), np.nan, patterns)
        frames = patterns.reshape(-1, *self.shape)
        bad = find_bad_pixels(frames, steps=self._steps)
        stuck = (
            bad.stuck
            & (self._n >= FEWEST_TO_STICK)
            & (frames[0] >= STUCK_COUNTS * self.count_of(patterns[:1]).reshape(self.shape))
        )
        self._bad = (bad.hot | bad.dead | stuck).ravel()
        self._usual = usual_counts(frames, again=self._again)
        self.usable = self._measured & ~self._bad
        spikes = self._zingers(np.where(self.usable, patterns, np.nan))
        self._spikes = np.argwhere(spikes)
        total = float(np.nansum(np.maximum(patterns, 0.0)))
        left_out = float(np.nansum(patterns[:, bad.hot.ravel()])) + float(patterns[spikes].sum())
        self.masked_share = left_out / total if total > 0 else 0.0

    def _zingers(self, patterns: Array) -> NDArray[np.bool_]:
        frames = patterns.reshape(-1, *self.shape)
        count = self.count_of(patterns).reshape(-1, *self.shape)
        return find_zingers(frames, usual=self._usual, count=count).reshape(patterns.shape)
