"""The phases of each slice, in one process a core: the part of a report that needs torch."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.reconstruction.specks import without_specks
from bl_steer.analysis.torch_device import processes_for_networks
from bl_steer.processing.executors.part_processes import each_result
from bl_steer.protocols import Progress

__all__ = ["segment_slices"]


def segment_slices(
    model: segmentation.SegmentationModel,
    images: NDArray[np.uint8],
    pixel_nm: float,
    *,
    views: Literal[1, 2, 4, 8],
    speck_px: int,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Return the phases of each slice, (n, H, W), without specks.

    Parameters
    ----------
    images : grey slices (n, H, W)
    speck_px : area of the largest patch that is given to what surrounds it, px
    """
    labels = np.empty(images.shape, np.uint8)
    step = partial(
        _segmented_slice,
        model=model,
        pixel_nm=pixel_nm,
        passes=segmentation.Passes(views=views),
        speck_px=speck_px,
    )
    slices = each_result(step, list(images), processes=processes_for_networks())
    with closing(slices):  # its processes end here, also after Ctrl-C
        for done, (number, found) in enumerate(slices, start=1):
            labels[number] = found
            if progress is not None:
                progress(done, len(images))
    return labels


def _segmented_slice(
    image: NDArray[np.uint8],
    *,
    model: segmentation.SegmentationModel,
    pixel_nm: float,
    passes: segmentation.Passes,
    speck_px: int,
) -> NDArray[np.uint8]:
    segmented = segmentation.segment(
        model, image, pixel_size_nm=pixel_nm, keep_probability=False, passes=passes
    )
    return without_specks(segmented.labels, speck_px)
