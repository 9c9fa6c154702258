"""Decode a mask that is an image, of colours or of numbers, into labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bl_steer.analysis.segmentation.masks.colours import labels_of_colours
from bl_steer.analysis.segmentation.masks.label_images import labels_of_greys
from bl_steer.analysis.segmentation.masks.report import DecodedMask, decoded, paints_of
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases
from bl_steer.files.probabilities import INSTEAD, are_probabilities

__all__ = ["decode_mask"]

SOFT_PX = 3
"""Width of the smoothed edge of a brush."""
EDGES_ALONE = 0.99
"""Share of pixels that are pure paint or no farther from it than such an edge."""
NUMBERED = "The numbers of its palette are read as the labels: its colours are not those of phases."


def decode_mask(
    mask: NDArray[Any],
    phases: Phases,
    *,
    tolerance: float = 40.0,
    max_unknown: float = 0.01,
    image: NDArray[Any] | None = None,
    unpainted: str | None = None,
    indices: NDArray[Any] | None = None,
) -> DecodedMask:
    """Turn a painted mask, or an image of small integers, into labels.

    Parameters
    ----------
    mask : shape (H, W) of labels, (H, W, 3) of colours or (H, W, 4) with opacity; 8 or 16 bits
    tolerance : distance in RGB (0 … 255) up to which a colour is a paint whatever its neighbours
    max_unknown : share of pixels that may be of colours that are no paint; they stay unlabelled
    image : the micrograph, shape (H, W); tells black and white paint from black and white pixels
    unpainted : what grey pixels, or the number 0, are: a phase's name or ``unlabelled``; None for
        the phase without paint, or as the numbers tell
    indices : of a palette, shape (H, W), where `mask` shows its colours: taken for labels where the
        colours are not those of phases

    Raises
    ------
    ValueError
        If the mask does not fit its image, holds other labels than the phases', too much of
        unknown colours, or no label at all.
    """
    if image is not None and image.shape[:2] != mask.shape[:2]:
        raise ValueError(
            f"mask must have the size of its image, {image.shape[:2]}, got {mask.shape[:2]}; "
            "pair it with its own image"
        )
    coloured = mask.ndim == 3
    soft = coloured and _is_soft_paint(mask, phases, tolerance)
    if not soft and are_probabilities(mask, channels=coloured):
        what = f"{mask.shape[2]} channels that sum to one" if coloured else "fractions of 0 to 1"
        raise ValueError(
            f"mask must hold labels or paint, got {what}, as probabilities do ({mask.dtype}); "
            f"{INSTEAD}"
        )
    if mask.dtype.kind not in "biuf" or (coloured and mask.dtype not in (np.uint8, np.uint16)):
        raise ValueError(
            f"mask must hold integers, colours in 8 or 16 bits, got {mask.dtype}; save it as PNG"
        )
    if indices is not None and not _shows_phases(mask, indices, phases, tolerance):
        try:
            labels, told, first = labels_of_greys(indices, phases, unpainted)
        except ValueError:
            pass  # no labels either: the colours say what is wrong
        else:
            return decoded(labels, phases, [NUMBERED, *told], first=first)
    mask = _without_idle_channels(mask, len(phases))
    if mask.ndim == 2:
        labels, told, first = labels_of_greys(mask, phases, unpainted)
        return decoded(labels, phases, told, first=first)
    if mask.ndim != 3 or mask.shape[2] not in (3, 4):
        raise ValueError(f"mask must be (H, W), (H, W, 3) or (H, W, 4), got shape {mask.shape}")
    found = labels_of_colours(mask, phases, tolerance, image, phases.bare_label(unpainted))
    if sum(colour.share for colour in found.unknown) > max_unknown:
        listed = "; ".join(str(colour) for colour in found.unknown[:5])
        raise ValueError(
            f"mask must be painted in {paints_of(phases)}, got {listed}; repaint these, or "
            "name their phase"
        )
    return decoded(found.labels, phases, found.told, smeared=found.smeared, unknown=found.unknown)


def _is_soft_paint(mask: NDArray[Any], phases: Phases, tolerance: float) -> bool:
    """Whether colours are pure paints of phases, and are mixed nowhere but along their edges."""
    if mask.dtype != np.uint8 or mask.shape[2] < 3:
        return False
    shown = mask[..., :3].astype(np.int64)
    paints = np.array([phase.paint for phase in phases if phase.paint is not None])
    pure = np.zeros(mask.shape[:2], bool)
    for paint in paints.reshape(-1, 3):
        pure |= ((shown - paint) ** 2).sum(axis=-1) <= tolerance**2
    beside = ndimage.maximum_filter(pure, 2 * SOFT_PX + 1)
    return bool(beside.mean() > EDGES_ALONE)


def _shows_phases(
    mask: NDArray[Any], indices: NDArray[Any], phases: Phases, tolerance: float
) -> bool:
    """Whether each colour of a palette that is used is that of a phase of its own."""
    values, first = np.unique(indices, return_index=True)
    # A row of large squares in these colours: what they are does not depend on their neighbours.
    strip = np.repeat(np.repeat(mask.reshape(-1, mask.shape[-1])[first][None], 9, 0), 9, 1)
    labels = labels_of_colours(strip, phases, tolerance, None, phases.bare_label(None)).labels
    shown = labels[4, 4::9].tolist()
    return len(set(shown)) == len(values) and UNLABELLED not in shown


def _without_idle_channels(mask: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the labels of a label image that was saved as RGB; other masks as they are."""
    if mask.ndim != 3 or mask.shape[2] not in (3, 4) or mask[..., :3].max(initial=0) == 0:
        return mask
    first = mask[..., 0]
    if not all(np.array_equal(first, mask[..., channel]) for channel in (1, 2)):
        return mask
    return first if np.all((first < count) | (first == UNLABELLED)) else mask
