"""What is odd about the outcomes of a search as a whole: nothing differs, or one point is alone."""

from __future__ import annotations

import numpy as np

from bl_steer.protocols import Array

__all__ = ["remark_on"]

FEWEST = 3
"""Points with one number that are no accident."""
FEWEST_AROUND = 8
"""Points that say how far outcomes spread."""
ALONE = 5.0
"""An outcome as many times farther from the others' median than these spread altogether is alone:
a hill as wide as the pitch has a neighbour that is higher than all around it too."""


def remark_on(outcomes: Array) -> str:
    """Return what a user should know of the outcomes, in a sentence; empty where nothing is odd.

    Parameters
    ----------
    outcomes : shape (n,), by point; NaN for invalid ones

    Examples
    --------
    >>> remark_on(np.zeros(4))
    'got 0 at all 4 points: the reported spot is none; check target, detector, shutter and beam'
    """
    points = np.flatnonzero(np.isfinite(outcomes))
    measured = outcomes[points]
    if len(measured) < FEWEST:
        return ""
    if np.ptp(measured) == 0.0:
        check = "check target, detector, shutter and beam"
        if measured[0] != 0.0:
            check = "check what is steered on, and that the sample is in the beam"
        return (
            f"got {measured[0]:g} at all {len(measured)} points: the reported spot is none; {check}"
        )
    farthest = int(np.argmax(np.abs(measured - np.median(measured))))
    others = np.delete(measured, farthest)
    away = abs(measured[farthest] - np.median(others))
    if len(others) < FEWEST_AROUND or away <= ALONE * np.ptp(others):
        return ""
    return (
        f"point {points[farthest]} gave {measured[farthest]:.6g}, and the other {len(others)} gave "
        f"{others.min():.6g} to {others.max():.6g}: beside it all places look alike to the agent; "
        "measure it again, or give min_monitor, a mask or another target where it is no signal"
    )
