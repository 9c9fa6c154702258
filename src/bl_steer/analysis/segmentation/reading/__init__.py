"""Micrographs and painted pairs from files: only here does the segmentation read an image file.

`read_micrographs` and `read_colours` take any file of a microscope and refuse what is not an image;
`find_pairs` and `load_pair` bring a folder or catalogue of pairs together. What the colours of a
mask mean is told in `bl_steer.analysis.segmentation.masks`.
"""

from __future__ import annotations

from bl_steer.analysis.segmentation.reading.all_of_them import read_all
from bl_steer.analysis.segmentation.reading.images import (
    MAX_PIXELS,
    Micrographs,
    list_images,
    read_colours,
    read_micrographs,
)
from bl_steer.analysis.segmentation.reading.pairs import (
    Pair,
    describe_samples,
    find_pairs,
    load_pair,
    masks_among,
    split_by_sample,
)

__all__ = [
    "MAX_PIXELS",
    "Micrographs",
    "Pair",
    "describe_samples",
    "find_pairs",
    "list_images",
    "load_pair",
    "masks_among",
    "read_all",
    "read_colours",
    "read_micrographs",
    "split_by_sample",
]
