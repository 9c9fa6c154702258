"""Figures from arrays: data in, Axes out.

`bl_steer.plotting.live` draws while a run goes on, with the functions here. Nothing here shows a
window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.plotting.marks import hatch_zones, mark_best, mark_seen, told_points
from bl_steer.protocols import Array

__all__ = ["plot_figure_1", "plot_map", "plot_prediction", "plot_progress", "units_of_labels"]

COLOURS = "viridis"
PLANES = (("x", "y"), ("x", "z"), ("y", "z"))
INTENSITY = "intensity (counts)"
UNIT_NAMES = {"um": "µm", "deg": "°"}


def plot_map(
    space: Space,
    values: Array,
    *,
    ax: Axes | None = None,
    sd: Array | None = None,
    measured: Array | None = None,
    seen: Array | None = None,
    outcomes: Array | None = None,
    best: Sequence[float] | None = None,
    coming: Sequence[float] | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    unit: str = "",
    label: str = INTENSITY,
    plane: tuple[str, str] = ("x", "y"),
) -> Axes:
    """Draw `values` over the candidate points: a curve on one axis, a map on two.

    On three axes the map is that of the largest value along the axis that is not in `plane`.

    Parameters
    ----------
    space : the points; a regular grid is drawn as pixels, scattered points as dots; forbidden
        zones are hatched
    values : shape (n,); NaN where nothing is known
    sd : shape (n,), drawn as a band of two on one axis
    measured : shape (m, d), drawn as white dots
    seen : shape (k, d), points of earlier runs, drawn hollow; on one axis at the foot
    outcomes : shape (m,), their heights on one axis; by default they lie on the curve
    best : point A, shape (d,), marked with a ring and the letter
    coming : the next point, shape (d,), marked with a cross
    limits : range of the colour scale; the values' own range by default
    unit : of the axes, empty where it is unknown; of each in turn, parted by commas, where they
        have several
    plane : the two axes that are drawn, of three
    """
    ax = _axes(ax)
    told = dict(zip(space.names, units_of_labels(unit, len(space.names)), strict=True))
    if len(space.names) == 1:
        _plot_curve(ax, space, values, sd, measured, outcomes, best, coming)
        if seen is not None:
            mark_seen(ax, space, seen)
        ends = space.bounds[:, 0]
        margin = 0.03 * float(np.ptp(ends)) or 0.5
        ax.set(xlabel=f"x{told['x']}", ylabel=label, title=title)
        ax.set(xlim=(ends[0] - margin, ends[1] + margin))
        return ax
    if len(space.names) == 3:
        columns = [space.names.index(axis) for axis in plane]
        space, values = _projected(space, values, columns)
        measured, seen = (p if p is None else p[:, columns] for p in (measured, seen))
        best, coming = (p if p is None else [p[c] for c in columns] for p in (best, coming))
    known = np.isfinite(values).any()
    colour = "white" if known else "0.4"  # of what is drawn over the colours
    low, high = limits or ((np.nanmin(values), np.nanmax(values)) if known else (0.0, 1.0))
    if space.shape is None or min(space.shape) == 1:  # a line has no pixels to fill
        drawn: ScalarMappable = ax.scatter(
            space.points[:, 0],
            space.points[:, 1],
            c=values,
            cmap=COLOURS,
            vmin=low,
            vmax=high,
            s=12,
            marker="s",
        )
    else:
        x, y = (space.axis(axis) for axis in space.names)
        i, j = np.argsort(x), np.argsort(y)  # a grid may be in any order
        mesh = values.reshape(space.shape)[np.ix_(j, i)]
        drawn = ax.pcolormesh(
            x[i], y[j], mesh, cmap=COLOURS, vmin=low, vmax=high, shading="nearest"
        )
    if known:
        beside = ax.inset_axes((1.03, 0.0, 0.05, 1.0))  # as high as the map, whatever its shape
        ax.figure.colorbar(drawn, cax=beside, label=label)
    if measured is not None and len(measured):
        x, y = measured.T
        ax.scatter(x, y, s=9, c="white", edgecolors="black", linewidths=0.3, zorder=3)
    if seen is not None:
        mark_seen(ax, space, seen)
    if coming is not None:
        ax.plot(*coming, marker="x", ms=9, mew=2, color=colour, zorder=4)
    if best is not None:
        mark_best(ax, best)
    hatch_zones(ax, space, colour)
    width, height = space.bounds[1] - space.bounds[0]
    # An axis of another kind, a photon energy beside a position, would leave a slit.
    alike = min(width, height) == 0 or 0.1 < width / height < 10
    x_unit, y_unit = told[plane[0]], told[plane[1]]
    aspect: Any = "equal" if alike and x_unit == y_unit else "auto"
    ax.set(xlabel=f"{plane[0]}{x_unit}", ylabel=f"{plane[1]}{y_unit}", title=title, aspect=aspect)
    return ax


def units_of_labels(unit: str, n: int) -> list[str]:
    """Return what follows the name of each of n axes in its label.

    >>> units_of_labels("um,", 2), units_of_labels("um", 2)
    ([' (µm)', ''], [' (µm)', ' (µm)'])
    """
    each = unit.split(",") if "," in unit else [unit] * n
    return [f" ({UNIT_NAMES.get(own, own)})" if own else "" for own in map(str.strip, each)]


def plot_prediction(
    space: Space,
    mean: Array,
    sd: Array,
    *,
    measured: Array,
    outcomes: Array,
    best: Sequence[float] | None,
    seen: Array | None = None,
    best_seen: float = math.nan,
    n_start: int | None = None,
    target: str = "",
    unit: str = "",
    label: str = INTENSITY,
) -> Figure:
    """Draw what was predicted from a few points, how well it is known, and the way there.

    On one axis a curve with a band of two sd; on two axes two maps; on three the largest predicted
    value along each axis, and the sd likewise along the third.

    Parameters
    ----------
    mean, sd : shape (n,) each, at the points of `space`
    measured, outcomes : shape (m, d) and (m,), in the order of measurement
    best : shape (d,), the spot that is reported
    seen : shape (k, d), points of earlier runs
    best_seen : the largest outcome of those that may be reported
    n_start : where the start design ends and the search begins
    target : what was maximised
    label : of its values
    """
    d = len(space.names)
    planes = {1: [PLANES[0]], 2: [PLANES[0]], 3: PLANES}[d]
    n_panels = len(planes) + (d > 1) + 1
    figure = Figure(figsize=(5.0 * n_panels, 4.6), layout="constrained")
    panels = figure.subplots(1, n_panels)
    for panel, plane in zip(panels, planes, strict=False):
        along = f", largest along {({*'xyz'} - {*plane}).pop()}" if d == 3 else ""
        plot_map(
            space,
            mean,
            ax=panel,
            sd=sd,
            measured=measured,
            seen=seen,
            outcomes=outcomes,
            best=best,
            unit=unit,
            label=label,
            plane=plane,
            title=f"predicted from {told_points(measured, seen)}{along}",
        )
    if d > 1:
        along = ", largest along z" if d == 3 else ""
        title = f"uncertainty (one sd){along}"
        drawn: dict[str, Any] = {"measured": measured, "seen": seen, "unit": unit, "label": label}
        plot_map(space, sd, ax=panels[-2], title=title, **drawn)
    so_far = np.fmax.accumulate(np.append(best_seen, outcomes))[1:]
    plot_progress(so_far, n_start=n_start, ax=panels[-1], label=label)
    panels[-1].set_title(target)
    return figure


def plot_figure_1(
    space: Space,
    mapped: Array,
    predicted: Array,
    *,
    measured: Array,
    seen: Array | None = None,
    best: Sequence[float] | None,
    true_best: Sequence[float] | None = None,
    mapped_title: str = "measured point by point",
    unit: str = "",
) -> Figure:
    """Draw the full map beside the map predicted from a few points.

    Parameters
    ----------
    mapped, predicted : shape (n,), values at the points of `space`
    measured : shape (m, d), the few points, in white
    seen : shape (k, d), points of earlier runs
    best : the spot that the steered run reports, marked A on the right
    true_best : the maximum of the full map, marked A on the left

    References
    ----------
    After figure 1 of the paper: K. Kutsukake et al., STAM Methods 4 (2024) 2336402,
    doi:10.1080/27660400.2024.2336402.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    limits = (
        float(min(np.nanmin(mapped), np.nanmin(predicted))),
        float(max(np.nanmax(mapped), np.nanmax(predicted))),
    )
    plot_map(
        space,
        mapped,
        ax=left,
        best=true_best,
        limits=limits,
        unit=unit,
        title=f"(a) {mapped_title}, {len(space.points)} points",
    )
    plot_map(
        space,
        predicted,
        ax=right,
        measured=measured,
        seen=seen,
        best=best,
        limits=limits,
        unit=unit,
        title=f"(b) predicted from {told_points(measured, seen)}",
    )
    return figure


