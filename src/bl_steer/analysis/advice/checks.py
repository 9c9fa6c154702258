"""What must hold of points before an advice, and what a user should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.agents.scales import of_unlike_units
from bl_steer.analysis.advice.one_unit import axes_told, y_per_x
from bl_steer.progress import coordinate
from bl_steer.protocols import Array, Inputs, Table
from bl_steer.steering.remarks import is_spotless, remark_on

__all__ = ["N_START", "checked_points", "value_name", "warnings_for"]

LEAST_POINTS = 3
N_START = 5
"""With fewer points the next ones fill the largest gaps: there is too little to learn from."""


def checked_points(inputs: Inputs) -> dict[str, Array]:
    """Return x, y, value and noise ratio of the points where all are finite.

    Raises
    ------
    ValueError
        When one is missing or of another length, or too few points are left.
    """
    missing = [key for key in ("x", "y", "value") if key not in inputs.arrays]
    if missing:
        raise ValueError(
            f"points must have x, y and value, got {', '.join(inputs.arrays)}; "
            f"{', '.join(missing)} is missing"
        )
    columns = {key: np.asarray(inputs.arrays[key], dtype=float) for key in ("x", "y", "value")}
    columns["noise_ratio"] = np.asarray(
        inputs.arrays.get("noise_ratio", np.ones_like(columns["value"])), dtype=float
    )
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or columns["x"].ndim != 1:
        raise ValueError(f"x, y and value must have one length, got shapes {sorted(shapes)}")
    usable = np.all([np.isfinite(column) for column in columns.values()], axis=0)
    if usable.sum() < LEAST_POINTS:
        raise ValueError(
            f"there must be at least {LEAST_POINTS} points with finite x, y and value, got "
            f"{usable.sum()} of {len(usable)}; measure some first"
        )
    return {key: column[usable] for key, column in columns.items()}


def warnings_for(
    points: Mapping[str, Array],
    inputs: Inputs,
    learnt: NDArray[np.bool_],
    suggestions: Table,
    n_points: int,
    space: Space,
) -> Iterator[str]:
    """Say which columns were read, what was left out, and why there are few suggestions.

    Parameters
    ----------
    points : those of the inputs that are finite
    learnt : from which of them was learnt, booleans (n,)
    n_points : as many suggestions were requested
    space : in the unit of x, where the points can be brought to one
    """
    columns: Mapping[str, str] = inputs.source.get("columns", {})
    if any(name.strip().lower() != key for key, name in columns.items()):
        read = ", ".join(f"{key} from {name!r}" for key, name in columns.items())
        yield f"Columns taken: {read}."
    left_out = len(np.asarray(inputs.arrays["x"])) - len(points["x"])
    if left_out:
        were = (
            "s without a finite x, y or value were"
            if left_out > 1
            else (" without a finite x, y or value was")
        )
        yield f"{left_out} point{were} left out."
    if len(points["x"]) < N_START:
        yield f"There are only {len(points['x'])} points: the next ones fill the largest gaps."
    if not learnt.all():
        yield (
            f"The map was learnt from {learnt.sum()} of the {len(learnt)} points, spread over the "
            f"area: more would take too long for {len(space)} places. All count as measured."
        )
    unit = str(inputs.metadata.get("unit", ""))
    (x_unit, y_unit), y_factor = axes_told(unit), y_per_x(unit)
    if y_factor is None:
        yield (
            f"x is in {x_unit} and y in {y_unit}, which cannot be compared: distances are counted "
            "in steps of the places to choose from."
        )
    elif y_factor != 1.0:
        yield (
            f"x is in {x_unit} and y in {y_unit}: distances between places, and the pitch, are in "
            f"{x_unit}; suggestions have each axis in its own unit."
        )
    yield from _degenerate({**points, "y": points["y"] * (y_factor or 1.0)}, space, x_unit)
    place = [
        f"({coordinate(x)}, {coordinate(y)})" for x, y in zip(points["x"], points["y"], strict=True)
    ]
    row = "leave its row out"
    if remark := remark_on(points["value"], called=lambda n: f"that at {place[n]}", remedy=row):
        yield f"Of the values, {remark}."
    if is_spotless(points["value"][learnt]) and len(suggestions.get("sd", ())):
        yield "How well a value is known cannot be told of values that are all one: sd is NaN."
    yield from _repeats(points)
    yield from _exhausted(len(suggestions["x"]), n_points, space)


def _repeats(points: Mapping[str, Array]) -> Iterator[str]:
    """Say how far values scatter that were measured at the same place."""
    xy = np.column_stack([points["x"], points["y"]])
    _, place, times = np.unique(xy, axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    repeats = int((times - 1).sum())
    if not repeats:
        return
    mean = np.bincount(place, points["value"]) / times
    sd = float(np.sqrt(((points["value"] - mean[place]) ** 2).sum() / repeats))
    if sd > 0:
        n = int((times > 1).sum())
        yield (
            f"{n} place{'s were' if n > 1 else ' was'} measured more than once, with values that "
            f"scatter by {sd:.4g} (standard deviation of repeats): that is noise, or something "
            "changed in between; differences as small between places tell nothing."
        )


def _degenerate(points: Mapping[str, Array], space: Space, unit: str) -> Iterator[str]:
    """Say where axes have units of their own, and where there is one row or column of places."""
    spans = {key: (float(points[key].min()), float(points[key].max())) for key in ("x", "y")}
    written = " and ".join(
        f"{key} from {coordinate(low)} to {coordinate(high)}" for key, (low, high) in spans.items()
    )
    why = (
        f"in {unit} one is far longer than the other"
        if unit
        else "the axes are taken to have units of their own"
    )
    if of_unlike_units(np.ptp(space.bounds, axis=0) + space.steps):
        yield (
            f"Points have {written}: {why}, and distances are counted in steps of the places to "
            "choose from."
        )
    if space.shape is not None and min(space.shape) == 1:
        row, axis = ("row", "y") if space.shape[0] == 1 else ("column", "x")
        low, high = spans[axis]
        yield (
            f"The places to choose from lie in one {row}, for {axis} spans {high - low:.4g}, less "
            f"than a pitch of {space.pitch:.4g}: suggestions differ in one coordinate alone. Give "
            "a smaller pitch."
        )


def _exhausted(n_suggested: int, n_points: int, space: Space) -> Iterator[str]:
    apart = " and ".join(f"{step:.4g}" for step in dict.fromkeys(space.steps.tolist()))
    candidates = f"places to choose from, {apart} apart"
    if not n_suggested:
        yield (
            f"Nothing is left to suggest: all of the {len(space)} {candidates}, were measured "
            "already. Give a smaller pitch."
        )
    elif n_suggested < n_points:
        yield (
            f"Only {n_suggested} of {n_points} points are suggested: the others of the "
            f"{len(space)} {candidates}, were measured already. Give a smaller pitch."
        )


def value_name(inputs: Inputs) -> str:
    """Return what the values are called where they come from."""
    columns: Mapping[str, str] = inputs.source.get("columns", {})
    return str(columns.get("value", "value"))
