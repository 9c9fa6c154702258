"""Slices of a stack that show no face of their own: blank, broken off, stored twice, blurred."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from bl_steer.protocols import Array
from bl_steer.slicing.focus import blur_against, log_sharpness
from bl_steer.slicing.shared_noise import NoiseOfSlices

__all__ = [
    "DOUBLED",
    "NOT_FINITE",
    "called",
    "compared",
    "difference",
    "find_bad_slices",
    "lost_phases",
    "steps_between",
    "stored_twice",
]

NOT_FINITE = "not finite"
"""What a slice is called whose grey levels are not all numbers: it cannot be used."""
DOUBLED = 0.3
"""Of the difference that a quarter of the neighbours exceed: two that differ by less are one face.
Other neighbours had .65 of it and more on simulated electrodes, one face imaged twice .02 to .2."""
NOISE_PX = 3.0
"""Standard deviation of a Gaussian before grey levels are compared: a face that was not milled, and
imaged again, differs in its noise."""
BROKEN_OFF = 0.05
"""Of the rows, at one end and of one grey level: the scan was broken off."""
BLUR_PX = 2.5
"""Standard deviation of a blur beyond that of the slices around that leaves no details to use."""
LOST, THERE = 0.1, 0.4
"""Of a phase's usual share: what a slice without it has at most, and one beside it at least."""
LEAST_SHARE, LEAST_PARTS = 0.005, 4
"""Of a phase in the slices that have it: rarer ones, and a few parts, may end between two."""
HANDFUL, STRIDE = 8, 16
"""Different values of all pixels, or first of some, up to which images are label maps."""
AROUND = 5
"""Slices before and after with which the sharpness of one is compared."""


def called(slices: Iterable[int], names: Sequence[str] = ()) -> list[str]:
    """Return what a user knows slices by, in messages.

    Parameters
    ----------
    slices : their places in a stack
    names : of all slices of the stack; their places where it is empty

    >>> called([0, 2]), called([1], ["4 (a.tif)", "6 (b.tif)"])
    (['0', '2'], ['6 (b.tif)'])
    """
    return [names[place] if names else str(place) for place in slices]


def find_bad_slices(images: Sequence[NDArray[Any]]) -> dict[int, str]:
    """Return the slices that show no face of their own, with what each looks like.

    Parameters
    ----------
    images : each of shape (H, W), in the order of the depth; read one at a time

    Returns
    -------
    found : by the slice's place in the stack: ``"not finite"`` (grey levels that are no numbers),
        ``"blank"`` (one grey level), ``"broken off"`` (rows
        of one grey level at an end), ``"stored twice"`` (the slice before once more, or an earlier
        one to the pixel),
        ``"stored twice and displaced"`` and ``"stored twice in part"`` (with its noise), or
        ``"blurred"`` (by 2.5 px more than the slices around it). Of label maps, a handful of
        values, rows of one value are the specimen, and only the slices stored twice are named
    """
    if _are_labels(images):
        return dict.fromkeys(
            stored_twice(steps_between(images, labels=True), labels=True), "stored twice"
        )
    found: dict[int, str] = {}
    rows, sharpness = [], []
    for number, image in enumerate(np.asarray(image) for image in images):
        if not np.isfinite(image).all():
            found[number] = NOT_FINITE
        image = _finite(image)
        rows.append(_flat_rows(image))
        flat = rows[-1] == len(image)
        sharpness.append(np.nan if flat else log_sharpness(image))
    usual = float(np.median(rows)) if rows else 0.0
    for number, (image, flat_rows) in enumerate(zip(images, rows, strict=True)):
        if flat_rows == len(image):
            found.setdefault(number, "blank")
        elif flat_rows - usual > BROKEN_OFF * len(image):
            found[number] = "broken off"
    noise = NoiseOfSlices()
    for number in stored_twice(steps_between(noise.through(images))):
        found.setdefault(number, "stored twice")
    for number in noise.copies:
        found.setdefault(number, "stored twice")
    for number, shared in noise.shared().items():
        how = "and displaced" if shared.moved != (0, 0) else "in part"
        found.setdefault(number, "stored twice" if shared.in_place else f"stored twice {how}")
    for number in _blurred(np.array(sharpness), skip=set(found)):
        found[number] = "blurred"
    return dict(sorted(found.items()))


def _are_labels(images: Sequence[NDArray[Any]]) -> bool:
    """Return whether images hold a handful of values, and more than one."""
    values: set[float] = set()
    for image in (np.asarray(image) for image in images):
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            return False
        for some in (image[::STRIDE, ::STRIDE], image):  # the sort of all pixels takes long
            values |= set(np.unique(some).tolist())
            if len(values) > HANDFUL:
                return False
    return len(values) > 1


