"""What a plan knows about the slices it takes: is this one new, in its place and sharp?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array
from bl_steer.slicing import TrackingMarks, blur_against, compare, followed_drift, log_sharpness

__all__ = ["Judgement", "SliceDecision", "SliceRow", "SliceWatch"]

UNCUT = 0.3
"""A face nearer to the one before than this share of the pitch was not cut."""
CUT_TWICE = {True: 1.6, False: 1.75}
"""And one farther away than this was cut twice: with marks, without."""


@dataclass(frozen=True)
class Judgement:
    """What an image shows, against the slice before. NaN stands for "cannot be told"."""

    blank: bool = False
    correlation: float = math.nan
    spacing_nm: float = math.nan
    drift_y_nm: float = math.nan
    drift_x_nm: float = math.nan
    """Of the specimen in the image, against the first slice."""
    log_sharpness: float = math.nan
    blur_nm: float = math.nan


@dataclass(frozen=True)
class SliceDecision:
    """One decision, as the stream ``decisions`` carries it."""

    slice: int
    step: str
    """``mill``, ``mill_again``, ``take``, ``retake``, ``refocus``, ``correct_drift``, ``keep``
    or ``missing``."""
    reason: str
    target_nm: float
    correlation: float
    spacing_nm: float
    drift_y_nm: float
    drift_x_nm: float
    blur_nm: float
    working_distance_mm: float
    beam_shift_y_nm: float
    beam_shift_x_nm: float


@dataclass(frozen=True)
class SliceRow:
    """What an event of the stream ``primary`` says about its slice."""

    slice: int
    """Its number; a number without an event is a slice that is missing."""
    nominal_z_nm: float
    z_nm: float
    """Depth below the first slice: by the marks where there are slanted ones, else nominal."""
    spacing_nm: float
    correlation: float
    drift_y_nm: float
    drift_x_nm: float
    blur_nm: float


@dataclass
class SliceWatch:
    """Judge image after image.

    Parameters
    ----------
    pixel_size_nm : edge of a pixel, nm
    pitch_nm : asked for, nm
    marks : tracking marks, where the specimen has some
    reference : image (H, W) that drift is counted from; the first by default
    reference_nm : displacement (y, x) of the reference itself
    previous : the slice before, (H, W)
    previous_nm : displacement (y, x) of the specimen in it
    z_nm : its depth
    """

    pixel_size_nm: float
    pitch_nm: float
    marks: TrackingMarks | None = None
    reference: NDArray[Any] | None = None
    reference_nm: Array = field(default_factory=lambda: np.zeros(2))
    previous: NDArray[Any] | None = None
    previous_nm: Array = field(default_factory=lambda: np.zeros(2))
    z_nm: float = 0.0
    best: float = math.nan
    """Logarithm of the sharpness in focus."""

    def judge(self, image: NDArray[Any], gap: int = 1) -> Judgement:
        """Return what an image (H, W) shows, `gap` slices after the one before."""
        if image.min() == image.max():
            return Judgement(blank=True)
        sharpness = self.sharpness(image)
        blur = self.pixel_size_nm * blur_against(sharpness, self.best)
        if self.previous is None:
            return Judgement(False, math.nan, math.nan, 0.0, 0.0, sharpness, blur)
        step = compare(
            self.previous,
            image,
            pixel_size_nm=self.pixel_size_nm,
            marks=self.marks,
            missing_nm=(gap - 1) * self.pitch_nm,
        )
        drift = self.previous_nm + self.pixel_size_nm * step.drift_px
        if self.marks is not None and self.reference is not None:
            moved = followed_drift(
                self.reference,
                image,
                self.marks,
                before=self.previous,
                before_px=(self.previous_nm - self.reference_nm) / self.pixel_size_nm,
            )
            drift = self.reference_nm + self.pixel_size_nm * moved
        dy, dx = drift.tolist()
        return Judgement(False, step.correlation, step.spacing_nm, dy, dx, sharpness, blur)

    def sharpness(self, image: NDArray[Any]) -> float:
        """Return the logarithm of the sharpness of the specimen in an image (H, W)."""
        return log_sharpness(image[0 if self.marks is None else self.marks.specimen_from :])

    def uncut(self, judgement: Judgement) -> bool:
        """Return whether an image shows the face of the slice before."""
        return judgement.spacing_nm < UNCUT * self.pitch_nm

    def lost_between(self, judgement: Judgement, gap: int) -> int:
        """Return how many slices went without an image since the last; `gap` are known of."""
        pitches = judgement.spacing_nm / self.pitch_nm
        exact = self.marks is not None and self.marks.slanted is not None
        # The jitter of several slices adds up as its square root.
        if math.isnan(pitches) or pitches < gap + (CUT_TWICE[exact] - 1.0) * math.sqrt(gap):
            return 0
        return max(round(pitches) - gap, 1)

    def accept(
        self, image: NDArray[Any], judgement: Judgement, number: int, gap: int = 1
    ) -> SliceRow:
        """Take an image as slice `number`, `gap` after the one before; the next is compared to it.

        Where the marks cannot tell how far that is, it is taken to be what was asked for.
        """
        exact = self.marks is not None and self.marks.slanted is not None
        if self.previous is not None and exact:
            measured = math.isfinite(judgement.spacing_nm)
            self.z_nm += judgement.spacing_nm if measured else gap * self.pitch_nm
        else:
            self.z_nm = number * self.pitch_nm
        self.previous = image.copy()
        self.previous_nm = np.array([judgement.drift_y_nm, judgement.drift_x_nm])
        if self.reference is None:
            self.reference = self.previous
        return SliceRow(
            slice=number,
            nominal_z_nm=number * self.pitch_nm,
            z_nm=self.z_nm,
            spacing_nm=judgement.spacing_nm,
            correlation=judgement.correlation,
            drift_y_nm=judgement.drift_y_nm,
            drift_x_nm=judgement.drift_x_nm,
            blur_nm=judgement.blur_nm,
        )
