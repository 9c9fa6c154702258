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

__all__ = ["LEAST_ROWS", "SMALLEST_PX", "TrackingMarks"]

SMALLEST_PX = 16
"""Rows and columns that a registration needs at the least."""
LEAST_ROWS = 8
"""Of the specimen, from which curtains are told."""


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
    def of_box(cls, box: tuple[int, int, int, int], specimen_from: int | None = None) -> Self:
        """Return the marks of a box around straight notches, as a program draws a rectangle.

        Parameters
        ----------
        box : left column, upper row, width, height
        specimen_from : the row below the box by default
        """
        x, y, width, height = box
        if min(x, y) < 0 or min(width, height) < SMALLEST_PX:
            raise ValueError(
                f"marks must be a box X,Y,WIDTH,HEIGHT of {SMALLEST_PX} px at least each way, got "
                f"{','.join(map(str, box))}; draw it anew"
            )
        below = y + height if specimen_from is None else specimen_from
        return cls((y, y + height), (x, x + width), specimen_from=below)

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
        """Raise `ValueError` where images (H, W) lack a part of the marks, or rows of specimen."""
        columns = [self.straight[1], *([self.slanted[1]] if self.slanted else [])]
        if self.rows[1] > shape[0] or max(columns) > shape[1]:
            raise ValueError(
                f"marks must lie within the images, above a data bar, got {self._said()} for "
                f"images of {shape[0]} rows and {shape[1]} columns; draw the boxes anew"
            )
        if self.specimen_from > shape[0] - LEAST_ROWS:
            raise ValueError(
                f"below the marks, and above a data bar, there must be {LEAST_ROWS} rows of "
                f"specimen at least, got a specimen from row {self.specimen_from} on in images of "
                f"{shape[0]} rows; draw the boxes higher, or give a smaller specimen_from"
            )

    def _said(self) -> str:
        boxes = [("marks", self.straight), ("slanted ones", self.slanted)]
        columns = ", ".join(f"{name} in columns {c[0]} to {c[1]}" for name, c in boxes if c)
        top, bottom = self.rows
        return f"{columns}, rows {top} to {bottom}, specimen from {self.specimen_from}"
