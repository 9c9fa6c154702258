"""The networks by name, with the widths that they have by default; without torch."""

from __future__ import annotations

__all__ = ["NETWORKS"]

NETWORKS: dict[str, tuple[int, ...]] = {
    "segnet": (24, 48, 96, 128),
    "segnet-vgg": (64, 128, 256, 512, 512),
    "unet": (16, 32, 64, 128, 128),
    "pspnet": (24, 48, 96, 128),
    "forest": (32, 1024),
}
"""Channels of each level, the finest first; of the forest, its trees, and the leaves of each."""
