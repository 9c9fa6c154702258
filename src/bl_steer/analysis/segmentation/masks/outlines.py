"""Regions of annotation tools as labels: their classes are phases by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.masks.report import DecodedMask, decoded
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.files.annotations import Annotation, Region

__all__ = ["labels_of_regions"]

_FREE, _UNKNOWN = 254, 253  # labels while drawing; Phases has at most 254 members
BACKGROUND = ("background", "_background_")
IGNORED = ("unlabelled", "unlabeled", "ignore", "ignore*", "__ignore__")
"""What labelme and QuPath call pixels that are not to be used."""
BEYOND = 2.0
"""Pixels that a hand may draw beyond the edge of an image."""
NUMBER = re.compile(r"[\s_.#-]*\d+$")
"""What tools put behind a name that is there already."""


def labels_of_regions(
    annotation: Annotation,
    phases: Phases,
    shape: tuple[int, int],
    *,
    unpainted: str | None = None,
    max_unknown: float = 0.01,
) -> DecodedMask:
    """Draw regions into labels.

    Parameters
    ----------
    shape : rows and columns of the image
    unpainted : what pixels in no region are, a phase's name or ``unlabelled``; None for the phase
        without paint, else unlabelled
    max_unknown : share of the pixels that regions of unknown classes may cover; these stay
        unlabelled

    Raises
    ------
    ValueError
        If the regions are of an image of another size, too many of unknown classes, or none is
        left.
    """
    if annotation.shape is not None and annotation.shape != shape:
        raise ValueError(
            f"mask must have the size of its image, {shape}, got {annotation.shape} as "
            f"{annotation.tool} states it; pair it with its own image"
        )
    down, right = np.max([region.reach for region in annotation.regions] or [(0, 0)], axis=0)
    if annotation.shape is None and (down > shape[0] + BEYOND or right > shape[1] + BEYOND):
        raise ValueError(
            f"mask must have the size of its image, {shape}, got outlines of {annotation.tool} "
            f"that reach row {down:.0f}, column {right:.0f}; pair it with its own image"
        )
    bare = phases.bare_label(unpainted)
    labels = np.full(shape, _FREE, np.uint8)
    covered: Counter[tuple[int, int]] = Counter()
    unknown: Counter[str] = Counter()
    unnamed = 0
    for region in annotation.regions:
        label = _label(region.name, phases)
        unnamed += not region.name and label < _UNKNOWN
        if label == _UNKNOWN:
            unknown[region.name] += 1
        _draw(region, label, labels, covered)
    share = float(np.mean(labels == _UNKNOWN))
    if share > max_unknown:
        raise ValueError(
            f"the classes of a mask must be its phases, {', '.join(phases.names)}, got "
            f"{_named(unknown)} in {share:.2%} of the pixels; rename these, name their phase, or "
            "take them out"
        )
    notes = [*annotation.notes, *_told(phases, covered, labels.size)]
    if unknown:
        notes.append(
            f"Unknown classes {_named(unknown)} in {share:.2%} of the pixels: left unlabelled."
        )
    if unnamed:
        notes.append("Outlines without the name of a class are taken for the one phase with paint.")
    outside = labels == _FREE
    labels[labels == _UNKNOWN] = UNLABELLED
    if outside.any():
        name = "unlabelled" if bare == UNLABELLED else phases.names[bare]
        notes.append(
            f"Pixels in no outline are {name}; where they are something else, give "
            f"unpainted={'PHASE' if bare == UNLABELLED else 'unlabelled'}."
        )
        labels[outside] = bare
    return decoded(labels, phases, notes)


def _label(name: str, phases: Phases) -> int:
    """Return the label of a class: by its name, without number or what QuPath derives from it."""
    by_name = {phase.casefold(): label for label, phase in enumerate(phases.names)}
    text = name.strip().casefold()
    for form in (text, NUMBER.sub("", text), text.partition(":")[0].strip()):
        if form in by_name:
            return by_name[form]
    bare = phases.bare_label(None)
    if text in IGNORED or (text in BACKGROUND and bare == UNLABELLED):
        return UNLABELLED
    if text in BACKGROUND:
        return bare
    painted = [label for label, phase in enumerate(phases) if phase.paint is not None]
    return painted[0] if not text and len(painted) == 1 else _UNKNOWN


def _draw(
    region: Region, label: int, labels: NDArray[np.uint8], covered: Counter[tuple[int, int]]
) -> None:
    """Draw a region over what is there, and count what it covers of other labels."""
    for patch in region.covered((labels.shape[0], labels.shape[1])):
        rows, columns = patch.pixels.shape
        here = labels[patch.row : patch.row + rows, patch.column : patch.column + columns]
        below = np.bincount(here[patch.pixels], minlength=256)
        for other in np.flatnonzero(below).tolist():
            if other not in (_FREE, label):
                covered[(label, other)] += int(below[other])
        here[patch.pixels] = label


def _told(phases: Phases, covered: Counter[tuple[int, int]], n_pixels: int) -> Iterable[str]:
    """Say which phases lie over which."""

    def name(label: int) -> str:
        return phases.names[label] if label < len(phases) else "what is no phase"

    for (upper, lower), count in covered.most_common():
        yield (
            f"Outlines of {name(upper)} lie over those of {name(lower)} in {count} pixels "
            f"({count / n_pixels:.2%}): these are {name(upper)}."
        )


def _named(unknown: Counter[str]) -> str:
    return ", ".join(f"{name or 'no name'!r} ({count})" for name, count in unknown.most_common(8))
