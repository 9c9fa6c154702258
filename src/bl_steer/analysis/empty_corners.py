"""Corners of an image that are no specimen: left empty where it was turned or sheared.

A program that turns an image fills what lies beyond its old edges with one value. Each such corner
is a right-angled triangle; its slanted edge, in a row, ends a run of that value. Those ends are
fitted by the line of Theil and Sen, which a few rows of specimen of the same value do not move:
the specimen may make a run longer, never shorter. One corner is chance; two or more whose edges
are parallel or at right angles are what a turned rectangle leaves. Where JPEG has blurred the
edges, values near the one count as it, if half of the corner still holds that one alone.

Theil, H. (1950), Indagationes Mathematicae 12, 85; Sen, P. K. (1968), JASA 63, 1379,
doi:10.1080/01621459.1968.10480934.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import atan2, degrees, hypot, prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.stats import theilslopes

__all__ = ["INSETS", "LEAST_SIDE", "EmptyCorners", "empty_corners"]

LEAST_SIDE = 32
"""Pixels at a side of an image from which its corners are looked at."""
GREY_STEP, NEAR = 1 / 255, 16 / 255
"""Of an image's range, what JPEG changes a value by where there is one alone, and near an edge."""
LEAST_FLAT, LEAST_ALONE = 3, 0.5
"""Pixels at both sides of a corner's end, and share of the corner, that hold one value even so."""
SAMPLES = 96
"""Rows of which the edge is fitted, at most."""
TOLERANCE = 2.0
"""Degrees by which edges may differ from parallel or a right angle, beside their own steps."""
INSETS = tuple(k / 50 for k in range(25))
"""Shares of height and width that are left out at each side, to leave out what is no specimen."""

Legs = tuple[float, float]
NONE: Legs = (0.0, 0.0)


@dataclass(frozen=True)
class _Edge:
    """What the ends of runs must be like along an edge.

    Parameters
    ----------
    off_px : by which they may lie beside it
    early : share of them that may end earlier
    exact : share that must lie within ``off_px`` of it
    least_px : from a corner to its edge, from which it is told, as noise may leave fewer
    """

    off_px: float
    early: float
    exact: float
    least_px: float


SHARP = _Edge(off_px=1.2, early=0.0, exact=0.7, least_px=3.0)
BLURRED = _Edge(off_px=2.5, early=0.1, exact=0.5, least_px=5.0)


@dataclass(frozen=True)
class EmptyCorners:
    """Corners of one value, with slanted edges.

    Parameters
    ----------
    legs : of each corner of ``box``, clockwise from the upper left one, along rows and columns
        (pixels); (0, 0) for none
    box : top, bottom, left and right of the part that has these corners (pixels)
    count : pixels in the corners
    of : those of the image
    value : that they hold alone
    """

    legs: tuple[Legs, ...]
    box: tuple[int, int, int, int]
    count: int
    of: int
    value: float

    side: ClassVar = ("at", "corners")

    @property
    def share(self) -> float:
        """Return the corners' share of the image."""
        return self.count / self.of

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of an image of the same shape that lie in the corners."""
        top, bottom, left, right = self.box
        return image[top:bottom, left:right][_inside(self.legs, (bottom - top, right - left))]

    def specimen(self) -> tuple[int, int, int, int]:
        """Return top, bottom, left and right of a part about the middle without these corners."""
        top, bottom, left, right = self.box
        height, width = bottom - top, right - left
        inside = _inside(self.legs, (height, width))
        for share in INSETS:
            rows, columns = round(share * height), round(share * width)
            if not inside[rows : height - rows, columns : width - columns].any():
                break
        return top + rows, bottom - rows, left + columns, right - columns

    def __str__(self) -> str:
        corners = sum(leg > 0 for leg, _ in self.legs)
        return (
            f"{self.value:g} alone in {corners} corners with slanted edges, {self.share:.1%} of it"
        )


def empty_corners(image: NDArray[Any]) -> EmptyCorners | None:
    """Return the corners that a rotation or shear left empty in an image (H, W); None for none."""
    top, bottom, left, right = box = _without_flat_sides(image)
    part = image[top:bottom, left:right]
    if min(part.shape) < LEAST_SIDE:
        return None
    values = {part[row, column].item() for row in (0, -1) for column in (0, -1)}
    for legs_of in (_sharp_legs, _blurred_legs):
        legs = {value: legs_of(part, value) for value in values}
        counts = {value: int(_inside(legs[value], part.shape).sum()) for value in values}
        value = max(counts, key=lambda value: counts[value])
        if counts[value]:
            return EmptyCorners(legs[value], box, counts[value], image.size, float(value))
    return None


def _sharp_legs(part: NDArray[Any], value: float) -> tuple[Legs, ...]:
    """Return the legs of the corners of an image (H, W) that hold a value alone."""
    same = part == value
    return _square([_corner(_upper_left(same, corner), SHARP) for corner in range(4)])


def _blurred_legs(part: NDArray[Any], value: float) -> tuple[Legs, ...]:
    """Return the legs of the corners of an image (H, W) that held a value alone before JPEG."""
    off, of = np.abs(part - float(value)), float(np.ptp(part))
    alone = off <= GREY_STEP * of
    legs = [NONE] * 4
    corners = [k for k in range(4) if _upper_left(alone, k)[:LEAST_FLAT, :LEAST_FLAT].all()]
    if len(corners) < 2:
        return tuple(legs)
    near = median_filter(off <= NEAR * of, 3)
    for corner in corners:
        own = _corner(_upper_left(near, corner), BLURRED)
        held = _upper_left(alone, corner)[_inside((own,), part.shape)]
        if held.sum() > LEAST_ALONE * held.size:
            legs[corner] = own
    return _square(legs)


def _without_flat_sides(image: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of the part whose sides hold more than one value."""
    top, left, (bottom, right) = 0, 0, image.shape
    while bottom - top > LEAST_SIDE and right - left > LEAST_SIDE:
        part = image[top:bottom, left:right]
        above, below = (int((row == row[0]).all()) for row in (part[0], part[-1]))
        before, after = (int((row == row[0]).all()) for row in (part[:, 0], part[:, -1]))
        if not (above or below or before or after):
            break
        top, bottom, left, right = top + above, bottom - below, left + before, right - after
    return top, bottom, left, right


