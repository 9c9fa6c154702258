"""The picture of a beam time that is planned: how long each way takes, and how often it misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

__all__ = ["draw_plan"]


def draw_plan(report: Mapping[str, Any]) -> Figure:
    """Draw the report of `bl_steer.trials.plan_beam_time`: a bar of time for each way."""
    ways = report["ways"]
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    ax = figure.subplots()
    ends = [v for way in ways for v in way["percentiles_s"] if np.isfinite(v)]
    longest = max([*ends, 60.0]) / 60.0
    for row, way in enumerate(ways):
        minutes = np.minimum(np.array(way["percentiles_s"]) / 60.0, 2.0 * longest)
        chosen = way["name"] == report["recommended"]
        colour = "tab:blue" if chosen else "0.65"
        ax.plot(minutes[[0, 3]], [row, row], color=colour, lw=2)
        ax.barh(row, minutes[2] - minutes[0], left=minutes[0], height=0.5, color=colour)
        ax.plot(minutes[1], row, marker="|", ms=18, mew=2.5, color="k")
        text = f"missed on {100 * way['p_missed']:.0f} %"
        ax.text(1.01, row, text, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.set_xscale("log")
    ax.set_yticks(range(len(ways)), [way["name"] for way in ways])
    ax.invert_yaxis()
    ax.set_xlabel("beam time until A is found (min): 25 to 75 %, median, up to 95 %")
    ax.set_xlim(0.7 * min([*ends, 60.0]) / 60.0, 2.0 * longest)
    title = f"{ways[0]['films']} simulated films; recommended: {report['recommended']}"
    ax.set_title(title, fontsize=10, loc="left")
    return figure
