"""The axes that a plan moves: which they are, how far they may go, and where their readback is."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Protocol

import numpy as np
from bluesky.protocols import Movable, NamedMovable, Readable
from bluesky.utils import MsgGenerator

from bl_steer.agents import AXIS_NAMES, Space
from bl_steer.agents.scales import check_circles
from bl_steer.canonical import told_apart
from bl_steer.protocols import Array
from bl_steer.runs.readout import as_number
from plans.stubs.detectors import hinted_keys, in_order
from plans.stubs.messages import describe

__all__ = [
    "Axes",
    "Stage",
    "StageError",
    "axes_of",
    "axes_to_read",
    "check_axes",
    "check_limits",
    "check_place",
    "check_points",
    "check_zones",
    "default_grid",
    "grid_of",
    "inspect_axes",
    "readback_key",
    "units_of",
]

logger = logging.getLogger(__name__)

MICRONS = ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre")


class StageError(RuntimeError):
    """The stage did not arrive."""


class Stage(Protocol):
    """Anything with two axes to move: a `devices.SampleStage`, ophyd-async's simulated stage, …"""

    x: NamedMovable[float]
    y: NamedMovable[float]


Axes = Stage | NamedMovable[float] | Sequence[NamedMovable[float]]
"""One to three axes: as they are, or a stage that has ``x``, ``x`` and ``y``, or also ``z``."""


def axes_of(axes: Any) -> list[Any]:
    """Return the axes of a stage, or those that are given, in the order x, y, z.

    Raises
    ------
    TypeError
        For what is no axis, or more than three of them.
    """
    listed = _listed(axes)
    if not 1 <= len(listed) <= len(AXIS_NAMES):
        raise TypeError(
            f"axes must be one to three movable devices, or a stage with x, y and z, got {axes!r}; "
            "try axes=[motor_x, motor_y]"
        )
    for axis in listed:
        if not isinstance(axis, Movable) or not hasattr(axis, "name"):
            raise TypeError(
                f"an axis must be a movable device, with set and name, got {axis!r}; give the "
                "motor itself"
            )
    if len({_identity(axis) for axis in listed}) < len(listed):
        raise TypeError(
            f"axes must be different devices, got {', '.join(axis.name for axis in listed)}; name "
            "each once"
        )
    return listed


def axes_to_read(axes: Any) -> list[Any]:
    """Return what to read for the axes: the stage as a whole where it is a device, else each."""
    return [axes] if isinstance(axes, Readable) else list(axes_of(axes))


def default_grid() -> Space:
    """Return the paper's grid: 31×31 points, 5 µm apart, over 150 × 150 µm."""
    coordinates = np.linspace(0.0, 150.0, 31)
    return Space.grid(coordinates, coordinates)


def grid_of(grid: Any, forbidden: Sequence[Mapping[str, Any]] = ()) -> Space:
    """Return the points to measure: as given, from a mapping as JSON has it, or the paper's grid.

    Parameters
    ----------
    forbidden : zones, beside those that the grid has already

    Raises
    ------
    TypeError, ValueError
        For what is no grid.
    """
    if grid is None:
        grid = default_grid()
    elif isinstance(grid, Mapping):
        grid = Space.from_dict(grid)
    if not isinstance(grid, Space):
        raise TypeError(
            f"grid must be a Space, got {grid!r}; build it with Space.grid(x, y), or write it as "
            '{"x": [0, 5, 10], "y": [0, 5, 10]}'
        )
    space = grid.forbid(forbidden) if forbidden else grid
    low, high = space.bounds
    for zone in space.forbidden:
        if not zone.meets_boxes(low[None], high[None]).any():
            logger.warning(
                "forbidden zone %s lies off the grid, which runs from %s to %s, and keeps the "
                "stage out of nothing; are its numbers in the axes' units?",
                zone.to_dict(),
                low.tolist(),
                high.tolist(),
            )
    return space


