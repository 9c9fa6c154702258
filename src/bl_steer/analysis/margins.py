"""What of an image is no specimen: rows and columns of one value, a bar, corners, what was drawn.

One rule for all four sides. Sensors leave noise in every row; one value alone was filled in by a
program (an alignment, a copy that broke off), or is what a microscope writes. Corners of one value
are left where an image was turned or sheared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.empty_corners import LEAST_SIDE, EmptyCorners, empty_corners
from bl_steer.analysis.flat_areas import Box, DrawnBoxes, Surround, drawn_boxes, surround
from bl_steer.analysis.grey_levels import few_levels

__all__ = [
    "Margin",
    "Strip",
    "flat_foot",
    "flat_strips",
    "listed",
    "margin_warnings",
    "margins_of",
    "specimen_in",
    "strip_warnings",
    "why",
]

LEAST_FLAT, FLAT_SHARE = 4, 0.02
"""Rows or columns of one value at a side, and of all there are, from which they are told.

Fewer are told as a frame, where all four sides have the same value.
"""
WHY = (
    "the file was copied in part, the scan was broken off, an alignment left it empty, or it is a "
    "bar"
)
WHY_CORNERS = "the image was turned or sheared"
WHY_SURROUND = "an aperture, or a program, left it empty"
WHY_DRAWN = "it was drawn over the image"
SIDES = (("first", "rows"), ("last", "rows"), ("first", "columns"), ("last", "columns"))
LAST_ROWS = SIDES[1]
PLACES = (*SIDES, EmptyCorners.side, Surround.side, DrawnBoxes.side)


@dataclass(frozen=True)
class Strip:
    """Rows or columns at a side of an image.

    Parameters
    ----------
    side : ``("first", "rows")``, ``("last", "columns")``, …
    count : how many
    of : those that the image has
    value : that they hold alone; None for what looks like a data bar
    """

    side: tuple[str, str]
    count: int
    of: int
    value: float | None

    @property
    def share(self) -> float:
        """Return the strip's share of the image."""
        return self.count / self.of

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the rows or columns of an image of the same shape."""
        return _turned(image, self.side)[-self.count :]

    def __str__(self) -> str:
        end, along = self.side
        if self.value is None:
            return f"what looks like a data bar in the {end} {self.count} of {self.of} {along}"
        return f"{self.value:g} alone in the {end} {self.count} of {self.of} {along}"


Margin = Strip | EmptyCorners | Surround | DrawnBoxes


def listed(margins: Iterable[Margin]) -> str:
    """Return margins as a sentence tells them."""
    return ", ".join(map(str, margins))


def flat_strips(image: NDArray[Any]) -> list[Strip]:
    """Return the strips of an image (H, W) that hold one value alone; none where all of it does.

    A corner may belong to two strips of different values: the inner one is found once the outer
    one is taken off.
    """
    frame = _strips_from(image, 1, 0)
    if len(frame) == len(SIDES) and len({strip.value for strip in frame}) == 1:
        return frame
    return _strips_from(image, LEAST_FLAT, FLAT_SHARE)


def flat_foot(image: NDArray[Any]) -> int:
    """Return how many of the last rows of an image (H, W) hold one value alone; 0 for few."""
    return next((strip.count for strip in flat_strips(image) if strip.side == LAST_ROWS), 0)


def margins_of(
    image: NDArray[Any], bar: tuple[int, bool]
) -> tuple[tuple[int, bool], tuple[Margin, ...]]:
    """Return the data bar below an image (H, W), and the margins above that bar.

    Rows of one value alone are a strip, even if an empty bar would look the same, unless the bar
    may begin higher. A bar at the other sides is named where its edge is sharp.

    Parameters
    ----------
    bar : of `bar_below`
    """
    rows, sharp = bar
    bar = bar if rows > flat_foot(image) or (rows and not sharp) else (0, True)
    image = image[: len(image) - bar[0]]
    margins = {margin.side: margin for margin in _flat_margins(image)}
    for side in SIDES:
        rows, sharp = (0, True) if side == LAST_ROWS else bar_below(_turned(image, side))
        if sharp and rows > (margins[side].count if side in margins else 0):
            margins[side] = Strip(side, rows, _edge(image, side), None)
    no_flat = [margin for margin in margins.values() if margin.value is None]
    drawn = drawn_boxes(image, _specimen_box(image.shape, no_flat))
    if drawn is not None and len(no_flat) < len(margins):  # a strip may be part of a drawn bar
        margins = {side: own for side, own in margins.items() if not _is_in(own, drawn)}
        drawn = drawn_boxes(image, _specimen_box(image.shape, margins.values()))
    if drawn is not None:
        margins[drawn.side] = drawn
    return bar, tuple(margins[side] for side in PLACES if side in margins)


def _is_in(margin: Margin, drawn: DrawnBoxes) -> bool:
    """Return whether a strip of one value is a part of a rectangle."""
    for box in drawn.boxes if isinstance(margin, Strip) else ():
        one = replace(drawn, boxes=(box,))
        own = margin.within(one.mask)
        if own.all() and own.size < one.count:
            return True
    return False


def margin_warnings(seen: Mapping[str, Sequence[Margin]]) -> Iterator[str]:
    """Name the images of which a margin is no specimen, one sentence for each cause.

    Parameters
    ----------
    seen : margins of each image, by the name under which it is known
    """
    causes: dict[str, dict[str, Sequence[Margin]]] = {}
    for name, own in seen.items():
        if own:
            causes.setdefault(why(own), {})[name] = own
    for cause, margins in causes.items():
        first = max(margins, key=lambda name: sum(own.share for own in margins[name]))
        more = f", and {len(margins) - 1} more alike" if len(margins) > 1 else ""
        yield (
            f"{first} holds {listed(margins[first])}{more}, which is counted as phases: {cause}; "
            "crop it"
        )


def specimen_in(image: NDArray[Any], bar_rows: int, margins: Iterable[Margin]) -> NDArray[Any]:
    """Return the part of an image (H, W) above a data bar that is no margin; all if it is small."""
    above = image[: len(image) - bar_rows]
    top, bottom, left, right = _specimen_box(above.shape, margins)
    part = above[top:bottom, left:right]
    return image if min(part.shape) < LEAST_SIDE else part


def _specimen_box(shape: tuple[int, ...], margins: Iterable[Margin]) -> Box:
    """Return top, bottom, left and right of the part of an image that no margin reaches into."""
    margins = list(margins)
    counts = {margin.side: margin.count for margin in margins if isinstance(margin, Strip)}
    above, below, before, after = (counts.get(side, 0) for side in SIDES)
    boxes = [(above, shape[0] - below, before, shape[1] - after)]
    boxes += [margin.specimen() for margin in margins if not isinstance(margin, Strip)]
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    return max(tops), min(bottoms), max(lefts), min(rights)


def strip_warnings(
    images: Iterable[NDArray[Any]], count: int, names: Sequence[str] = ()
) -> Iterator[str]:
    """Say that margins of slices are no specimen.

    Parameters
    ----------
    images : the slices, each (H, W), without a data bar below
    count : of the slices; for bars, which most slices have, five are looked at
    names : of the slices; their places where it is empty
    """
    looked_at = {(count - 1) * quarter // 4 for quarter in range(5)}
    flat: dict[tuple[str, str], dict[int, Margin]] = {place: {} for place in PLACES}
    bars: dict[tuple[str, str], list[Strip | DrawnBoxes]] = {place: [] for place in PLACES}
    for place, image in enumerate(images):
        if few_levels([image]):  # label maps have rows and columns of one phase
            continue
        looked = place in looked_at
        for margin in margins_of(image, (0, True))[1] if looked else _flat_margins(image):
            if isinstance(margin, DrawnBoxes) or (
                isinstance(margin, Strip) and margin.value is None
            ):
                bars[margin.side].append(margin)
            else:
                flat[margin.side][place] = margin
    wide = [max(own, key=_share) for own in bars.values() if 2 * len(own) > len(looked_at)]
    if wide:
        yield (
            f"the slices hold {listed(wide)}, which is taken as the specimen; crop all slices alike"
        )
    for strip in wide:  # the paper at the rim of a bar is of one value, too
        flat.pop(strip.side)
    having = sorted({place for own in flat.values() for place in own})
    if having:
        widest = [max(own.values(), key=_share) for own in flat.values() if own]
        place = max(having, key=lambda z: sum(own[z].share for own in flat.values() if z in own))
        alike = all(len({str(own.get(z)) for z in having}) == 1 for own in flat.values())
        less = "" if alike else f", or less, most in slice {names[place] if names else place}"
        yield (
            f"{len(having)} of {count} slices hold {listed(widest)}{less}, which is taken as the "
            f"specimen: {why(widest)}; crop all slices alike"
        )


def why(margins: Sequence[Margin]) -> str:
    """Return what margins may be."""
    for kind, cause in (
        (EmptyCorners, WHY_CORNERS),
        (Surround, WHY_SURROUND),
        (DrawnBoxes, WHY_DRAWN),
    ):
        if any(isinstance(margin, kind) for margin in margins):
            return cause
    return WHY if any(margin.value is not None for margin in margins) else "it is no specimen"


def _share(margin: Margin) -> float:
    return margin.share


def _flat_margins(image: NDArray[Any]) -> list[Margin]:
    """Return the sides of an image (H, W) that hold one value alone, its corners, or all about."""
    corners = empty_corners(image) or surround(image)
    if corners is None:
        return [*flat_strips(image)]
    return [*_strips_from(image, LEAST_FLAT, FLAT_SHARE), corners]  # a turned image's rim is thin


def _strips_from(image: NDArray[Any], least: int, share: float) -> list[Strip]:
    """Return the strips of one value that have so many rows or columns, and such a share."""
    found: dict[tuple[str, str], Strip] = {}
    rest, before = image, -1
    while len(found) > before:
        before = len(found)
        for side in SIDES:
            turned, of = _turned(rest, side), _edge(image, side)
            if side not in found and (count := _flat_rows(turned)) >= max(least, share * of):
                found[side] = Strip(side, count, of, float(turned[-1, 0]))
                rest = _turned_back(turned[:-count], side)
    return [found[side] for side in SIDES if side in found]


def _edge(image: NDArray[Any], side: tuple[str, str]) -> int:
    return int(image.shape[0 if side[1] == "rows" else 1])


def _turned(image: NDArray[Any], side: tuple[str, str]) -> NDArray[Any]:
    """Return an image with a side at its foot."""
    end, along = side
    if along == "rows":
        return image if end == "last" else image[::-1]
    return image.T if end == "last" else image[:, ::-1].T


def _turned_back(turned: NDArray[Any], side: tuple[str, str]) -> NDArray[Any]:
    end, along = side
    if along == "rows":
        return turned if end == "last" else turned[::-1]
    return turned.T if end == "last" else turned.T[:, ::-1]


def _flat_rows(image: NDArray[Any]) -> int:
    """Return how many of the last rows hold one value alone, 0 where all of them do."""
    value = image[-1, 0]
    if not (image[-1] == value).all():
        return 0
    other = np.flatnonzero((image != value).any(axis=1))
    return len(image) - 1 - int(other[-1]) if len(other) else 0
