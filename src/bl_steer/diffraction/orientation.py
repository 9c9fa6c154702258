"""Which way a detector stands: proven by one beam seen from two positions of its arm.

A detector that stands mirrored, or lies on its side, still sees a peak at its middle where it
should be, and exchanges left and right, or up and down, everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import median_filter

from bl_steer.diffraction.detector import Detector
from bl_steer.diffraction.geometry import Goniometer
from bl_steer.protocols import Array

__all__ = ["Orientation", "find_orientation"]

TOLERANCE_PIXELS = 2.0
"""How far the beam's places may lie apart, from errors of beam centre and distance."""
TIMES_WORSE = 3.0
"""How much worse, in tolerances, an orientation must fit to be excluded."""
HALF_WINDOW = 8
"""Pixels to each side of the brightest one over which a spot's middle is taken."""


@dataclass(frozen=True)
class Orientation:
    """Which of the orientations of a detector fits.

    Parameters
    ----------
    detector : oriented as fits best, and marked as proven where no other orientation fits
    mismatch_px : by the directions of rows and columns, how far the beam's directions lie apart
        from frame to frame, root mean square, pixels
    note : what whoever uses it should know; empty where the orientation is proven
    """

    detector: Detector
    mismatch_px: Mapping[tuple[str, ...], float]
    note: str

    @property
    def is_proven(self) -> bool:
        """Whether one orientation fits, and no other."""
        return bool(self.detector.proven)


def find_orientation(
    goniometer: Goniometer,
    frames: ArrayLike,
    angles: Mapping[str, ArrayLike],
    *,
    mask: ArrayLike | None = None,
    tolerance_px: float = TOLERANCE_PIXELS,
) -> Orientation:
    """Find which of eight orientations gives a beam one direction from several arm positions.

    Sample, energy and primary beam stay as they are; the arm moves by so little that the same spot
    (a Bragg peak, or the primary beam, attenuated) stays on the detector. Both circles of the arm
    must move, one in each direction of the detector, or a mirror image fits as well.

    Parameters
    ----------
    goniometer : with the detector as it is thought to stand
    frames : shape (n_frames, H, W), counts, two frames at least
    angles : of the arm's circles, each a number or shape (n_frames,), degrees; others may be there
    mask : shape (H, W), True where a pixel is not to be used
    tolerance_px : how far the directions may lie apart, pixels

    Returns
    -------
    orientation : whose `detector` says what was proven

    Raises
    ------
    ValueError
        When frames or angles do not fit, or none of the eight fits.

    Notes
    -----
    The direction of a pixel is D p, with p its direction and D the rotation of the arm. Of each
    orientation, the root mean square distance of these directions from their mean is taken.
    """
    stack = np.asarray(frames, dtype=float)
    detector = goniometer.detector
    if stack.ndim != 3 or len(stack) < 2 or stack.shape[1:] != detector.shape:
        raise ValueError(
            f"frames must be two or more of the shape {detector.shape} of an area detector, got "
            f"{stack.shape}; take one, move the arm by a few mrad, and take another"
        )
    table = goniometer.angle_table({**dict.fromkeys(goniometer.circles, 0.0), **angles})
    if len(table) != len(stack):
        raise ValueError(
            f"angles of the arm must be given for each of {len(stack)} frames, got {len(table)}; "
            "give those of the arm's circles as lists"
        )
    turns = goniometer.arm_turns(table)
    spots = np.array([_spot(frame, mask) for frame in stack])
    pixel = min(detector.pixel_size_mm) / detector.distance_mm
    mismatch = {
        directions: _apart(goniometer, detector.oriented(*directions), spots, turns) / pixel
        for directions in detector.orientations()
    }
    best = min(mismatch, key=lambda directions: mismatch[directions])
    if mismatch[best] > tolerance_px:
        raise ValueError(
            f"one of the orientations must fit within {tolerance_px:g} pixels, got "
            f"{mismatch[best]:.1f} at best ({', '.join(best)}); check the circles' axes and signs, "
            "the distance and the beam centre, and that it is the same spot"
        )
    fitting = [d for d, px in mismatch.items() if px < TIMES_WORSE * tolerance_px]
    moved = _moves(goniometer, table)
    if len(fitting) == 1:
        proven = (
            f"of {len(mismatch)} orientations, only rows along {best[0]} and columns along "
            f"{best[1]} fit, within {mismatch[best]:.2f} pixels, as the arm moved by {moved}"
        )
        return Orientation(detector.oriented(*best, proven=proven), mismatch, "")
    listed = " or ".join(f"rows {rows}, columns {columns}" for rows, columns in fitting)
    note = (
        f"{len(fitting)} orientations fit as the arm moved by {moved}: {listed}; left and right, "
        "or up and down, may be exchanged; move the arm in the other direction as well, and further"
    )
    # What was thought before stands where it is among those that fit.
    chosen = detector.directions if detector.directions in fitting else best
    return Orientation(detector.oriented(*chosen), mismatch, note)


def _apart(goniometer: Goniometer, detector: Detector, spots: Array, turns: Array) -> float:
    """Return how far the spots' directions lie apart, root mean square, radians."""
    beam = goniometer.directions(goniometer.detector.beam_centre)
    seen = np.einsum("nij,nj->ni", turns, detector.towards(beam, spots.T))
    return float(np.sqrt(((seen - seen.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _spot(frame: Array, mask: ArrayLike | None) -> Array:
    """Return the middle of the brightest spot, shape (2,), pixels."""
    counts = np.where(np.isfinite(frame), frame, 0.0)
    if mask is not None:
        counts = np.where(np.asarray(mask, dtype=bool), 0.0, counts)
    smooth = median_filter(counts, size=3)  # a hot pixel is no spot
    smooth = smooth if smooth.any() else counts
    if not smooth.any():
        raise ValueError(
            "each frame must show the beam, got one without counts; move the arm less, or count "
            "longer"
        )
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    first = [max(0, int(i) - HALF_WINDOW) for i in (row, column)]
    window = counts[first[0] : int(row) + HALF_WINDOW + 1, first[1] : int(column) + HALF_WINDOW + 1]
    weights = np.clip(window - np.median(window), 0.0, None)
    rows, columns = np.indices(window.shape)
    middle = [(weights * index).sum() / weights.sum() for index in (rows, columns)]
    return np.asarray(np.add(first, middle))


def _moves(goniometer: Goniometer, table: Array) -> str:
    """Return by how much which circles of the arm moved, such as ``"nu 0.5°, delta 0.3°"``."""
    arm = table[:, len(goniometer.sample) :]
    moves = [max(abs(b - a) for a, b in pairwise(column)) for column in arm.T]
    return ", ".join(
        f"{circle.name} {move:g}°" for circle, move in zip(goniometer.arm, moves, strict=True)
    )
