"""Whether a mask lies on its image as it was painted, or is mirrored, turned, moved or another's.

A mask explains a share of the variance of the grey levels: that of the means of its phases (the
correlation ratio). One that was moved out of place explains less than it does once it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import hypot

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from bl_steer.analysis.segmentation.phases import UNLABELLED

__all__ = ["misplaced_masks", "misplaced_notes"]

MOST_PX = 512
"""Along an edge, that are looked at: of larger images every second pixel, or fewer."""
LEAST_LABELLED = 0.5
"""Share of the pixels from which a mask is looked at: few strokes fit in many places."""
TIMES, MORE = 2.0, 0.1
"""What a mask that is mirrored, turned or another's explains once it is right, of before and beyond
it. Of 490 sound pairs (two simulated films, coatings, steels, a superalloy) none explains so much
more in another form."""
LEAST_MOVED, MOVED_MORE, MOST_MOVED = 2.0, 0.05, 1 / 8
"""Pixels by which a mask is off when it is told, what more of the variance it then explains in its
place, and the largest part of an edge. Masks of a superalloy are 1 pixel off, with .02 more."""
PASSES, NEAR_PX = 3, 2
"""Of looking for the place by correlation, and steps in which more is explained from there on."""
LEAST_EXPLAINED = 0.3
"""That a mask must explain once it is moved back."""
Place = tuple[int, int]
FORMS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "turned upside down": lambda labels: labels[::-1],
    "mirrored left to right": lambda labels: labels[:, ::-1],
    "turned by 180°": lambda labels: labels[::-1, ::-1],
    "turned by 90° to the left": lambda labels: np.rot90(labels),
    "turned by 90° to the right": lambda labels: np.rot90(labels, -1),
    "mirrored along its diagonal": lambda labels: labels.T,
    "mirrored along its other diagonal": lambda labels: labels[::-1, ::-1].T,
}
"""What brings a mask back that was stored with its axes mixed up."""


def _variance_explained(image: NDArray[np.floating], labels: NDArray[np.uint8]) -> float:
    """Return the share of the variance of grey levels (H, W) that labels (H, W) explain.

    >>> _variance_explained(np.array([[1.0, 1.0, 5.0, 5.0]]), np.array([[0, 0, 2, 2]], np.uint8))
    1.0
    """
    known = (labels != UNLABELLED) & np.isfinite(image)
    values, phases = image[known].astype(np.float64), labels[known]
    if not values.size or not np.ptp(values):
        return 0.0
    counts = np.bincount(phases)
    means = np.bincount(phases, values) / np.maximum(counts, 1)
    return float((counts * (means - values.mean()) ** 2).sum() / (values.size * values.var()))


def misplaced_notes(image: NDArray[np.generic], labels: NDArray[np.uint8]) -> Iterator[str]:
    """Say how a mask (H, W) would explain far more of its image (H, W) than where it lies."""
    grey, known = _looked_at(image, labels)
    if grey is None:
        return
    own = _variance_explained(grey, known)
    forms = {how: form(known) for how, form in FORMS.items()}
    fits = {
        how: _variance_explained(grey, form)
        for how, form in forms.items()
        if form.shape == known.shape
    }
    how = max(fits, key=lambda how: fits[how])
    if _is_better(fits[how], own):
        yield _told(own, fits[how], how)
        return
    rows, columns, explained, before = _moved(grey, known)
    if explained > max(before + MOVED_MORE, LEAST_EXPLAINED):
        step = image.shape[0] // len(grey)
        yield _told(own, explained, f"moved by about ({rows * step}, {columns * step}) pixels")


def misplaced_masks(
    pairs: Sequence[tuple[NDArray[np.generic], NDArray[np.uint8]]], names: Sequence[str]
) -> Iterator[str]:
    """Say of which images of a set another one's mask explains far more than their own does.

    Parameters
    ----------
    pairs : micrographs (H, W) and labels (H, W)
    names : of the micrographs
    """
    seen = [_looked_at(image, labels) for image, labels in pairs]
    own = [0.0 if grey is None else _variance_explained(grey, known) for grey, known in seen]
    for place, (grey, labels) in enumerate(seen):
        if grey is None or not _is_better(max(own), own[place]):
            continue
        fits = {
            other: _variance_explained(grey, known)
            for other, (there, known) in enumerate(seen)
            if there is not None and known.shape == labels.shape
        }
        best = max(fits, key=lambda other: fits[other])
        if _is_better(fits[best], own[place]):
            yield (
                f"{names[place]}: its mask explains {own[place]:.0%} of the variance of the grey "
                f"levels, and that of {names[best]} {fits[best]:.0%}: the masks may be exchanged; "
                "compare them with the images."
            )


def _is_better(explained: float, own: float) -> bool:
    return explained > TIMES * own and explained > own + MORE


def _told(own: float, explained: float, how: str) -> str:
    return (
        f"The mask explains {own:.0%} of the variance of the grey levels, and {explained:.0%} once "
        f"it is {how}: so does a mask look that was saved out of place; compare it with the image."
    )


def _looked_at(
    image: NDArray[np.generic], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32] | None, NDArray[np.uint8]]:
    """Return what is looked at of an image and its labels; no image where they tell nothing."""
    step = -(-max(labels.shape) // MOST_PX)
    labels = labels[::step, ::step]
    grey = image[::step, ::step].astype(np.float32)
    known = (labels != UNLABELLED) & np.isfinite(grey) if grey.shape == labels.shape else None
    if known is None or known.mean() < LEAST_LABELLED:
        return None, labels
    return grey, labels


def _moved(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> tuple[int, int, float, float]:
    """Return the rows and columns by which labels must be moved to correlate best with an image.

    Then what they explain there, and where they lie, both where the two overlap; nothing for a
    place that is too near, or too far.
    """
    by = (0, 0)
    for _ in range(PASSES):  # the phases' means are known once the labels lie in their place
        here, there = _overlap(by, grey.shape)
        by = _best_place(grey, labels, _means(grey[here], labels[there]))
        if _is_far(by, grey.shape) or hypot(*by) < LEAST_MOVED:
            return 0, 0, 0.0, 0.0

    def explained(place: Place) -> float:
        here, there = _overlap(place, grey.shape)
        return _variance_explained(grey[here], labels[there])

    while by != (best := max(_around(by), key=explained)):
        by = best
    if _is_far(by, grey.shape):
        return 0, 0, 0.0, 0.0
    here, _ = _overlap(by, grey.shape)
    return *by, explained(by), _variance_explained(grey[here], labels[here])


def _is_far(by: Place, shape: tuple[int, ...]) -> bool:
    return any(abs(n) > MOST_MOVED * size for n, size in zip(by, shape, strict=True))


def _around(by: Place) -> list[Place]:
    steps = range(-NEAR_PX, NEAR_PX + 1)
    return [(by[0] + rows, by[1] + columns) for rows in steps for columns in steps]


def _overlap(by: Place, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where an image and labels that are moved overlap, in the image and in the labels."""
    here, there = (
        tuple(slice(max(n, 0), size + min(n, 0)) for n, size in zip(moved, shape, strict=True))
        for moved in (by, (-by[0], -by[1]))
    )
    return here, there


def _means(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean grey level of each label, less that of all; 0 where nothing is labelled."""
    known = (labels != UNLABELLED) & np.isfinite(grey)
    values, phases = grey[known].astype(np.float64), labels[known]
    counts = np.bincount(phases, minlength=UNLABELLED + 1)
    sums = np.bincount(phases, values, UNLABELLED + 1) - counts * values.mean()
    return np.asarray(sums / np.maximum(counts, 1))


def _best_place(
    grey: NDArray[np.float32], labels: NDArray[np.uint8], means: NDArray[np.float64]
) -> Place:
    """Return the displacement of labels at which their means correlate best with an image."""
    known = np.isfinite(grey)
    image = np.where(known, grey - grey[known].mean(), 0.0)
    alike = irfft2(rfft2(image) * rfft2(means[labels]).conj(), grey.shape)
    rows, columns = (
        int(n) - size * (2 * n > size)
        for n, size in zip(np.unravel_index(alike.argmax(), alike.shape), grey.shape, strict=True)
    )
    return rows, columns
