"""Masks of one grey value a pixel, as the programs that label images write them.

bl_steer's own hold the labels 0, 1, … and 255 for unlabelled. Fiji, QuPath and GIMP save a mask of
two phases as 0 and 255, Weka and Dragonfly spread the labels over the grey values, ilastik and
napari count from 1 and leave 0 to what was not annotated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases

__all__ = ["labels_of_greys"]

Labels = NDArray[np.uint8]


def labels_of_greys(mask: NDArray[Any], phases: Phases) -> tuple[Labels, list[str]]:
    """Return the labels (H, W) of a mask, and how they were told where it is not in our own way.

    Parameters
    ----------
    mask : shape (H, W), whole numbers of any type

    Raises
    ------
    ValueError
        If the values are no labels in any of the ways that are known.
    """
    values = np.unique(mask)
    if mask.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        values = np.unique(mask := mask.astype(np.int64))
    labels = None if mask.dtype.kind == "f" else _table(values.astype(int).tolist(), mask, phases)
    if labels is None:
        wrong = [v for v in values.tolist() if v not in (*range(len(phases)), UNLABELLED)]
        raise ValueError(
            f"labels must be 0 to {len(phases) - 1} or {UNLABELLED} (unlabelled), got "
            f"{wrong[:8]}{' and more' * (len(wrong) > 8)}; paint the mask in colours, or save the "
            "label of each pixel"
        )
    lookup = np.array([labels[value] for value in values.astype(int).tolist()], np.uint8)
    decoded = lookup[np.searchsorted(values, mask)]
    own = all(label == value for value, label in labels.items())
    return decoded, [] if own else [_told(labels, phases)]


def _table(values: list[int], mask: NDArray[Any], phases: Phases) -> dict[int, int] | None:
    """Return the label of each value, None where the values are no labels."""
    n = len(phases)
    white = 65535 if max(values) > 255 and mask.dtype.itemsize > 1 else 255
    if values == [0, white] and n == 2:
        painted = _by_paint(values, white, phases)
        return {0: 0, white: 1} if painted is None else painted
    if all(0 <= value < n or value == UNLABELLED for value in values):
        return {value: value for value in values}
    if (painted := _by_paint(values, white, phases)) is not None:
        return painted
    even = np.rint(np.linspace(0, white, n))
    if len(values) == n and np.abs(np.array(values) - even).max() <= 1:
        return {value: label for label, value in enumerate(values)}
    if values[0] >= 0 and values[-1] == n:
        return {value: value - 1 if value else UNLABELLED for value in values}
    return None


def _by_paint(values: list[int], white: int, phases: Phases) -> dict[int, int] | None:
    """Return the labels of values that are the grey paints of phases, 0 that of one without."""
    labels = {
        round(phase.paint[0] * white / 255): label
        for label, phase in enumerate(phases)
        if phase.paint is not None and len(set(phase.paint)) == 1
    }
    bare = [label for label, phase in enumerate(phases) if phase.paint is None]
    if labels and len(bare) == 1:
        labels.setdefault(0, bare[0])
    return {value: labels[value] for value in values} if set(values) <= set(labels) else None


def _told(labels: dict[int, int], phases: Phases) -> str:
    names = [
        f"{value} as {'unlabelled' if label == UNLABELLED else phases.names[label]}"
        for value, label in labels.items()
    ]
    return f"The grey values are read so: {', '.join(names)}."
