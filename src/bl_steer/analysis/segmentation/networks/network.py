"""Build a network by its name."""

from __future__ import annotations

from collections.abc import Sequence

from bl_steer.analysis.segmentation.networks.forest import Forest
from bl_steer.analysis.segmentation.networks.layers import SegmentationNetwork
from bl_steer.analysis.segmentation.networks.pspnet import PSPNet
from bl_steer.analysis.segmentation.networks.segnet import SegNet
from bl_steer.analysis.segmentation.networks.unet import UNet
from bl_steer.analysis.segmentation.networks.widths import NETWORKS

__all__ = ["build_network"]


def build_network(
    name: str, n_phases: int, *, widths: Sequence[int] | None = None
) -> SegmentationNetwork:
    """Return an untrained network.

    Parameters
    ----------
    name : a key of `NETWORKS`
    n_phases : number of phases, the channels of the output
    widths : channels of each level, the finest first (of a forest, trees and leaves of each);
        `NETWORKS` has the defaults

    Raises
    ------
    ValueError
        For a name that is not in `NETWORKS`, or widths that no network can be made of.
    """
    if name not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}, got {name!r}")
    widths = NETWORKS[name] if widths is None else tuple(widths)
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(
            f"widths must be at least two positive numbers, got {widths}; try {NETWORKS[name]}"
        )
    if name == "segnet-vgg":
        return SegNet(n_phases, widths, convolutions=(2, 2) + (3,) * (len(widths) - 2))
    if name == "segnet":
        return SegNet(n_phases, widths)
    if name == "forest":
        return Forest(n_phases, widths)
    return UNet(n_phases, widths) if name == "unet" else PSPNet(n_phases, widths)