def inspect_axes(
    axes: Sequence[Any], circles: Sequence[Any], *, in_microns: bool
) -> MsgGenerator[tuple[list[str], dict[str, Any]]]:
    """Ask the axes, and the circles that the scan of a point turns, what they read.

    Parameters
    ----------
    in_microns : whether the axes go by the paper's grid, which is in µm

    Returns
    -------
    readbacks : data key of each axis' readback
    moved : the axes and circles, by each of their data keys

    Raises
    ------
    ValueError
        For an axis that is a circle too, and for one in another unit than its grid.
    """
    readbacks: list[str] = []
    moved: dict[str, Any] = {}
    for axis in [*axes, *circles]:
        description = yield from describe(axis)
        moved |= dict.fromkeys(description, axis)
        if len(readbacks) == len(axes):
            continue
        readbacks.append(key := readback_key(axis, description))
        unit = str(description.get(key, {}).get("units") or "")
        if in_microns and unit and unit.casefold() not in MICRONS:
            raise ValueError(
                f"grid must be given where an axis is not in µm, got {axis.name} in {unit}, which "
                'the paper\'s 0 … 150 µm would drive to 150; try grid={"x": {"start": 0, "stop": '
                '0.15, "num": 31}, …}'
            )
        if axis in circles:
            raise ValueError(
                f"a point's scan must turn other circles than the axes, got {axis.name} for both; "
                "name the circle that rocks the sample"
            )
    return readbacks, moved


