"""How a network is run over a micrograph: tiles, test-time augmentation, precision.

`bl_steer.analysis.segmentation.tiles` does it; this loads no torch, so that parameters can be
checked without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ONE_PASS", "TILE_PX", "Passes"]

TILE_PX = 1024
"""Edge of a tile with its margins: bounds the memory, some 700 MB."""


@dataclass(frozen=True)
class Passes:
    """How a network is run over an image.

    Parameters
    ----------
    tile_px : edge of the tiles that large images are cut into, with their margins
    views : test-time augmentation: 1 for none; 2, 4 or 8 to average over the image, its mirror
        images and its quarter turns, which costs as many times the work and gains about .01 of
        intersection over union; a model of phases that lie in layers takes at most the two views
        that leave them in their order
    precision : ``"bf16"`` needs less memory, and less time on processors with matrix units for it
    """

    tile_px: int = TILE_PX
    views: int = 1
    precision: Literal["f32", "bf16"] = "f32"

    def __post_init__(self) -> None:
        if self.views not in (1, 2, 4, 8):
            raise ValueError(f"views must be 1, 2, 4 or 8, got {self.views}; try 1")


ONE_PASS = Passes()
"""The default: no test-time augmentation, in single precision."""
