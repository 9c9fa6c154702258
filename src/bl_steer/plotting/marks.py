"""What is marked on a map: points of earlier runs, the best spot, forbidden zones.

`bl_steer.plotting.maps` draws the map itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, Patch, Rectangle
from matplotlib.patches import Polygon as Outline

from bl_steer.agents import Space
from bl_steer.agents.zones import Ball, Box, Ellipsoid, Polygon
from bl_steer.protocols import Array

__all__ = ["hatch_zones", "mark_best", "mark_seen", "told_points"]


def told_points(measured: Array, seen: Array | None) -> str:
    """Return how many points a map is predicted from, those of earlier runs apart.

    >>> told_points(np.zeros((25, 2)), np.zeros((20, 2)))
    '25 points and 20 of earlier runs'
    """
    told = "" if seen is None or not len(seen) else f" and {len(seen)} of earlier runs"
    return f"{len(measured)} points{told}"


def mark_seen(ax: Axes, space: Space, seen: Array) -> None:
    """Mark points of earlier runs, shape (k, d), hollow, as far as they lie on the map.

    On one axis they stand at the foot of the figure.
    """
    margin = 0.5 * np.asarray(space.steps)
    low, high = space.bounds
    inside = seen[((seen >= low - margin) & (seen <= high + margin)).all(axis=1)]
    style: dict[str, Any] = {"ls": "", "marker": "o", "ms": 4.5, "mfc": "none", "zorder": 3}
    if seen.shape[1] == 1:
        foot = ax.get_xaxis_transform()
        ax.plot(inside[:, 0], np.full(len(inside), 0.02), mec="0.3", transform=foot, **style)
        return
    ax.plot(*inside.T, mec="black", mew=1.8, **style)
    ax.plot(*inside.T, mec="white", mew=0.8, label="of earlier runs", **style)


def hatch_zones(ax: Axes, space: Space, colour: str) -> None:
    """Hatch the forbidden zones."""
    style: dict[str, Any] = {
        "fill": False,
        "hatch": "///",
        "edgecolor": colour,
        "linewidth": 0.8,
        "zorder": 2,
    }
    for zone in space.forbidden:
        if isinstance(zone, Box):
            size = np.subtract(zone.high, zone.low)
            patch: Patch = Rectangle((zone.low[0], zone.low[1]), size[0], size[1], **style)
        elif isinstance(zone, Ball | Ellipsoid):
            low, high = zone.outline()
            patch = Ellipse(0.5 * (low + high), *(high - low), **style)
        elif isinstance(zone, Polygon):
            patch = Outline(zone.corners, **style)
        else:
            continue
        ax.add_patch(patch)


def mark_best(ax: Axes, best: Sequence[float]) -> None:
    """Mark the best spot with a ring and the letter A."""
    ax.plot(*best, marker="o", ms=13, mfc="none", mec="red", mew=2, zorder=5)
    ax.annotate(
        "A",
        (best[0], best[1]),
        xytext=(9, 7),
        textcoords="offset points",
        color="red",
        weight="bold",
        fontsize=14,
        zorder=6,
    )
