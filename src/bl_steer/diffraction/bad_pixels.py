"""Which pixels of a detector are not to be trusted, judged by many frames together.

One frame cannot tell a peak that is one pixel wide from a hot pixel or a cosmic ray. Many can: a
hot pixel is bright in all of them, a peak moves or has flanks, and a ray is seen once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = [
    "BadPixels",
    "around",
    "ceiling_of",
    "find_absent",
    "find_bad_pixels",
    "find_flags",
    "find_overflows",
    "find_sentinels",
    "find_zingers",
    "usual_counts",
]

N_BLOCKS = 24
"""Blocks of frames whose means are compared, so that what one frame shows does not count."""
ERROR_OF_MEDIAN = 1.2533 * 1.4826
"""Standard error of a median of normal values: times their median deviation, over √n."""
FEWEST_FRAMES = 10
"""Below these no pixel is judged by its counts."""
HOT_RATIO = 3.0
"""A hot pixel is above this multiple of its brightest neighbour."""
HOT_ERRORS = 5.0
"""And above it by this many standard errors."""
ZINGER_RATIO = 3.0
ZINGER_QUANTA = 15.0
"""A zinger is above three times what it is compared with, and this many counts."""
FULL_COUNTERS = (2.0**32 - 1.0, 2.0**32)
"""The largest number of 32 bits, and what it becomes in a `float32`."""
CEILING = 2**16 - 1
"""The largest number of 16 bits."""
FLAGS = (-1.0, -2.0)
"""What detectors write into gaps and masked pixels."""
USUAL = 0.99
"""Quantile over the frames that says what a pixel may show."""


@dataclass(frozen=True)
class BadPixels:
    """Pixels that are left out, each of shape (H, W), and what that costs.

    Parameters
    ----------
    hot : brighter than the neighbours in all frames
    dead : without counts where the neighbours have some
    stuck : of one value, not 0, in all frames, as gaps of a detector and masked pixels are
    masked_share : share of all counts that lies in hot pixels, 0 … 1
    """

    hot: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    stuck: NDArray[np.bool_]
    masked_share: float = 0.0

    @property
    def usable(self) -> NDArray[np.bool_]:
        """The pixels that are left, (H, W)."""
        return ~(self.hot | self.dead | self.stuck)


def find_sentinels(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values stand for "nothing was measured here", in the shape of `frames`.

    Of unsigned integers of 16 bits and more the largest one, of signed ones all below 0, of
    floating-point numbers NaN and infinity; and 2³² - 1 of all wider types, into which a number of
    32 bits was put. Numbers below 0 are measured where a background was taken off.
    `ceiling_of` judges 65535, which a wider type may well count.
    """
    full = find_overflows(frames)
    if frames.dtype.kind == "i":
        return np.asarray(full | (frames < 0))
    return np.asarray(full | ~np.isfinite(frames)) if frames.dtype.kind == "f" else full


