"""Decode masks that an expert painted over a micrograph into labels, and paint labels back.

Paint is colour over grey. Grey adds nothing to the difference between the three channels, so
transparent paint keeps the direction of that difference (its hue) and only loses length. That is
what tells paints apart, whatever lies below; see `_chroma`. Where an edge is smeared by JPEG or
antialiasing, colours mix to anything in between, and the nearest certain pixel decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_erosion,
    distance_transform_edt,
    maximum_filter,
    minimum_filter,
)

from bl_steer.analysis.segmentation.label_images import labels_of_greys
from bl_steer.analysis.segmentation.phases import UNLABELLED, Colour, Phases

__all__ = ["DecodedMask", "MaskReport", "UnknownColour", "decode_mask", "paint"]

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GREY_CHROMA = 12.0
"""Below it a pixel is grey: what JPEG leaves on grey pixels stays below 10 of 255."""
PAINT_CHROMA = 25.0
"""Above it a pixel is painted: one eighth of the chroma of pure red."""
HUE_COSINE = np.cos(np.deg2rad(20.0))
"""Red, yellow and green lie 60 degrees apart, and transparent paint keeps its hue."""
STRONGER = 1.1
"""Times the chroma of a paint, from which a colour is no transparent paint of it."""
TOLD_SHARE, EVEN_SHARE = 0.0005, 0.02
"""Shares of the pixels from which one such colour is told, and one that may be transparent."""
STRANGE_CHROMA = 45.0
"""Above it, and alike over 5 × 5 pixels, a colour that is no paint is no smear either."""
REACH = 8.0
"""How far smeared pixels may lie from a certain one, in pixels: a block of JPEG."""
_UNKNOWN, _UNSURE = 254, 253  # labels while decoding; Phases has at most 254 members


@dataclass(frozen=True)
class UnknownColour:
    """A colour that is no phase's paint."""

    colour: Colour
    share: float
    """Of the mask's pixels, 0 … 1."""
    position: tuple[int, int]
    """Row and column of one such pixel."""
    nearest: str
    """The phase whose paint comes closest."""

    def __str__(self) -> str:
        row, column = self.position
        return (
            f"{self.colour} in {self.share:.2%} of the pixels, such as row {row}, column {column} "
            f"(nearest is the paint of {self.nearest})"
        )


@dataclass(frozen=True)
class MaskReport:
    """The contents of a mask; shares are of all its pixels, 0 … 1."""

    shares: Mapping[str, float]
    """By phase."""
    unlabelled: float
    smeared: float
    """Edge pixels that took the label of their nearest certain neighbour."""
    unknown: tuple[UnknownColour, ...]
    notes: tuple[str, ...]
    """For the user, one sentence each."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Phases without a pixel."""
        return tuple(name for name, share in self.shares.items() if share == 0)


@dataclass(frozen=True)
class DecodedMask:
    """Labels of shape (H, W), `UNLABELLED` where nobody can tell, and the contents of the mask."""

    labels: Labels
    report: MaskReport


