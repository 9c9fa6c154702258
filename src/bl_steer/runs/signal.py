"""The number of each point that a run is about, and its map: what a viewer draws first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.runs.readout import sum_key
from bl_steer.runs.run import Run
from bl_steer.runs.tables import PRIMARY, as_numbers
from bl_steer.store import StoreError

__all__ = [
    "GridMap",
    "Signal",
    "cells_of",
    "common_unit",
    "described_unit",
    "is_readable",
    "map_of",
    "plane_of",
    "signal_of",
    "unit_of_axes",
    "unit_of_frames",
    "units_of",
]

AXES = ("x", "y", "z")
FLOWN_CELL = "flight_cell"
"""Data key of the cell that a frame of a flight is counted for."""


@dataclass(frozen=True)
class Signal:
    """What a run measured at its points, with where.

    Parameters
    ----------
    key : data key, or a name of ours
    values : shape (n,)
    positions : by the data keys of the axes, shape (n,) each; the time, s since the start, where
        nothing moved
    """

    key: str
    values: Array
    positions: dict[str, Array]


@dataclass(frozen=True)
class GridMap:
    """The signal on the grid of a run.

    Parameters
    ----------
    axes : coordinates by ``z``, ``y``, ``x``, the slowest first
    values : shape (n_z, n_y, n_x) or (n_y, n_x), NaN where nothing valid was measured
    """

    axes: dict[str, Array]
    values: Array


def signal_of(run: Run) -> Signal | None:
    """Return what a run measured; None where it holds no number."""
    if not run.n_points:
        return None
    keys = run.axis_keys
    if keys and all(key in run.primary and is_number(run.primary[key]) for key in keys):
        positions = {key: run.positions[:, i] for i, key in enumerate(keys)}
    else:
        positions = {}
    if not positions or keys == ["time"]:
        positions = {"time": run.time - float(run.start["time"])}
    key = _steered_key(run) or _first_number(run, set(positions))
    if key is None:
        return None
    if run.steering:
        values = run.total
    else:
        values = np.array([run.primary[key][rows[0]] for rows in run.events_of], dtype=float)
    return Signal(key, values, positions)


def map_of(run: Run, signal: Signal) -> GridMap | None:
    """Return the map of a run on a regular grid of two or three axes; None for other runs."""
    grid: Mapping[str, Any] = run.steering.get("grid") or {}
    names = [name for name in AXES if name in grid]
    if len(names) < 2 or grid.get("scattered") or len(signal.positions) != len(names):
        return None
    axes = {name: np.unique(np.asarray(grid[name], dtype=float)) for name in reversed(names)}
    values = np.full([len(axis) for axis in axes.values()], np.nan)
    places = [*signal.positions.values()][::-1]
    if (cells := cells_of(run)) is not None:
        listed = [np.asarray(grid[name], dtype=float) for name in axes]
        numbers = np.unravel_index(cells, values.shape)
        places = [axis[number] for axis, number in zip(listed, numbers, strict=True)]
    where = tuple(
        np.abs(position[:, None] - axis).argmin(axis=1)
        for axis, position in zip(axes.values(), places, strict=True)
    )
    sound = np.isfinite(signal.values)
    with suppress(StoreError):  # frames that are gone: what was counted is all there is
        sound &= run.valid
    # One after the other: a point that was measured again counts with its last measurement.
    for i in np.flatnonzero(sound):
        values[tuple(index[i] for index in where)] = signal.values[i]
    return GridMap(axes, values)


def cells_of(run: Run) -> NDArray[np.int_] | None:
    """Return the number in the grid of the cell that each point was measured for, (n,).

    None where the run does not say: the nearest one. A frame of a flight may lie on the edge.
    """
    rows = [events[0] for events in run.events_of]
    if FLOWN_CELL not in run.primary or not rows:
        return None
    cells = as_numbers(run.primary[FLOWN_CELL])[rows]
    return cells.astype(int) if np.isfinite(cells).all() else None


def plane_of(run: Run) -> tuple[Array, Array]:
    """Return where the points of a run on two axes lie: x and y, shape (n,) each.

    Raises
    ------
    ValueError
        When it is on another number of axes.
    """
    names = run.axis_keys
    if len(names) != 2:
        raise ValueError(
            f"a map must be on two axes, got {len(names)} ({', '.join(names)}) in run {run.uid}; "
            "draw it with bl-steer show, or take its numbers with bl-steer export"
        )
    return run.x, run.y


def units_of(run: Run, key: str, stream: str = PRIMARY) -> str:
    """Return the units of a column, empty where the run does not say."""
    if key == "time" or key.startswith("ts_"):
        return "s"
    return described_unit(key, run.data_keys.get(stream, {}), run.configuration)


def described_unit(key: str, data_keys: Mapping[str, Any], configuration: Mapping[str, Any]) -> str:
    """Return the units of a data key by its entry, or by the motor's own record."""
    told = data_keys.get(key, {}).get("units")
    motor = key.removesuffix("_user_setpoint")
    return str(told or configuration.get(f"{motor}_motor_egu") or "")


def unit_of_axes(run: Run) -> str:
    """Return the unit of the axes of a run, or of each in turn, see `common_unit`."""
    return common_unit(run.start, [units_of(run, key) for key in run.axis_keys])


def unit_of_frames(run: Run) -> str:
    """Return the unit of what a run stored of more than a number at a point; empty for none."""
    keys = run.data_keys.get(PRIMARY, {}).values()
    told = {str(key.get("units") or "") for key in keys if key.get("shape")}
    return told.pop() if len(told) == 1 else ""


def common_unit(start: Mapping[str, Any], told: Sequence[str]) -> str:
    """Return the unit of the sample by a start document, else the one that all axes tell.

    Where they tell several, the unit of each, parted by commas (``"um,mm"``); empty for none.
    """
    sample = start.get("sample")
    named = sample.get("unit") if isinstance(sample, Mapping) else None
    return str(named or (told[0] if len(set(told)) == 1 else ",".join(told)))


def is_number(column: Any) -> bool:
    """Return whether a column holds one number in each row."""
    column = np.asarray(column)
    return column.ndim == 1 and column.dtype.kind in "iuf"


def is_readable(key: str) -> bool:
    """Return whether a column was read from a device, and is no time stamp of such a reading."""
    return not key.startswith("ts_")


def _steered_key(run: Run) -> str | None:
    source = run.steering.get("source") or {}
    if source.get("kind") == "field":
        return str(source["key"])
    if not run.steering or "grid" not in run.steering:
        return None
    detector = source.get("detector") or (run.start.get("detectors") or ["det"])[0]
    total = sum_key(detector, run.data_keys.get(PRIMARY, {}))
    if total not in run.primary and (run.frames is None or run.frames.problem):
        return None
    return total or f"{detector} frames"


def _first_number(run: Run, axes: set[str]) -> str | None:
    detectors = [str(name) for name in run.start.get("detectors") or ()]
    described = run.data_keys.get(PRIMARY, {})
    numbers = [
        key
        for key, column in run.primary.items()
        if is_readable(key) and key not in {*axes, "seq_num", "time"} and is_number(column)
    ]
    own = [key for key in numbers if described.get(key, {}).get("object_name") in detectors]
    # What a detector is about, before its settings that are read with each point.
    own.sort(key=lambda key: not any(key in (name, *_sums(name)) for name in detectors))
    return next(iter([*own, *numbers]), None)


def _sums(detector: str) -> tuple[str, ...]:
    return f"{detector}_total", f"{detector}_mean", f"{detector}_value"
