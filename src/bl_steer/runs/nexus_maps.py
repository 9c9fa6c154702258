"""The maps in reciprocal space of a run that was reduced on a grid, in its NeXus file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bl_steer.diffraction import FrameAxes, GriddedFrames, GriddedMap
from bl_steer.diffraction.recorded import record_of
from bl_steer.protocols import Array
from bl_steer.runs.judging import judge_points, usable
from bl_steer.runs.nexus_geometry import write_goniometer, write_pixel_mask
from bl_steer.runs.nexus_groups import new_group, new_map_in_q, new_note
from bl_steer.runs.points import PointResult, Points
from bl_steer.runs.readout import Readout
from bl_steer.runs.reductions import gridded_of, scans_of
from bl_steer.runs.run import Run
from bl_steer.store import StoreError

__all__ = ["write_maps"]

AXES = {2: ["q_perp", "q_par"], 3: ["q_perp", "q_across", "q_par"]}
CELLS = {
    "mean": "mean of each cell, counts at the nominal beam; NaN where no pixel fell",
    "sum": "sum of each cell, counts at the nominal beam",
    "count": "pixels that fell into each cell",
    "variance": "variance of the mean of each cell by counting",
    "mask": "1 where no pixel fell into the cell",
}


def write_maps(entry: Any, detector: Any, run: Run, gridded: GriddedFrames) -> None:
    """Write the maps of the points, the mask of the pixels, and the goniometer.

    Points that could not be used have empty maps. One point is in memory at a time. Of points with
    several scans, the second one's maps are in ``maps_2``, and so on.
    """
    if run.frames is None:
        raise StoreError(
            f"maps must be made of frames, got a run without any ({run.uid}); export it without "
            "a reduction"
        )
    scans = scans_of(run)
    each = [gridded, *(gridded_of(run.start, scan.setting) for scan in scans[1:])]
    used = [own for own in each if own is not None]
    for scan, own in zip(scans, used, strict=False):
        _write_scan(entry, scan, own)
    write_goniometer(entry, detector, gridded.goniometer, _angles(run, used))
    write_pixel_mask(detector, gridded.weights.mask)


def _write_scan(entry: Any, run: Run, gridded: GriddedFrames) -> None:
    """Write the maps of a scan, and how they were made."""
    end = f"_{run.setting + 1}" if run.setting else ""
    axes = dict(zip(AXES[len(gridded.grid.shape)], gridded.grid.centres, strict=True))
    group = new_map_in_q(entry, f"maps{end}", list(CELLS), axes, over="point")
    group["title"] = "maps in reciprocal space, point by point"
    group["point"] = np.arange(run.n_points)
    for key, column in zip(run.axis_keys, run.positions.T, strict=True):
        name = f"position_{key}"
        group[name] = column
        group.attrs[f"{name}_indices"] = 0
    shape = (run.n_points, *gridded.grid.shape)
    types = {"count": np.int64, "mask": np.uint8}
    for name, text in CELLS.items():
        data = group.create_dataset(
            name,
            shape,
            types.get(name, np.float64),
            chunks=(1, *shape[1:]),
            compression="gzip",
            shuffle=True,
            fillvalue={"mean": np.nan, "variance": np.nan, "mask": 1}.get(name, 0),
        )
        data.attrs["long_name"] = text
    keeper = _Keeper(gridded)
    results = _fill(group, run, keeper)
    for point in np.flatnonzero(~usable(results)):  # a later point may withdraw an earlier one
        for name in CELLS:
            group[name][point] = group[name].fillvalue
    process = new_group(entry, f"reduction{end}", "NXprocess")
    process["program"], process["digest"] = "bl_steer", gridded.digest
    new_note(process, "settings", record_of(gridded))


class _Keeper:
    """The reduction, which keeps the map that it made last."""

    takes_raw_frames = True

    def __init__(self, gridded: GriddedFrames) -> None:
        self._gridded = gridded
        self._map: GriddedMap | None = None

    def take(self) -> GriddedMap | None:
        """Return the map of the point that was reduced since the last call, if one was."""
        taken, self._map = self._map, None
        return taken

    @property
    def axes(self) -> FrameAxes:
        return self._gridded.axes

    def reduce(self, frames: Array, *, scales: Array, angles: Array | None = None) -> Array:
        self._map = self._gridded.begin()
        self._map.add(frames, angles=angles, scale=scales)
        return self._map.mean.ravel()


def _fill(group: Any, run: Run, keeper: _Keeper) -> list[PointResult]:
    points = Points.from_start(run.start, keeper, setting=run.setting)
    readout = Readout.from_start(run.start)
    results = []
    for number, events in enumerate(run.events_of):
        results += judge_points(points, readout, run.primary, [events], run.frames)
        point = keeper.take()
        if point is None:
            continue
        cells = {
            "mean": point.mean,
            "sum": point.sums,
            "count": point.n_pixels,
            "variance": point.variance,
            "mask": point.n_pixels == 0,
        }
        for name, values in cells.items():
            group[name][number] = values
    return results


def _angles(run: Run, each: Sequence[GriddedFrames]) -> dict[str, Any]:
    """Return the angles of all circles; of those that moved, of each frame in its order."""
    readout, rocked = Readout.from_start(run.start), each[0].goniometer.rocked
    n_frames = [1] * len(run.primary["seq_num"])
    angles: dict[str, Any] = {}
    column = run.primary.get(readout.angles or "")
    if column is not None and rocked not in each[0].angles:
        parts = [json.loads(v) if isinstance(v, str) else [v] for v in column.tolist()]
        angles[rocked] = np.concatenate([np.atleast_1d(part) for part in parts])
        n_frames = [len(part) for part in parts]
    settings = np.asarray(run.primary.get(readout.setting or "", np.zeros(len(n_frames))), int)
    for circle, angle in each[0].angles.items():
        stands = np.array([own.angles[circle] for own in each])
        moved = (stands != angle).any()
        angles[circle] = np.repeat(stands[settings], n_frames) if moved else angle
    return angles