def plot_progress(
    best_so_far: Array,
    *,
    n_start: int | None = None,
    ax: Axes | None = None,
    label: str = INTENSITY,
) -> Axes:
    """Draw the best value so far against the number of measurements.

    Parameters
    ----------
    best_so_far : shape (n,), counts; NaN before the first
    n_start : where the start design ends and the search begins
    """
    ax = _axes(ax)
    ax.step(np.arange(1, len(best_so_far) + 1), best_so_far, where="post")
    if n_start is not None:
        ax.axvline(n_start + 0.5, color="0.6", ls=":", lw=1)
        ax.annotate(
            "search begins",
            (n_start + 0.7, 0.03),
            xycoords=("data", "axes fraction"),
            fontsize=8,
            color="0.4",
        )
    name, bracket, unit = label.partition(" (")
    ax.set(xlabel="measurements", ylabel=f"best {name} so far{bracket}{unit}")
    return ax


def _plot_curve(
    ax: Axes,
    space: Space,
    values: Array,
    sd: Array | None,
    measured: Array | None,
    outcomes: Array | None,
    best: Sequence[float] | None,
    coming: Sequence[float] | None,
) -> None:
    order = np.argsort(space.points[:, 0])
    x, curve = space.points[order, 0], values[order]
    ax.plot(x, curve, color="C0", zorder=2)
    ax.margins(y=0.1)  # room for the letter A
    if sd is not None and np.isfinite(sd).any():
        band = 2.0 * sd[order]
        ax.fill_between(x, curve - band, curve + band, color="C0", alpha=0.2, lw=0, label="± 2 sd")
        ax.legend(loc="best", frameon=False)
    if measured is not None and len(measured):
        heights = np.interp(measured[:, 0], x, curve) if outcomes is None else outcomes
        ax.scatter(measured[:, 0], heights, s=16, c="white", edgecolors="black", zorder=3)
    if coming is not None:
        ax.axvline(coming[0], color="0.4", ls=":", lw=1.2)
    if best is not None:
        height = float(np.interp(best[0], x, curve))
        if np.isnan(height) and outcomes is not None:  # before there is a curve
            height = float(np.max(outcomes))
        mark_best(ax, (best[0], height))
    for zone in space.forbidden:
        inside = zone.contains(x[:, None])
        for i in np.flatnonzero(inside):
            half = 0.5 * space.pitch
            ax.axvspan(x[i] - half, x[i] + half, color="0.85", lw=0, zorder=0)


def _projected(space: Space, values: Array, columns: list[int]) -> tuple[Space, Array]:
    """Return the points on two of three axes, with the largest value along the third."""
    if space.shape is None:
        order = np.argsort(values)  # the largest are drawn last, on top
        return Space(space.points[order][:, columns], None, space.pitch), values[order]
    (dropped,) = set(range(3)) - set(columns)
    # The shape is (n_z, n_y, n_x): column c of the points runs along axis 2 - c.
    mesh = np.fmax.reduce(values.reshape(space.shape), axis=2 - dropped)
    if columns[0] > columns[1]:
        mesh = mesh.T
    return Space.grid(*(space.axis(space.names[c]) for c in columns)), mesh.ravel()


def _axes(ax: Axes | None) -> Axes:
    return Figure(layout="constrained").subplots() if ax is None else ax