def units_of(readbacks: Sequence[str], keys: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the unit of each axis, of the data key of its readback; empty without."""
    told = [str(keys.get(key, {}).get("units") or "") for key in readbacks]
    return ["µm" if unit.casefold() in MICRONS else unit for unit in told]


def check_zones(space: Space, units: Sequence[str]) -> None:
    """Refuse circles as forbidden zones on axes that tell different units."""
    check_circles(space.forbidden, space.points, space.shape, units=units)


def readback_key(axis: Any, description: Mapping[str, Any]) -> str:
    """Return the data key under which an axis tells where it is.

    Parameters
    ----------
    description : of the axis, see `plans.stubs.messages.describe`
    """
    hinted = hinted_keys(axis)
    keys = [key for key in hinted if key in description] or hinted
    if keys:
        return str(keys[0])
    if axis.name in description:
        return str(axis.name)
    numbers = [key for key, entry in description.items() if entry.get("dtype") == "number"]
    numbers = in_order(axis, numbers)
    return str(numbers[0]) if numbers else str(axis.name)


def check_axes(axes: Any, grid: Space) -> None:
    """Refuse axes in another order than the grid's, or whose limits the grid goes beyond.

    The first axis goes by the grid's ``x``, the second by ``y``, the third by ``z``. Axes whose
    names, or the ends of them, are these letters in another order would be exchanged.

    Raises
    ------
    ValueError
        Naming the axes.
    """
    listed = _listed(axes)
    check_limits(listed, grid.bounds)
    ends = [axis.name.rpartition("_")[2] for axis in listed]
    if ends != list(grid.names) and sorted(ends) == sorted(grid.names):
        raise ValueError(
            f"axes must stand in the order of the grid's {', '.join(grid.names)}, got "
            f"{', '.join(axis.name for axis in listed)}; give them in that order"
        )


def check_limits(axes: Any, bounds: Array) -> None:
    """Refuse bounds outside the axes' own limits.

    Parameters
    ----------
    axes : a stage, an axis, or several
    bounds : shape (2, n_axes), lower and upper corner, in the axes' units

    Raises
    ------
    ValueError
        Naming every axis whose limits would be violated.
    """
    listed = _listed(axes)
    if len(listed) != bounds.shape[1]:
        raise ValueError(
            f"the grid must have as many axes as are moved, got {bounds.shape[1]} for "
            f"{', '.join(axis.name for axis in listed)}; try Space.grid(…) with one list of "
            "coordinates for each"
        )
    problems = []
    for axis, (low, high) in zip(listed, bounds.T, strict=True):
        limits = getattr(axis, "limits", None)
        if not isinstance(limits, Sequence) or len(limits) != 2 or not limits[0] < limits[1]:
            problems += [why for end in (low, high) if (why := _refusal(axis, float(end)))]
        elif low < limits[0] or high > limits[1] or math.isnan(low) or math.isnan(high):
            problems.append(
                f"{axis.name} must stay within its limits {limits[0]:g} … {limits[1]:g}, "
                f"got {low:g} … {high:g}"
            )
    if problems:
        raise ValueError("; ".join(problems) + "; choose a smaller grid or move the limits")


def _refusal(axis: Any, position: float) -> str:
    """Return why an axis that names no limits would not go to a position; empty where it would."""
    check = getattr(axis, "check_value", None)
    if check is None or inspect.iscoroutinefunction(check):  # asked in an event loop, at each move
        return ""
    try:
        check(position)
    except Exception as error:  # an axis may refuse by any error
        return f"{axis.name} must go to {position:g}, got {error or type(error).__name__}"
    return ""


def check_place(
    axis: Any, key: str, data: Mapping[str, Any], asked: float, tolerance: float
) -> float:
    """Refuse an event at which an axis was not where it was sent; return by how much it was off.

    Parameters
    ----------
    key : of its readback, in the event's data
    tolerance : in the axis' units

    Raises
    ------
    StageError
        When it says that it is elsewhere, or says nothing that is a number.
    ValueError
        When the event does not say where it is.
    """
    if key not in data:
        raise ValueError(
            f"each point must record where {axis.name} is, got an event without {key!r}; let "
            "per_point read the axes, and the readback be no omitted signal"
        )
    here = as_number(data[key])
    if not abs(here - asked) <= tolerance:  # not true of NaN
        wanted, found = told_apart(asked, here)
        if math.isnan(here):
            found = f"{data[key]!r}"
        raise StageError(
            f"{axis.name} must be where it was sent, {wanted}, got {found} in {key!r}; check the "
            "encoder, that setpoint and readback have one unit, and that the grid's points are "
            "steps of the axis"
        )
    return here - asked


def check_points(points: Sequence[Sequence[float]], space: Space) -> None:
    """Refuse points beyond a space, or in one of its forbidden zones.

    Raises
    ------
    ValueError
        Naming every point that may not be measured.
    """
    (low, high), problems = space.bounds, []
    for point in points:
        if not isinstance(point, Iterable) or not all(isinstance(x, Real) for x in point):
            problems.append(f"{point!r} is no list of numbers, such as {low.tolist()}")
        elif len(point) != len(low):
            problems.append(f"{point} has {len(point)} coordinates, not {len(low)}")
        elif not ((low <= point) & (point <= high)).all():  # not true of NaN
            problems.append(f"{point} lies outside {low.tolist()} … {high.tolist()}")
        elif zone := space.zone_at(point):
            problems.append(f"{point} lies in the forbidden zone {zone.to_dict()}")
    if problems or not len(points):
        raise ValueError(
            "points must lie in the grid and outside its forbidden zones, got: "
            f"{'; '.join(problems) or 'none'}; choose others"
        )


def _listed(axes: Any) -> list[Any]:
    if isinstance(axes, Movable | str):
        return [axes]
    if isinstance(axes, Iterable):
        return list(axes)
    return [getattr(axes, name) for name in AXIS_NAMES if hasattr(axes, name)]


def _identity(axis: Any) -> Any:
    """Return what an axis is moved by: its motor record or process variable, or the object."""
    if hasattr(axis, "user_setpoint"):
        return getattr(axis, "prefix", "") or id(axis)
    return getattr(getattr(axis, "setpoint", None), "setpoint_pvname", "") or id(axis)
