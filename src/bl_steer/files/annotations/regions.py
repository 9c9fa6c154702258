"""Regions of an image with the name of a class, and which pixels they cover.

Positions are those of labelme, COCO, QuPath and ImageJ alike: x to the right and y down from the
corner of the image, so that the pixel in row r and column c covers c … c + 1 and r … r + 1. It
belongs to a region that holds its centre.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.errors import FileFormatError

__all__ = ["MAX_PIXELS", "Annotation", "Patch", "Region", "ellipse", "rectangle", "ring"]

Ring = NDArray[np.float64]
"""A closed outline, shape (n, 2): x, y; the last point is joined to the first."""

FAR = 1e6
"""Pixels from the corner, beyond which a position is no place on an image."""
ELLIPSE = 720
"""Corners of an ellipse's outline: of one of 1000 pixels, they miss the curve by .01."""
MAX_PIXELS = 2**28
"""Of an image whose pixels are stored."""


@dataclass(frozen=True)
class Patch:
    """Pixels of a rectangle of the image: `pixels` (rows, columns) begin at `row` and `column`."""

    row: int
    column: int
    pixels: NDArray[np.bool_]

    def within(self, shape: tuple[int, int]) -> Patch:
        """Return what of it lies on an image."""
        top, left = max(0, -self.row), max(0, -self.column)
        rows, columns = max(0, shape[0] - self.row), max(0, shape[1] - self.column)
        return Patch(self.row + top, self.column + left, self.pixels[top:rows, left:columns])


@dataclass(frozen=True)
class Region:
    """An object of one class.

    Parameters
    ----------
    name : of the class; empty where the tool gave none
    polygons : each a list of rings, where what lies in an even number of them is a hole
    patches : of pixels, where a tool saves these
    """

    name: str
    polygons: Sequence[Sequence[Ring]] = ()
    patches: Sequence[Patch] = ()

    def covered(self, shape: tuple[int, int]) -> Iterator[Patch]:
        """Yield the pixels of an image that it covers."""
        for polygon in self.polygons:
            yield _filled(polygon, shape)
        for patch in self.patches:
            yield patch.within(shape)

    @property
    def reach(self) -> tuple[float, float]:
        """How far its outlines go down and to the right, pixels."""
        rings = [ring for polygon in self.polygons for ring in polygon]
        x, y = np.concatenate(rings).max(axis=0) if rings else (0.0, 0.0)
        return float(y), float(x)


@dataclass(frozen=True)
class Annotation:
    """The regions of one image.

    Parameters
    ----------
    tool : whose form the file has
    regions : in the order in which they lie one over the other, the last on top
    shape : rows and columns of the image, None where the file does not say
    notes : what a user should know, one sentence each
    """

    tool: str
    regions: Sequence[Region]
    shape: tuple[int, int] | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def ring(points: Any) -> Ring:
    """Return an outline of at least three places on an image; `FileFormatError` for others."""
    try:
        outline = np.asarray(points, dtype=np.float64)[..., :2]
    except (TypeError, ValueError, IndexError):
        outline = np.empty((0, 0))
    if outline.ndim != 2 or outline.shape[1:] != (2,) or len(outline) < 3:
        raise FileFormatError(
            "must hold outlines of three points x, y at least, got "
            f"{' '.join(str(points).split())[:60]}; draw it anew"
        )
    if not (np.abs(outline) < FAR).all():
        raise FileFormatError(
            f"must hold outlines in pixels of the image, got {outline.min():g} … "
            f"{outline.max():g}; export them in pixels"
        )
    return outline


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Ring:
    """Return the outline of an upright rectangle between two corners."""
    return ring([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse(x0: float, y0: float, x1: float, y1: float) -> Ring:
    """Return the outline of an upright ellipse in the box between two corners."""
    angle = np.linspace(0, 2 * np.pi, ELLIPSE, endpoint=False)
    x = (x0 + x1) / 2 + (x1 - x0) / 2 * np.cos(angle)
    y = (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(angle)
    return ring(np.stack([x, y], axis=1))


def _filled(rings: Sequence[Ring], shape: tuple[int, int]) -> Patch:
    """Return the pixels whose centres lie within an odd number of rings.

    Every crossing of an outline with the line through a row's centres turns over the pixels to its
    right. An upper end counts and a lower one does not, and so do left and right: outlines that
    share an edge, also one through centres of pixels, leave no pixel out and share none. The
    drawing functions of Pillow and scikit-image add the pixels on an edge to both sides.
    """
    low, high = np.concatenate(rings).min(axis=0), np.concatenate(rings).max(axis=0)
    left, right = (int(np.clip(v, 0, shape[1])) for v in (np.floor(low[0]), np.ceil(high[0])))
    top, bottom = (int(np.clip(v, 0, shape[0])) for v in (np.floor(low[1]), np.ceil(high[1])))
    turns = np.zeros((bottom - top, right - left + 1), np.int32)
    for outline in rings:
        x0, y0, x1, y1 = np.hstack([outline, np.roll(outline, -1, axis=0)]).T
        down = y0 > y1  # so that an edge that two outlines share gives them the same numbers
        x0, x1 = np.where(down, x1, x0), np.where(down, x0, x1)
        y0, y1 = np.where(down, y1, y0), np.where(down, y0, y1)
        first, last = (np.clip(np.ceil(y - 0.5), top, bottom).astype(int) for y in (y0, y1))
        edge = np.repeat(np.arange(len(outline)), last - first)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
        share = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
        x = x0[edge] + share * (x1 - x0)[edge]
        column = np.clip(np.ceil(x - 0.5), left, right).astype(int)
        np.add.at(turns, (row - top, column - left), 1)
    return Patch(top, left, (np.cumsum(turns, axis=1)[:, :-1] % 2).astype(bool))
