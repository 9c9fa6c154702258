"""Figures of a film: maps of what it is, a profile with error bars, and how well it was fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.analysis.film.map_of_patterns import MapOfPatterns
from bl_steer.plotting.maps import COLOURS, plot_map, units_of_labels
from bl_steer.protocols import Array, Table

__all__ = ["draw_film", "draw_fits", "draw_profile"]

QUANTITIES = {
    "counts": "counts",
    "x_ge": "Ge fraction x",
    "relaxation": "relaxation R",
    "tilt_deg": "tilt (°)",
    "tilt_across_deg": "tilt across (°)",
    "twist_deg": "twist (°)",
}
PANEL = (4.2, 3.3)
"""Width and height of a panel, inches."""
SAME = 1e-6
INTERVAL = 1.96
"""Standard deviations of a 95 % interval."""


def draw_film(tables: Mapping[str, Table], *, unit: str = "") -> Figure:
    """Draw counts and what is told of the film over the map: a row for each peak.

    Colours span the middle 98 % of the values. Points whose peak is too faint stay white.
    """
    points, names = tables["points"], _told(tables)
    numbers = tables["peaks"]["peak"]
    figure, panels = _panels(len(numbers), len(names))
    for k, row in zip(numbers, panels, strict=True):
        own = points["peak"] == k
        space, order = _space(points["x"][own], points["y"][own])
        for name, ax in zip(names, row, strict=True):
            values = np.asarray(points[name][own], dtype=float)[order]
            title = _title(tables["peaks"], int(k), name)
            limits = _limits(values)
            plot_map(
                space, values, ax=ax, unit=unit, title=title, label=QUANTITIES[name], limits=limits
            )
    return figure


def draw_profile(tables: Mapping[str, Table], *, unit: str = "") -> Figure:
    """Draw the line of points along x that crosses the brightest one, with 95 % intervals."""
    points, names = tables["points"], _told(tables)
    numbers = tables["peaks"]["peak"]
    figure, panels = _panels(len(numbers), len(names))
    x_unit, y_unit = units_of_labels(unit, 2)
    for k, row in zip(numbers, panels, strict=True):
        own = np.flatnonzero(points["peak"] == k)
        brightest = own[int(np.argmax(points["counts"][own]))]
        y = points["y"][brightest]
        near = 0.5 * _pitch(points["y"][own])
        line = own[np.abs(points["y"][own] - y) <= near]
        line = line[np.argsort(points["x"][line], kind="stable")]
        for name, ax in zip(names, row, strict=True):
            error = INTERVAL * points[f"{name}_error"][line]
            ax.errorbar(points["x"][line], points[name][line], error, fmt="o", ms=3, lw=1)
            ax.set(
                xlabel=f"x{x_unit}",
                ylabel=QUANTITIES[name],
                title=f"peak {k}, y = {y:.4g}{y_unit.replace('(', '').replace(')', '')}",
            )
    return figure


def draw_fits(maps: Sequence[MapOfPatterns], residual: NDArray[np.float64]) -> Figure:
    """Draw the mean pattern of each map, and what the fit leaves of it.

    Parameters
    ----------
    residual : shape (n_maps, H, W), the mean of pattern minus fit
    """
    figure, panels = _panels(len(maps), 2)
    for number, (row, one, left) in enumerate(zip(panels, maps, residual, strict=True), 1):
        mean = one.mean.reshape(one.axes.shape)
        reach = float(np.abs(left).max()) or 1.0
        share = 100.0 * reach / max(float(mean.max()), 1e-300)
        _image(row[0], one, mean, f"map {number}: mean pattern", COLOURS, None)
        title = f"pattern - fit, at most {share:.2g} %"
        _image(row[1], one, left, title, "RdBu_r", (-reach, reach))
    return figure


def _image(
    ax: Axes,
    one: MapOfPatterns,
    values: Array,
    title: str,
    colours: str,
    limits: tuple[float, float] | None,
) -> None:
    low, high = limits or (float(values.min()), float(values.max()))
    drawn = ax.pcolormesh(
        one.axes.qx, one.axes.qz, values, cmap=colours, vmin=low, vmax=high, shading="nearest"
    )
    beside = ax.inset_axes((1.03, 0.0, 0.05, 1.0))
    ax.figure.colorbar(drawn, cax=beside, label="counts" if one.is_counted else "intensity")
    ax.set(xlabel=r"$q_\parallel$ (1/Å)", ylabel=r"$q_\perp$ (1/Å)", title=title, aspect="equal")


def _told(tables: Mapping[str, Table]) -> list[str]:
    """Return the quantities that any point has."""
    points = tables["points"]
    known = [name for name in QUANTITIES if np.isfinite(points[name]).any()]
    # What is assumed is the same everywhere.
    return [name for name in known if np.ptp(points[name][np.isfinite(points[name])]) > SAME]


def _title(peaks: Table, k: int, name: str) -> str:
    if name == "counts":
        return f"peak {k}: {peaks['n_points'][k]} points"
    return f"median {peaks[name][k]:.3f}, each ± {INTERVAL * peaks[f'{name}_error'][k]:.2g}"


def _limits(values: Array) -> tuple[float, float] | None:
    if not np.isfinite(values).any():
        return None
    low, high = np.nanpercentile(values, [1.0, 99.0])
    return float(low), float(high) if high > low else float(low) + 1e-9


def _panels(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def _pitch(values: Array) -> float:
    steps = np.diff(np.unique(values))
    return float(np.median(steps)) if len(steps) else 0.0


def _space(x: Array, y: Array) -> tuple[Space, NDArray[np.int_]]:
    """Return the points, as a grid where they form one, and the order in which it has them."""
    order = np.lexsort((x, y))
    columns, rows = np.unique(x), np.unique(y)
    if len(columns) * len(rows) == len(x) and min(len(columns), len(rows)) > 1:
        grid = Space.grid(columns, rows)
        if np.array_equal(grid.points, np.column_stack([x, y])[order]):
            return grid, order
    return Space(np.column_stack([x, y]), None, float("nan")), np.arange(len(x))
