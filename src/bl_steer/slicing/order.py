"""Do the slices of an aligned stack stand in the order in which they were cut?

A face is most like those beside it. Where it is not, files may have been sorted by names that do
not count, renamed, or taken from another place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bl_steer.protocols import Array
from bl_steer.slicing.bad_slices import DOUBLED, called, compared, difference

__all__ = ["COARSEST", "COMPARED_PX", "FEWEST", "SMALLEST_PX", "evenly_lit", "order_warnings"]

LESS = 0.85
"""Of the differences that an order has, that another has at the most where it is believed."""
JOINT, JOINTS = 1.2, 8
"""Of the median difference: neighbours that differ by more may stand where parts of a stack are out
of order, and how many such places are looked at, those with the largest differences."""
ABRUPT = 1.4
"""Of the difference of neighbours where parts of a stack meet, that one has at the most from the
slice behind the other: elsewhere differences grow with the distance, however fast a face changes.
Parts that are three slices apart have 4/3."""
EXCHANGED = 0.8
"""Of the squared difference between neighbours, that a slice has at the most from the one beyond,
and that one's neighbour from it, where the two were exchanged. Of 48 simulated stacks in order, and
36 of structures that repeat themselves, none has a pair with less on both sides."""
ASYMMETRIC = 1.1
"""Of the difference between the slices on both sides of one that does not fit, that those beyond
them have at the least: about a plane of symmetry they are as alike."""
COARSEST = 12.0
"""Of the shorter edge, the deviation of a Gaussian beyond which brightness is no structure: shading
and charging change from image to image. In pixels as many, at least."""
MOST_FITS = 2
FEWEST, SMALLEST_PX, LISTED = 6, 64, 5
COMPARED_PX = 2**15
"""Of each image that are kept to be compared with others, about."""
LOOK = "look at the names of the files, by which slices are sorted"


def order_warnings(
    images: Iterable[NDArray[Any]],
    names: Sequence[str] = (),
    pitches: Array | None = None,
    *,
    labels: bool = False,
) -> Iterator[str]:
    """Name slices that do not fit where they stand; blank ones are passed over.

    Parameters
    ----------
    images : each of shape (H, W), aligned, in order; read once
    names : of the slices, as of `bl_steer.slicing.bad_slices.called`
    pitches : from the slice before to each, (n,), where some are missing; 1 by default
    labels : whether they are label maps
    """
    shown: list[int] = []
    faces: list[NDArray[Any]] = []
    for place, image in enumerate(np.asarray(image) for image in images):
        if min(image.shape) < SMALLEST_PX:
            return
        if image.min() < image.max():
            step = max(1, math.isqrt(image.size // COMPARED_PX))
            face = compared(image, labels=labels)[::step, ::step]
            faces.append(face.copy() if labels else evenly_lit(face).astype(np.float32))
            shown.append(place)
    n, names = len(faces), called(shown, names)
    if n < FEWEST:
        return

    def apart(first: int, second: int) -> float:
        return difference(faces[first], faces[second], labels=labels)

    steps = np.array([apart(place, place + 1) for place in range(n - 1)])
    usual = float(np.median(steps))
    exchanged = [
        place
        for place in range(1, n - 2)
        if all(
            # What is noise adds up in squares; a share of pixels adds up as it is.
            apart(*crosswise) < (EXCHANGED if labels else EXCHANGED**0.5) * steps[beside]
            for crosswise, beside in (
                ((place - 1, place + 1), place - 1),
                ((place, place + 2), place + 1),
            )
        )
    ]
    if exchanged:
        listed = [" and ".join(called((k, k + 1), names)) for k in exchanged[:LISTED]]
        more = f" and {len(exchanged) - LISTED} more pairs" if len(exchanged) > LISTED else ""
        yield (
            f"slices {', '.join(listed)}{more} stand as if they were exchanged: each is more like "
            f"the slice beyond the other one than that one is; {LOOK}"
        )
        return

    def is_symmetric(place: int) -> bool:
        if not 1 < place < n - 2:
            return False
        return apart(place - 2, place + 2) < ASYMMETRIC * apart(place - 1, place + 1)

    foreign = [
        place
        for place in range(1, n - 1)
        if (least := min(steps[place - 1], steps[place])) > usual
        and apart(place - 1, place + 1) < LESS * least
        and not is_symmetric(place)
    ]
    if foreign:
        more = f" and {len(foreign) - LISTED} more" if len(foreign) > LISTED else ""
        yield (
            f"of slices {names[0]} … {names[-1]}, "
            f"{', '.join(called(foreign[:LISTED], names))}{more} "
            f"{'are' if len(foreign) > 1 else 'is'} unlike both beside, which are more like each "
            "other: out of order, displaced, recorded elsewhere or otherwise, or a layer as thin "
            f"as a slice; {LOOK}"
        )
        return

    def is_abrupt(place: int) -> bool:
        beyond = [apart(place - 1, place + 1)] if place else []
        beyond += [apart(place, place + 2)] if place + 2 < n else []
        return min(beyond) < ABRUPT * apart(place, place + 1)

    largest = [place for place in np.argsort(-steps, kind="stable") if steps[place] > JOINT * usual]
    is_gap = np.diff(shown if pitches is None else np.cumsum(pitches)[shown]) > 1.5
    joints = [int(place) for place in largest if not is_gap[place] and is_abrupt(place)][:JOINTS]
    sides = sorted({0, n - 1, *joints, *(place + 1 for place in joints)} if joints else ())
    pairs = [
        (first, second)
        for first, second in combinations(sides, 2)
        if second > first + 1
        and DOUBLED * usual  # less is one face, imaged twice
        < apart(first, second)
        < min(JOINT * usual, LESS * steps[first:second].max())
    ]
    # Parts meet once at each joint, and an end of one fits few others: a structure that repeats
    # itself, such as an opal, meets itself again and again.
    fits = max(Counter(chain.from_iterable(pairs)).values(), default=0)
    if 0 < fits <= MOST_FITS and len(pairs) <= len(joints) + 1:
        listed = [" and ".join(called(pair, names)) for pair in pairs[:LISTED]]
        yield (
            f"slices {', '.join(listed)} are as alike as neighbours, and do not stand beside each "
            "other: parts of the stack are out of order or in reverse, unless the structure "
            f"repeats itself; {LOOK}"
        )


def evenly_lit(face: NDArray[Any], *, least_px: float = COARSEST) -> Array:
    """Return a face (H, W) without shading and charging, of mean 0 and standard deviation 1.

    Parameters
    ----------
    least_px : deviation of the Gaussian that is shading, at the least
    """
    coarsest = max(least_px, min(face.shape) / COARSEST)
    grey = face - gaussian_filter(face, coarsest)
    grey -= grey.mean()
    return np.asarray(grey / (grey.std() or 1.0))
