"""Figures of runs that map a sample, or outline a level in it: data in, Figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.plotting.maps import INTENSITY, plot_map
from bl_steer.plotting.marks import told_points
from bl_steer.protocols import Array

__all__ = ["plot_goal"]

LINE: dict[str, Any] = {"colors": "red", "linewidths": 1.5}


def plot_goal(
    space: Space,
    mean: Array,
    sd: Array,
    *,
    measured: Array,
    outcomes: Array,
    seen: Array | None = None,
    outline: Array | None = None,
    above: Array | None = None,
    target: str = "",
    told: str = "",
    unit: str = "",
    label: str = INTENSITY,
) -> Figure:
    """Draw a predicted map beside its uncertainty, or beside where it is above a level.

    Parameters
    ----------
    mean, sd : shape (n,) each, at the points of `space`
    measured, outcomes : shape (m, d) and (m,)
    seen : shape (k, d), points of earlier runs
    outline : shape (k, d), points of the outline of a level; of a regular map on two axes it is
        drawn as a line, where `above` is a half
    above : shape (n,), the probability to be above the level
    told : what came of it, for the title
    """
    figure = Figure(figsize=(11.0, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, gridspec_kw={"wspace": 0.15})  # for the colour scale beside
    shared: dict[str, Any] = {"measured": measured, "seen": seen, "unit": unit}
    title = f"{target}\npredicted from {told_points(measured, seen)}"
    plot_map(
        space, mean, ax=panels[0], sd=sd, outcomes=outcomes, label=label, title=title, **shared
    )
    if above is None:
        plot_map(space, sd, ax=panels[1], label=f"one sd of {label}", title=told, **shared)
    else:
        plot_map(
            space,
            above,
            ax=panels[1],
            limits=(0.0, 1.0),
            label="probability to be above the level",
            title=told,
            **shared,
        )
    if outline is not None and above is not None:
        for ax in panels:
            _draw_outline(ax, space, outline, above)
    return figure


def _draw_outline(ax: Axes, space: Space, outline: Array, above: Array) -> None:
    if len(space.names) == 1:
        for x in outline[:, 0]:
            ax.axvline(x, color="red", lw=1.5)
    elif space.shape is not None and len(space.names) == 2 and min(space.shape) > 1:
        if 0 < np.count_nonzero(above > 0.5) < len(above):
            x, y = (space.axis(axis) for axis in space.names)
            ax.contour(x, y, above.reshape(space.shape), [0.5], **LINE)
    elif len(space.names) == 2:
        ax.plot(*outline.T, ".", color="red", ms=4, zorder=4)
