"""A run as a NeXus file: what was measured where, by which devices, and why.

The file has one ``NXentry``. Its default plot is the map of a run that measured a grid, and else
the signal along the points.

References
----------
M. Könnecke et al., J. Appl. Cryst. 48 (2015) 301, doi:10.1107/S1600576714027575; the rules of
``NXdata``: https://manual.nexusformat.org/classes/base_classes/NXdata.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bl_steer.diffraction import GriddedFrames
from bl_steer.runs.csv_tables import check_new
from bl_steer.runs.frames import Frames
from bl_steer.runs.nexus_groups import TEXT, new_group, new_nexus, new_note, new_plot
from bl_steer.runs.nexus_maps import write_maps
from bl_steer.runs.run import Run
from bl_steer.runs.signal import Signal, is_readable, map_of, signal_of, units_of
from bl_steer.runs.tables import PRIMARY, with_outcomes
from bl_steer.store import StoreError

__all__ = ["FRAMES", "write_nexus"]

FRAMES = ("copy", "link", "none")


def write_nexus(
    run: Run,
    path: Path,
    *,
    frames: str = "copy",
    force: bool = False,
    reduction: GriddedFrames | None = None,
) -> Path:
    """Write a run into a NeXus file; see `bl_steer.runs.export_run`."""
    check_new(path, force=force)
    with new_nexus(path) as entry:
        _write_entry(entry, run, frames, reduction)
    return path


def _write_entry(entry: Any, run: Run, frames: str, reduction: GriddedFrames | None) -> None:
    start, stop = run.start, run.stop or {}
    about = {
        "title": _title(run),
        "start_time": _iso(start["time"]),
        "entry_identifier": run.uid,
        "scan_number": run.scan_id,
        "run_status": run.status,
        "end_reason": stop.get("reason") or None,
        "program_name": "bl_steer",
    }
    for name, value in about.items():
        if value is not None:
            entry[name] = value
    if "time" in stop:
        entry["end_time"] = _iso(stop["time"])
        entry["duration"] = float(stop["time"] - start["time"])
        entry["duration"].attrs["units"] = "s"
    for name in ("start", "stop"):
        _write_document(entry, f"{name}_document", getattr(run, name))
    if isinstance(start.get("sample"), Mapping):
        sample = new_group(entry, "sample", "NXsample")
        for key, value in start["sample"].items():
            _write(sample, str(key), value)
    instrument = new_group(entry, "instrument", "NXinstrument")
    instrument["name"] = str(start.get("instrument") or start.get("beamline_id") or "unknown")
    devices = _write_devices(entry, instrument, run)
    detector = _detector(devices, instrument, run)
    images = _write_frames(detector, run, frames)
    if reduction is not None:
        write_maps(entry, detector, run, reduction)
    _write_plots(entry, run, images)
    for stream in run.streams:
        if stream != PRIMARY:
            _write_stream(new_group(entry, _name(entry, stream), "NXcollection"), run, stream)


def _write_devices(entry: Any, instrument: Any, run: Run) -> dict[str, Any]:
    """Write the readings of the points by device; return the groups by the devices' names."""
    devices: dict[str, Any] = {}
    described = run.data_keys.get(PRIMARY, {})
    detectors = [str(name) for name in run.start.get("detectors") or ()]
    monitor = run.steering.get("monitor")
    for key, column in run.primary.items():
        if not is_readable(key) or key in ("seq_num", "time"):
            continue
        if key in run.axis_keys:
            positioner = new_group(instrument, _name(instrument, key), "NXpositioner")
            positioner["name"] = key
            _write(positioner, "value", column, units=units_of(run, key), name_of=key)
            continue
        device = str(described.get(key, {}).get("object_name") or "readings")
        if device not in devices:
            kind = "NXdetector" if device in detectors else "NXcollection"
            home = instrument
            if device == monitor:
                kind, home = "NXmonitor", entry
            devices[device] = new_group(home, _name(home, device), kind)
        group = devices[device]
        _write(group, key, column, units=units_of(run, key), name_of=key)
        if device == monitor and key == run.steering.get("monitor_key", f"{monitor}_counts"):
            group["data"] = h5py.SoftLink(group[_plain(key)].name)
    for key, value in run.configuration.items():
        owner = max((d for d in devices if key.startswith(f"{d}_")), key=len, default="")
        if owner and _plain(key) not in devices[owner]:
            _write(devices[owner], key, value, name_of=key)
    return devices


def _detector(devices: dict[str, Any], instrument: Any, run: Run) -> Any:
    """Return the group of the detector whose frames a run took; None for a run without frames."""
    if run.frames is None:
        return None
    name = str((run.start.get("detectors") or ["det"])[0])
    source = run.steering.get("source") or {}
    name = str(source.get("detector") or name)
    if name not in devices:
        devices[name] = new_group(instrument, _name(instrument, name), "NXdetector")
    return devices[name]


