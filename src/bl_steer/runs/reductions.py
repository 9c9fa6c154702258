"""How the frames of a stored run become patterns: as its start document says that it was steered.

`bl_steer.diffraction.recorded` writes and reads one reduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bl_steer.diffraction import FrameAxes, GriddedFrames, QGrid
from bl_steer.diffraction.recorded import reduction_of_record

__all__ = ["gridded_of", "own_reduction", "recorded_axes"]


def gridded_of(start: Mapping[str, Any]) -> GriddedFrames | None:
    """Return the reduction that a run was steered with; None where it was no grid's.

    Raises
    ------
    ValueError
        When it took a flat field, which is not recorded.
    """
    record = _record(start)
    return None if record is None else reduction_of_record(record)


def own_reduction(start: Mapping[str, Any]) -> GriddedFrames | None:
    """Return what `gridded_of` does; None also where the record lacks what it takes."""
    return gridded_of(start) if _is_complete(_record(start)) else None


def recorded_axes(
    start: Mapping[str, Any], configuration: Mapping[str, Any], detector: str
) -> FrameAxes:
    """Return the coordinates of a pattern's pixels; empty ones where a run does not say.

    Parameters
    ----------
    start : the start document
    configuration : of the devices, as `bl_steer.runs.Run` has it
    detector : name of the one whose frames are steered on
    """
    record = _record(start)
    if record is not None and _is_complete(record):
        return QGrid.from_dict(record["grid"]).axes
    qx, qz = (
        np.asarray(configuration.get(f"{detector}_{axis}", ()), dtype=float)
        for axis in ("qx", "qz")
    )
    return FrameAxes(qx, qz, str(configuration.get(f"{detector}_q_unit", "1/Å")))


def _record(start: Mapping[str, Any]) -> Mapping[str, Any] | None:
    record: Mapping[str, Any] | None = start.get("steering", {}).get("reduction_settings")
    return record


def _is_complete(record: Mapping[str, Any] | None) -> bool:
    return record is None or record.get("flat") is None
