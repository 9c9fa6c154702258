"""The points of a stored run, judged as the plan judged them.

`bl_steer.runs.points` has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.runs.pixels import absent_in
from bl_steer.runs.points import PointResult, Points
from bl_steer.runs.readout import UNSOUND, Exposure, NoNumberError, Readout

__all__ = [
    "counts_of",
    "evened",
    "judge_points",
    "judge_sums",
    "patterns_of",
    "usable",
    "variances_of",
]

BLOCK = 64
"""Points whose frames are in memory at a time."""


def judge_points(
    points: Points,
    readout: Readout,
    table: Mapping[str, NDArray[Any]],
    events_of: Sequence[NDArray[np.int_]],
    frames: Any,
) -> list[PointResult]:
    """Judge points of a stored run.

    Parameters
    ----------
    points : judges them
    readout : which columns of the table hold what
    table : the run's stream ``primary``, by column
    events_of : rows of the table that belong to each point
    frames : of the events, shape (n_events, n_frames, H, W), read block by block; None where a
        number is steered on
    """
    results = []
    for first in range(0, len(events_of), BLOCK):
        block = events_of[first : first + BLOCK]
        rows = np.concatenate(block)
        stacks = {} if frames is None else dict(zip(rows, frames[rows], strict=True))
        for events in block:
            exposures = [_exposure(readout, table, row, stacks) for row in events]
            results.append(points.take(exposures))
    return results


def _exposure(
    readout: Readout, table: Mapping[str, NDArray[Any]], row: int, stacks: Mapping[int, Array]
) -> Exposure:
    data = {key: column[row] for key, column in table.items()}
    try:
        return readout.exposure(data, partial(stacks.get, row))
    except NoNumberError:
        return UNSOUND


def judge_sums(
    start: Mapping[str, Any],
    readout: Readout,
    table: Mapping[str, NDArray[Any]],
    events_of: Sequence[NDArray[np.int_]],
    total: str,
) -> list[PointResult]:
    """Judge points of a stored run whose frames are gone by their sums, the column `total`.

    No frame can then be told from the one before.
    """
    points = Points.from_start(start, suspicious=False)
    totals = table[total]
    images = np.stack([totals, np.zeros(len(totals))], axis=1)[:, None, None]
    return judge_points(points, readout, table, events_of, images)


def usable(results: Sequence[PointResult]) -> NDArray[np.bool_]:
    """Return which points gave a pattern that no later one withdrew, shape (n,)."""
    mask = np.array([result.pattern is not None for result in results], dtype=bool)
    mask[[point for result in results for point in result.withdrawn]] = False
    return mask


def patterns_of(results: Sequence[PointResult]) -> Array:
    """Return the patterns of points, shape (n, n_pixels), a row of NaN where there is none."""
    pairs = zip(results, usable(results), strict=True)
    patterns = [result.pattern if good else None for result, good in pairs]
    n_pixels = max((len(pattern) for pattern in patterns if pattern is not None), default=0)
    rows = [np.full(n_pixels, np.nan) if pattern is None else pattern for pattern in patterns]
    return np.array(rows).reshape(len(rows), n_pixels)


def variances_of(results: Sequence[PointResult]) -> Array | None:
    """Return the variances of the patterns of points, as `patterns_of` has these.

    None where a reduction did not tell them, and of counts, whose variance they are themselves.
    """
    rows: list[Array | None] = []
    are_counts = True
    for result, good in zip(results, usable(results), strict=True):
        if not good or result.pattern is None:
            rows.append(None)
            continue
        if result.variance is None:
            return None
        are_counts &= np.array_equal(result.variance, result.pattern, equal_nan=True)
        rows.append(result.variance)
    n_pixels = max((len(row) for row in rows if row is not None), default=0)
    if are_counts:
        return None
    return np.array([np.full(n_pixels, np.nan) if row is None else row for row in rows])


def counts_of(frames: Any, events_of: Sequence[NDArray[np.int_]]) -> Array:
    """Return the counts of each point's frames, shape (n,), gaps of the detector left out."""
    stacks = (frames[rows] for rows in events_of)
    return np.array([float(np.sum(s, where=~absent_in(s))) for s in stacks], dtype=float)


def evened(
    counts: Array, steering: Mapping[str, Any], events_of: Sequence[NDArray[np.int_]]
) -> Array:
    """Return sums over the events of points, as of as many events as the first point has.

    Parameters
    ----------
    steering : of the start document; runs of earlier versions were judged by the sums themselves
    """
    if not steering.get("even") or not events_of:
        return counts
    return counts * (len(events_of[0]) / np.array([len(rows) for rows in events_of]))