def decode_mask(
    mask: NDArray[Any],
    phases: Phases,
    *,
    tolerance: float = 40.0,
    max_unknown: float = 0.01,
    image: NDArray[Any] | None = None,
) -> DecodedMask:
    """Turn a painted mask, or an image of small integers, into labels.

    Parameters
    ----------
    mask : shape (H, W) of labels, (H, W, 3) of colours or (H, W, 4) with opacity; 8 or 16 bits
    tolerance : distance in RGB (0 … 255) up to which a colour is a paint whatever its neighbours
    max_unknown : share of pixels that may be of colours that are no paint; they stay unlabelled
    image : the micrograph, shape (H, W); tells black and white paint from black and white pixels

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
    if mask.dtype.kind not in "biuf" or (coloured and mask.dtype not in (np.uint8, np.uint16)):
        raise ValueError(
            f"mask must hold integers, colours in 8 or 16 bits, got {mask.dtype}; save it as PNG"
        )
    mask = _without_idle_channels(mask, len(phases))
    if mask.ndim == 2:
        (labels, told), certain, colours = labels_of_greys(mask, phases), None, None
    elif mask.ndim == 3 and mask.shape[2] in (3, 4):
        colours = _over_grey(mask)
        certain = _certain_labels(colours, phases, tolerance, image)
        told = list(_taken_by_hue(colours, certain, phases, tolerance))
        labels = _nearest_certain(certain)
    else:
        raise ValueError(f"mask must be (H, W), (H, W, 3) or (H, W, 4), got shape {mask.shape}")
    unknown = _unknown_colours(labels, colours, phases)
    if sum(colour.share for colour in unknown) > max_unknown:
        listed = "; ".join(str(colour) for colour in unknown[:5])
        raise ValueError(
            f"mask must be painted in {_paints(phases)}, got {listed}; repaint these, name their "
            "phase, or raise max_unknown"
        )
    labels[labels == _UNKNOWN] = UNLABELLED
    smeared = 0.0 if certain is None else float(np.mean((certain == _UNSURE) & (labels < _UNSURE)))
    return DecodedMask(labels, _report(labels, phases, smeared, unknown, told))


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


def _without_idle_channels(mask: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the labels of a label image that was saved as RGB; other masks as they are."""
    if mask.ndim != 3 or mask.shape[2] not in (3, 4) or mask[..., :3].max(initial=0) == 0:
        return mask
    first = mask[..., 0]
    if not all(np.array_equal(first, mask[..., channel]) for channel in (1, 2)):
        return mask
    return first if np.all((first < count) | (first == UNLABELLED)) else mask


def _over_grey(mask: NDArray[Any]) -> Floats:
    """Return colours (H, W, 3) of 0 … 255, what is transparent laid over middle grey."""
    colours = mask.astype(np.float32) / np.float32(257.0 if mask.dtype == np.uint16 else 1.0)
    if mask.shape[2] == 3:
        return colours
    opacity = colours[..., 3:] / np.float32(255.0)
    blended: Floats = opacity * colours[..., :3] + (1 - opacity) * np.float32(128.0)
    return blended


def _chroma(colours: Floats) -> Floats:
    """Return what is left of colours (..., 3) without their grey: c − mean(c).

    For paint p of opacity a over grey g, c = a p + (1 − a) g (1, 1, 1) gives a (p − mean(p)).
    """
    return np.asarray(colours - colours.mean(axis=-1, keepdims=True), dtype=np.float32)


def _certain_labels(
    colours: Floats, phases: Phases, tolerance: float, image: NDArray[Any] | None
) -> Labels:
    """Label what is certain by itself; the rest is `_UNKNOWN` (a flat colour) or `_UNSURE`."""
    chroma = _chroma(colours)
    length = np.linalg.norm(chroma, axis=-1)
    spread = maximum_filter(chroma, size=(3, 3, 1)) - minimum_filter(chroma, size=(3, 3, 1))
    flat = spread.max(axis=-1) < PAINT_CHROMA
    strange = binary_erosion(flat, border_value=1) & (length > STRANGE_CHROMA)
    labels = np.where(strange, np.uint8(_UNKNOWN), np.uint8(_UNSURE))
    nearest = np.full(length.shape, np.inf, np.float32)
    grey = UNLABELLED
    for label, phase in enumerate(phases):
        if phase.paint is None:
            grey = label
            continue
        own = np.asarray(phase.paint, np.float32)
        distance = np.linalg.norm(colours - own, axis=-1)
        direction = _chroma(own)
        strength = float(np.linalg.norm(direction))
        if strength < PAINT_CHROMA:  # black, white or grey paint has no hue: only itself will do
            matches = (distance <= 2.0) & _differs(colours, image)
        else:
            cosine = chroma @ (direction / strength) / np.maximum(length, 1e-6)
            hue = flat & (cosine > HUE_COSINE) & (length > PAINT_CHROMA)
            matches = (distance <= tolerance) | hue
        better = matches & (distance < nearest)
        labels[better] = label
        nearest[better] = distance[better]
    labels[(length < GREY_CHROMA) & np.isinf(nearest)] = grey
    return labels


