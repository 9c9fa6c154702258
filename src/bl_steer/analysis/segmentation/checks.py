"""What a user should know of segmented micrographs; every warning of the analysis ``segment``.

What the readers of files noticed comes with the inputs (`bl_steer.protocols.Inputs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.protocols import Progress

__all__ = ["count_compared", "warnings_for"]


def count_compared(model: segmentation.SegmentationModel, n_fields: int) -> int:
    """Return how many fields are compared with the training's: steps of the progress."""
    recorded = model.card.get("conditions") or {}
    return len(segmentation.compared_images(n_fields)) if recorded.get("count") else 0


def warnings_for(
    model: segmentation.SegmentationModel,
    images: Sequence[NDArray[Any]],
    metadata: Mapping[str, Any],
    progress: Progress | None = None,
) -> list[str]:
    """Say how micrographs differ from those in training, and which metadata mean nothing.

    All fields are judged together: they were acquired alike, which finds smaller changes.

    Parameters
    ----------
    images : grey, each (H, W)
    metadata : a value for all images, or a list with one for each
    progress : called after each image that is compared; see `count_compared`
    """
    recorded = model.card.get("conditions")
    if recorded is None:
        return segmentation.Acquisition({}).unknown_names(metadata)
    training = segmentation.Acquisition.from_dict(recorded)
    return training.unknown_names(metadata) + training.warnings_for(images, metadata, progress)
