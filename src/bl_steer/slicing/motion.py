"""Do the slices of a stack that should be aligned move against each other?

Each slice is registered with that before it, by the four quarters of the image. A specimen changes
differently in each quarter; a slice that lies aside moves all four alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.slicing.bad_slices import called
from bl_steer.slicing.registration import SPECIMEN_PX, displacement

__all__ = ["Motion", "measure_motion", "motion_warnings"]

QUARTER_PX = (64, 192)
"""Edge of a quarter: with fewer pixels it has too few features, and more would only take longer."""
FEWEST_STEPS = 8
UNSTEADY = 1.1
"""Of the change of the common motion from step to step, over that of the quarters among each other.
On simulated stacks that were aligned .5 to .9; where each slice had moved 2 px on, 1.3 to 2.9 in
images of 200 to 256 px at a pitch of 8 px, .9 to 1.7 in smaller ones."""
LEAST_DRIFT_PX = 0.3
"""From which on it is told: less is well below what segmentation tells."""
OF_MEDIAN = 0.55
"""Standard deviation of the median of four, over that of one."""
SHEAR = 0.35
"""Common motion over the pitch that is worth a word; it is .31 at the most where features lean by
chance, and .41 to .67 at a shear of 5 px a slice at a pitch of 8 px."""
ASIDE_SD, ASIDE_PX = 3.6, 3.0
BACK = 0.7
"""Of two steps after each other, that is left where the second takes back the first."""
LISTED = 5
_MAD = 1.4826
"""From the median of absolute values to a standard deviation, of a Gaussian."""


@dataclass(frozen=True)
class Motion:
    """How the slices move.

    Parameters
    ----------
    steps : common motion from slice to slice, the median of the quarters, (m, 2), y and x, px
    quarters : motion of each, (m, 4, 2); no steps where images or stacks are too small
    to : number of the slice that each step leads to, (m,); blank and doubled ones have none
    """

    steps: Array
    quarters: Array
    to: NDArray[np.int_]

    @property
    def unlike(self) -> float:
        """Standard deviation of a quarter's motion from that of all, px."""
        return _spread(self.quarters - self.steps[:, None])

    @property
    def unsteady(self) -> float:
        """How much the common motion changes from step to step, over what quarters do."""
        changes = np.diff(self.quarters, axis=0)
        common = np.median(changes, axis=1)
        return _spread(common - np.median(common, axis=0)) / max(
            _spread(changes - common[:, None]), 1e-3
        )

    @property
    def drift_px(self) -> float:
        """Standard deviation of the steps along an axis, less what is the specimen's chance."""
        spread = _spread(self.steps - np.median(self.steps, axis=0))
        return float(np.sqrt(max(spread**2 - (OF_MEDIAN * self.unlike) ** 2, 0.0)))


def measure_motion(images: Iterable[NDArray[Any]]) -> Motion:
    """Return how slices (H, W), grey levels or labels in order of depth, move by their steps."""
    steps: list[Array] = []
    to: list[int] = []
    before: NDArray[Any] | None = None
    for number, image in enumerate(np.asarray(image) for image in images):
        if min(image.shape) < 2 * QUARTER_PX[0]:
            break
        shown = np.isfinite(image).all() and image.min() != image.max()
        if shown and before is not None and not np.array_equal(before, image):
            steps.append(_quarters(before, image))
            to.append(number)
        before = image if shown else None
    quarters = np.array(steps).reshape(-1, 4, 2)
    return Motion(np.median(quarters, axis=1), quarters, np.array(to, dtype=int))


def motion_warnings(
    images: Iterable[NDArray[Any]],
    pitch_px: float,
    names: Sequence[str] = (),
    *,
    aligned: bool = False,
) -> Iterator[str]:
    """Name slices that lie aside, a shear and a drift, in a stack that should have none.

    Parameters
    ----------
    images : each (H, W), in order of depth
    pitch_px : distance of the slices, in pixels
    names : of the slices, as of `bl_steer.slicing.bad_slices.called`
    aligned : by bl_steer, before
    """
    motion = measure_motion(images)
    if len(motion.steps) < FEWEST_STEPS:
        return
    usual = np.median(motion.steps, axis=0)
    yield from _aside(motion, usual, names)
    axis = int(np.argmax(np.abs(usual)))
    if abs(usual[axis]) > SHEAR * pitch_px:
        lean = np.degrees(np.arctan2(abs(usual[axis]), pitch_px))
        yield (
            f"all that the slices show moves by {usual[axis]:+.1f} px along {'yx'[axis]} from each "
            f"to the next: the stack is sheared, or the specimen leans by {lean:.0f}° throughout; "
            "align it (bl-steer slices), or give the tilt"
        )
    if motion.unsteady > UNSTEADY and motion.drift_px >= LEAST_DRIFT_PX:
        how, remedy = (
            ("after their alignment", "Look at the aligned slices, and take out what misleads it")
            if aligned
            else ("they are not aligned", "Align them (bl-steer slices)")
        )
        yield (
            f"the slices move against each other, by about {motion.drift_px:.1f} px from one to "
            f"the next along an axis: {how}; what is learnt in the plane is not true in depth "
            f"then. {remedy}"
        )


def _aside(motion: Motion, usual: Array, names: Sequence[str]) -> Iterator[str]:
    """Name the slices to which, or to and from which, all quarters move."""
    beyond = motion.steps - usual
    limit = max(ASIDE_PX, ASIDE_SD * max(motion.unlike, _spread(beyond)))
    far = np.abs(beyond).max(axis=1) > limit
    # A quarter that was matched wrongly moves by itself.
    agree = np.abs(motion.quarters - motion.steps[:, None]).max(axis=2)
    far &= np.median(agree, axis=1) < limit
    named: dict[int, str] = {}
    for k in np.flatnonzero(far).tolist():
        alone = next((j for j in (k, k - 1) if _there_and_back(beyond, j)), None)
        dy, dx = beyond[k] if alone in (None, k) else -beyond[k]
        (first,) = called([int(motion.to[k if alone is None else alone])], names)
        where = f"{first} and all after it" if alone is None else first
        named.setdefault(
            k if alone is None else alone, f"{where} by {dy:+.0f}, {dx:+.0f} px (y, x)"
        )
    if named:
        shown = list(named.values())
        more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
        yield (
            f"slices lie aside of those before: {'; '.join(shown[:LISTED])}{more}: align the stack "
            "with bl-steer slices, which finds their displacements"
        )


def _there_and_back(beyond: Array, k: int) -> bool:
    """Return whether the step after step k takes back what that did."""
    if not 0 <= k < len(beyond) - 1:
        return False
    there, back = beyond[k], beyond[k + 1]
    longest = max(np.linalg.norm(there), np.linalg.norm(back))
    return bool(np.linalg.norm(there + back) < BACK * longest)


def _quarters(before: NDArray[Any], after: NDArray[Any]) -> Array:
    """Return the displacements of four quarters around the middle of an image, (4, 2)."""
    height, width = before.shape
    h, w = (min(edge // 2, QUARTER_PX[1]) for edge in before.shape)
    places = [
        (slice(y, y + h), slice(x, x + w))
        for y in (height // 2 - h, height // 2)
        for x in (width // 2 - w, width // 2)
    ]
    return np.array([displacement(before[q], after[q], band_px=SPECIMEN_PX) for q in places])


def _spread(values: Array) -> float:
    return _MAD * float(np.median(np.abs(values))) if values.size else 0.0
