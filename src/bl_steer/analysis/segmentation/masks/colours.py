"""Decode the colours of a mask that an expert painted over a micrograph.

Paint is colour over grey. Grey adds nothing to the difference between the three channels, so
transparent paint keeps the direction of that difference (its hue) and only loses length. That is
what tells paints apart, whatever lies below; see `_chroma`. Where an edge is smeared by JPEG or
antialiasing, colours mix to anything in between, and the nearest certain pixel decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

from bl_steer.analysis.segmentation.masks.report import UnknownColour
from bl_steer.analysis.segmentation.phases import UNLABELLED, Phases

__all__ = ["ColourLabels", "labels_of_colours"]

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
EXACT = 2.0
"""Distance in RGB up to which black, white and grey are a paint: they have no hue."""
_UNKNOWN, _UNSURE = 254, 253  # labels while decoding; Phases has at most 254 members


@dataclass(frozen=True)
class ColourLabels:
    """The labels (H, W) of colours, and what was told by them."""

    labels: Labels
    smeared: float
    """Share of the pixels that took the label of their nearest certain neighbour."""
    unknown: tuple[UnknownColour, ...]
    told: Sequence[str]


def labels_of_colours(
    mask: NDArray[Any], phases: Phases, tolerance: float, image: NDArray[Any] | None, bare: int
) -> ColourLabels:
    """Return the labels of a mask in colours.

    Parameters
    ----------
    mask : shape (H, W, 3), or (H, W, 4) with opacity; 8 or 16 bits
    tolerance, image : as in `decode_mask`
    bare : label of what is left unpainted
    """
    colours = _over_grey(mask)
    certain = _certain_labels(colours, phases, tolerance, image, bare)
    told = list(_taken_by_hue(colours, certain, phases, tolerance))
    _settle_equal_colours(colours, certain)
    labels = _nearest_certain(certain)
    beside = _labels_beside(colours, certain, phases)
    labels[beside != _UNSURE] = beside[beside != _UNSURE]
    smeared = (certain == _UNSURE) & (labels < _UNSURE)
    told += _of_no_mixture(colours, smeared, _strongest(colours, certain, phases))
    unknown = _unknown_colours(labels, colours, phases)
    labels[labels == _UNKNOWN] = UNLABELLED
    return ColourLabels(labels, float(smeared.mean()), unknown, told)


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
    colours: Floats, phases: Phases, tolerance: float, image: NDArray[Any] | None, bare: int
) -> Labels:
    """Label what is certain by itself; the rest is `_UNKNOWN` (a flat colour) or `_UNSURE`."""
    chroma = _chroma(colours)
    length = np.linalg.norm(chroma, axis=-1)
    spread = maximum_filter(chroma, size=(3, 3, 1)) - minimum_filter(chroma, size=(3, 3, 1))
    flat = spread.max(axis=-1) < PAINT_CHROMA
    strange = binary_erosion(flat, border_value=1) & (length > STRANGE_CHROMA)
    labels = np.where(strange, np.uint8(_UNKNOWN), np.uint8(_UNSURE))
    nearest = np.full(length.shape, np.inf, np.float32)
    # Where all is paint, it lies over no image.
    below = None if _is_all_paint(colours, phases) else image
    for label, phase in enumerate(phases):
        if phase.paint is None:
            continue
        own = np.asarray(phase.paint, np.float32)
        distance = np.linalg.norm(colours - own, axis=-1)
        direction = _chroma(own)
        strength = float(np.linalg.norm(direction))
        if strength < PAINT_CHROMA:  # black, white or grey paint has no hue: only itself will do
            matches = (distance <= EXACT) & _differs(colours, below)
        else:
            cosine = chroma @ (direction / strength) / np.maximum(length, 1e-6)
            hue = flat & (cosine > HUE_COSINE) & (length > PAINT_CHROMA)
            matches = (distance <= tolerance) | hue
        better = matches & (distance < nearest)
        labels[better] = label
        nearest[better] = distance[better]
    labels[(length < GREY_CHROMA) & np.isinf(nearest)] = bare
    return labels


def _is_all_paint(colours: Floats, phases: Phases) -> bool:
    """Whether every pixel is a phase's paint."""
    paints = [np.asarray(p.paint, np.float32) for p in phases if p.paint is not None]
    left = np.ones(colours.shape[:2], bool)
    for own in paints:
        left &= np.linalg.norm(colours - own, axis=-1) > EXACT
    return not left.any()


