"""Rows and columns at the sides of an image that are no specimen: of one value alone, or a bar.

One rule for all four sides. Sensors leave noise in every row; one value alone was filled in by a
program (an alignment, a copy that broke off), or is what a microscope writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.data_bars import bar_below
from bl_steer.analysis.grey_levels import few_levels

__all__ = [
    "Strip",
    "flat_foot",
    "flat_strips",
    "listed",
    "margin_warnings",
    "margins_of",
    "strip_warnings",
    "why",
]

LEAST_FLAT, FLAT_SHARE = 4, 0.02
"""Rows or columns of one value at a side, and of all there are, from which they are told."""
WHY = (
    "the file was copied in part, the scan was broken off, an alignment left it empty, or it is a "
    "bar"
)
SIDES = (("first", "rows"), ("last", "rows"), ("first", "columns"), ("last", "columns"))
LAST_ROWS = SIDES[1]


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

    def within(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return the rows or columns of an image of the same shape."""
        return _turned(image, self.side)[-self.count :]

    def __str__(self) -> str:
        end, along = self.side
        if self.value is None:
            return f"what looks like a data bar in the {end} {self.count} of {self.of} {along}"
        return f"{self.value:g} alone in the {end} {self.count} of {self.of} {along}"


def listed(strips: Iterable[Strip]) -> str:
    """Return strips as a sentence tells them."""
    return ", ".join(map(str, strips))


def flat_strips(image: NDArray[Any]) -> list[Strip]:
    """Return the strips of an image (H, W) that hold one value alone; none where all of it does.

    A corner may belong to two strips of different values: the inner one is found once the outer
    one is taken off.
    """
    found: dict[tuple[str, str], Strip] = {}
    rest, before = image, -1
    while len(found) > before:
        before = len(found)
        for side in SIDES:
            turned, of = _turned(rest, side), _edge(image, side)
            if side not in found and (count := _flat_rows(turned, of)):
                found[side] = Strip(side, count, of, float(turned[-1, 0]))
                rest = _turned_back(turned[:-count], side)
    return [found[side] for side in SIDES if side in found]


def flat_foot(image: NDArray[Any]) -> int:
    """Return how many of the last rows of an image (H, W) hold one value alone; 0 for few."""
    return next((strip.count for strip in flat_strips(image) if strip.side == LAST_ROWS), 0)


def margins_of(
    image: NDArray[Any], bar: tuple[int, bool]
) -> tuple[tuple[int, bool], tuple[Strip, ...]]:
    """Return the data bar below an image (H, W), and the strips at its sides above that bar.

    Rows of one value alone are a strip, even if an empty bar would look the same, unless the bar
    may begin higher. A bar at the other sides is named where its edge is sharp.

    Parameters
    ----------
    bar : of `bar_below`
    """
    rows, sharp = bar
    bar = bar if rows > flat_foot(image) or (rows and not sharp) else (0, True)
    image = image[: len(image) - bar[0]]
    strips = {strip.side: strip for strip in flat_strips(image)}
    for side in SIDES:
        rows, sharp = (0, True) if side == LAST_ROWS else bar_below(_turned(image, side))
        if sharp and rows > (strips[side].count if side in strips else 0):
            strips[side] = Strip(side, rows, _edge(image, side), None)
    return bar, tuple(strips[side] for side in SIDES if side in strips)


def margin_warnings(seen: Mapping[str, Sequence[Strip]]) -> Iterator[str]:
    """Name the images of which a strip at a side is no specimen.

    Parameters
    ----------
    seen : strips of each image, by the name under which it is known
    """
    strips = {name: own for name, own in seen.items() if own}
    if strips:
        first = max(strips, key=lambda name: sum(map(_width, strips[name])))
        more = f", as {len(strips) - 1} more do at their sides" if len(strips) > 1 else ""
        yield (
            f"{first} holds {listed(strips[first])}{more}, which is counted as phases: "
            f"{why(strips[first])}; crop it"
        )


def strip_warnings(
    images: Iterable[NDArray[Any]], count: int, names: Sequence[str] = ()
) -> Iterator[str]:
    """Say that strips at the sides of slices are no specimen.

    Parameters
    ----------
    images : the slices, each (H, W), without a data bar below
    count : of the slices; for bars, which most slices have, five are looked at
    names : of the slices; their places where it is empty
    """
    looked_at = {(count - 1) * quarter // 4 for quarter in range(5)}
    flat: dict[tuple[str, str], dict[int, Strip]] = {side: {} for side in SIDES}
    bars: dict[tuple[str, str], list[Strip]] = {side: [] for side in SIDES}
    for place, image in enumerate(images):
        if few_levels([image]):  # label maps have rows and columns of one phase
            continue
        strips = margins_of(image, (0, True))[1] if place in looked_at else flat_strips(image)
        for strip in strips:
            if strip.value is None:
                bars[strip.side].append(strip)
            else:
                flat[strip.side][place] = strip
    wide = [max(own, key=_width) for own in bars.values() if 2 * len(own) > len(looked_at)]
    if wide:
        yield (
            f"the slices hold {listed(wide)}, which is taken as the specimen; crop all slices alike"
        )
    for strip in wide:  # the paper at the rim of a bar is of one value, too
        flat.pop(strip.side)
    having = sorted({place for own in flat.values() for place in own})
    if having:
        widest = [max(own.values(), key=_width) for own in flat.values() if own]
        place = max(having, key=lambda z: sum(_width(own[z]) for own in flat.values() if z in own))
        alike = all(len({own.get(z) for z in having}) == 1 for own in flat.values())
        less = "" if alike else f", or less, most in slice {names[place] if names else place}"
        yield (
            f"{len(having)} of {count} slices hold {listed(widest)}{less}, which is taken as the "
            f"specimen: {WHY}; crop all slices alike"
        )


def why(strips: Iterable[Strip]) -> str:
    """Return what strips may be."""
    return WHY if any(strip.value is not None for strip in strips) else "it is no specimen"


def _width(strip: Strip) -> int:
    return strip.count


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


def _flat_rows(image: NDArray[Any], of: int) -> int:
    """Return how many of the last rows hold one value alone, 0 for few of them, or for all."""
    value = image[-1, 0]
    if not (image[-1] == value).all():
        return 0
    other = np.flatnonzero((image != value).any(axis=1))
    rows = len(image) - 1 - int(other[-1]) if len(other) else 0
    return rows if rows >= max(LEAST_FLAT, FLAT_SHARE * of) else 0
