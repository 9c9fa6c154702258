"""Planes of a label volume that show no face of their own: of one label, or stored twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["odd_plane_warnings"]

BESIDE = 0.6
"""Most of a label in the planes beside those of that label alone, which a specimen does not fill
and leave from one plane to the next."""
CHANGED = 50
"""Pixels at least that usually change from plane to plane where none by chance is no word."""
FEW = 0.1
"""Of the planes that are like the one before, at most: more are a volume that was stretched."""
LISTED = 5


def odd_plane_warnings(labels: Iterable[NDArray[Any]]) -> Iterator[str]:
    """Name planes of one label between others, and planes that are the one before once more.

    Parameters
    ----------
    labels : planes (H, W), in order of depth; read once
    """
    lost: list[int] = []
    run: list[int] = []
    doubled: list[int] = []
    changed: list[int] = []
    before: NDArray[Any] | None = None
    face: NDArray[Any] | None = None  # the last plane of several labels
    number = -1
    for number, plane in enumerate(np.asarray(plane) for plane in labels):
        is_one = plane.size > 0 and plane.min() == plane.max()
        if before is not None and not is_one:
            changed.append(int(np.count_nonzero(plane != before)))
            doubled += [number] if not changed[-1] else []
        if is_one and (not run or before is None or before.flat[0] == plane.flat[0]):
            run.append(number)
        elif not is_one:
            if run and face is not None and before is not None:
                label = before.flat[0]
                share = max(float(np.mean(beside == label)) for beside in (face, plane))
                lost += run if share < BESIDE else []
            run, face = [], plane
        before = plane
    if lost:
        one = len(lost) == 1
        yield (
            f"plane{'' if one else 's'} {_shown(lost)} (from 0) hold{'s' if one else ''} one label "
            "alone, and the planes beside do not: as of a slice that was blank or lost. All "
            f"measures count {'it' if one else 'them'} as the specimen; leave "
            f"{'it' if one else 'them'} out, or segment anew"
        )
    usual = [pixels for pixels in changed if pixels]
    if doubled and len(doubled) <= FEW * (number + 1) and np.median(usual or [0]) >= CHANGED:
        one = len(doubled) == 1
        yield (
            f"plane{'' if one else 's'} {_shown(doubled)} (from 0) "
            f"{'is that before it' if one else 'are those before them'} once more: as of a slice "
            f"that is stored twice. All measures count {'it' if one else 'them'} twice; leave "
            f"{'it' if one else 'them'} out"
        )


def _shown(planes: list[int]) -> str:
    more = f" and {len(planes) - LISTED} more" if len(planes) > LISTED else ""
    return f"{', '.join(map(str, planes[:LISTED]))}{more}"
