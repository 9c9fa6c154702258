"""Figures of a measured structure: amounts with their intervals, and lengths along the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bl_steer.analysis.structure.tables import AXES, UM, Measures

__all__ = ["draw_isotropy", "draw_structure", "plot_bars"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
"""Okabe & Ito (2008), told apart by most colour-blind people."""
STYLES = ("-", "--", ":")


def draw_structure(measures: Measures) -> Figure:
    """Draw volumes, contact areas and triple lines, each with its 95 % interval."""
    volume, areas, lines = measures.volume, measures.areas, measures.lines
    names = volume.phases
    box_um3 = volume.n_voxels * volume.voxel_nm3 * UM**3
    shares = measures.fractions
    a, b = np.triu_indices(len(names), 1)
    widths = [len(names), len(a), max(1, len(lines.triples))]
    size = (3.4 + 1.0 * min(sum(widths), 30), 4.2)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=[w + 1 for w in widths])
    plot_bars(
        list(names),
        *(part * box_um3 for part in (shares.fraction, shares.low, shares.high)),
        ax=panels[0],
        label="volume (µm³)",
        colours=COLOURS,
        notes=[f"{100 * share:.1f} %" for share in shares.fraction],
    )
    pairs = [f"{names[i]}–\n{names[j]}" for i, j in zip(a, b, strict=True)]
    amounts = (areas.area_nm2, areas.low_nm2, areas.high_nm2)
    plot_bars(pairs, *(v[a, b] * UM**2 for v in amounts), ax=panels[1], label="contact area (µm²)")
    triples = ["–\n".join(names[k] for k in triple) for triple in lines.triples]
    lengths = (lines.length_nm, lines.low_nm, lines.high_nm)
    plot_bars(triples, *(v * UM for v in lengths), ax=panels[2], label="triple line (µm)")
    box = " × ".join(
        f"{n * step * UM:.4g}" for n, step in zip(volume.shape, volume.voxel_size_nm, strict=True)
    )
    voxel = " × ".join(f"{step:g}" for step in volume.voxel_size_nm)
    figure.suptitle(f"{box} µm (z, y, x), voxels {voxel} nm; bars: 95 % interval", fontsize=10)
    return figure


def plot_bars(
    names: list[str],
    values: Any,
    low: Any,
    high: Any,
    *,
    ax: Axes,
    label: str,
    notes: Any = None,
    colours: Sequence[str] = ("0.72",),
) -> Axes:
    """Draw amounts as bars with their intervals, and the value above each."""
    positions = range(len(names))
    ax.bar(positions, values, width=0.62, color=[colours[k % len(colours)] for k in positions])
    reach = np.nan_to_num(np.clip([values - low, high - values], 0, None))
    ax.errorbar(positions, values, yerr=reach, fmt="none", ecolor="0.15", capsize=4)
    for k in positions:
        amount = f"{values[k]:,.0f}" if values[k] >= 1000 else f"{values[k]:.4g}"
        text = amount + (f"\n{notes[k]}" if notes else "")
        ax.annotate(
            text,
            (k, values[k] + reach[1][k]),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
    if not len(names):
        ax.text(0.5, 0.5, "none: fewer than three phases", ha="center", transform=ax.transAxes)
    ax.set_xticks(positions, names, fontsize="small")
    ax.set_ylabel(label)
    ax.margins(x=0.15, y=0.22)
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_isotropy(measures: Measures) -> Figure:
    """Draw two-point correlation and chord lengths, along z, y and x: alike where isotropic."""
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for phase, name in enumerate(measures.volume.phases):
        colour = COLOURS[phase % len(COLOURS)]
        share = measures.fractions.fraction[phase]
        for axis, style in enumerate(STYLES):
            label = f"{name}, {AXES[axis]}"
            lags = measures.correlation.lags_nm[axis]
            left.plot(lags, measures.correlation.probability[axis][phase], style, color=colour)
            lengths, shares = measures.chords.shares(phase, axis)
            longer = 1 - np.cumsum(shares) + shares
            right.step(lengths, longer, style, color=colour, where="pre", label=label)
        left.axhline(share**2, color=colour, lw=0.6, alpha=0.6)
    left.set(xlabel="lag (nm)", ylabel="both points in the phase (probability)")
    left.set_title("two-point correlation; thin lines: no correlation", fontsize=10)
    right.set(xlabel="chord length (nm)", ylabel="chords at least this long (share)", xscale="log")
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter(NullFormatter())  # labels of all within a decade overlap
    right.set_title("chord lengths", fontsize=10)
    right.set_ylim(0, 1.02)
    right.legend(fontsize="small", frameon=False)
    return figure
