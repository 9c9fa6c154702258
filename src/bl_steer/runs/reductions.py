"""How the frames of a stored run become patterns: as its start document says that it was steered.

`bl_steer.diffraction.recorded` writes and reads one reduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from bl_steer.diffraction import FrameAxes, GriddedFrames, QGrid
from bl_steer.diffraction.recorded import reduction_of_record

__all__ = ["gridded_of", "own_reduction", "recorded_axes", "reductions_of", "scans_of"]


RunT = TypeVar("RunT", bound=Any)
"""A `bl_steer.runs.Run`, which asks here for its own reduction."""


def gridded_of(start: Mapping[str, Any], setting: int = 0) -> GriddedFrames | None:
    """Return the reduction that a run was steered with; None where it was no grid's.

    Parameters
    ----------
    setting : number of the scan, where a point has several; the first is steered on

    Raises
    ------
    ValueError
        When it took a flat field that is not recorded, as by earlier versions.
    """
    record = _record(start, setting)
    return None if record is None else reduction_of_record(record)


def own_reduction(start: Mapping[str, Any], setting: int) -> GriddedFrames | None:
    """Return what `gridded_of` does; None also where the record lacks what it takes."""
    return gridded_of(start, setting) if _is_complete(_record(start, setting)) else None


def reductions_of(start: Mapping[str, Any]) -> list[GriddedFrames] | None:
    """Return the reductions of all scans of a point; None where they were no grid's.

    Raises
    ------
    ValueError
        When one took a flat field that is not recorded, as by earlier versions.
    """
    if _record(start, 0) is None:
        return None
    return [reduction_of_record(_record(start, number)) for number in range(_n_scans(start))]


def scans_of(run: RunT) -> list[RunT]:
    """Return a run as often as a point has scans: `patterns` and `axes` are then those of each."""
    return [replace(run, setting=number, _results=[]) for number in range(_n_scans(run.start))]


def recorded_axes(
    start: Mapping[str, Any], setting: int, configuration: Mapping[str, Any], detector: str
) -> FrameAxes:
    """Return the coordinates of a pattern's pixels; empty ones where a run does not say.

    Parameters
    ----------
    start : the start document
    setting : number of the scan
    configuration : of the devices, as `bl_steer.runs.Run` has it
    detector : name of the one whose frames are steered on
    """
    record = _record(start, setting)
    if record is not None and _is_complete(record):
        return QGrid.from_dict(record["grid"]).axes
    qx, qz = (
        np.asarray(configuration.get(f"{detector}_{axis}", ()), dtype=float)
        for axis in ("qx", "qz")
    )
    return FrameAxes(qx, qz, str(configuration.get(f"{detector}_q_unit", "1/Å")))


def _n_scans(start: Mapping[str, Any]) -> int:
    return len(start.get("steering", {}).get("per_point", {}).get("scans", (None,)))


def _record(start: Mapping[str, Any], setting: int) -> Any:
    steering = start.get("steering", {})
    if setting == 0:
        return steering.get("reduction_settings")
    further = steering.get("further_reductions", ())
    return further[setting - 1] if setting <= len(further) else None


def _is_complete(record: Mapping[str, Any] | None) -> bool:
    return record is None or record.get("flat") is None or record.get("flat_bits") is not None
