"""Paint labels over a micrograph, as an expert would: the inverse of `decode_mask`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import Phases

__all__ = ["paint"]

Labels = NDArray[np.uint8]


def paint(image: NDArray[Any], labels: Labels, phases: Phases) -> Labels:
    """Paint labels over a micrograph, as an expert would: the inverse of `decode_mask`.

    Unlabelled pixels stay grey, so they cannot be told from a phase without paint.

    Parameters
    ----------
    image : shape (H, W); other types than 8 bits are stretched to 0 … 255
    labels : shape (H, W)

    Returns
    -------
    painted : shape (H, W, 3), 8 bits
    """
    if image.shape != labels.shape:
        raise ValueError(
            f"labels must have the size of the image, {image.shape}, got {labels.shape}; "
            "pair them anew"
        )
    painted = np.repeat(_eight_bits(image)[..., None], 3, axis=2)
    for label, phase in enumerate(phases):
        if phase.paint is not None:
            painted[labels == label] = phase.paint
    return painted


def _eight_bits(image: NDArray[Any]) -> Labels:
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    stretched: Labels = np.rint((values - low) / max(high - low, 1e-300) * 255).astype(np.uint8)
    return stretched
