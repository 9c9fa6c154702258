"""Read the mask of a micrograph from a file of any kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.grey_levels import few_levels
from bl_steer.analysis.margins import listed, margins_of, why
from bl_steer.analysis.segmentation.masks.decoding import decode_mask
from bl_steer.analysis.segmentation.masks.fit import misplaced_notes
from bl_steer.analysis.segmentation.masks.outlines import labels_of_regions
from bl_steer.analysis.segmentation.masks.report import DecodedMask
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.files.annotations import is_annotation, read_annotation
from bl_steer.files.formats import FORMATS, LOSSY
from bl_steer.files.ilastik import read_export
from bl_steer.files.images import Micrographs, read_colours, read_indices
from bl_steer.files.images.pages import MAX_PIXELS, read_pages
from bl_steer.files.probabilities import INSTEAD, are_probabilities

__all__ = ["read_mask"]

SMEARED = 0.005
"""Share of smeared pixels from which it is told."""


def read_mask(
    path: Path,
    phases: Phases,
    micrograph: Micrographs,
    *,
    unpainted: str | None = None,
    called: str | None = None,
) -> DecodedMask:
    """Return the labels of a mask, without rows that were painted over a data bar.

    Parameters
    ----------
    path : an image, an annotation (`bl_steer.files.annotations`), or an export of ilastik (HDF5)
    micrograph : of one field
    unpainted : what is left unpainted, in no outline, or 0: a phase's name or ``unlabelled``; None
        for what the phases and the file's tool mean by it
    called : name of the micrograph, by which a file of COCO knows it; that of its file by default

    Raises
    ------
    ValueError
        If the file cannot be read, or does not fit.
    """
    mask = _read(path, phases, micrograph, unpainted, called)
    image = micrograph.fields[0]
    notes = (
        *mask.report.notes,
        *_painted_margins(image, mask.labels),
        *misplaced_notes(image, mask.labels),
    )
    return replace(mask, report=replace(mask.report, notes=notes))


def _read(
    path: Path, phases: Phases, micrograph: Micrographs, unpainted: str | None, called: str | None
) -> DecodedMask:
    image = micrograph.fields[0]
    if is_annotation(path):
        annotation = read_annotation(path, called or micrograph.path.name)
        rows = len(image) + micrograph.bar_rows
        if annotation.shape is not None and annotation.shape[0] == len(image):
            rows = len(image)
        mask = labels_of_regions(annotation, phases, (rows, image.shape[1]), unpainted=unpainted)
        return replace(mask, labels=micrograph.above_bar(mask.labels))
    if path.is_file() and h5py.is_hdf5(path):
        numbers, is_ilastik = read_export(path)
        # ilastik counts from 1 on; what holds NaN or -1 as well was written over by another.
        counted = is_ilastik and numbers.max() < UNLABELLED and numbers.min() >= 0
        told = unpainted or ("unlabelled" if counted else None)
        return decode_mask(micrograph.above_bar(numbers), phases, image=image, unpainted=told)
    stored: list[str] = []
    painted, indices = micrograph.above_bar(_colours_of(path, stored)), read_indices(path)
    lossy = painted.ndim == 2 and path.suffix.lower() in FORMATS["JPEG"]
    try:
        mask = decode_mask(
            painted,
            phases,
            image=image,
            unpainted=unpainted,
            indices=None if indices is None else micrograph.above_bar(indices),
        )
    except ValueError as error:
        raise ValueError(f"{error} ({LOSSY})" if lossy else str(error)) from None
    notes = (
        *mask.report.notes,
        *(f"{n[0].upper()}{n[1:]}." for n in stored),
        *[f"{LOSSY}."] * lossy,
        *_smeared(mask.report.smeared, path),
    )
    return replace(mask, report=replace(mask.report, notes=notes))


def _painted_margins(image: NDArray[Any], labels: NDArray[np.uint8]) -> list[str]:
    """Say that a mask has phases where the image shows no specimen, at its sides."""
    if image.shape != labels.shape or few_levels([image]):
        return []
    _, strips = margins_of(image, (0, True))
    painted = [strip for strip in strips if (strip.within(labels) != UNLABELLED).any()]
    if not painted:
        return []
    return [
        f"The image holds {listed(painted)}, of which phases are learnt, for the mask has some "
        f"there: {why(painted)}; crop both, or leave it unlabelled."
    ]


def _smeared(share: float, path: Path) -> list[str]:
    """Say how much of a mask in colours JPEG has smeared."""
    if path.suffix.lower() not in FORMATS["JPEG"] or share < SMEARED:
        return []
    return [
        f"JPEG smears colours along their edges: {share:.1%} of the pixels take the label of a "
        "neighbour; save masks as PNG."
    ]


def _colours_of(path: Path, notes: list[str]) -> NDArray[Any]:
    """Return the one page of a mask; where it has several, say what they look like."""
    try:
        return read_colours(path, notes=notes)
    except ValueError:
        pages = read_pages(path, MAX_PIXELS).pages if path.is_file() else []
        alike = len(pages) > 1 and len({page.shape for page in pages}) == 1 and pages[0].ndim == 2
        if not alike or not are_probabilities(np.stack(pages, -1), channels=True):
            raise
        raise ValueError(
            f"{path.name} must hold labels or paint, got {len(pages)} pages that sum to one, as "
            f"probabilities do; {INSTEAD}"
        ) from None
