"""What the pixels of a run's points tell together: which of them died, and whether points differ.

`bl_steer.runs.points` asks at each point, in a run under way and in a stored one alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from bl_steer.diffraction import find_flags, find_overflows, find_sentinels
from bl_steer.protocols import Array
from bl_steer.runs.readout import Exposure

__all__ = [
    "Contrast",
    "DeadPixels",
    "Overflows",
    "absent_in",
    "likeness",
    "share_of_counts",
    "split_gaps",
]

FEW = 8
"""Points among which there must be something to tell apart, or there may be no beam."""

EXPECTED = 40.0
"""Counts of which a pixel in order shows none by chance once in e⁴⁰, 10¹⁷ times."""
BRIGHT = 10.0
"""Counts that two exposures share by chance once in 11 times, √(4π · 10), at the most."""
FROZEN = 17
"""Points in a row with one number of such counts: by chance once in 11¹⁶, 10¹⁶ times."""
CONSTANT = 10
"""Points after which a pixel of `BRIGHT` counts that never changed is taken for a gap: by chance
once in 11⁹ times."""
FEW_FULL = 5
"""Points at the start of a run that may all have a pixel's counter full; more have a gap there that
goes, as when a mask is changed."""
ALONE = 3.0
"""Factor over its brightest neighbour above which a pixel stands alone."""
NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
LIT_PIXELS = 5
"""Pixels with counts that a row must have to be told from another."""
LEAST_SIDE = 4
"""Pixels along the smallest block that is followed."""
DARK_POINTS = 3
"""Points in a row at which a block must be dark."""


def absent_in(frames: NDArray[Any], *, flags: bool = True) -> NDArray[np.bool_]:
    """Return which values stand for "nothing was measured here"; earlier versions had no flags."""
    absent = find_sentinels(frames)
    return absent | find_flags(frames) if flags else absent


def split_gaps(
    exposures: Sequence[Exposure], mask: NDArray[np.bool_] | None = None, *, flags: bool = True
) -> tuple[list[Exposure], list[Exposure]]:
    """Return exposures to judge, 0 where nothing was measured, and to reduce, with NaN there.

    One with a frame of which no pixel was measured is not sound.

    Parameters
    ----------
    mask : shape (H, W), True where pixels are not to be used: as if they measured nothing
    flags : as `absent_in` takes it
    """
    judged, measured = [], []
    for exposure in exposures:
        absent = absent_in(exposure.frames, flags=flags)
        if mask is not None:
            absent = absent | mask
        if absent.any():
            is_sound = exposure.sound and not absent.all(axis=(1, 2)).any()
            exposure = replace(exposure, sound=is_sound)
            frames = np.where(absent, np.nan, exposure.frames)
            measured.append(replace(exposure, frames=frames))
            judged.append(replace(exposure, frames=np.where(absent, 0, exposure.frames)))
        else:
            measured.append(exposure)
            judged.append(exposure)
    return judged, measured


def likeness(frames: Array, before: Array) -> str:
    """Return "repeated" or "torn" where frames, or some rows of one, are those before, or "".

    Rows count in which `LIT_PIXELS` count: three in a row are equal by chance in one frame of 10⁹.
    """
    if not frames.any():
        return ""
    lit = (frames != 0).sum(axis=2) >= LIT_PIXELS
    same = (frames == before).all(axis=2)
    if same.all():
        return "repeated"
    equal = same & lit
    return "torn" if (equal[:, 2:] & equal[:, 1:-1] & equal[:, :-2]).any() else ""


def share_of_counts(exposures: Sequence[Exposure], mask: NDArray[np.bool_]) -> float:
    """Return the share of all counts that lies in masked pixels, 0 … 1."""
    masked = total = 0.0
    for exposure in exposures:
        counts = np.where(absent_in(exposure.frames), 0, exposure.frames)
        masked, total = masked + float(counts[:, mask].sum()), total + float(counts.sum())
    return masked / total if total > 0 else 0.0


class Overflows:
    """Tell the full counters of pixels from the gaps of a detector, which hold the same number.

    Notes
    -----
    A pixel that has counted in any frame so far is no gap. Where its counter is full, it takes the
    most that a pixel has counted so far: less than was there, and more than any other pixel shows,
    so that a search still finds the way. A pixel that stands alone at most points is hot: it counts
    three times its brightest neighbour at the most.

    Parameters
    ----------
    alone : take what pixels that stand alone count as it is, as earlier versions did
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone
        self._shape: tuple[int, ...] = ()
        self._late: set[int] = set()

    def take(
        self, number: int, exposures: Sequence[Exposure], mask: NDArray[np.bool_] | None = None
    ) -> tuple[list[Exposure], NDArray[np.bool_]]:
        """Return the exposures of a point, full counters told apart, and in which pixels, (H, W).

        Parameters
        ----------
        number : of the point, from 0
        mask : pixels that are left out, (H, W)
        """
        used = True if mask is None else ~mask
        full = [find_overflows(exposure.frames) & used for exposure in exposures]
        counts = [~find_sentinels(exposure.frames) & used for exposure in exposures]
        if self._shape != full[0].shape[1:]:
            self._shape = full[0].shape[1:]
            self._counted, self._was_full = np.zeros((2, *self._shape), dtype=bool)
            self._top, self._n_alone = np.zeros((2, *self._shape))
            self._most, self._n = 0.0, 0
        counted = self._counted | np.any([c.any(axis=0) for c in counts], axis=0)
        if number <= FEW_FULL and (self._was_full & counted).any():
            self._late.update(range(number))
        self._counted = counted
        tops = [
            np.max(exposure.frames, axis=0, where=is_count, initial=0)
            for exposure, is_count in zip(exposures, counts, strict=True)
        ]
        is_full = np.any([pixels.any(axis=0) for pixels in full], axis=0)
        self._take_counts(np.max(tops, axis=0).astype(float), np.asarray(is_full))
        overflows = [pixels & counted for pixels in full]
        seen = np.asarray(np.any([pixels.any(axis=0) for pixels in overflows], axis=0))
        self._was_full |= is_full
        self._was_full &= ~counted
        if not seen.any():
            return list(exposures), seen
        return [
            replace(e, frames=np.where(pixels, e.frames.dtype.type(self._most), e.frames))
            for e, pixels in zip(exposures, overflows, strict=True)
        ], seen

    def _take_counts(self, top: Array, is_full: NDArray[np.bool_]) -> None:
        """Note what each pixel of a point counted at the most, and where counters were full."""
        self._top, self._n = np.maximum(self._top, top), self._n + 1
        if self._alone or min(top.shape) < 3:
            self._most = float(self._top.max())
            return
        self._n_alone += top > ALONE * _brightest_beside(np.where(is_full, np.inf, top))
        hot = 2 * self._n_alone > self._n
        usual = np.where(hot, 0.0, self._top)
        least = np.minimum(ALONE * _brightest_beside(usual), self._top)
        self._most = float(np.where(hot, least, usual).max())

    def seen_late(self) -> tuple[int, ...]:
        """Return, once, the points at which pixels overflowed that were taken for gaps then."""
        late, self._late = tuple(sorted(self._late)), set()
        return late


