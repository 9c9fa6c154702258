"""The figure of a reciprocal-space map: intensity in logarithmic steps, and its peaks."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bl_steer.analysis.rsm.gridding import Grid
from bl_steer.plotting.maps import COLOURS
from bl_steer.protocols import Table

__all__ = ["draw_rsm"]

HEIGHT = 5.6
"""Inches."""
DECADES = 5.0
"""Most of the colour scale."""


def draw_rsm(grid: Grid, peaks: Table, *, unit: str = "counts", title: str = "") -> Figure:
    """Draw the map over q_par and q_perp; cells into which nothing fell stay white.

    Parameters
    ----------
    peaks : of `bl_steer.analysis.rsm.ReciprocalSpaceMap`, ringed and numbered
    unit : of the intensity
    """
    across = float(np.ptp(grid.q_par) / np.ptp(grid.q_perp))
    figure = Figure(
        figsize=(2.0 + HEIGHT * min(max(across, 0.4), 2.0), HEIGHT), layout="constrained"
    )
    ax = figure.subplots()
    positive = grid.mean[grid.mean > 0]
    high = float(positive.max()) if positive.size else 1.0
    low = max(float(positive.min()) if positive.size else 0.1, high * 10.0**-DECADES)
    shown = np.where(grid.n > 0, np.maximum(np.nan_to_num(grid.mean), low), np.nan)
    norm = LogNorm(low, max(high, low * 10))
    drawn = ax.pcolormesh(
        grid.q_par, grid.q_perp, shown, cmap=COLOURS, norm=norm, shading="nearest", rasterized=True
    )
    figure.colorbar(drawn, ax=ax, label=f"intensity ({unit})")
    for number, (q_par, q_perp) in enumerate(zip(peaks["q_par"], peaks["q_perp"], strict=True), 1):
        ax.plot(q_par, q_perp, "o", ms=12, mfc="none", mec="red", mew=1.5)
        ax.annotate(str(number), (q_par, q_perp), (8, 6), textcoords="offset points", color="red")
    ax.set(xlabel=r"$q_\parallel$ (1/Å)", ylabel=r"$q_\perp$ (1/Å)", title=title, aspect="equal")
    return figure
