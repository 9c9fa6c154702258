"""Figures of super-resolved stacks: data in, a figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_section"]


def draw_section(
    slices: NDArray[Any],
    volume: NDArray[Any],
    uncertainty: NDArray[np.float32],
    voxel_nm: tuple[float, float, float],
) -> Figure:
    """Draw the xz section through the middle: as measured, super-resolved, and its uncertainty.

    Parameters
    ----------
    slices : (n, H, W)
    volume, uncertainty : (N, H, W)
    voxel_nm : of the slices
    """
    from matplotlib.figure import Figure

    middle = slices.shape[1] // 2
    z, _, x = (edge / 1000 for edge in voxel_nm)
    height, width = (len(slices) - 1) * z, (slices.shape[2] - 1) * x
    figure = Figure(figsize=(9.0, max(2.4, 2.4 * height / width + 1.2)), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    panels = (
        ("slices", slices[:, middle], z, "gray"),
        ("super-resolved", volume[:, middle], z * (len(slices) - 1) / (len(volume) - 1), "gray"),
        ("|xz − yz|", uncertainty[:, middle], z * (len(slices) - 1) / (len(volume) - 1), "magma"),
    )
    for ax, (title, section, pitch, colours) in zip(axes, panels, strict=True):
        # A row is drawn around its own place.
        extent = (-x / 2, width + x / 2, height + pitch / 2, -pitch / 2)
        limits = (None, None) if colours == "magma" else (slices.min(), slices.max())
        image = ax.imshow(
            section,
            cmap=colours,
            extent=extent,
            interpolation="nearest",
            vmin=limits[0],
            vmax=limits[1],
        )
        ax.set(title=title, xlabel="x (µm)")
        if title == "|xz − yz|":
            figure.colorbar(image, ax=ax, shrink=0.8)
    axes[0].set(ylabel="z (µm)", ylim=(height + z / 2, -z / 2))
    return figure
