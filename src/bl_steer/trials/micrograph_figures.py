"""Figures 2 and 3 of the paper: what a network finds in unseen micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.figures import plot_labels, plot_micrograph
from bl_steer.analysis.segmentation.fractions import Fractions
from bl_steer.analysis.segmentation.masks import paint
from bl_steer.analysis.segmentation.phases import Phases
from bl_steer.analysis.segmentation.scores import Score
from bl_steer.analysis.segmentation.segmentation import Segmentation

__all__ = ["Specimen", "draw_figure_2", "draw_figure_3"]


@dataclass(frozen=True)
class Specimen:
    """An unseen micrograph (H, W), its true labels (H, W), and what the network made of it."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    segmented: Segmentation
    score: Score


def draw_figure_2(specimens: Sequence[Specimen], phases: Phases, *, pixel_size_nm: float) -> Figure:
    """Draw micrograph, expert's paint, the network's phases and its doubt, a row a specimen."""
    figure = Figure(figsize=(13.0, 3.45 * len(specimens) + 0.5), layout="constrained")
    grid = figure.subplots(len(specimens), 4, squeeze=False)
    for row, specimen in zip(grid, specimens, strict=True):
        plot_micrograph(specimen.image, ax=row[0], pixel_size_nm=pixel_size_nm)
        row[0].set_title(f"{specimen.name}: micrograph")
        _plot_paint(specimen, phases, ax=row[1], pixel_size_nm=pixel_size_nm)
        plot_labels(specimen.segmented.labels, phases, ax=row[2], pixel_size_nm=pixel_size_nm)
        s = specimen.score
        row[2].set_title(
            f"network: mIoU {s.miou:.3f} (95 %: {s.miou_low:.3f} … {s.miou_high:.3f})",
            fontsize="medium",
        )
        drawn = row[3].imshow(
            specimen.segmented.uncertainty.astype(np.float32),
            vmin=0,
            vmax=1,
            cmap="magma",
            extent=row[2].get_images()[0].get_extent(),
            interpolation="nearest",
        )
        row[3].set(title="where it is unsure", xlabel="x (µm)", ylabel="y (µm)")
        figure.colorbar(drawn, ax=row[3], label="entropy / its largest value", shrink=0.8)
    _add_legend(figure, phases)
    return figure


def draw_figure_3(
    images: Sequence[NDArray[np.uint8]],
    segmented: Sequence[Segmentation],
    phases: Phases,
    *,
    fractions: Fractions,
    true_fraction: NDArray[np.float64],
    pixel_size_nm: float,
    seconds: float,
) -> Figure:
    """Draw the fields of one specimen over their label maps, with the phase fractions beside.

    Parameters
    ----------
    images : (H, W) each
    true_fraction : shape (n_phases,), of all fields together
    seconds : that segmenting all fields took
    """
    figure = Figure(figsize=(2.05 * len(images) + 4.2, 5.2), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=(2.05 * len(images), 4.2))
    left, right = parts
    grid = left.subplots(2, len(images), sharex=True, sharey=True, squeeze=False)
    for number, (image, field) in enumerate(zip(images, segmented, strict=True)):
        plot_micrograph(image, ax=grid[0, number], pixel_size_nm=pixel_size_nm)
        plot_labels(field.labels, phases, ax=grid[1, number], pixel_size_nm=pixel_size_nm)
        grid[0, number].set_title(f"field {number + 1}")
    for ax in grid.flat:
        ax.label_outer()
    left.suptitle(f"{len(images)} fields of one specimen, segmented in {seconds:.1f} s")
    _add_legend(left, phases)
    plot_fractions(fractions, true_fraction, phases, ax=right.subplots())
    return figure


def plot_fractions(
    fractions: Fractions, true_fraction: NDArray[np.float64], phases: Phases, *, ax: Axes
) -> Axes:
    """Draw phase fractions of all fields with their 95 % intervals, each field and the truth."""
    centres = np.arange(len(phases))
    share = 100 * fractions.mean
    spread = 100 * np.array(
        [fractions.mean - fractions.mean_low, fractions.mean_high - fractions.mean]
    )
    ax.bar(centres, share, 0.62, color=[_hex(phase.show) for phase in phases], edgecolor="0.3")
    ax.errorbar(centres, share, spread, fmt="none", ecolor="0.1", capsize=5, label="95 % interval")
    dots = 100 * fractions.fraction
    beside = np.linspace(-0.2, 0.2, len(dots))
    ax.plot(
        (centres[None] + beside[:, None]).ravel(),
        dots.ravel(),
        "o",
        ms=4,
        mfc="white",
        mec="0.2",
        label="one field",
    )
    ax.plot(centres, 100 * true_fraction, "D", ms=7, color="black", mfc="none", label="truth")
    ticks = [
        f"{name}\n{mean:.1f} %\ntrue {true:.1f} %"
        for name, mean, true in zip(phases.names, share, 100 * true_fraction, strict=True)
    ]
    ax.set_xticks(centres, ticks)
    ax.set(ylabel="phase fraction (%)", title="phase fractions of the specimen", ylim=(0, None))
    ax.margins(y=0.12)
    ax.legend(frameon=False, fontsize="small")
    return ax


def _plot_paint(specimen: Specimen, phases: Phases, *, ax: Axes, pixel_size_nm: float) -> None:
    """Draw what an expert would paint, half transparent over the micrograph."""
    grey = np.repeat(specimen.image[..., None], 3, axis=2).astype(float)
    painted = 0.5 * grey + 0.5 * paint(specimen.image, specimen.truth, phases)
    height, width = specimen.image.shape
    extent = (0.0, width * pixel_size_nm / 1000, height * pixel_size_nm / 1000, 0.0)
    ax.imshow(painted / 255, extent=extent, interpolation="nearest")
    names = ", ".join(phase.name for phase in phases)
    ax.set(title=f"painted: {names}", xlabel="x (µm)", ylabel="y (µm)")


def _add_legend(figure: Any, phases: Phases) -> None:
    patches = [Patch(fc=_hex(phase.show), ec="0.3", label=phase.name) for phase in phases]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
