"""When measuring again will not help: the end of a run whose detector or beam is dead.

A place that gives nothing is left out in a run of many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bl_steer.agents import AXIS_NAMES
from bl_steer.runs import PointResult

__all__ = ["MAX_RETAKES", "DetectorDeadError", "check_alive", "is_given_up"]

MAX_RETAKES = 3
"""Repeats of a dead frame at one position."""
MAX_EMPTY = 8
"""Points in a row that may be without a single count, or the same: a sample has empty places."""

MANY = 3
"""Valid points after which a place that gives nothing is more likely bad than the detector."""
MAX_PLACES = 2
"""Places in a row that may give nothing."""


class DetectorDeadError(RuntimeError):
    """A spot gave no valid frame, several times in a row."""


def is_given_up(result: PointResult, n_invalid: int, n_places: int, n_valid: int) -> bool:
    """Return whether a place is left out, and the run goes on elsewhere.

    Parameters
    ----------
    n_invalid : points in a row that gave nothing at this place, the latest included
    n_places : places in a row that were left out before it
    n_valid : valid points of the run
    """
    is_dead = result.problem == "frames" and n_invalid > MAX_RETAKES
    return is_dead and n_places < MAX_PLACES and n_valid >= MANY


def check_alive(result: PointResult, n_invalid: int, position: Mapping[str, Any]) -> None:
    """Raise `DetectorDeadError` where measuring again will not help.

    Parameters
    ----------
    n_invalid : invalid points in a row, the latest included
    """
    spot = _written(position)
    if n_invalid > MAX_RETAKES and result.problem == "beam":
        raise DetectorDeadError(
            f"the monitor must count beam, got too little {n_invalid} times in a row at {spot}; "
            "check beam and shutter, set the monitor's nominal_rate where it has one, or give "
            "min_monitor, the least counts that you take for beam"
        )
    if result.n_repeated > MAX_EMPTY:
        raise DetectorDeadError(
            f"the detector must show new frames, got those of the point before {result.n_repeated} "
            f"times in a row, the last at {spot}; restart the detector, and check its images"
        )
    if n_invalid > MAX_RETAKES:
        raise DetectorDeadError(
            f"the detector must give a valid frame or number, got {n_invalid} dead ones in a row "
            f"at {spot}, not finite or a full counter; check detector, shutter and beam"
        )
    if result.n_empty > MAX_EMPTY:
        raise DetectorDeadError(
            f"the detector must count something, got {result.n_empty} points in a row without any "
            f"count, the last at {spot}; check detector, shutter and beam, or choose a grid where "
            "the sample scatters"
        )


def _written(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {point[name]:g}" for name in AXIS_NAMES if name in point)
