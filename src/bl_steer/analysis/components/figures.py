"""Figures of a map's components: where each is, and what its pattern looks like."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bl_steer.agents import Space
from bl_steer.diffraction import FrameAxes
from bl_steer.plotting.maps import COLOURS, plot_map
from bl_steer.protocols import Table

__all__ = ["draw_maps", "draw_patterns", "draw_ranks", "plot_component"]

MAX_COLUMNS = 4
PANEL = (3.9, 3.4)
"""Width and height of a panel, inches."""


def draw_maps(table: Table, points: Table, *, unit: str = "", value_unit: str = "") -> Figure:
    """Draw the map of each component's coefficient, the value in its brightest pixel.

    Parameters
    ----------
    table, points : of `bl_steer.analysis.components.MapComponents`
    unit, value_unit : of the map's axes and of the patterns, empty where they are unknown
    """
    figure, panels = _panels(len(table["share"]))
    space, order = _space(points)
    label = f"intensity ({value_unit})" if value_unit else "intensity"
    for k, ax in enumerate(panels):
        values = np.asarray(points[f"c{k}"])[order]
        plot_map(space, values, ax=ax, unit=unit, title=_title(table, k), label=label)
    return figure


def draw_patterns(table: Table, components: NDArray[np.float64], axes: FrameAxes) -> Figure:
    """Draw the pattern of each component, highest value 1.

    Parameters
    ----------
    table : of `bl_steer.analysis.components.MapComponents`
    components : shape (K, H, W)
    axes : the pixels of (H, W)
    """
    figure, panels = _panels(len(components))
    for k, ax in enumerate(panels):
        plot_component(components[k], axes, ax=ax, title=_title(table, k))
    return figure


def draw_ranks(ranks: Table) -> Figure:
    """Draw how the misfit to counts that were not fitted falls with the number of components.

    Parameters
    ----------
    ranks : of `bl_steer.analysis.components.ranks.rank_table`
    """
    figure = Figure(figsize=PANEL, layout="constrained")
    ax = figure.subplots()
    ax.semilogy(ranks["n_components"], ranks["misfit"], "o-", color="0.3")
    for name, marker, label in (("is_knee", "s", "knee"), ("is_least", "v", "least")):
        chosen = ranks[name]
        x, y = ranks["n_components"][chosen], ranks["misfit"][chosen]
        ax.plot(x, y, marker, markersize=11, fillstyle="none", label=f"{label}: {x[0]}")
    ax.set(xlabel="number of components", ylabel="misfit to the other half (noise = 1)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False)
    return figure


def plot_component(
    pattern: NDArray[np.float64], axes: FrameAxes, *, ax: Axes, title: str = ""
) -> Axes:
    """Draw one component: an image over qx and qz, or a line where the frame has one row.

    Parameters
    ----------
    pattern : shape (H, W), highest value 1
    """
    names = ("$q_x$", "$q_z$") if axes.unit == "1/Å" else ("column", "row")
    if len(axes.qz) == 1:
        ax.plot(axes.qx, pattern[0])
        name = names[0] if axes.unit in ("1/Å", "channel") else "axis"
        ax.set(xlabel=f"{name} ({axes.unit})", ylabel="intensity (of the highest)", title=title)
        return ax
    drawn = ax.pcolormesh(axes.qx, axes.qz, pattern, cmap=COLOURS, shading="nearest")
    label = "intensity (of the highest)"
    beside = ax.inset_axes((1.03, 0.0, 0.05, 1.0))
    ax.figure.colorbar(drawn, cax=beside, label=label)
    ax.set(
        xlabel=f"{names[0]} ({axes.unit})",
        ylabel=f"{names[1]} ({axes.unit})",
        title=title,
        aspect="equal",
    )
    return ax


def _panels(n: int) -> tuple[Figure, list[Any]]:
    columns = min(n, MAX_COLUMNS)
    rows = -(-n // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in panels[n:]:
        unused.remove()
    return figure, panels[:n]


def _space(points: Table) -> tuple[Space, NDArray[np.int_]]:
    """Return the points, as a grid where they form one, and the order in which it has them."""
    x, y = (np.unique(points[key]) for key in ("x", "y"))
    order = np.lexsort((points["x"], points["y"]))
    n = len(points["x"])
    if len(x) * len(y) == n and min(len(x), len(y)) > 1:
        grid = Space.grid(x, y)
        if np.array_equal(grid.points, np.column_stack([points["x"], points["y"]])[order]):
            return grid, order
    scattered = np.column_stack([points["x"], points["y"]])
    return Space(scattered, None, float("nan")), np.arange(n)


def _title(table: Table, k: int) -> str:
    low, high = (100 * table[key][k] for key in ("share_low", "share_high"))
    name = f"component {k}{' (reference)' if table['is_reference'][k] else ''}"
    return f"{name}\n{100 * table['share'][k]:.1f} % ({low:.1f} to {high:.1f} %)"