def _write_frames(group: Any, run: Run, frames: str) -> Any:
    """Write the frames of the points below their detector; return the dataset, if there is one."""
    if run.frames is None or frames == "none" or not len(run.frames):
        return None
    try:
        data = _linked(group, run.frames) if frames == "link" else _copied(group, run.frames)
    except StoreError as error:
        raise StoreError(f"{error}; or leave the frames out with frames='none'") from error
    keys = run.data_keys.get(PRIMARY, {}).values()
    units = next((k["units"] for k in keys if k.get("external") and k.get("units")), None)
    data.attrs["interpretation"] = "image"
    if units:
        data.attrs["units"] = units
    return data


def _copied(group: Any, frames: Frames) -> Any:
    data = group.create_dataset(
        "data",
        frames.shape,
        frames.dtype,
        chunks=(1, *frames.shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    for i in range(len(frames)):
        data[i] = frames[i]
    return data


def _linked(group: Any, frames: Frames) -> Any:
    """Refer to the detectors' files, row by row."""
    layout = h5py.VirtualLayout(frames.shape, frames.dtype)
    sources: dict[Path, Any] = {}
    for i, (source, row) in enumerate(frames.rows):
        if source.problem or source.path is None or not source.dataset:
            raise StoreError(
                f"frames to link to must lie in an HDF5 file, got {source.problem or source.path}; "
                "give frames='copy'"
            )
        if source.path not in sources:
            with h5py.File(source.path, "r", locking=False) as file:
                sources[source.path] = h5py.VirtualSource(file[source.dataset])
        rows = sources[source.path]
        n = frames.shape[1] if len(rows.shape) < len(frames.shape) else 1
        layout[i] = rows[row] if n == 1 else rows[row * n : (row + 1) * n]
    return group.create_virtual_dataset("data", layout)


def _write_plots(entry: Any, run: Run, images: Any) -> None:
    """Write what a viewer draws: the points, and the map of a grid."""
    signal = signal_of(run)
    if signal is None:
        if images is not None:
            group = new_plot(entry, "data", "frames", [".", ".", ".", "."])
            group["frames"] = h5py.SoftLink(images.name)
            entry.attrs["default"] = "data"
        return
    _write_points(entry, run, signal)
    grid = map_of(run, signal)
    entry.attrs["default"] = "data"
    if grid is None:
        return
    group = new_plot(entry, "map", _plain(signal.key), list(grid.axes))
    _write(group, signal.key, grid.values, units=units_of(run, signal.key), name_of=signal.key)
    for name, coordinates in grid.axes.items():
        key = run.axis_keys["xyz".index(name)]
        _write(group, name, coordinates, units=units_of(run, key), name_of=key)
    if run.start.get("plan_name") == "map_sample":
        entry.attrs["default"] = "map"


def _write_points(entry: Any, run: Run, signal: Signal) -> None:
    names = [_plain(key) for key in signal.positions]
    group = new_plot(entry, "data", _plain(signal.key), names[:1])
    _write(group, signal.key, signal.values, units=units_of(run, signal.key), name_of=signal.key)
    for name, (key, values) in zip(names, signal.positions.items(), strict=True):
        _write(group, key, values, units=units_of(run, key), name_of=key)
        group.attrs[f"{name}_indices"] = 0  # all axes of a signal along the points
    group["title"] = _title(run)


def _write_stream(group: Any, run: Run, stream: str) -> None:
    """Write a stream other than that of the points, such as the decisions, as it is."""
    for key, column in with_outcomes(run.streams[stream]).items():
        if not is_readable(key):
            continue
        _write(group, key, column, units=units_of(run, key, stream), name_of=key)


def _write_document(entry: Any, name: str, document: Mapping[str, Any] | None) -> None:
    if document is None:
        return
    new_note(entry, name, document)


def _write(group: Any, key: str, value: Any, *, units: str = "", name_of: str = "") -> None:
    """Write a value; text and what HDF5 has no type for as text."""
    name = _name(group, key)
    column = np.asarray(value)
    if column.dtype.kind in "US":
        group.create_dataset(name, data=column.astype(object), dtype=TEXT)
    elif column.dtype.kind in "iufb":
        group[name] = column
    else:
        group[name] = json.dumps(value, default=str)
    if units:
        group[name].attrs["units"] = units
    if name_of:
        group[name].attrs["long_name"] = f"{name_of} ({units})" if units else name_of


def _plain(key: str) -> str:
    """Return a data key as NeXus allows it: letters, digits and underscores.

    >>> _plain("det-sum"), _plain("1.5 V")
    ('det_sum', '1_5_V')
    """
    return re.sub(r"\W", "_", key, flags=re.ASCII) or "_"


def _name(group: Any, key: str) -> str:
    """Return the name of something new in a group."""
    name = _plain(key)
    while name in group:
        name += "_"
    return name


def _title(run: Run) -> str:
    sample = run.start.get("sample")
    sample = sample.get("name") if isinstance(sample, Mapping) else sample
    targets = run.steering.get("target")
    targets = [targets] if isinstance(targets, str) else targets or ()
    words = [run.start.get("plan_name"), *targets, sample]
    return ", ".join(str(word) for word in words if word) or run.uid


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).astimezone().isoformat()
