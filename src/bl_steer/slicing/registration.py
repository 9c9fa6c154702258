"""By how much one image is displaced against another, and what tracking marks make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # imports scipy.signal, a second of work, when it is needed
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from bl_steer.protocols import Array
from bl_steer.slicing.box_search import likely_displacements
from bl_steer.slicing.marks import SMALLEST_PX, TrackingMarks
from bl_steer.slicing.stripes import remove_stripes

__all__ = [
    "depth_advance",
    "displacement",
    "drift_by_marks",
    "followed_drift",
    "likeness",
    "specimen_displacement",
]

UPSAMPLE = 50
"""Displacements are found to 1/50 pixel."""
MARKS_PX = (1.0, 5.0)
"""Standard deviations between which the details of marks count: below is noise, above shading."""
SPECIMEN_PX = (3.0, 30.0)
"""The same of a specimen: its fine details are others in the next slice, its broad ones stay."""
TAPER = 0.2
SAME_PX = 4.0
"""Within which two ways to register a box mean one place."""
DRIFT_PX, LIKENESS_SD = 6.0, 0.02
"""Standard deviation of a drift from slice to slice, and of the likeness of marks to themselves."""
SEEN, PLAINLY = 0.5, 0.3
"""Correlation of a specimen from which on, and by how much more than elsewhere, it is seen where it
lies: on simulated electrodes slices 100 nm apart had .57 and more in their place and .45 at most a
notch aside; at 300 nm neither tells."""
ROUNDING = 1e-12
"""Of the square of the grey levels: less is no detail, but what filters leave of a flat image."""


def displacement(
    reference: NDArray[Any], image: NDArray[Any], *, band_px: tuple[float, float] = MARKS_PX
) -> Array:
    """Return how far the content of `image` lies from that of `reference`, (y, x), pixels.

    Both of shape (H, W), of one grey level (0, 0); details between two standard deviations
    `band_px` count. The peak of the cross-correlation of the band-passed images, by scikit-image;
    whole-spectrum phase correlation was three times less accurate on noisy slices.

    References
    ----------
    Guizar-Sicairos, Thurman, Fienup, "Efficient subpixel image registration algorithms", Optics
    Letters 33 (2008) 156, DOI 10.1364/OL.33.000156.
    """
    if reference.shape != image.shape or reference.ndim != 2:
        raise ValueError(
            f"images must have one shape (H, W), got {reference.shape} and {image.shape}; "
            "register slices of one run"
        )
    details = _details(reference, band_px), _details(image, band_px)
    if not (details[0].any() and details[1].any()):
        return np.zeros(2)
    shift, _, _ = phase_cross_correlation(
        *details,
        upsample_factor=UPSAMPLE,
        normalization=None,
    )
    # scikit-image says how to move the image back; we say how far its content has moved.
    return -np.asarray(shift, dtype=np.float64)


def specimen_displacement(reference: NDArray[Any], image: NDArray[Any]) -> Array:
    """Return how far the specimen in `image` lies from that in the slice before, (y, x), pixels.

    Without curtains, and by details that two slices are likely to share. On simulated electrodes
    100 nm apart it is off by 1.7 to 2.4 px along an axis in fields of 256 px of 10 nm, by .7 to 1.2
    in fields of 512 px: so much does the specimen itself change.
    """
    return displacement(remove_stripes(reference), remove_stripes(image), band_px=SPECIMEN_PX)


def drift_by_marks(
    reference: NDArray[Any], image: NDArray[Any], marks: TrackingMarks, near: Any = (0.0, 0.0)
) -> Array:
    """Return the drift (y, x) of `image` against `reference`, pixels, from the straight marks.

    Straight marks do not change from slice to slice, so that any slice may be the reference. One
    notch looks like another: of the places that look alike, the one nearest to `near` (y, x)
    counts, which must be known to within half the notches' distance.
    """
    return _box_displacement(reference, image, marks.rows, marks.straight, near)


def followed_drift(
    reference: NDArray[Any],
    image: NDArray[Any],
    marks: TrackingMarks,
    *,
    before: NDArray[Any],
    before_px: Any = (0.0, 0.0),
) -> Array:
    """Return the drift (y, x) of `image` against `reference`, pixels, of slices that drift on.

    One notch looks like another. Of the places that look alike, that counts which is near the place
    in the slice before, and looks most alike; but where the specimen is plainly seen to have been
    moved, the place that it moved to. A specimen that has changed too much tells nothing.

    Parameters
    ----------
    before : the slice before, which may be the reference
    before_px : its drift
    """
    places, alike = _places(reference, image, marks.rows, marks.straight)
    if not len(places):
        return drift_by_marks(reference, image, marks, before_px)
    moved = places - before_px
    unlikely = (moved**2).sum(axis=1) / (2.0 * DRIFT_PX**2) + (alike.max() - alike) / LIKENESS_SD
    chosen = int(np.argmin(unlikely))
    faces = [face[marks.specimen_from :] for face in (before, image)]
    if len(places) > 1 and min(faces[0].shape) >= SMALLEST_PX:
        earlier, later = (_band_passed(remove_stripes(face), SPECIMEN_PX) for face in faces)
        seen = [_common_likeness(earlier, later, np.rint(by).astype(int)) for by in moved]
        best = int(np.argmax(seen))
        chosen = best if seen[best] > max(SEEN, seen[chosen] + PLAINLY) else chosen
    return _registered(reference, image, marks.rows, marks.straight, places[chosen])


def _common_likeness(first: Array, second: Array, moved: NDArray[np.int_]) -> float:
    """Return the correlation of what two images of one shape have in common, `moved` (y, x).

    -1 where that is less than half of them, which may be alike by chance.
    """
    here, there = (
        tuple(
            slice(max(0, sign * by), max(0, edge - max(0, -sign * by)))
            for by, edge in zip(moved.tolist(), first.shape, strict=True)
        )
        for sign in (-1, 1)
    )
    one, other = first[here], second[there]
    if 2 * one.size < first.size:
        return -1.0
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one**2).mean() * (other**2).mean()))
    return float((one * other).mean()) / scale if scale > 0.0 else -1.0


def likeness(
    reference: NDArray[Any], image: NDArray[Any], marks: TrackingMarks, drift: Array
) -> float:
    """Return how far `image` shows the straight marks of `reference`, `drift` (y, x) pixels away.

    The correlation coefficient of the two boxes' details, the lower one of what varies along x
    and of what varies along y: an edge that runs along an axis tells no drift along it. 0 where too
    little of the box is left in the image, or nothing is in it.
    """
    moved, parts = np.rint(drift).astype(int), []
    for box, by, edge in zip((marks.rows, marks.straight), moved, image.shape, strict=True):
        first, last = max(box[0], -int(by)), min(box[1], edge - int(by))
        if last - first < SMALLEST_PX:
            return 0.0
        parts.append((slice(first, last), slice(first + int(by), last + int(by))))
    (here, there) = zip(*parts, strict=True)
    boxes = [_band_passed(reference[here], MARKS_PX), _band_passed(image[there], MARKS_PX)]
    least = ROUNDING * float(np.ptp(np.asarray(reference[here], dtype=np.float64))) ** 2
    along = []
    for axis in (0, 1):
        first, second = (box - box.mean(axis=axis, keepdims=True) for box in boxes)
        scale = float(np.sqrt((first**2).mean() * (second**2).mean()))
        along.append(float((first * second).mean()) / scale if scale > least else 0.0)
    return min(along)


def depth_advance(
    previous: NDArray[Any],
    image: NDArray[Any],
    marks: TrackingMarks,
    *,
    pixel_size_nm: float,
    missing_nm: float = 0.0,
    drift_px: Array | None = None,
) -> float:
    """Return how much deeper `image` is than `previous`, nm; NaN where marks cannot tell.

    Parameters
    ----------
    missing_nm : depth of the slices that are known to be missing between the two
    drift_px : displacement (y, x) of the straight marks; that of `drift_by_marks` by default

    Notes
    -----
    The slanted notches move along x by slope times depth against the straight ones. One notch
    looks like another: what is found is the depth nearest to `missing_nm`, so it must be known to
    within half the notches' spacing over the slope, a few slices.

    References
    ----------
    Jones, Mingard, Cox, "Investigation of slice thickness and shape milled by a focused ion beam
    for three-dimensional reconstruction of microstructures", Ultramicroscopy 139 (2014) 20,
    DOI 10.1016/j.ultramic.2014.01.003.
    """
    if marks.slanted is None:
        return float("nan")
    drift = drift_by_marks(previous, image, marks) if drift_px is None else drift_px
    advance = round(marks.slope * missing_nm / pixel_size_nm)
    if abs(float(drift[1]) + advance) > _to_spare(marks.slanted):
        return float("nan")  # all that was in the box has left it
    near = drift + np.array([0.0, advance])
    moved = _box_displacement(previous, image, marks.rows, marks.slanted, near)
    return float((moved[1] - drift[1]) * pixel_size_nm / marks.slope)


def _box_displacement(
    reference: NDArray[Any],
    image: NDArray[Any],
    rows: tuple[int, int],
    columns: tuple[int, int],
    near: Any,
) -> Array:
    """Return the displacement of what is in a box of the reference, nearest to `near`."""
    places, _ = _places(reference, image, rows, columns)
    if not len(places):
        return _followed(reference, image, rows, columns, 0)
    nearest = places[np.argmin(np.hypot(*(places - near).T))]
    return _registered(reference, image, rows, columns, nearest)


def _registered(
    reference: NDArray[Any],
    image: NDArray[Any],
    rows: tuple[int, int],
    columns: tuple[int, int],
    place: Array,
) -> Array:
    """Return the displacement of a box's content that lies about a place, more exactly.

    The fading rim of a box that stays where it is draws the displacement towards 0, by about 1 %;
    so the box follows its content along x.
    """
    moved = _followed(reference, image, rows, columns, int(np.rint(place[1])))
    # Registration knows but the highest peak, which may be that of another notch.
    return moved if np.abs(moved - place).max() < SAME_PX else place


def _places(
    reference: NDArray[Any], image: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[Array, Array]:
    """Return the likely displacements of what is in a box of the reference; with correlations."""
    top, bottom = (int(row) for row in rows)
    first = max(0, 2 * top - bottom)
    box = _band_passed(reference[first : 2 * bottom - top, slice(*columns)], MARKS_PX)
    field = _band_passed(image[first : 2 * bottom - top], MARKS_PX)
    corner = np.array([top - first, columns[0]], dtype=np.float64)
    places, alike = likely_displacements(
        box[top - first : bottom - first], field, least_px=SMALLEST_PX
    )
    return places - corner, alike


def _followed(
    reference: NDArray[Any],
    image: NDArray[Any],
    rows: tuple[int, int],
    columns: tuple[int, int],
    step: int,
) -> Array:
    """Return the displacement of a box's content, by the part that both images show of it."""
    first, last = max(columns[0], -step), min(columns[1], image.shape[1] - step)
    box = reference[slice(*rows), first:last]
    moved = displacement(box, image[slice(*rows), first + step : last + step])
    return np.asarray(moved + np.array([0.0, step]), dtype=np.float64)


def _to_spare(columns: tuple[int, int]) -> int:
    return max(0, columns[1] - columns[0] - SMALLEST_PX)


def _details(image: NDArray[Any], band_px: tuple[float, float]) -> Array:
    """Return the details of an image, fading out at its rim."""
    details = _band_passed(image, band_px)
    rows, columns = (scipy.signal.windows.tukey(n, TAPER) for n in details.shape)
    return np.asarray(details * rows[:, None] * columns)


def _band_passed(image: NDArray[Any], band_px: tuple[float, float]) -> Array:
    grey = np.asarray(image, dtype=np.float64)
    if np.isfinite(offset := grey.mean()):  # which hides details in what rounding leaves of it
        grey = grey - offset
    fine, coarse = (gaussian_filter(grey, sigma) for sigma in band_px)
    return np.asarray(fine - coarse)
