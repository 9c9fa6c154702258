"""Read the mask of a micrograph from a file of any kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py

from bl_steer.analysis.segmentation.masks.decoding import decode_mask
from bl_steer.analysis.segmentation.masks.outlines import labels_of_regions
from bl_steer.analysis.segmentation.masks.report import DecodedMask
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.files.annotations import is_annotation, read_annotation
from bl_steer.files.ilastik import read_export
from bl_steer.files.images import Micrographs, read_colours, read_indices

__all__ = ["read_mask"]


def read_mask(
    path: Path, phases: Phases, micrograph: Micrographs, *, unpainted: str | None = None
) -> DecodedMask:
    """Return the labels of a mask, without rows that were painted over a data bar.

    Parameters
    ----------
    path : an image, an annotation (`bl_steer.files.annotations`), or an export of ilastik (HDF5)
    micrograph : of one field
    unpainted : what is left unpainted, in no outline, or 0: a phase's name or ``unlabelled``; None
        for what the phases and the file's tool mean by it

    Raises
    ------
    ValueError
        If the file cannot be read, or does not fit.
    """
    image = micrograph.fields[0]
    if is_annotation(path):
        annotation = read_annotation(path, micrograph.path.name)
        rows = len(image) + micrograph.bar_rows
        if annotation.shape is not None and annotation.shape[0] == len(image):
            rows = len(image)
        mask = labels_of_regions(annotation, phases, (rows, image.shape[1]), unpainted=unpainted)
        return replace(mask, labels=micrograph.above_bar(mask.labels))
    if path.is_file() and h5py.is_hdf5(path):
        numbers, is_ilastik = read_export(path)
        # ilastik counts from 1 on.
        told = unpainted or ("unlabelled" if is_ilastik and numbers.max() < UNLABELLED else None)
        return decode_mask(micrograph.above_bar(numbers), phases, image=image, unpainted=told)
    painted, indices = micrograph.above_bar(read_colours(path)), read_indices(path)
    return decode_mask(
        painted,
        phases,
        image=image,
        unpainted=unpainted,
        indices=None if indices is None else micrograph.above_bar(indices),
    )
