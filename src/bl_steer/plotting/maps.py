"""Figures from arrays: data in, Axes out.

`bl_steer.plotting.live` draws while a run goes on, with the functions here. Nothing here shows a
window.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from bl_steer.agents import Space
from bl_steer.protocols import Array

__all__ = ["plot_figure_1", "plot_map", "plot_progress"]

COLOURS = "viridis"
UNIT_NAMES = {"um": "µm", "deg": "°"}


def plot_map(
    space: Space,
    values: Array,
    *,
    ax: Axes | None = None,
    measured: Array | None = None,
    best: tuple[float, float] | None = None,
    coming: tuple[float, float] | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
    unit: str = "um",
    label: str = "intensity (counts)",
) -> Axes:
    """Draw a map of `values` over the candidate points.

    Parameters
    ----------
    space : the points; a regular grid is drawn as pixels, scattered points as dots
    values : shape (n,)
    measured : shape (m, 2), drawn as white dots
    best : point A, marked with a ring and the letter
    coming : the next point, marked with a cross
    limits : range of the colour scale; the values' own range by default
    unit : of the axes
    """
    ax = _axes(ax)
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
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
        x, y = (space.points[:, i].reshape(space.shape) for i in (0, 1))
        drawn = ax.pcolormesh(
            x, y, values.reshape(space.shape), cmap=COLOURS, vmin=low, vmax=high, shading="nearest"
        )
    beside = ax.inset_axes((1.03, 0.0, 0.05, 1.0))  # as high as the map, whatever its shape
    ax.figure.colorbar(drawn, cax=beside, label=label)
    if measured is not None and len(measured):
        ax.scatter(
            measured[:, 0],
            measured[:, 1],
            s=9,
            c="white",
            edgecolors="black",
            linewidths=0.3,
            zorder=3,
        )
    if coming is not None:
        ax.plot(*coming, marker="x", ms=9, mew=2, color="white", zorder=4)
    if best is not None:
        _mark(ax, best)
    name = UNIT_NAMES.get(unit, unit)
    ax.set(xlabel=f"x ({name})", ylabel=f"y ({name})", title=title, aspect="equal")
    return ax


def plot_figure_1(
    space: Space,
    mapped: Array,
    predicted: Array,
    *,
    measured: Array,
    best: tuple[float, float],
    true_best: tuple[float, float] | None = None,
    mapped_title: str = "measured point by point",
    unit: str = "um",
) -> Figure:
    """Draw the full map beside the map predicted from a few points.

    Parameters
    ----------
    mapped, predicted : shape (n,), values at the points of `space`
    measured : shape (m, 2), the few points, in white
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
        best=best,
        limits=limits,
        unit=unit,
        title=f"(b) predicted from {len(measured)} points",
    )
    return figure


def plot_progress(
    best_so_far: Array, *, n_start: int | None = None, ax: Axes | None = None
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
    ax.set(xlabel="measurements", ylabel="best intensity so far (counts)")
    return ax


def _mark(ax: Axes, best: tuple[float, float]) -> None:
    ax.plot(*best, marker="o", ms=13, mfc="none", mec="red", mew=2, zorder=5)
    ax.annotate(
        "A",
        best,
        xytext=(9, 7),
        textcoords="offset points",
        color="red",
        weight="bold",
        fontsize=14,
        zorder=6,
    )


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    return Figure(layout="constrained").subplots()