def _upper_left(image: NDArray[Any], corner: int) -> NDArray[Any]:
    """Return an image mirrored, with a corner, counted clockwise, at the upper left."""
    return image[:: -1 if corner in (2, 3) else 1, :: -1 if corner in (1, 2) else 1]


def _inside(legs: tuple[Legs, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) lie in corners with these legs, their centres counting."""
    inside = np.zeros(shape, bool)
    rows, columns = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1]) + 0.5
    for corner, (down, across) in enumerate(legs):
        if down:
            _upper_left(inside, corner)[rows / down + columns / across < 1] = True
    return inside


def _corner(same: NDArray[np.bool_], edge: _Edge) -> Legs:
    """Return the legs of the corner at the upper left of a mask (H, W)."""
    if not same[0, 0]:
        return NONE
    across, down = _along_rows(same.T, edge)
    return max(_along_rows(same, edge), (down, across), key=prod)


def _along_rows(same: NDArray[np.bool_], edge: _Edge) -> Legs:
    """Return the legs of the upper left corner by where its runs end in each row."""
    height, width = same.shape
    rows = height if same[:, 0].all() else int(same[:, 0].argmin())
    runs = np.where(same[:rows].all(axis=1), width, same[:rows].argmin(axis=1))
    if rows == height:  # the edge of the corner below may follow
        rows = int(runs.argmin()) + 1
        runs = runs[:rows]
    if rows < 2:
        return NONE
    sampled = np.unique(np.linspace(0, rows - 1, SAMPLES).round().astype(int))
    slope = float(theilslopes(runs[sampled], sampled).slope)
    across = float(np.median(runs - slope * (np.arange(rows) + 0.5)))
    if slope >= 0 or not 0 < across < width:
        return NONE
    down = -across / slope
    apart = down / hypot(down, across)  # from columns to the distance from the edge
    ends_early = rows < height and across + slope * rows > edge.off_px
    if ends_early or down < 0.15 * height or across * apart < edge.least_px:
        return NONE
    here = np.arange(rows) + 0.5
    here = here[here < down]
    off = (runs[: len(here)] - across - slope * here) * apart
    if (off < -edge.off_px).mean() > edge.early or (off <= edge.off_px).mean() < edge.exact:
        return NONE
    return down, across


def _square(legs: list[Legs]) -> tuple[Legs, ...]:
    """Return the corners whose edges are parallel or at right angles to those of another one."""
    there = [corner for corner, (down, _) in enumerate(legs) if down]
    agreeing = set[int]()
    for one, other in combinations(there, 2):
        angles = [
            degrees(atan2(*legs[corner])) * (1 if corner % 2 else -1) for corner in (one, other)
        ]
        apart = (angles[0] - angles[1] + 45) % 90 - 45
        steps = degrees(2 / min(max(legs[one]), max(legs[other])))
        if abs(apart) <= TOLERANCE + steps:
            agreeing |= {one, other}
    return tuple(own if corner in agreeing else NONE for corner, own in enumerate(legs))
