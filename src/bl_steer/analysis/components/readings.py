"""Which readings of a map's patterns count, and what is said of those that do not.

`bl_steer.diffraction` has the rules; here they meet patterns as users bring them, scaled or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, find_absent, find_bad_pixels, find_zingers
from bl_steer.protocols import Array
from bl_steer.runs.judging import variances_of
from bl_steer.runs.points import PointResult

__all__ = [
    "Readings",
    "are_whole",
    "lone_channels",
    "measured",
    "readings_of",
    "value_of_count",
    "variance_of_run",
    "what_is_no_count",
    "whole_counts",
]

WORTH_TELLING = 0.01
"""Share of the counts above which it is said that they were left out, or taken for 0."""
MOST_NAMED = 3


@dataclass(frozen=True)
class Readings:
    """The readings of a map that count.

    Parameters
    ----------
    values : shape (n, n_pixels), 0 or above; NaN where nothing was measured, or is left out
    n_bad, n_zingers : hot and dead pixels, and zingers, that are left out
    left_out : share of all counts that lies in hot pixels and zingers
    """

    values: Array
    n_bad: int
    n_zingers: int
    left_out: float

    @property
    def notes(self) -> list[str]:
        """What was left out, where that is much."""
        if self.left_out <= WORTH_TELLING:
            return []
        n = self.n_zingers + self.n_bad * len(self.values)
        return [
            f"{self.n_bad} bad pixels and {self.n_zingers} zingers are left out: "
            f"{100 * n / self.values.size:.2g} % of the readings, with {100 * self.left_out:.1f} % "
            "of all counts; a peak one pixel wide that never moves is among them"
        ]


def measured(patterns: NDArray[Any]) -> Array:
    """Return patterns as numbers, NaN for what is no count.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), in the type in which they were stored: it tells
        sentinels. Those of counts that were scaled, each pattern as a whole, are told as well
    """
    values = np.asarray(patterns, dtype=float)
    absent = find_absent(patterns)
    counts = whole_counts(values)
    if counts is not None:
        marks = find_absent(counts)
        # What is below 0 in some patterns alone may be a background that was taken off.
        absent = absent | (marks & ((counts >= 0) | (counts < 0).all(axis=0)))
    return np.where(absent, np.nan, values)


def what_is_no_count(patterns: NDArray[Any], values: Array) -> list[str]:
    """Say which numbers were taken for none, and that others are below 0.

    Parameters
    ----------
    patterns, values : what `measured` takes, and what it returns
    """
    raw = np.asarray(patterns, dtype=float)
    absent = np.isnan(values) & np.isfinite(raw)
    texts = []
    if absent.any():
        gaps = absent.all(axis=0)
        marks = np.unique(raw[absent])
        named = ", ".join(f"{mark:.12g}" for mark in marks[:MOST_NAMED])
        named += " …" if len(marks) > MOST_NAMED else ""
        others = int(absent[:, ~gaps].sum())
        ending = "; where counters are full, a peak is cut off: weaken the beam" if others else ""
        texts.append(
            f"{int(gaps.sum())} pixels at all points and {others} readings of others hold a mark "
            f"({named}) of a gap or a full counter, no counts, and are left out{ending}"
        )
    below = -float(np.nansum(np.minimum(values, 0.0)))
    above = float(np.nansum(np.maximum(values, 0.0)))
    if below > WORTH_TELLING * above:
        texts.append(
            f"values below 0 count as 0: their sum is {100 * below / above:.2g} % of that of the "
            "values above; give patterns without a background taken off"
        )
    return texts


def readings_of(values: Array, axes: FrameAxes) -> Readings:
    """Return what counts: neither hot, dead and stuck pixels nor zingers, judged by all points.

    Parameters
    ----------
    values : shape (n, n_pixels); NaN where nothing was measured

    Raises
    ------
    ValueError
        When nothing is left of a point.
    """
    frames = np.maximum(values, 0.0).reshape(-1, *axes.shape)
    bad = find_bad_pixels(frames)
    zingers = find_zingers(frames)
    total = float(np.nansum(frames))
    left_out = float(np.nansum(frames[zingers | bad.hot])) / total if total > 0 else 0.0
    left = np.where(zingers | ~bad.usable, np.nan, frames).reshape(values.shape)
    empty = np.flatnonzero(np.isnan(left).all(axis=1))
    if len(empty):
        raise ValueError(
            f"patterns must hold finite numbers, got point {empty[0]} without any but in bad "
            "pixels; leave out the points of dead frames"
        )
    return Readings(
        left,
        int((bad.hot | bad.dead).sum()),
        int(zingers.sum()),
        left_out,
    )


def variance_of_run(results: Sequence[PointResult], patterns: Array) -> dict[str, Array]:
    """Return the array ``variance`` of a run's patterns, (n, n_pixels), where it is known, and the
    patterns are no counts that tell it by themselves; else nothing."""
    variance = variances_of(results)
    known = variance is not None and whole_counts(patterns) is None
    return {"variance": variance} if known and variance is not None else {}


def value_of_count(values: Array, variance: Array | None) -> Array:
    """Return what one count is worth in each reading, to broadcast to (n, n_pixels).

    Parameters
    ----------
    values : shape (n, n_pixels), 0 or above; NaN where nothing was measured
    variance : of these, where it is known: then it is the variance over the value in each pixel.
        Else it is the value of which all others are multiples, of all patterns or of each; 1 in
        whole numbers; or the smallest of all: what is no count has hardly any noise by that
    """
    if variance is not None:
        known = np.isfinite(values) & np.isfinite(variance)
        noise, total = np.where(known, (variance, values), 0.0).sum(axis=1)
        overall = float(noise.sum() / total.sum()) if total.any() else 1.0
        ratio = noise / np.where(total > 0, total, 1.0)
        return np.asarray(np.where(total > 0, ratio, overall))
    smallest = np.where(values > 0, values, np.inf).min(axis=1, keepdims=True)
    smallest = np.where(np.isfinite(smallest), smallest, np.nanmax(values, initial=1.0))
    least = smallest.min(keepdims=True)
    if are_whole(values / least):
        return np.asarray(least)
    if are_whole(values):
        return np.ones((1, 1))
    return np.asarray(least if whole_counts(values) is None else smallest)


def are_whole(values: Array) -> bool:
    """Return whether values are whole numbers; NaN stands for none."""
    whole = np.rint(values)
    return bool((np.abs(values - whole) <= 1e-6 * np.maximum(whole, 1.0)).all(where=whole > 0))


def whole_counts(patterns: Array) -> Array | None:
    """Return patterns as numbers of counts, (n_points, n_pixels); None where they are none.

    A pattern that was scaled as a whole, to the nominal beam, is a multiple of its smallest value.
    """
    quantum = np.where(patterns > 0, patterns, np.inf).min(axis=1, keepdims=True)
    counts = patterns / np.where(np.isfinite(quantum), quantum, 1.0)
    whole = np.rint(counts)
    close = np.abs(counts - whole) <= 1e-6 * np.maximum(whole, 1.0)
    return np.asarray(whole) if (close | np.isnan(patterns)).all() else None


def lone_channels(values: Array, axes: FrameAxes) -> list[str]:
    """Say which channels of patterns without rows and columns may be hot pixels.

    On a spectrum they are lines one channel wide, so that they are not left out.
    """
    if min(axes.shape) >= 3:
        return []
    frames = np.maximum(values, 0.0).reshape(-1, *axes.shape)
    bad = find_bad_pixels(frames, thin=True)
    is_lone = bad.hot | (bad.stuck & ~np.isnan(frames).all(axis=0))
    if not is_lone.any():
        return []
    share = float(np.nansum(frames[:, is_lone])) / max(float(np.nansum(frames)), 1e-300)
    channels = np.flatnonzero(is_lone)
    named = ", ".join(map(str, channels[:MOST_NAMED])) + (
        " …" if len(channels) > MOST_NAMED else ""
    )
    return [
        f"{len(channels)} channels ({named}) stand out alone at all points, with "
        f"{100 * share:.2g} % of the counts: lines one channel wide, or hot pixels, which are not "
        "left out of patterns without rows and columns; give qx and qz, or NaN in these channels"
    ]
