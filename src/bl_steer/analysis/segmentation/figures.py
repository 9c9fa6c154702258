"""Figures of segmented micrographs: data in, Figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.analysis.segmentation.segmentation import Segmentation

__all__ = ["draw_segmentation", "plot_labels", "plot_micrograph", "plot_training"]

OVERLAY = 0.45
"""Share of the phase's colour in an overlay; the rest is the micrograph."""
MAX_EDGE_PX = 1400
"""Larger micrographs are thinned for the figure; it could not show more."""


def plot_micrograph(
    image: NDArray[Any],
    *,
    ax: Axes,
    pixel_size_nm: float | None = None,
    labels: NDArray[np.uint8] | None = None,
    phases: Phases | None = None,
) -> Axes:
    """Draw a micrograph (H, W), with its phases in colour over it where labels are given."""
    step = _step(image)
    grey = _grey(image[::step, ::step])[..., None].repeat(3, axis=2)
    if labels is not None and phases is not None:
        thin = labels[::step, ::step]
        colour = colours(phases)[thin]
        share = np.where(thin == UNLABELLED, 0.0, OVERLAY)[..., None]
        grey = (1 - share) * grey + share * colour
    return _show(grey, ax, image.shape, pixel_size_nm)


def plot_labels(
    labels: NDArray[np.uint8], phases: Phases, *, ax: Axes, pixel_size_nm: float | None = None
) -> Axes:
    """Draw a label map (H, W) in the colours of its phases."""
    step = _step(labels)
    return _show(colours(phases)[labels[::step, ::step]], ax, labels.shape, pixel_size_nm)


def draw_segmentation(
    image: NDArray[Any],
    segmented: Segmentation,
    phases: Phases,
    *,
    pixel_size_nm: float | None = None,
    title: str = "",
) -> Figure:
    """Draw a micrograph, its phases over it, and where the network is unsure."""
    height = 4.0 * image.shape[0] / image.shape[1]
    figure = Figure(figsize=(13.2, float(np.clip(height, 1.5, 9.0)) + 0.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    plot_micrograph(image, ax=left, pixel_size_nm=pixel_size_nm).set_title(title or "micrograph")
    plot_micrograph(
        image, ax=middle, pixel_size_nm=pixel_size_nm, labels=segmented.labels, phases=phases
    ).set_title("phases")
    step = _step(image)
    drawn = right.imshow(
        segmented.uncertainty[::step, ::step].astype(np.float32),
        vmin=0,
        vmax=1,
        cmap="magma",
        extent=_extent(image.shape, pixel_size_nm),
        interpolation="nearest",
    )
    right.set_title("uncertainty")
    _label_axes(right, pixel_size_nm)
    # As high as the micrograph, whatever its shape.
    beside = right.inset_axes((1.03, 0.0, 0.04, 1.0))
    figure.colorbar(drawn, cax=beside, label="entropy / its largest value")
    shares = np.bincount(segmented.labels.ravel(), minlength=len(phases)) / segmented.labels.size
    add_legend(middle, phases, shares)
    return figure


def plot_training(history: Sequence[Mapping[str, float]], *, ax: Axes) -> Axes:
    """Draw loss and validation score against the steps of a training."""
    steps = [row["step"] for row in history]
    scores = [row["miou"] for row in history]
    ax.plot(steps, scores, "o-", color="#0072B2", label="validation mIoU, before calibration")
    best = int(np.argmax(scores))
    ax.plot(steps[best], scores[best], "*", color="#D55E00", markersize=14, label="weights kept")
    ax.set(xlabel="training step", ylabel="mean IoU of the validation (0 … 1)")
    beside = ax.twinx()
    beside.plot(steps, [row["loss"] for row in history], ":", color="0.5", label="loss")
    beside.set_ylabel("loss (entropy and Dice)", color="0.4")
    lines = [*ax.get_lines(), *beside.get_lines()]
    ax.legend(
        lines,
        [str(line.get_label()) for line in lines],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(lines),
        frameon=False,
    )
    return ax


def add_legend(ax: Axes, phases: Phases, shares: NDArray[np.float64] | None = None) -> None:
    """Name the colours of the phases under the axes, with their shares where they are given."""
    names = [
        phase.name if shares is None else f"{phase.name} {100 * shares[label]:.1f} %"
        for label, phase in enumerate(phases)
    ]
    # Half grey as over the micrograph, or the eye would not find them there.
    patches = [
        Patch(
            facecolor="#{:02x}{:02x}{:02x}".format(
                *(round(OVERLAY * level + (1 - OVERLAY) * 153) for level in phase.show)
            ),
            edgecolor="0.3",
            label=name,
        )
        for phase, name in zip(phases, names, strict=True)
    ]
    ax.legend(
        handles=patches,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=len(patches),
        frameon=False,
        fontsize="small",
        columnspacing=1.0,
        handlelength=1.2,
    )


def colours(phases: Phases) -> NDArray[np.float64]:
    """Return the colour of each label 0 … 255, shape (256, 3), 0 … 1; others are light grey."""
    table = np.full((256, 3), 0.9)
    table[: len(phases)] = np.array([phase.show for phase in phases]) / 255
    return table


def _step(image: NDArray[Any]) -> int:
    return max(1, -(-int(max(image.shape)) // MAX_EDGE_PX))


def _grey(image: NDArray[Any]) -> NDArray[np.float64]:
    low, high = np.percentile(image, (0.5, 99.5))
    return np.asarray(np.clip((image - low) / max(high - low, 1e-12), 0.0, 1.0))


def _extent(
    shape: tuple[int, ...], pixel_size_nm: float | None
) -> tuple[float, float, float, float]:
    unit = 1.0 if pixel_size_nm is None else pixel_size_nm / 1000
    return 0.0, shape[1] * unit, shape[0] * unit, 0.0


def _show(
    rgb: NDArray[np.float64], ax: Axes, shape: tuple[int, ...], pixel_size_nm: float | None
) -> Axes:
    ax.imshow(rgb, extent=_extent(shape, pixel_size_nm), interpolation="nearest")
    _label_axes(ax, pixel_size_nm)
    return ax


def _label_axes(ax: Axes, pixel_size_nm: float | None) -> None:
    unit = "px" if pixel_size_nm is None else "µm"
    ax.set(xlabel=f"x ({unit})", ylabel=f"y ({unit})")
