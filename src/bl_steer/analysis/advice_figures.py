"""The picture of an advice: what was measured, what is expected, where to go next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bl_steer.plotting import COLOURS, UNIT_NAMES
from bl_steer.protocols import Array, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_advice"]

PANEL = (5.0, 4.6)
"""Width and height of a panel, inches."""
LONGEST = 3.0
"""Of an axis against the other: beyond that the axes are drawn on scales of their own."""


def draw_advice(
    points: Mapping[str, Array], suggestions: Table, arrays: Mapping[str, Array], *, unit: str = ""
) -> Figure:
    """Draw measured points and numbered suggestions, over the expected map where there is one.

    Parameters
    ----------
    points : ``x``, ``y``, ``value``
    suggestions, arrays : of `bl_steer.analysis.advice.SteeringAdvice`
    unit : of the axes
    """
    from matplotlib.figure import Figure

    with_map = "expected" in arrays
    n = 2 if with_map else 1
    figure = Figure(figsize=(n * PANEL[0], PANEL[1]), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False)[0]
    low, high = float(points["value"].min()), float(points["value"].max())
    if with_map:
        low = min(low, float(arrays["expected"].min()))
        high = max(high, float(arrays["expected"].max()))
        _mark(axes[0], _map(axes[0], arrays, "expected", low, high), "value")
        spread = _map(axes[1], arrays, "sd")
        _mark(axes[1], spread, "standard deviation of the expectation")
    measured = axes[0].scatter(
        points["x"],
        points["y"],
        c=points["value"],
        vmin=low,
        vmax=high,
        cmap=COLOURS,
        s=26,
        edgecolors="white",
        linewidths=0.7,
        label="measured",
        zorder=3,
    )
    if not with_map:
        _mark(axes[0], measured, "value")
    titles = ["Expected value" if with_map else "Measured value", "How well it is known"]
    for ax, title in zip(axes, titles, strict=False):
        _suggested(ax, suggestions)
        _label(ax, points, title, unit)
    return figure


def _map(
    ax: Axes,
    arrays: Mapping[str, Array],
    name: str,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    colours = COLOURS if name == "expected" else "cividis"
    return ax.pcolormesh(
        arrays["grid_x"],
        arrays["grid_y"],
        arrays[name],
        cmap=colours,
        shading="nearest",
        vmin=low,
        vmax=high,
    )


def _mark(ax: Axes, drawn: Any, label: str) -> None:
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.85)


def _suggested(ax: Axes, suggestions: Table) -> None:
    ax.scatter(
        suggestions["x"],
        suggestions["y"],
        marker="o",
        s=100,
        facecolors="white",
        edgecolors="crimson",
        linewidths=1.6,
        label="next",
        zorder=4,
    )
    for number, (x, y) in enumerate(zip(suggestions["x"], suggestions["y"], strict=True), 1):
        ax.annotate(
            str(number),
            (float(x), float(y)),
            ha="center",
            va="center_baseline",
            fontsize=7,
            color="crimson",
            zorder=5,
        )


def _label(ax: Axes, points: Mapping[str, Array], title: str, unit: str) -> None:
    written = UNIT_NAMES.get(unit, unit)
    suffix = f" ({written})" if written else ""
    ax.set(xlabel=f"x{suffix}", ylabel=f"y{suffix}", title=title)
    width, height = (float(points[key].max() - points[key].min()) for key in ("x", "y"))
    if 1 / LONGEST < width / height < LONGEST:
        ax.set_aspect("equal")
    ax.margins(0.04)
