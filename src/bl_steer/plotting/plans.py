"""The picture of a beam time to plan: how long each way takes, and how often it is right."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

__all__ = ["draw_plan", "duration", "numbers_of_plan"]

UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
TICKS_S = (1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10800, 36000, 108000, 360000, 1080000)
SYMBOLS = {"um": "µm", "mm": "mm", "nm": "nm"}
FIRST, CONFIRMED, CHOSEN = "0.6", "0.25", "tab:blue"
"""Colours that also differ as greys."""


def duration(seconds: float) -> str:
    """Return a time in the unit that people say it in.

    >>> duration(8.0), duration(264.0), duration(9000.0), duration(math.inf)
    ('8.0 s', '4.4 min', '2.5 h', 'never')
    """
    if not math.isfinite(seconds):
        return "never"
    unit = "s" if seconds < 90.0 else "min" if seconds < 5400.0 else "h"
    value = seconds / UNITS_S[unit]
    return f"{value:.0f} {unit}" if value >= 100.0 else f"{value:.1f} {unit}"


def numbers_of_plan(report: Mapping[str, Any]) -> str:
    """Return the numbers that a plan was made with, and which of them are assumed."""
    n = report["numbers"]
    unit = SYMBOLS[n["unit"]]
    told = {
        "grid": f"{n['grid']} cells",
        "pitch": f"every {_by(n['pitch'])} {unit}",
        "extent": f"on {_by(n['extent'])} {unit}",
        "width": f"hills of {n['width']:g} {unit}",
        "exposure_s": f"{n['exposure_s']:g} s a frame",
        "frames": f"{n['frames']} {'frame' if n['frames'] == 1 else 'frames'} a point",
        "turn_s": f"{n['turn_s']:g} s to turn between them",
        "count_rate": f"{n['count_rate']:g} counts/s",
        "least_s": f"frames of {n['least_s']:g} s at least",
        "speed": f"{n['speed']:g} {unit}/s",
        "settling_s": f"{n['settling_s']:g} s to settle",
        "readout_s": f"{n['readout_s']:g} s to read out",
        "drift": f"a drift of {n['drift']:g} {unit}/h",
        "hours": f"{n['hours']:g} h left",
    }
    if n["frames"] == 1:
        del told["turn_s"]
    assumed = [text for name, text in told.items() if name in report["assumed"]]
    given = [text for name, text in told.items() if name not in report["assumed"]]
    words = ", ".join(given)
    return f"{words}{'; ' if given else ''}assumed: {', '.join(assumed)}" if assumed else words


def _by(lengths: str) -> str:
    """Return one length where both are alike."""
    x, y = lengths.split("x")
    return x if x == y else f"{x} × {y}"


def draw_plan(report: Mapping[str, Any]) -> Figure:
    """Draw the report of `bl_steer.trials.plan_beam_time`: two bars of time for each way."""
    ways, left_s = report["ways"], 3600.0 * report["numbers"]["hours"]
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    ax = figure.subplots()
    times = [v for way in ways for v in (*way["first_s"], *way["confirmed_s"]) if np.isfinite(v)]
    low, high = 0.6 * min([*times, left_s]), 1.6 * max([*times, left_s])
    for row, way in enumerate(ways):
        chosen = way["name"] == report["recommended"]
        _bar(ax, row - 0.17, way["first_s"], FIRST, high)
        _bar(ax, row + 0.17, way["confirmed_s"], CHOSEN if chosen else CONFIRMED, high)
        text = f"{100 * way['right']:.0f} % of {way['films']}" if way["films"] else "not simulated"
        ax.text(1.01, row, text, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.text(1.01, -0.75, "right on", va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.axvline(left_s, color="k", lw=0.8, ls=":")
    ax.set(xscale="log", xlim=(low, high), ylim=(len(ways) - 0.5, -0.5))
    ax.xaxis.set_major_locator(FixedLocator([t for t in TICKS_S if low <= t <= high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda t, _: _tick(t)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.set_yticks(range(len(ways)), [way["name"].replace(", ", ",\n") for way in ways])
    ax.set_xlabel("beam time: bars from 50 to 95 % of the films, | 75 %; dotted: the time left")
    ax.set_title(
        f"recommended: {report['recommended'] or 'none of these'}", fontsize=10, loc="left"
    )
    shown = [Line2D([], [], color=c, lw=6) for c in (FIRST, CONFIRMED, CHOSEN)]
    labels = ["until A was measured", "until the report is confirmed", "of the way recommended"]
    figure.legend(shown, labels, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
    told = "\n".join(textwrap.wrap(numbers_of_plan(report), 120))
    figure.supxlabel(told, fontsize=6.5, x=0.01, ha="left")
    return figure


def _bar(ax: Any, row: float, times: list[float], colour: str, high: float) -> None:
    """Draw a bar from the median to the last percentile; an open end where that is never."""
    median, upper, last = times
    if not np.isfinite(median):
        ax.text(
            0.99 * high, row, "never on half of the films ", va="center", ha="right", fontsize=7
        )
        return
    ends = last if np.isfinite(last) else 2.0 * high
    ax.barh(row, ends - median, left=median, height=0.28, color=colour)
    ax.plot([median, median], [row - 0.14, row + 0.14], color=colour, lw=3)
    if np.isfinite(upper) and ends > 1.1 * median:
        ax.plot([upper, upper], [row - 0.2, row + 0.2], color="k", lw=1)


def _tick(seconds: float) -> str:
    unit = "s" if seconds < 60.0 else "min" if seconds < 3600.0 else "h"
    return f"{seconds / UNITS_S[unit]:g} {unit}"
