"""The picture of an advice: what was measured, what is expected, where to go next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bl_steer.plotting.maps import COLOURS, units_of_labels
from bl_steer.protocols import Array, Table

__all__ = ["draw_advice"]

LONGER_IN = 4.6
"""Longer side of a map, inches."""
AROUND_IN = (1.9, 1.5)
"""Room beside and above a map for its colour bar, axes and title, inches."""
PAD_IN = 0.15
"""Around all, inches: maps of a fixed shape end up some 0.1 above what the layout leaves."""
LONGEST = 3.0
"""Of an axis against the other: beyond that the axes are drawn on scales of their own."""
NEXT = "#C2185B"
"""Of the points to measure next: neither map has it."""
MANY = 300
"""Measured points from which they are drawn smaller."""


def draw_advice(
    points: Mapping[str, Array],
    suggestions: Table,
    arrays: Mapping[str, Array],
    *,
    unit: str = "",
    value: str = "value",
    y_factor: float = 1.0,
) -> Figure:
    """Draw the expected map and how uncertain it is, with measured points and numbered suggestions.

    Where the method expects nothing, the measured values alone.

    Parameters
    ----------
    points : ``x``, ``y``, ``value``
    suggestions, arrays : of `bl_steer.analysis.advice.SteeringAdvice`
    unit : of the axes
    value : what the values are called, with their unit where it is known
    y_factor : brings y to the unit of x
    """
    with_map = "expected" in arrays
    steps = _steps(arrays, y_factor)
    left, right, bottom, top = _box(points, arrays, steps)
    shape = y_factor * (top - bottom) / (right - left)
    shape = float(np.clip(shape, 1 / LONGEST, LONGEST))
    width, height = (LONGER_IN * side / max(shape, 1.0) for side in (1.0, shape))
    with_sd = with_map and bool(np.isfinite(arrays["sd"]).any())
    n = 1 + with_sd
    size = (n * (width + AROUND_IN[0]), height + AROUND_IN[1])
    layout = ConstrainedLayoutEngine(h_pad=PAD_IN, w_pad=PAD_IN)
    figure = Figure(figsize=size, layout=layout)
    panels = figure.subplots(1, n, squeeze=False, sharey=True, subplot_kw={"box_aspect": shape})[0]
    if with_map:
        _map(panels[0], arrays, "expected", COLOURS, value, steps)
        panels[0].set_title("Expected value")
    else:
        panels[0].set_title("Measured so far")
    if with_sd:
        _map(panels[1], arrays, "sd", "cividis", f"± 1 sd, {value}", steps)
        panels[1].set_title("Its uncertainty")
    x_unit, y_unit = units_of_labels(unit, 2)
    for ax in panels:
        _measured(ax, points, None if with_map else value)
        _suggested(ax, suggestions)
        ax.set(
            xlabel=f"x{x_unit}",
            xlim=(left, right),
            ylim=(bottom, top),
        )
    panels[0].set_ylabel(f"y{y_unit}")
    marks, names = panels[0].get_legend_handles_labels()
    figure.legend(marks, names, loc="outside lower center", ncols=len(marks), frameon=False)
    return figure


def _box(
    points: Mapping[str, Array], arrays: Mapping[str, Array], steps: Mapping[str, float]
) -> tuple[float, float, float, float]:
    """Return the edges of the map, or of what was measured with a little room around it."""
    edges: list[float] = []
    for key in ("x", "y"):
        if f"grid_{key}" in arrays:
            axis = arrays[f"grid_{key}"]
            half = 0.5 * steps[key]
        else:
            axis = points[key]
            half = 0.04 * float(axis.max() - axis.min())
        edges += [float(axis.min()) - half, float(axis.max()) + half]
    return edges[0], edges[1], edges[2], edges[3]


def _steps(arrays: Mapping[str, Array], y_factor: float) -> dict[str, float]:
    """Return the pitch of each axis; an axis of a single value has that of the other."""
    axes = {key: arrays[f"grid_{key}"] for key in ("x", "y") if f"grid_{key}" in arrays}
    pitches = {key: float(axis[1] - axis[0]) for key, axis in axes.items() if len(axis) > 1}
    if len(pitches) == 1:
        has_x = "x" in pitches
        pitches |= {"y": pitches["x"] / y_factor} if has_x else {"x": pitches["y"] * y_factor}
    return pitches


def _map(
    ax: Axes,
    arrays: Mapping[str, Array],
    name: str,
    colours: str,
    label: str,
    steps: Mapping[str, float],
) -> None:
    edges = [
        np.append(axis, axis[-1] + steps[key]) - 0.5 * steps[key]
        for key in ("x", "y")
        for axis in [arrays[f"grid_{key}"]]
    ]
    drawn = ax.pcolormesh(*edges, arrays[name], cmap=colours)
    _bar(ax, drawn, label)


def _bar(ax: Axes, drawn: Any, label: str) -> None:
    """Draw a colour bar as high as the map, and of one width, whatever the map's shape."""
    shape = float(ax.get_box_aspect() or 1.0)
    inch = max(shape, 1.0) / LONGER_IN  # of the map's width
    beside = ax.inset_axes((1 + 0.12 * inch, 0.0, 0.16 * inch, 1.0))
    ax.figure.colorbar(drawn, cax=beside, label=label)


def _measured(ax: Axes, points: Mapping[str, Array], value: str | None) -> None:
    """Draw the measured points, in colours where no map tells their values."""
    n = len(points["x"])
    many = n > MANY
    coloured: dict[str, Any] = (
        {"c": "white"} if value is None else {"c": points["value"], "cmap": COLOURS}
    )
    drawn = ax.scatter(
        points["x"],
        points["y"],
        s=(4 if many else 16) * (1 if value is None else 2),
        edgecolors="black",
        linewidths=0.2 if many else 0.6,
        label=f"measured ({n})",
        zorder=3,
        clip_on=False,
        **coloured,
    )
    if value is not None:
        _bar(ax, drawn, value)


def _suggested(ax: Axes, suggestions: Table) -> None:
    if not len(suggestions["x"]):
        return
    ax.scatter(
        suggestions["x"],
        suggestions["y"],
        s=150,
        c=NEXT,
        edgecolors="white",
        linewidths=1.0,
        label="measure next, in this order",
        zorder=4,
        clip_on=False,
    )
    for number, (x, y) in enumerate(zip(suggestions["x"], suggestions["y"], strict=True), 1):
        ax.annotate(
            str(number),
            (float(x), float(y)),
            ha="center",
            va="center_baseline",
            fontsize=9,
            color="white",
            zorder=5,
        )
