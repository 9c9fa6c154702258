"""Slices from which on a stack shows something else: turned, mirrored, inverted, another specimen.

One slice that does not fit is unlike both beside it, which `order` looks for. Where all that follow
do not fit what came before, one step alone is large, and slices farther apart across it are no more
unlike than those at its sides: elsewhere differences grow with the distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.optimize import linear_sum_assignment

from bl_steer.protocols import Array
from bl_steer.slicing.bad_slices import called, difference
from bl_steer.slicing.order import COARSEST, COMPARED_PX, FEWEST, SMALLEST_PX, evenly_lit

__all__ = ["break_warnings"]

USUAL, LARGEST = 1.7, 1.4
"""Of the usual difference of neighbours, and of the largest elsewhere, that one has at the least
where a stack breaks. Of 48 simulated stacks of both families, 30 to 120 nm apart, the largest step
had 2.7 and 1.4 times at the most, together 2.7 and 1.36; mirrored or turned ones, up to 80 nm
apart, 2.6 and 1.65 at the least."""
ACROSS, ACROSS_LABELS = 1.2, 1.4
"""Of the difference at a break, that slices up to three apart across it have at the most. Mirrored
and turned stacks had 1.14; where a sound one has its largest step, those three apart have 1.25 and
more. Of 96 volumes of labels, 10 to 80 nm from plane to plane, sound ones had 1.76 and more; 287
of 288 that were mirrored or turned from their middle on, or showed another specimen, 1.4 at most.
"""
ALL_APART = 0.6
"""Of the difference at a break, that slices up to three apart across it have at the least: a single
slice that is mirrored is no break, for those beside it are alike."""
INVERTED = -0.3
"""Correlation across a break, below which the contrast is inverted there."""
DISPLACED = 0.8
"""Of the usual correlation of slices where they are most alike, that one has at the least which is
displaced; mirrored, turned and other ones had .65 at the most."""
MOST_MISSING = 1
"""Slices that are missing, at the most, where what follows should still be like what was before.
With two, 3 of 384 sound stacks with gaps were told as broken."""
MOST_BREAKS = 4
MAGNIFIED, RESTORED = 0.75, 0.75
"""Of the difference of two neighbours, that is left at the most where one is magnified as the other
was, and of the usual correlation, that there is then at the least. Where images of both families
were magnified by 1.25 and 1.5 from one on, .26 to .7 were left; of inverted ones .68, but a
correlation of .3. Of sound neighbours less than .75 are left where a feature grows by chance, as in
5 of 48 stacks of 24: `BEYOND` tells them apart."""
BEYOND = 0.85
"""Of the difference of slices two apart across such a place, that is left at the most where one is
magnified by as much: of those five .88 and more on one of both sides."""
LEAST_TIMES = 1.075
"""Magnification, or reduction, that is told: features grow and shrink by less as they are cut."""
PUT_BACK, EXCHANGED = 1.5, 2.0
"""Of the usual difference of neighbours, that is left at the most where numbers of phases were
exchanged, once they are put back; and of what is left, that there is before at the least."""
LOOKED_AT, LARGER = 8, 1.25
"""Largest differences that are looked at, of so much of the usual one."""
ASIDE_PX = 8
"""By which an image may be displaced, too, of the pixels that are compared."""
MAGNIFICATIONS = np.exp(0.05 * np.arange(1, 13))
NOISE_PX = 3.0
"""Deviation of the Gaussian within which brightness is noise, in pixels of the image."""


def break_warnings(
    images: Iterable[NDArray[Any]],
    names: Sequence[str] = (),
    pitches: Array | None = None,
    registered: Array | None = None,
    *,
    labels: bool = False,
) -> Iterator[str]:
    """Name the slices from which on the images are unlike those before; blank ones are passed over.

    Parameters
    ----------
    images : each of shape (H, W), aligned, in order; read once
    names : of the slices, as of `bl_steer.slicing.bad_slices.called`
    pitches : from the slice before to each, (n,); 1 by default
    registered : correlation of each with the slice before where it is most like it, (n,)
    labels : whether they are label maps
    """
    shown: list[int] = []
    faces: list[NDArray[Any]] = []
    is_small = False
    for place, image in enumerate(np.asarray(image) for image in images):
        is_small = is_small or min(image.shape) < SMALLEST_PX
        if is_small and not labels:
            return
        if image.min() < image.max():
            faces.append(_in_few_pixels(image) if labels else _features(image))
            shown.append(place)
    n, names = len(faces), called(shown, names)
    if n < FEWEST:
        return

    def apart(first: int, second: int) -> float:
        if labels:
            return difference(faces[first], faces[second], labels=True)
        return 1.0 - float((faces[first] * faces[second]).mean())

    steps = np.array([apart(place, place + 1) for place in range(n - 1)])
    usual = float(np.median(steps))
    depths = np.array(shown) if pitches is None else np.cumsum(pitches)[shown]
    missing = np.rint(np.diff(depths)) - 1.0  # between each and the next
    large = np.flatnonzero(steps > USUAL * usual).tolist()
    magnified = {
        int(place): times
        for place in np.argsort(-steps, kind="stable")[:LOOKED_AT]
        if not labels
        and steps[place] > LARGER * usual
        and not missing[place]  # what two slices apart show may be like each other magnified
        and 0 < place < n - 2
        and (times := _magnification(faces[place], faces[place + 1], RESTORED * (1.0 - usual)))
        is not None
        and _left(faces[place - 1], faces[place + 1], times) < BEYOND
        and _left(faces[place], faces[place + 2], times) < BEYOND
    }
    for place, times in sorted(magnified.items()):
        yield (
            f"from slice {names[place + 1]} on the image is magnified about {times:.2f} times "
            f"against {names[place]}: it is more like it so; give the parts by themselves, each "
            "with its pixel size, or resample one"
        )
    exchanged: dict[int, tuple[list[int], float]] = {}
    for place in large if labels and usual else ():
        numbers, left = _renumbered(faces[place], faces[place + 1])
        if numbers and left < PUT_BACK * usual and steps[place] > EXCHANGED * left:
            exchanged[place] = numbers, left
    for place, (numbers, left) in exchanged.items():
        which = ", ".join(map(str, numbers))
        yield (
            f"from slice {names[place + 1]} on the labels {which} are exchanged against "
            f"{names[place]}: {steps[place]:.0%} of the pixels change, and {left:.0%} once they "
            "are put back; number the phases alike in all slices"
        )
    if is_small:
        return
    if len(large) > MOST_BREAKS:  # as layers of spheres do, a specimen changes by leaps itself
        large = _far_above(steps)
    if not usual:  # planes that are stored repeatedly
        return
    others = np.delete(steps, large)
    elsewhere = LARGEST * max(others.max(initial=0.0), usual)
    most_across = ACROSS_LABELS if labels else ACROSS

    def is_break(place: int) -> bool:
        if not 0 < place < n - 2 or missing[place] > MOST_MISSING:
            return False
        across = [
            apart(before, after)
            for before in (place - 1, place)
            for after in (place + 1, place + 2)
        ]
        least = max(elsewhere, ALL_APART * steps[place])  # else one slice alone does not fit
        return bool(min(across) > least and max(across) < most_across * steps[place])

    told = {*magnified, *exchanged}
    found = [place for place in large if place not in told and is_break(place)]
    for place in found:
        before, after = names[place], names[place + 1]
        alike = f"correlation {1.0 - steps[place]:.2f}, elsewhere {1.0 - usual:.2f}"
        if labels:
            yield (
                f"from slice {after} on the labels are unlike those up to {before} "
                f"({steps[place]:.0%} of the pixels change, elsewhere {usual:.1%}): displaced, "
                "turned or mirrored, of another place or specimen, or the specimen changes there; "
                "take the parts by themselves, or correct one"
            )
        elif registered is not None and _is_displaced(registered, shown[place + 1]):
            yield (
                f"from slice {after} on the slices lie aside of those up to {before} ({alike}), "
                "and are like them elsewhere: they jump there, and the alignment has not followed; "
                "move one of the two parts in place, or give marks"
            )
        elif 1.0 - steps[place] < INVERTED:
            yield (
                f"the contrast is inverted from slice {after} on: what is bright in {before} is "
                f"dark there ({alike}); invert one of the two parts"
            )
        else:
            yield (
                f"from slice {after} on the slices are unlike those up to {before} ({alike}): "
                "turned, mirrored or of another magnification, of another place or specimen, or "
                "the specimen changes there; take the parts by themselves, or correct one"
            )


def _far_above(steps: Array) -> list[int]:
    """Return the places of the few largest differences, if all others are far below them."""
    order = np.argsort(-steps, kind="stable")[: MOST_BREAKS + 1]
    below = np.flatnonzero(steps[order[:-1]] > LARGEST * steps[order[1:]])
    return sorted(order[: below[-1] + 1].tolist()) if len(below) else []


def _renumbered(before: NDArray[Any], after: NDArray[Any]) -> tuple[list[int], float]:
    """Return the labels that are other numbers in the next plane, and what then changes of it."""
    found, of_pixels = np.unique(np.stack([before, after]), return_inverse=True)
    first, second = of_pixels.reshape(2, -1)
    together = np.bincount(first * len(found) + second, minlength=len(found) ** 2)
    together = together.reshape(len(found), -1)
    rows, columns = linear_sum_assignment(-together)
    numbers = [int(found[row]) for row, column in zip(rows, columns, strict=True) if row != column]
    return numbers, 1.0 - float(together[rows, columns].sum()) / before.size


def _is_displaced(registered: Array, place: int) -> bool:
    """Return whether a slice is like that before in another place, as neighbours are elsewhere."""
    return bool(registered[place] > DISPLACED * np.nanmedian(registered))


def _pixels_for_one(image: NDArray[Any]) -> int:
    """Return how many pixels of an edge are one in what is compared of an image."""
    return max(1, math.isqrt(image.size // COMPARED_PX))


def _in_few_pixels(labels: NDArray[Any]) -> NDArray[Any]:
    by = _pixels_for_one(labels)
    return labels[::by, ::by].copy()


def _features(image: NDArray[Any]) -> Array:
    """Return what an image (H, W) shows, in few pixels, of mean 0 and variance 1."""
    by = _pixels_for_one(image)
    height, width = (edge // by for edge in image.shape)
    blocks = image[: height * by, : width * by].reshape(height, by, width, by)
    grey = gaussian_filter(blocks.mean(axis=(1, 3), dtype=np.float64), NOISE_PX / by)
    return evenly_lit(grey, least_px=COARSEST / by)


def _magnification(before: Array, after: Array, least: float) -> float | None:
    """Return by how much `after` is magnified against `before`; None where it is not plainly.

    Parameters
    ----------
    least : correlation that there must be then
    """
    of_times = [*MAGNIFICATIONS.tolist(), *(1.0 / MAGNIFICATIONS).tolist()]
    most, times = max((_alike(*_as_magnified(before, after, times)), times) for times in of_times)
    if most <= least or max(times, 1.0 / times) < LEAST_TIMES:
        return None
    return times if _left(before, after, times) < MAGNIFIED else None


def _left(before: Array, after: Array, times: float) -> float:
    """Return how much of the difference is left where `before` is magnified as `after` is."""
    restored = _alike(*_as_magnified(before, after, times))
    return (1.0 - restored) / max(1.0 - _alike(before, after), 1e-9)


def _as_magnified(before: Array, after: Array, times: float) -> tuple[Array, Array]:
    return (
        (_magnified(before, times), after) if times > 1 else (before, _magnified(after, 1 / times))
    )


def _magnified(face: Array, times: float) -> Array:
    """Return what an image shows about its middle, in as many pixels."""
    middle = (np.array(face.shape) - 1.0) / 2.0
    scale = np.full(2, 1.0 / times)
    return np.asarray(affine_transform(face, scale, offset=middle * (1.0 - scale), order=1))


def _alike(first: Array, second: Array) -> float:
    """Return the correlation of two images, displaced by a few pixels at the most."""
    one, other = ((face - face.mean()) / (face.std() or 1.0) for face in (first, second))
    product = irfft2(rfft2(one).conj() * rfft2(other), one.shape) / one.size
    near = np.arange(-ASIDE_PX, ASIDE_PX + 1)
    return float(product[np.ix_(near, near)].max())
