"""From a point's raw frames to the pattern that features work on: one rule, used everywhere.

The plan applies it while it measures and `bl_steer.runs` applies it to the stored run, so that
both see the same numbers, bit for bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.protocols import Array

__all__ = ["normalise"]


def normalise(
    frames: ArrayLike,
    monitor_counts: float | None = None,
    nominal_counts: float | None = None,
) -> Array:
    """Sum a point's rocking scan and scale it to the nominal beam.

    Parameters
    ----------
    frames : shape (n_frames, H, W), counts; the rocking scan of one point
    monitor_counts : beam monitor counts during the point; None without a monitor
    nominal_counts : monitor counts that the nominal beam gives in the same time

    Returns
    -------
    pattern : shape (H·W,), counts at the nominal beam, row by row

    Notes
    -----
    ``pattern = Σ frames · nominal_counts / monitor_counts``. Without a monitor, the plain sum.

    Examples
    --------
    >>> normalise([[[1.0, 2.0]], [[3.0, 4.0]]], monitor_counts=50.0, nominal_counts=100.0)
    array([ 8., 12.])
    """
    pattern: Array = np.asarray(frames, dtype=float).sum(axis=0).ravel()
    if monitor_counts is None or nominal_counts is None:
        return pattern
    if not monitor_counts > 0:
        raise ValueError(
            f"monitor_counts must be positive, got {monitor_counts:g} counts; "
            "check that the beam is on the monitor, or measure the point again"
        )
    return np.asarray(pattern * (nominal_counts / monitor_counts))
