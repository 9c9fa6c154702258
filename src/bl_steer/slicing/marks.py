"""Tracking marks: what the user draws boxes around, so that slices can be told apart from drift.

A protective layer over the specimen carries notches that were cut before the slices are. Straight
notches run along the direction of milling and stay where they are, so whatever moves them is
drift. Slanted ones move along x as the face recedes, so they tell its depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

__all__ = ["SMALLEST_PX", "TrackingMarks"]

SMALLEST_PX = 16
"""Rows and columns that a registration needs at the least."""


@dataclass(frozen=True)
class TrackingMarks:
    """Where the marks are in the image, in pixels; intervals are half open.

    Parameters
    ----------
    rows : first row and the one behind the last, of all marks
    straight : columns with notches that run along the direction of milling
    slanted : columns with slanted notches; None where there are none
    slope : by how much slanted notches move along +x for each nm of depth
    specimen_from : first row that shows the specimen, also after some drift

    Raises
    ------
    ValueError
        For boxes too small to be registered, or slanted notches without a slope.
    """

    rows: tuple[int, int]
    straight: tuple[int, int]
    slanted: tuple[int, int] | None = None
    slope: float = 0.0
    specimen_from: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be an interval of {SMALLEST_PX} px at least, got {interval}"
            for name in ("rows", "straight", "slanted")
            if (interval := getattr(self, name)) is not None
            and not (len(interval) == 2 and 0 <= interval[0] <= interval[1] - SMALLEST_PX)
        ]
        if self.slanted is not None and not (self.slope and np.isfinite(self.slope)):
            problems.append(f"slope of slanted marks must be finite and not 0, got {self.slope}")
        if self.specimen_from < 0:
            problems.append(f"specimen_from must be a row, got {self.specimen_from}")
        if problems:
            raise ValueError("; ".join(problems) + "; draw the boxes anew")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `to_dict` wrote, also after JSON has made lists of tuples."""
        pairs: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the marks as a run's start document carries them."""
        return asdict(self)

    def stretched(self, by: float) -> Self:
        """Return the marks in images whose rows were resampled to so many times their number."""
        top, bottom = (round(by * row) for row in self.rows)
        return replace(self, rows=(top, bottom), specimen_from=math.ceil(by * self.specimen_from))

    def check(self, shape: tuple[int, int]) -> None:
        """Raise `ValueError` where the marks do not lie within images of a shape (H, W)."""
        columns = [self.straight[1], *([self.slanted[1]] if self.slanted else [])]
        if max(self.rows[1], self.specimen_from + 1) > shape[0] or max(columns) > shape[1]:
            raise ValueError(
                f"marks must lie within the images, got {self} for images of {shape} pixels; "
                "draw the boxes anew"
            )