def _settle_equal_colours(colours: Floats, labels: Labels) -> None:
    """Give unsure pixels, in place, the label that all certain pixels of the very colour have.

    Beside another paint no colour is certain by its hue: without, the rim of a phase that is
    painted in a stronger colour than its own would go to the neighbour.
    """
    unsure = labels == _UNSURE
    if not unsure.any():
        return
    codes = np.rint(colours).astype(np.int64) @ np.array([65536, 256, 1])
    values, counts = np.unique(codes[~unsure], return_counts=True)
    least, most = (np.full(len(values), v) for v in (_UNSURE, 0))
    where = np.searchsorted(values, codes[~unsure])
    np.minimum.at(least, where, labels[~unsure])
    np.maximum.at(most, where, labels[~unsure])
    one = (least == most) & (counts > TOLD_SHARE * labels.size)
    if not one.any():
        return
    values, least = values[one], least[one]
    at = np.minimum(np.searchsorted(values, codes), len(values) - 1)
    settled = unsure & (values[at] == codes)
    labels[settled] = least[at][settled]


def _labels_beside(colours: Floats, labels: Labels, phases: Phases) -> Labels:
    """Return the label of a pixel beside each unsure one that has its hue; else `_UNSURE`.

    The mixture of red and green at their edge is yellow, but has no yellow beside it. One of paint
    and bare grey has the hue of the paint, and is the paint's where more than half of it is.
    """
    unsure = labels == _UNSURE
    whole = np.linalg.norm(_chroma(colours), axis=-1)
    chroma = _chroma(colours[unsure])
    length = np.maximum(np.linalg.norm(chroma, axis=-1), 1e-6)
    best = np.full(len(chroma), HUE_COSINE)
    own = np.full(len(chroma), _UNSURE, np.uint8)
    for label, phase in enumerate(phases):
        direction = (
            np.zeros(3) if phase.paint is None else _chroma(np.asarray(phase.paint, np.float32))
        )
        strength = float(np.linalg.norm(direction))
        here = whole[labels == label]
        if strength >= PAINT_CHROMA and len(here):
            beside = maximum_filter(labels == label, size=3)[unsure]
            cosine = chroma @ (direction / strength) / length
            better = beside & (cosine > best) & (length > np.median(here) / 2)
            own[better], best[better] = label, cosine[better]
    found = np.full(labels.shape, np.uint8(_UNSURE))
    found[unsure] = own
    return found


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
        odd = shares > np.where(is_stronger, TOLD_SHARE, EVEN_SHARE)
        if not odd.any():
            continue
        first = int(np.argmax(np.where(odd, shares, 0)))
        others = f", and others in {(shares[odd].sum() - shares[first]):.2%}," * bool(odd.sum() > 1)
        # Pixels at rims, which are not certain yet, have it too.
        whole = float((np.rint(colours) == shades[first]).all(axis=-1).mean())
        yield (
            f"Colour {tuple(shades[first].tolist())} in {whole:.2%} of the pixels{others} "
            f"is taken for {phase.name}, painted {phase.paint}, by its hue: where it is another "
            "phase, name both colours."
        )


def _strongest(colours: Floats, labels: Labels, phases: Phases) -> list[Floats]:
    """Return the chroma of each paint, or that of a stronger colour that was taken for it."""
    found = []
    for label, phase in enumerate(phases):
        if phase.paint is not None:
            own = _chroma(np.asarray(phase.paint, np.float32))
            here = _chroma(colours[labels == label]).reshape(-1, 3)
            lengths = np.linalg.norm(here, axis=-1)
            longest = here[int(np.argmax(lengths))] if len(here) else own
            found.append(longest if np.linalg.norm(longest) > np.linalg.norm(own) else own)
    return found


def _of_no_mixture(
    colours: Floats, smeared: NDArray[np.bool_], paints: Sequence[Floats]
) -> Iterator[str]:
    """Say how many smeared pixels have a colour that paints do not mix to, with each other or grey.

    A mixture of two lies between them in chroma, whatever the grey; see `_chroma`.
    """
    chroma = _chroma(colours[smeared])
    ends = [*paints, np.zeros(3, np.float32)]
    far = np.full(len(chroma), np.inf, np.float32)
    for number, start in enumerate(ends):
        for end in ends[number + 1 :]:
            way = end - start
            share = np.clip((chroma - start) @ way / max(float(way @ way), 1e-6), 0, 1)
            off = chroma - start - share[:, None] * way
            far = np.minimum(far, np.linalg.norm(off, axis=-1))
    odd = far > STRANGE_CHROMA
    if odd.sum() <= TOLD_SHARE * smeared.size:
        return
    row, column = (int(i) for i in np.argwhere(smeared)[odd][0])
    shade = tuple(int(c) for c in np.rint(colours[row, column]))
    yield (
        f"{odd.sum() / smeared.size:.2%} of the pixels, such as {shade} in row {row}, column "
        f"{column}, have colours that no paints mix to: they take the label of the nearest pixel "
        "that is certain."
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


def _unknown_colours(labels: Labels, colours: Floats, phases: Phases) -> tuple[UnknownColour, ...]:
    """List the unknown colours, the most frequent first; shades within 32 count as equal."""
    if not (unknown := labels == _UNKNOWN).any():
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