def steps_between(images: Iterable[NDArray[Any]], *, labels: bool = False) -> list[float]:
    """Return by how much each image (H, W) but the first differs from that before it.

    As `difference` of what `compared` returns; infinity for a blank image.
    """
    steps: list[float] = []
    before: NDArray[Any] | None = None
    for image in (_finite(np.asarray(image)) for image in images):
        face = compared(image, labels=labels)
        if before is not None:
            blank = image.max() == image.min()
            steps.append(np.inf if blank else difference(before, face, labels=labels))
        before = face
    return steps


def compared(image: NDArray[Any], *, labels: bool = False) -> NDArray[Any]:
    """Return what is compared of an image (H, W): labels as they are, grey levels as all have them.

    These are without their noise, of one brightness and contrast.
    """
    return image if labels else _standard(image)


def difference(before: NDArray[Any], after: NDArray[Any], *, labels: bool = False) -> float:
    """Return the rms of the difference of two images, or the share of pixels that it changes."""
    if labels:
        return float(np.mean(after != before))
    return float(np.sqrt(np.mean((after - before) ** 2)))


def stored_twice(steps: Sequence[float], *, labels: bool = False) -> list[int]:
    """Return the slices that are that before once more, by `steps_between`."""
    # Not the median of all: half of the slices, or more, may be stored twice. Labels of one face
    # are the same, and some slices differ from those beside by far more than usual.
    known = [step for step in steps if np.isfinite(step) and (step > 0 or not labels)]
    limit = DOUBLED * float(np.percentile(known, 50 if labels else 75)) if known else 0.0
    return [number for number, step in enumerate(steps, 1) if step < limit]


def lost_phases(labels: Iterable[NDArray[Any]]) -> dict[int, list[int]]:
    """Return for each phase the slices that lack it, from one to the next, though others have it.

    Parameters
    ----------
    labels : maps (H, W) of whole numbers from 0, in order of depth

    Notes
    -----
    A phase of many parts ends gradually in depth. One that is in a slice and all but absent in the
    next was lost in its segmentation, or the slices belong to different specimens.
    """
    shares: list[Array] = []
    parts: list[dict[int, int]] = []
    for plane in labels:
        shares.append(np.bincount(np.asarray(plane).ravel(), minlength=256) / plane.size)
        parts.append({})
        for phase in np.flatnonzero(shares[-1] > LEAST_SHARE).tolist():
            parts[-1][phase] = int(label(np.asarray(plane) == phase)[1])
    table = np.array(shares)
    found: dict[int, list[int]] = {}
    for phase in np.flatnonzero(table.max(axis=0, initial=0.0) > LEAST_SHARE).tolist():
        usual = float(np.percentile(table[:, phase], 75))
        there = np.array([row[phase] >= THERE * usual for row in table])
        there &= np.array([n.get(phase, 0) >= LEAST_PARTS for n in parts])
        lost = table[:, phase] < LOST * usual
        if usual < LEAST_SHARE or not there.any():
            continue
        runs = np.split(np.arange(len(table)), np.flatnonzero(np.diff(lost)) + 1)
        sudden = [
            run
            for run in runs
            if lost[run[0]]
            and (there[run[0] - 1 : run[0]].any() or there[run[-1] + 1 : run[-1] + 2].any())
        ]
        if sudden:
            found[phase] = np.concatenate(sudden).tolist()
    return found


def _finite(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image, or a blank one in place of one whose grey levels are not all numbers."""
    return image if np.isfinite(image).all() else np.zeros_like(image)


def _standard(image: NDArray[Any]) -> Array:
    """Return an image less its noise, of mean 0 and standard deviation 1; one of one level as 0."""
    if image.min() == image.max():  # the filter rounds, and would leave a pattern to be enlarged
        return np.zeros(image.shape)
    grey = gaussian_filter(image.astype(np.float64), NOISE_PX)
    grey -= grey.mean()
    return np.asarray(grey / (grey.std() or 1.0))


def _flat_rows(image: NDArray[Any]) -> int:
    """Return how many rows at the top or the bottom have one grey level, the same in all."""
    longest = 0
    for part in (image, image[::-1]):
        alike = (part == part[0, 0]).all(axis=1)
        longest = max(longest, len(alike) if alike.all() else int(alike.argmin()))
    return longest


def _blurred(sharpness: Array, skip: set[int]) -> list[int]:
    known = np.where(np.isin(np.arange(len(sharpness)), sorted(skip)), np.nan, sharpness)
    found = []
    for number in range(len(known)):
        around = known[max(0, number - AROUND) : number + AROUND + 1]
        if number in skip or np.isfinite(around).sum() < AROUND:
            continue
        best = float(np.nanmedian(around))
        # One whose details are all below its noise, among others that show theirs, is blurred too.
        if not np.isfinite(known[number]) or blur_against(float(known[number]), best) > BLUR_PX:
            found.append(number)
    return found
