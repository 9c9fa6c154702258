"""Phases of grey slices without a segmentation: one that is lost in some slices, or fades out.

Of each slice, only pixels that lie flat count, between edges, and they are told apart where the
histogram of many slices has valleys. `bl_steer.slicing.bad_slices.lost_phases` is the sibling for
label maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from bl_steer.protocols import Array
from bl_steer.slicing.bad_slices import called

__all__ = ["GreyPhase", "changing_phases", "grey_phase_warnings"]

BINS, BIN_SD = 96, 2.5
NOISE_PX = 1.0
"""Standard deviation of a Gaussian before grey levels are told apart."""
LEAST_PEAK, VALLEY = 0.05, 0.8
"""Height of a peak of the histogram over the highest, at least, and of a valley over the lower peak
beside it, at most."""
FLAT = 0.12
"""Of the distance of the two closest peaks: change of the grey level a pixel where it is flat."""
LOOKED_AT = 24
"""Slices of which the histogram is made."""
LEAST_SHARE = 0.02
LOST, THERE = 0.25, 0.65
"""Of a phase's usual share of flat pixels: what a slice without it has at most, and one beside it
at least."""
FADED, STEADY = 0.25, 0.7
"""Share at one end of the stack over that at the other, and rank correlation with depth."""
LEAST_SLICES = 8
CLIPPED = 0.001
"""Of the pixels of a slice, at the least or largest grey level of all: what went beyond it."""
BESIDE_CLIPPED = 0.03
"""Of the range of the grey levels: how near to such an end those lie that smoothing makes of it."""
LISTED = 5
"""Slices that are named."""


class GreyPhase(NamedTuple):
    """Grey levels that change their share of the slices.

    Parameters
    ----------
    level : where the histogram has its peak
    lost : slices that all but lack them, beside some that have them
    ends : shares of the first and of the last slices, where they fade; else None
    """

    level: float
    lost: list[int]
    ends: tuple[float, float] | None


def changing_phases(images: Any) -> list[GreyPhase]:
    """Return the grey levels that some slices lack, or that fade along the stack.

    Parameters
    ----------
    images : (n, H, W), finite, in order of depth; read one at a time

    Notes
    -----
    Of 32 simulated stacks of 24 slices (two families, two noises, 160 × 160 pixels) each was told
    whose middle phase is missing in the second half or in every second slice; 30 where it fades
    throughout, 15 where it does from the middle on; and two as they were, also with brightness that
    varies by 2 %: those of a specimen that has a gradient.
    """
    n = int(images.shape[0])
    if n < LEAST_SLICES:
        return []
    peaks, valleys = max(
        (_modes(images, part) for part in (range(n), range(n // 3), range(n - n // 3, n))),
        key=lambda modes: len(modes[0]),
    )
    if len(peaks) < 2:
        return []
    flat_px = FLAT * float(np.diff(peaks).min())
    beside_clipped = _beside_clipped(images)
    table = np.array([_shares(np.asarray(image), valleys, flat_px) for image in images])
    found = []
    for level, shares in zip(peaks.tolist(), table.T, strict=True):
        if beside_clipped(level):
            continue
        lost, ends = _lost(shares), _faded(shares)
        if lost or ends:
            found.append(GreyPhase(level, lost, ends))
    return found


def grey_phase_warnings(images: Any, names: Sequence[str] = ()) -> Iterator[str]:
    """Say which grey levels some slices lack, or which fade along the stack.

    Parameters
    ----------
    images : as of `changing_phases`
    names : of the slices, as of `bl_steer.slicing.bad_slices.called`
    """
    for phase in changing_phases(images):
        if phase.lost:
            lost = phase.lost
            shown = ", ".join(called(lost[:LISTED], names)) + ", …" * (len(lost) > LISTED)
            ends = called((0, images.shape[0] - 1), names)
            yield (
                f"{len(lost)} of slices {' … '.join(ends)} ({shown}) have next to none of "
                f"the grey levels about {phase.level:.4g}, which those beside have: a phase may be "
                "lost there, or brightness and contrast are others; look at these slices"
            )
        elif phase.ends is not None:
            first, last = (f"{100 * share:.2g} %" for share in phase.ends)
            yield (
                f"the grey levels about {phase.level:.4g} change along the stack from {first} to "
                f"{last} of the pixels: a phase fades, its contrast or the brightness drifts, or "
                "the specimen has a gradient; look at the slices at both ends"
            )


def _beside_clipped(images: Any) -> Callable[[float], bool]:
    """Return what tells the grey levels that are beside an end at which slices are clipped.

    How many pixels pile up there depends on the brightness and contrast of a slice above all.
    """
    chosen = [np.nan_to_num(np.asarray(images[k])) for k in _chosen(range(int(images.shape[0])))]
    low, high = (float(end([end(image) for image in chosen])) for end in (np.min, np.max))
    near = BESIDE_CLIPPED * (high - low)
    ends = [e for e in (low, high) if any((image == e).mean() >= CLIPPED for image in chosen)]
    return lambda level: any(abs(level - end) < near for end in ends)


def _chosen(part: range) -> range:
    return part[:: max(1, len(part) // LOOKED_AT)]


def _smooth(image: NDArray[Any]) -> Array:
    return np.asarray(gaussian_filter(np.nan_to_num(np.asarray(image, np.float64)), NOISE_PX))


def _modes(images: Any, part: range) -> tuple[Array, Array]:
    """Return the grey levels at the peaks of the histogram of some slices, and between them."""
    pooled = np.concatenate([_smooth(images[k])[::2, ::2].ravel() for k in _chosen(part)])
    low, high = np.percentile(pooled, [0.2, 99.8])
    if not high > low:
        return np.empty(0), np.empty(0)
    counts = np.histogram(pooled, bins=BINS, range=(low, high))[0].astype(np.float64)
    height = np.pad(gaussian_filter1d(counts, BIN_SD), 1)
    tops = np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:]))
    height = height[1:-1]
    kept: list[int] = []
    for top in tops[height[tops] >= LEAST_PEAK * height.max()].tolist():
        while kept and height[kept[-1] : top].min() > VALLEY * min(height[kept[-1]], height[top]):
            if height[kept[-1]] >= height[top]:
                break
            kept.pop()
        else:
            kept.append(top)
    levels = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    between = [a + int(np.argmin(height[a:b])) for a, b in pairwise(kept)]
    return levels[kept], levels[between]


def _shares(image: NDArray[Any], valleys: Array, flat_px: float) -> Array:
    """Return the share of the pixels that lie flat and between valleys, for each peak."""
    grey = _smooth(image)
    flat = np.hypot(*np.gradient(grey)) < flat_px
    counts = np.bincount(np.searchsorted(valleys, grey[flat]), minlength=len(valleys) + 1)
    return np.asarray(counts / grey.size)


def _lost(shares: Array) -> list[int]:
    usual = float(np.percentile(shares, 75))
    if usual < LEAST_SHARE:
        return []
    low, there = shares < LOST * usual, shares >= THERE * usual
    runs = np.split(np.arange(len(shares)), np.flatnonzero(np.diff(low)) + 1)
    return [
        int(number)
        for run in runs
        if low[run[0]]
        and (there[run[0] - 1 : run[0]].any() or there[run[-1] + 1 : run[-1] + 2].any())
        for number in run
    ]


def _faded(shares: Array) -> tuple[float, float] | None:
    width = max(2, len(shares) // 5)
    ends = float(shares[:width].mean()), float(shares[-width:].mean())
    ranks = np.argsort(np.argsort(shares))
    steady = abs(float(np.corrcoef(ranks, np.arange(len(shares)))[0, 1])) > STEADY
    fades = max(ends) >= LEAST_SHARE and min(ends) < FADED * max(ends)
    return ends if fades and steady else None
