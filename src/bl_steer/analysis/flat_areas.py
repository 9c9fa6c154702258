"""Areas of an image that hold one value alone: rectangles drawn over it, and what is about a field.

A sensor leaves noise in every few pixels; a program that draws a scale bar, a label's background or
the dark about an aperture leaves none. A specimen that is clipped has such areas too, but neither
are they rectangles, nor does a convex field lie in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    find_objects,
    label,
    maximum_filter,
    minimum_filter,
)
from scipy.spatial import ConvexHull

from bl_steer.analysis.empty_corners import INSETS

__all__ = ["Box", "DrawnBoxes", "Surround", "drawn_boxes", "surround"]

WINDOW = np.ones((3, 3), bool)
"""Pixels of one value about a pixel that is told to lie in a flat area."""
STEP = 1 / 255
"""Of an image's range, that values of such an area may differ by: JPEG changes them so much."""
FILLED = 0.95
"""Share of its rectangle that a drawn one fills, with the letters in it."""
LEAST_EDGE, LEAST_LONG = 5, 0.1
"""Pixels of a drawn rectangle's shorter edge, and of the image's width its longer one: a thin scale
bar has more; blocks of JPEG, and chance in images of few levels, have less."""
LEAST_SHARE = 0.02
"""Of an image, that lies about its field of view."""
INSIDE, OUTSIDE = 0.2, 0.03
"""Share of the area about a field that lies within its convex hull, and of what is not about it
that lies without, at the most."""

Box = tuple[int, int, int, int]
"""Top, bottom, left and right (pixels)."""


@dataclass(frozen=True)
class DrawnBoxes:
    """Rectangles of one value each.

    Parameters
    ----------
    boxes : the largest first
    shape : of the image
    value : that the largest holds alone, apart from letters in it
    """

    boxes: tuple[Box, ...]
    shape: tuple[int, int]
    value: float

    side: ClassVar = ("in", "boxes")

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Return which pixels (H, W) lie in the rectangles."""
        inside = np.zeros(self.shape, bool)
        for top, bottom, left, right in self.boxes:
            inside[top:bottom, left:right] = True
        return inside

    @property
    def count(self) -> int:
        """Return how many pixels lie in the rectangles."""
        return int(self.mask.sum())

    @property
    def share(self) -> float:
        """Return the rectangles' share of the image."""
        return self.count / (self.shape[0] * self.shape[1])

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of an image of the same shape that lie in the rectangles."""
        return image[self.mask]

    def specimen(self) -> Box:
        """Return the largest part at a side of all rectangles."""
        tops, bottoms, lefts, rights = zip(*self.boxes, strict=True)
        height, width = self.shape
        sides = (
            (0, min(tops), 0, width),
            (max(bottoms), height, 0, width),
            (0, height, 0, min(lefts)),
            (0, height, max(rights), width),
        )
        return max(sides, key=_area)

    def __str__(self) -> str:
        top, bottom, left, right = self.boxes[0]
        more = f" and {len(self.boxes) - 1} more" if len(self.boxes) > 1 else ""
        return (
            f"{self.value:g} alone in a rectangle of rows {top} to {bottom - 1} and columns {left} "
            f"to {right - 1}{more}, {self.share:.1%} of it"
        )


@dataclass(frozen=True)
class Surround:
    """What is about a convex field of view, as a round aperture leaves it.

    Parameters
    ----------
    outline : corners of the field's convex hull, as rows and columns (pixels)
    shape : of the image
    count : pixels about the field
    value : that they hold alone
    """

    outline: tuple[tuple[int, int], ...]
    shape: tuple[int, int]
    count: int
    value: float

    side: ClassVar = ("about", "the field")

    @property
    def share(self) -> float:
        """Return the share of the image that is about the field."""
        return self.count / (self.shape[0] * self.shape[1])

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of an image of the same shape that lie about the field."""
        return np.asarray(image[~_field(self.outline, self.shape)])

    def specimen(self) -> Box:
        """Return a part about the middle that lies in the field."""
        (height, width), field = self.shape, _field(self.outline, self.shape)
        for share in INSETS:
            rows, columns = round(share * height), round(share * width)
            if field[rows : height - rows, columns : width - columns].mean() > 1 - LEAST_SHARE:
                break
        return rows, height - rows, columns, width - columns

    def __str__(self) -> str:
        return f"{self.value:g} alone about a field of view, {self.share:.1%} of it"