def _taken_by_hue(
    colours: Floats, labels: Labels, phases: Phases, tolerance: float
) -> Iterator[str]:
    """Say which colours were taken for a paint by their hue, though no thinner paint of it.

    Transparent paint is no stronger than the paint itself, and varies with the grey below.
    """
    for label, phase in enumerate(phases):
        if phase.paint is None:
            continue
        own = np.asarray(phase.paint, np.float32)
        here = colours[labels == label]
        here = here[np.linalg.norm(here - own, axis=-1) > tolerance]
        shades, counts = np.unique(np.rint(here).astype(np.int32), axis=0, return_counts=True)
        strength = np.linalg.norm(_chroma(shades.astype(np.float32)), axis=-1)
        is_stronger = strength > STRONGER * np.linalg.norm(_chroma(own))
        shares = counts / labels.size
        for i in np.flatnonzero(shares > np.where(is_stronger, TOLD_SHARE, EVEN_SHARE)):
            yield (
                f"Colour {tuple(shades[i].tolist())} in {shares[i]:.2%} of the pixels is taken for "
                f"{phase.name}, painted {phase.paint}, by its hue: where it is another phase, name "
                "both colours."
            )


def _differs(colours: Floats, image: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Return where a mask differs from the 8-bit image below; everywhere without one."""
    if image is None or image.dtype != np.uint8 or image.ndim != 2:
        return np.ones(colours.shape[:2], dtype=bool)
    return np.asarray(np.abs(colours - image[..., None]).max(axis=-1) > 2.0)


def _nearest_certain(labels: Labels) -> Labels:
    """Give smeared pixels the label of the nearest certain one within reach."""
    unsure = labels == _UNSURE
    if not unsure.any() or unsure.all():
        return np.where(unsure, np.uint8(_UNKNOWN), labels)
    distance, (rows, columns) = distance_transform_edt(unsure, return_indices=True)
    return np.where(distance <= REACH, labels[rows, columns], np.uint8(_UNKNOWN))


def _unknown_colours(
    labels: Labels, colours: Floats | None, phases: Phases
) -> tuple[UnknownColour, ...]:
    """List the unknown colours, the most frequent first; shades within 32 count as equal."""
    if colours is None or not (unknown := labels == _UNKNOWN).any():
        return ()
    positions = np.argwhere(unknown)
    values = colours[unknown]
    codes = (values // 32).astype(np.int64) @ np.array([64, 8, 1])
    paints = {p.name: np.asarray(p.paint, np.float32) for p in phases if p.paint is not None}
    listed = []
    for code in np.unique(codes):
        here = codes == code
        red, green, blue = (int(c) for c in np.median(values[here], axis=0))
        middle = values[here].mean(axis=0)
        row, column = (int(i) for i in positions[here][len(positions[here]) // 2])
        listed.append(
            UnknownColour(
                colour=(red, green, blue),
                share=float(here.sum() / labels.size),
                position=(row, column),
                nearest=min(paints, key=lambda n: float(np.linalg.norm(paints[n] - middle))),
            )
        )
    return tuple(sorted(listed, key=lambda colour: -colour.share))


def _paints(phases: Phases) -> str:
    return ", ".join(f"{p.paint} for {p.name}" for p in phases if p.paint is not None)


def _report(
    labels: Labels,
    phases: Phases,
    smeared: float,
    unknown: tuple[UnknownColour, ...],
    told: list[str],
) -> MaskReport:
    unlabelled = float(np.mean(labels == UNLABELLED))
    if unlabelled == 1.0:
        raise ValueError(f"mask must be painted, got no pixel of {_paints(phases)}; paint some")
    shares = {name: float(np.mean(labels == label)) for label, name in enumerate(phases.names)}
    notes = [
        *told,
        *(f"No pixel is labelled {name}." for name, share in shares.items() if share == 0),
    ]
    notes += [f"Unknown colour {colour}: left unlabelled." for colour in unknown]
    if unlabelled > 0.5:
        notes.append(f"{unlabelled:.0%} of the pixels are unlabelled.")
    if not told and set(np.unique(labels)) == {0, UNLABELLED}:
        notes.append("Only 0 and 255 occur: 255 is read as unlabelled; write 1 for a second phase.")
    return MaskReport(shares, unlabelled, smeared, unknown, tuple(notes))
