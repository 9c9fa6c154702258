"""What slices must be to be reconstructed, and what a user must know of the volume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bl_steer.analysis import segmentation
from bl_steer.analysis.reconstruction.depths import EvenDepths
from bl_steer.protocols import Inputs, Table

__all__ = [
    "FEWEST",
    "gap_warnings",
    "thin_warnings",
    "training_warnings",
    "validation_warnings",
]

FEWEST = 5
"""Slices without which none can be left out."""
GAPS = 5
"""That are named."""
THIN_SHARE = 0.02
"""Of a phase in chords shorter than the pitch that is worth a warning."""


def training_warnings(
    model: segmentation.SegmentationModel, inputs: Inputs, window: list[list[int]]
) -> list[str]:
    """Compare slices with the images that the segmentation's model was trained with.

    Slices as recorded, within the window: aligning them has changed their noise.

    Parameters
    ----------
    window : rows and columns that all slices show, [[top, bottom], [left, right]]
    """
    recorded = model.card.get("conditions")
    if recorded is None:
        return []
    (top, bottom), (left, right) = window
    slices: Any = inputs.arrays["slices"]
    images = [
        np.asarray(slices[number])[top:bottom, left:right]
        for number in segmentation.compared_images(len(slices))
    ]
    return segmentation.Acquisition.from_dict(recorded).warnings_for(images, inputs.metadata)


def gap_warnings(depths: EvenDepths) -> Iterator[str]:
    """Say between which depths slices are missing."""
    gaps = depths.gaps
    if len(gaps):
        z = depths.slice_z_nm
        shown = ", ".join(f"{z[k]:.0f} to {z[k + 1]:.0f}" for k in gaps[:GAPS])
        more = f" and {len(gaps) - GAPS} more" if len(gaps) > GAPS else ""
        yield (
            f"nothing was measured between the depths {shown} nm{more}: the planes that are "
            "inserted there know less than the others; as files, labels are 255 and slices 0 there"
        )


def validation_warnings(n_slices: int) -> Iterator[str]:
    """Say that the stack is too small to test the networks on slices that were left out."""
    if n_slices < FEWEST:
        yield f"{n_slices} slices are too few to leave some out and see"


def thin_warnings(thin: Table, pitch_nm: float) -> Iterator[str]:
    """Say what no reconstruction can recover, and which phases have such parts.

    Parameters
    ----------
    thin : as `comparison.thin_features` returns it
    """
    phases = [
        f"{100 * share:.0f} % of {phase}"
        for phase, share in zip(thin["phase"], thin["share"], strict=True)
        if share > THIN_SHARE
    ]
    in_plane = f"; in the plane, {', '.join(phases)} lies in parts so thin" if phases else ""
    yield (
        f"features thinner than the pitch of {pitch_nm:.0f} nm may lie between two slices unseen "
        "and cannot be recovered; what is inserted there is a guess by the likeness of the plane"
        f"{in_plane}"
    )