def drawn_boxes(image: NDArray[Any], within: Box) -> DrawnBoxes | None:
    """Return the rectangles that were drawn over a part of an image (H, W); None for none."""
    top, bottom, left, right = within
    part = image[top:bottom, left:right]
    least = LEAST_LONG * image.shape[1]
    found = [
        (box[0] + top, box[1] + top, box[2] + left, box[3] + left)
        for box in _boxes(_flat(part), least)
        if box != (0, len(part), 0, part.shape[1])  # a frame, or an image of few levels
    ]
    if not found:
        return None
    found.sort(key=_area, reverse=True)
    first = image[slice(*found[0][:2]), slice(*found[0][2:])]
    values, counts = np.unique(first, return_counts=True)
    return DrawnBoxes(tuple(found), image.shape, float(values[counts.argmax()]))


def surround(image: NDArray[Any]) -> Surround | None:
    """Return what lies about the field of view of an image (H, W); None where it is all of it."""
    corners = [(row, column) for row in (0, -1) for column in (0, -1)]
    value = float(np.median([image[corner] for corner in corners]))
    if not all(_is_flat_end(image, corner) for corner in corners):
        return None
    near = np.abs(image - value) <= STEP * float(np.ptp(image))
    areas, _ = label(_flat(image) & near)
    held = {int(areas[corner]) for corner in corners if areas[corner]}
    about = binary_dilation(np.isin(areas, list(held)), WINDOW) & near
    parts, _ = label(~about)
    if about.mean() < LEAST_SHARE or not parts.any():
        return None
    field = _row_ends(parts == np.bincount(parts.ravel())[1:].argmax() + 1)
    if min(np.ptp(field, axis=0)) < 2:
        return None
    outline = field[ConvexHull(field).vertices]
    hull = _field(outline.tolist(), image.shape)
    in_frame = hull.sum() > FILLED * np.prod(np.ptp(field, axis=0) + 1)
    in_hull, beside = (hull & about).sum(), (~hull & ~about).sum()
    if in_frame or in_hull > INSIDE * about.sum() or beside > OUTSIDE * (~about).sum():
        return None
    return Surround(tuple(map(tuple, outline.tolist())), image.shape, int((~hull).sum()), value)


def _field(outline: Sequence[Sequence[int]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) lie within a polygon of rows and columns."""
    drawn = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(drawn).polygon([(column, row) for row, column in outline], fill=1)
    return np.asarray(drawn, bool)


def _row_ends(area: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the first and the last pixel of each row of an area, as rows and columns."""
    rows = np.flatnonzero(area.any(axis=1))
    firsts = area[rows].argmax(axis=1)
    lasts = area.shape[1] - 1 - area[rows, ::-1].argmax(axis=1)
    return np.stack([np.tile(rows, 2), np.concatenate([firsts, lasts])], axis=1)


def _is_flat_end(image: NDArray[Any], corner: tuple[int, int]) -> bool:
    """Return whether an image (H, W) has one value in the few pixels at a corner."""
    end = image[:: -1 if corner[0] else 1, :: -1 if corner[1] else 1][:3, :3]
    return bool(np.ptp(end) <= STEP * float(np.ptp(image)))


def _flat(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels of an image (H, W) have neighbours of their own value alone."""
    grey = image.astype(np.float32)
    step = STEP * float(np.ptp(grey))
    return np.asarray(maximum_filter(grey, 3) - minimum_filter(grey, 3) <= step)


def _boxes(flat: NDArray[np.bool_], least: float) -> Iterator[Box]:
    """Yield the rectangles that flat areas fill, and their rims, which have other neighbours."""
    areas, _ = label(flat)
    for number, place in enumerate(find_objects(areas), start=1):
        top, left = (max(0, edge.start - 1) for edge in place)
        bottom, right = (
            min(size, edge.stop + 1) for edge, size in zip(place, flat.shape, strict=True)
        )
        if min(bottom - top, right - left) < LEAST_EDGE or max(bottom - top, right - left) < least:
            continue
        own = binary_dilation(areas[top:bottom, left:right] == number, WINDOW)
        if binary_fill_holes(own).mean() >= FILLED:
            yield top, bottom, left, right


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])