class DeadPixels:
    """Follow the pixels of a detector from point to point.

    Notes
    -----
    A pixel is taken for dead where it counts nothing more, though it should have counted
    `EXPECTED` since it last did: the lesser of its neighbours on both sides, times its own share of
    these until then. It is also dead where it shows one number of counts at `FROZEN` points in a
    row while its neighbours go on. What never counted, or never changed, is a mask and no fault.

    Within a block of dead pixels no neighbour goes on, see `DeadBlocks`.

    Parameters
    ----------
    blocks : look for blocks too
    """

    def __init__(self, *, blocks: bool = False) -> None:
        self._before: Array | None = None
        self._n = 0
        self._blocks = DeadBlocks() if blocks else None

    @property
    def stuck(self) -> NDArray[np.bool_] | None:
        """Pixels that have shown one number at all of `CONSTANT` points or more, (H, W), or None.

        Where all pixels are so, nothing is known.
        """
        if self._before is None or self._n < CONSTANT or not self._varied.any():
            return None
        return np.asarray(~self._varied & (self._before >= BRIGHT))

    def take(self, counts: Array, share: float = 1.0) -> int:
        """Return how many pixels are dead, by the next point too.

        Its counts, (H, W), are as the detector gave them in a share of the full exposure time.
        """
        if self._before is None or self._before.shape != counts.shape:
            self._before, self._n = None, 0
            self._counted, self._beside, self._missed = np.zeros((3, *counts.shape))
            self._frozen = np.zeros(counts.shape, dtype=np.int64)
            self._varied = np.zeros(counts.shape, dtype=bool)
        self._n += 1
        beside = _beside(np.maximum(counts, 0.0))
        lit = counts > 0
        self._missed += beside
        self._counted += np.where(lit, counts, 0.0)
        self._beside += np.where(lit, self._missed, 0.0)
        self._missed[lit] = 0.0
        if self._before is not None:
            changed = counts != self._before
            self._varied |= changed
            goes_on = _beside(changed.astype(float)) > 0
            self._frozen[changed] = 0
            self._frozen += ~changed & goes_on & self._varied & (counts >= BRIGHT)
        self._before = counts
        known = (self._counted >= EXPECTED) & (self._beside >= EXPECTED)
        part = np.minimum(self._counted, self._beside) / np.maximum(self._beside, 1.0)
        dark = known & (part * self._missed >= EXPECTED)
        dead = dark | (self._frozen >= FROZEN)
        if self._blocks is not None:
            dead |= self._blocks.take(counts, share) & (self._counted > 0)
        return int(dead.sum())


