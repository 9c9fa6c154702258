"""Figures of a reconstruction: figure 5 of the paper, amounts, trust; data in, Axes out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bl_steer.analysis.reconstruction.measures import (
    ALONE,
    CONVENTIONAL,
    LANCZOS,
    SUPERRESOLVED,
    TRUTH,
)
from bl_steer.analysis.reconstruction.section import Panel, panels_of
from bl_steer.analysis.segmentation.figures import colours
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.protocols import AnalysisResult, Table

__all__ = [
    "METHOD_COLOURS",
    "draw_amounts",
    "draw_figure_5",
    "draw_trust",
    "plot_amounts",
    "plot_correlation",
    "plot_depths",
    "plot_leave_out",
    "plot_panel",
    "plot_shells",
]

METHOD_COLOURS: Mapping[str, str] = {
    CONVENTIONAL: "#9AA5AE",
    LANCZOS: "#E69F00",
    SUPERRESOLVED: "#0072B2",
    ALONE: "#56B4E9",
    TRUTH: "#1B1B1B",
}
PHASE_LINES = ("#D55E00", "#B79F00", "#005A73", "#CC79A7", "#009E73", "#56B4E9")
"""The phases' colours, dark enough for lines on white."""


def draw_figure_5(result: AnalysisResult, truth: NDArray[np.uint8] | None = None) -> Figure:
    """Draw one xz section five times: as recorded, by each method, and its truth or uncertainty.

    Parameters
    ----------
    truth : (N, H, W), where it is known
    """
    panels = panels_of(result, truth)
    phases = Phases.from_list(list(result.provenance["phases"]))
    width, height = panels[0].extent_um
    size = (11.5, 2.3 * height / width + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    for letter, panel, ax in zip("abcde", panels, figure.subplots(1, 5, sharey=True), strict=True):
        plot_panel(panel, phases, ax=ax)
        ax.set_title(f"({letter}) {panel.title}", fontsize=10)
        ax.label_outer()
    patches = [
        Patch(fc=colour, ec="0.3", label=name)
        for colour, name in zip(colours(phases), phases.names, strict=False)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    return figure


def plot_panel(panel: Panel, phases: Phases, *, ax: Axes) -> Axes:
    """Draw one panel of figure 5, x and z in µm."""
    width, height = panel.extent_um
    extent = (0.0, width, height, 0.0)
    if panel.kind == "labels":
        shown = colours(phases)[panel.values]
        ax.imshow(shown, extent=extent, interpolation="nearest", aspect="equal")
    else:
        low, high = (0, 1) if panel.kind == "uncertainty" else np.percentile(panel.values, (1, 99))
        ax.imshow(
            panel.values,
            cmap="magma" if panel.kind == "uncertainty" else "gray",
            vmin=low,
            vmax=high,
            extent=extent,
            interpolation="nearest",
            aspect="equal",
        )
    ax.set(xlabel="x (µm)", ylabel="z (µm)")
    return ax


def draw_amounts(tables: Mapping[str, Table]) -> Figure:
    """Draw tables 1 and 2: volumes and contact areas of each method, with 95 % intervals."""
    figure = Figure(figsize=(9.5, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_amounts(tables["table_1"], ax=left, label="volume (µm³)")
    plot_amounts(tables["table_2"], ax=right, label="contact area (µm²)")
    left.legend(frameon=False, fontsize="small")
    return figure


def plot_amounts(table: Table, *, ax: Axes, label: str) -> Axes:
    """Draw table 1 or 2 as groups of bars, a bar for each method, with 95 % intervals."""
    amount, low, high = (table[key] for key in list(table)[2:5])
    quantities = list(dict.fromkeys(np.asarray(table["quantity"]).tolist()))
    methods = list(dict.fromkeys(np.asarray(table["method"]).tolist()))
    width = 0.8 / len(methods)
    for k, method in enumerate(methods):
        rows = np.asarray(table["method"]) == method
        positions = np.arange(len(quantities)) + (k - 0.5 * (len(methods) - 1)) * width
        colour = METHOD_COLOURS.get(method, "0.5")
        ax.bar(positions, amount[rows], 0.92 * width, color=colour, label=method)
        reach = np.nan_to_num(
            np.clip([amount[rows] - low[rows], high[rows] - amount[rows]], 0, None)
        )
        ax.errorbar(
            positions, amount[rows], reach, fmt="none", ecolor="0.35", elinewidth=1, capsize=2
        )
    ax.set_xticks(range(len(quantities)), [name.replace(" – ", " –\n") for name in quantities])
    ax.set(ylabel=label, ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_trust(result: AnalysisResult) -> Figure:
    """Draw what speaks for and against the volume: left-out slices, isotropy, resolution."""
    figure = Figure(figsize=(11.0, 3.6), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    plot_leave_out(result.tables.get("leave_out"), ax=first)
    plot_correlation(result, ax=second)
    plot_shells(result, ax=third)
    return figure


def plot_leave_out(table: Table | None, *, ax: Axes) -> Axes:
    """Draw how well slices that were left out are predicted, beside the baselines."""
    ax.set_title("slices left out and predicted", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    if table is None:
        ax.text(0.5, 0.5, "not done", ha="center", transform=ax.transAxes)
        return ax
    names = np.asarray(table["method"]).tolist()
    score = np.asarray(table["miou"])
    shown = [METHOD_COLOURS[SUPERRESOLVED] if n == SUPERRESOLVED else "#9AA5AE" for n in names]
    ax.barh(names[::-1], score[::-1], 0.6, color=shown[::-1])
    for row, value in enumerate(score[::-1]):
        ax.text(value, row, f" {value:.3f}", va="center", fontsize="small")
    ax.set(xlabel="mean IoU with the measured slice", xlim=(0, 1.12 * max(1e-3, score.max())))
    return ax


def plot_correlation(result: AnalysisResult, *, ax: Axes) -> Axes:
    """Draw the two-point correlation along z beside that in the plane: alike where isotropic."""
    table = result.tables["isotropy_correlation"]
    names = [phase["name"] for phase in result.provenance["phases"]]
    for phase in dict.fromkeys(np.asarray(table["phase"]).tolist()):
        rows = np.asarray(table["phase"]) == phase
        colour = PHASE_LINES[names.index(phase) % len(PHASE_LINES)]
        lag = np.asarray(table["lag_nm"])[rows]
        ax.plot(lag, table["in_plane"][rows], "-", color=colour, label=f"{phase}, in plane")
        error = 2 * np.asarray(table["difference_sd"])[rows]
        ax.errorbar(lag, table["along_z"][rows], error, fmt="o", ms=4, color=colour, capsize=2)
    ax.plot([], [], "o", ms=4, color="0.4", label="along z, ±2 sd")
    ax.set(xlabel="lag (nm)", ylabel="correlation")
    ax.set_title("does depth look like the plane?", fontsize=10)
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_shells(result: AnalysisResult, *, ax: Axes) -> Axes:
    """Draw the Fourier shell correlation of xz and yz sections, and the resolution it gives."""
    table = result.tables["shell_correlation"]
    ax.plot(1e3 * np.asarray(table["frequency_1_nm"]), table["correlation"], color="#0072B2")
    ax.axhline(1 / 7, color="0.5", ls=":", lw=1)
    resolution = float(result.provenance["resolution_nm"] or np.nan)
    if np.isfinite(resolution):
        ax.axvline(1e3 / resolution, color="#D55E00", lw=1, label=f"{resolution:.0f} nm")
    else:
        ax.plot(
            [],
            [],
            " ",
            label="above 1/7 throughout: no finer\nthan the planes' distance can be told",
        )
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.15))
    ax.set(xlabel="spatial frequency (1/µm)", ylabel="correlation")
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.02)
    ax.set_title("xz against yz sections (Fourier shells)", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_depths(table: Table, *, ax: Axes) -> Axes:
    """Draw by how much each slice lies off its nominal depth; mark those that are missing."""
    number = np.asarray(table["slice"])
    off = np.asarray(table["z_nm"]) - np.asarray(table["nominal_z_nm"])
    ax.axhline(0, color="0.8", lw=1)
    ax.plot(number, off, ".-", color="#0072B2", lw=1, label="measured")
    missing = np.asarray(table["plane"]) < 0
    if missing.any():
        ax.plot(number[missing], np.zeros(missing.sum()), "x", color="#D55E00", label="missing")
        ax.legend(frameon=False, fontsize="small")
    ax.set(xlabel="slice", ylabel="depth less nominal (nm)")
    ax.locator_params(axis="x", integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
