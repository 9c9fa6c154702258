"""Figures of super-resolved stacks: data in, a figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

__all__ = ["draw_section"]


def draw_section(
    slices: Any, volume: Any, uncertainty: Any, voxel_nm: tuple[float, float, float]
) -> Figure:
    """Draw the xz section through the middle: as measured, super-resolved, and its uncertainty.

    Parameters
    ----------
    slices : (n, H, W), numpy or Zarr
    volume, uncertainty : (N, H, W), likewise
    voxel_nm : of the slices
    """
    middle = slices.shape[1] // 2
    measured, fine, apart = (np.asarray(a[:, middle]) for a in (slices, volume, uncertainty))
    z, _, x = (edge / 1000 for edge in voxel_nm)
    height, width = (len(measured) - 1) * z, (measured.shape[1] - 1) * x
    fine_z = height / (len(fine) - 1)
    figure = Figure(figsize=(9.0, max(2.4, 2.4 * height / width + 1.2)), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    panels = (
        ("slices", measured, z, "gray"),
        ("super-resolved", fine, fine_z, "gray"),
        ("|xz − yz|", apart, fine_z, "magma"),
    )
    for ax, (title, section, pitch, colours) in zip(axes, panels, strict=True):
        # A row is drawn around its own depth.
        extent = (-x / 2, width + x / 2, height + pitch / 2, -pitch / 2)
        limits = (None, None) if colours == "magma" else (measured.min(), measured.max())
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