class DeadBlocks:
    """Follow squares of pixels from point to point, of 4, 8, 16, … along a side.

    Notes
    -----
    A block is dead where it counts nothing at `DARK_POINTS` points in a row or more, though with
    the least that it ever counted, at `CONSTANT` points or more, it should have counted `EXPECTED`
    at these. A block that was dark before may be dark again. Points without any count do not tell.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()

    def take(self, counts: Array, share: float) -> NDArray[np.bool_]:
        """Return which pixels lie in dead blocks, of a point's counts, both (H, W)."""
        if self._shape != counts.shape:
            self._shape, self._n = counts.shape, 0
            n_sides = max(0, int(np.log2(max(min(counts.shape) // LEAST_SIDE, 1)))) + 1
            self._sides = [LEAST_SIDE * 2**k for k in range(n_sides)]
            self._least = [np.full(_sums(counts, side).shape, np.inf) for side in self._sides]
            self._dark = [np.zeros(least.shape, dtype=int) for least in self._least]
            self._lost = [np.zeros(least.shape) for least in self._least]
        dead = np.zeros(counts.shape, dtype=bool)
        if not counts.any():
            return dead
        self._n += 1
        blocks = zip(self._sides, self._least, self._dark, self._lost, strict=True)
        for side, least, dark, lost in blocks:
            sums = _sums(counts, side)
            is_dark = sums == 0
            least[~is_dark] = np.where(dark > 0, 0.0, np.minimum(least, sums / share))[~is_dark]
            dark[:] = np.where(is_dark, dark + 1, 0)
            lost[:] = np.where(is_dark, lost + share, 0.0)
            told = (dark >= DARK_POINTS) & (self._n - dark >= CONSTANT)
            # Infinity is the least of a block that never counted: it is a mask.
            told &= np.where(np.isfinite(least), least, 0.0) * lost >= EXPECTED
            if told.any():
                spread = np.repeat(np.repeat(told, side, axis=0), side, axis=1)
                dead |= spread[: counts.shape[0], : counts.shape[1]]
        return dead


def _sums(counts: Array, side: int) -> Array:
    """Return the sums of the blocks; those at the far edges may be smaller."""
    rows = np.add.reduceat(counts, np.arange(0, counts.shape[0], side), axis=0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, counts.shape[1], side), axis=1))


class Contrast:
    """Tell whether the patterns of a run's points differ by more than chance.

    Notes
    -----
    Poisson's counts have, over n points and k pixels, the sum of (n - 1) variance/mean around
    k (n - 1), with the variance 2 k (n - 1): the index of dispersion, Fisher 1925, Statistical
    Methods for Research Workers, §16. What is no number of counts is no chance.
    """

    def __init__(self) -> None:
        self._n = 0
        self._sums = np.zeros((2, 0, 0))
        self._are_counts = True

    def is_chance(self, counts: Array) -> bool:
        """Take a point's counts, shape (H, W); return whether all of `FEW` or more are alike."""
        if self._n == 0 or self._sums.shape[1:] != counts.shape:
            self._n, self._sums = 0, np.zeros((2, *counts.shape))
        self._n += 1
        self._are_counts &= bool((counts == np.round(counts)).all() and counts.min() >= 0)
        self._sums += counts, counts**2
        lit = self._sums[0] > 0
        if self._n < FEW or not self._are_counts or not lit.any():
            return False
        first, second = self._sums[:, lit]
        free = first.size * (self._n - 1)
        dispersion = float((self._n * second / first - first).sum())
        return bool(dispersion < free + 3.0 * math.sqrt(2.0 * free))


def _brightest_beside(values: Array) -> Array:
    """Return the brightest of each pixel's eight neighbours, (H, W)."""
    return np.asarray(maximum_filter(values, footprint=NEIGHBOURS, mode="constant"))


def _beside(values: Array) -> Array:
    """Return, for each pixel, the lesser of the two beside it, or of those above and below."""
    result = np.zeros(values.shape)
    if values.shape[1] > 2:
        result[:, 1:-1] = np.minimum(values[:, :-2], values[:, 2:])
    if values.shape[0] > 2:
        lesser = np.minimum(values[:-2], values[2:])
        result[1:-1] = np.maximum(result[1:-1], lesser)
    return result
