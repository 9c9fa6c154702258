"""What a frame is multiplied by: monitor, counting time and attenuation, each of them once."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.protocols import Array

__all__ = ["frame_scales"]

CORRECTIONS = ("monitor", "time", "attenuation")


def frame_scales(
    n_frames: int,
    *,
    monitor: ArrayLike | None = None,
    nominal: float | None = None,
    count_time_s: ArrayLike | None = None,
    attenuation: ArrayLike | None = None,
    corrected: Collection[str] = (),
) -> Array:
    """Return the factor of each frame, shape (n_frames,).

    Parameters
    ----------
    monitor : shape (n_frames,), monitor counts of each frame
    nominal : monitor counts of the nominal beam; by default the median
    count_time_s : of all frames or of each; the result is then in counts a second
    attenuation : of all frames or of each, factor by which the beam was weakened, 1 or more
    corrected : what the counts were corrected for already, among "monitor", "time" and
        "attenuation"

    Raises
    ------
    ValueError
        When a correction would be applied a second time, or a value is not possible.

    Examples
    --------
    >>> frame_scales(2, count_time_s=0.5, attenuation=[1.0, 100.0])
    array([  2., 200.])
    """
    values = {"monitor": monitor, "time": count_time_s, "attenuation": attenuation}
    unknown = [name for name in corrected if name not in CORRECTIONS]
    if unknown:
        raise ValueError(
            f"corrected must name some of {', '.join(CORRECTIONS)}, got {', '.join(unknown)}; "
            "leave out what is none of them"
        )
    scales = np.ones(n_frames)
    for name, value in values.items():
        if value is None:
            continue
        if name in corrected:
            raise ValueError(
                f"the {name} must be applied once, got its values for counts that were corrected "
                f"for it already; leave out one of the two"
            )
        factors = _checked(name, value, n_frames)
        if name == "monitor":
            scales = scales * (np.median(factors) if nominal is None else nominal)
        scales = scales * factors if name == "attenuation" else scales / factors
    return scales


def _checked(name: str, value: ArrayLike, n_frames: int) -> Array:
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), (n_frames,)):
        raise ValueError(
            f"the {name} must be one number, or one for each of {n_frames} frames, got the shape "
            f"{array.shape}; give what was read with each frame"
        )
    least = 1.0 if name == "attenuation" else 0.0
    wrong = ~np.isfinite(array) | (array < least) | (array == 0.0)
    if wrong.any():
        rule = "finite and at least 1" if name == "attenuation" else "positive and finite"
        raise ValueError(
            f"the {name} must be {rule}, got {array[wrong].flat[0]:g}; "
            + ("give 1 / transmission" if name == "attenuation" else "leave out these frames")
        )
    return np.broadcast_to(array, (n_frames,))