def find_flags(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which floating-point values are the -1 and -2 of integers, in the shape of `frames`.

    They are where all numbers of the frames are whole, and none is below -2: where a background was
    taken off, others are below 0 too.
    """
    below = frames < 0
    if frames.dtype.kind != "f" or not below.any() or not np.isin(frames[below], FLAGS).all():
        return np.zeros(frames.shape, dtype=bool)
    is_whole = bool((frames == np.rint(frames)).all(where=np.isfinite(frames)))
    return np.asarray(below & is_whole)


def find_absent(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values of a whole measurement are no counts, in the shape of `frames`.

    Sentinels (`find_sentinels`), full counters of 16 bits in a wider type (`ceiling_of`), and the
    flags of integers that became floating-point numbers (`find_flags`).
    """
    ceiling = ceiling_of(frames)
    absent = find_sentinels(frames) | find_flags(frames)
    return absent if ceiling is None else absent | (frames == ceiling)


def find_overflows(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are those of a counter that is full, in the shape of `frames`.

    The largest unsigned integer of 16 bits and more, and 2³² - 1 of any wider type. The gaps of a
    detector hold the same: a pixel that counts in other frames is none, see
    `bl_steer.runs.pixels.Overflows`.
    """
    kind, size = frames.dtype.kind, frames.dtype.itemsize
    if kind == "f":
        return np.asarray((frames == FULL_COUNTERS[0]) | (frames == FULL_COUNTERS[1]))
    full = np.zeros(frames.shape, dtype=bool)
    if kind == "u" and size > 1:
        full |= frames == np.iinfo(frames.dtype).max
    if kind in "iu" and size > 4:
        full |= frames == int(FULL_COUNTERS[0])
    return full


def ceiling_of(frames: NDArray[Any]) -> int | None:
    """Return 65535 where it is a full counter of 16 bits, though the type holds more; else None.

    It is where several values are just that, and none but sentinels is above: true counts do not
    end there twice. To be judged by all frames of a measurement, not by each.
    """
    is_wide = frames.dtype.kind == "f" or (frames.dtype.kind in "iu" and frames.dtype.itemsize > 2)
    if not is_wide or np.count_nonzero(frames == CEILING) < 2:
        return None
    above = frames > CEILING
    above &= ~find_sentinels(frames)
    return None if above.any() else CEILING


def find_bad_pixels(frames: Any, *, thin: bool = False, steps: bool = True) -> BadPixels:
    """Judge the pixels of a detector by frames of different spots or angles.

    Parameters
    ----------
    frames : (n_frames, H, W), an array or what is sliced like one; read in blocks, so that frames
        that are in a file stay there

    Returns
    -------
    bad : none hot or dead below ten frames, none stuck below three, none at all in fewer than three
        rows or columns: a line of a spectrum may be one channel wide

    Notes
    -----
    With m the median over 24 blocks of frames of their means, a pixel is hot where m > 3 M + 5 s,
    M being the largest m among its eight neighbours that are not hot, and s the standard error of
    m there, from the spread of the blocks. A peak has a flank: where M in its turn is above
    three times the brightest of the sixteen pixels beyond, the pixel is not hot. The rule does not
    depend on the unit of the frames, and a median of means does not follow a few frames that are
    far off (Lugosi & Mendelson 2019, doi 10.1007/s10208-019-09427-x).

    A peak without a flank that stays on one pixel in all frames is taken for a hot pixel: give
    frames before they are put on a grid of q.
    """
    n, height, width = frames.shape
    none = np.zeros((height, width), dtype=bool)
    if n < 3 or (min(height, width) < 3 and not thin):
        return BadPixels(none, none, none)
    means, first, constant = [], np.asarray(frames[0]), ~none
    lost = none.copy()
    quantum = np.inf
    for block in np.array_split(np.arange(n), min(n, int(np.clip(n // 3, 5, N_BLOCKS)))):
        stack = np.asarray(frames[block[0] : block[-1] + 1])
        absent = find_sentinels(stack)
        constant &= ((stack == first) | absent).all(axis=0)
        lost |= absent.all(axis=0)
        values = np.where(absent, 0.0, stack)
        quantum = min(quantum, float(values[values > 0].min(initial=np.inf)))
        means.append(values.sum(axis=0) / np.maximum((~absent).sum(axis=0), 1))
    blocks = np.stack(means)
    stuck = lost | (constant & (blocks[0] != 0)) if not constant.all() else lost
    if n < FEWEST_FRAMES:
        return BadPixels(none, none, stuck)
    usual = np.median(blocks, axis=0)
    error = ERROR_OF_MEDIAN * np.median(np.abs(blocks - usual), axis=0) / np.sqrt(len(blocks))
    mean = np.where(stuck, 0.0, blocks.mean(axis=0))
    if np.isfinite(quantum):  # at least what counting makes of so few
        error = np.maximum(error, np.sqrt(quantum * np.maximum(mean, quantum / n) / n))
        if steps:  # in which block means go
            error = np.maximum(error, 0.5 * quantum * len(blocks) / n)
    hot = _hot(usual, error, stuck)
    beside = around(usual, hot | stuck, np.nanmedian)
    counting = beside > HOT_ERRORS * around(error, hot | stuck, np.nanmax)
    dead = ~(hot | stuck) & (blocks.max(axis=0) == 0) & counting
    total = float(mean.sum())
    return BadPixels(hot, dead, stuck, float(mean[hot].sum()) / total if total > 0 else 0.0)


def usual_counts(frames: Array, *, again: bool = True) -> Array:
    """Return what each pixel may show, (H, W): the value below the highest hundredth of frames.

    Of few frames it is the second largest, from 150 on the third: among so many, two rays hit one
    pixel now and then.

    Parameters
    ----------
    frames : shape (n_frames, H, W), two or more; NaN where nothing was measured
    again : False for the second largest of up to 249 frames, as the first version had it
    """
    hundredth = round((1.0 - USUAL) * len(frames))
    rank = max(2, hundredth + 1 if again else hundredth)
    return np.asarray(-np.partition(np.nan_to_num(-frames, nan=np.inf), rank - 1, axis=0)[rank - 1])


def find_zingers(
    frames: Array, *, usual: Array | None = None, count: Array | float | None = None
) -> NDArray[np.bool_]:
    """Return which counts a cosmic ray left, shape (n_frames, H, W).

    Parameters
    ----------
    frames : shape (n_frames, H, W), of neighbouring angles or of spots of one map; NaN where
        nothing was measured
    usual : shape (H, W), `usual_counts` of the frames that these are compared with; by default of
        these themselves, ten at least
    count : what one count is worth, of all values, each pixel or each value; by default the
        smallest value above 0

    Returns
    -------
    zingers : none among fewer than ten frames, nor in fewer than three rows or columns

    Notes
    -----
    A value x is one where x > 3 max(p, b) + 15 u: it stands out in space, b being its brightest
    neighbour in the frame, and in time, p being what its pixel usually shows (`usual_counts`). u
    is one count.
    """
    n, height, width = frames.shape
    zingers = np.zeros(frames.shape, dtype=bool)
    if min(height, width) < 3 or not (frames > 0).any():
        return zingers
    if usual is None:
        if n < FEWEST_FRAMES:
            return zingers
        usual = usual_counts(frames)
    one = float(frames[frames > 0].min()) if count is None else count
    margin = np.broadcast_to(ZINGER_QUANTA * np.asarray(one), frames.shape)
    limit = ZINGER_RATIO * np.maximum(usual, 0.0) + margin
    for number in np.flatnonzero((frames > limit).any(axis=(1, 2))):
        frame = frames[number]
        beside = around(frame, np.isnan(frame), np.nanmax)
        stands_out = frame > ZINGER_RATIO * beside + margin[number]
        zingers[number] = (frame > limit[number]) & stands_out
    return zingers


def _hot(usual: Array, error: Array, stuck: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the hot pixels; one beside a hotter one is found once that is left out."""
    hot = np.zeros(usual.shape, dtype=bool)
    while True:
        out = hot | stuck
        beside = around(usual, out, np.nanmax)
        margin = HOT_ERRORS * around(error, out, np.nanmax)
        beyond = around(usual, out, np.nanmax, reach=2)
        has_flank = beside > HOT_RATIO * beyond + margin
        found = hot | (~stuck & ~has_flank & (usual > HOT_RATIO * beside + margin))
        if (found == hot).all():
            return hot
        hot = found


def around(
    values: Array, out: NDArray[np.bool_], reduce: Callable[..., Any], reach: int = 1
) -> Array:
    """Return a statistic of each pixel's neighbours, shape (H, W); 0 where there is none.

    Parameters
    ----------
    values : shape (H, W)
    out : shape (H, W), pixels that are no neighbours
    reduce : the statistic, such as `numpy.nanmedian`
    reach : distance of the neighbours
    """
    height, width = values.shape
    padded = np.pad(np.where(out, np.nan, values), reach, constant_values=np.nan)
    side = range(2 * reach + 1)
    neighbours = [
        padded[i : i + height, j : j + width]
        for i in side
        for j in side
        if max(abs(i - reach), abs(j - reach)) == reach
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no neighbour at all
        return np.asarray(np.nan_to_num(reduce(np.stack(neighbours), axis=0), nan=0.0))
