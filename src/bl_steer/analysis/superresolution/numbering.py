"""Labels as other programs save them, taken as the whole numbers 0, 1, … that networks know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.planes import some_planes

__all__ = ["NumberedLabels", "numbered", "unit_of"]

WHITE = 255
"""What Fiji, GIMP and QuPath write for the second of two phases."""


@dataclass(frozen=True)
class NumberedLabels:
    """Labels on disk, each divided by a unit as it is read.

    Parameters
    ----------
    labels : (n, H, W), Zarr or whatever is sliced alike
    unit : the number that stands for label 1
    """

    labels: Any
    unit: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the stack."""
        return tuple(map(int, self.labels.shape))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the labels as they are given."""
        return np.dtype(np.uint8)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        return np.asarray(np.asarray(self.labels[index]) / self.unit).astype(np.uint8)


def unit_of(slices: Any, n_phases: int | None) -> int | None:
    """Return what stands for label 1: 255 of two phases (Fiji), 1 in truth and real numbers.

    None where the numbers are labels as they are, or no labels at all.
    """
    kind = slices.dtype.kind
    if n_phases is None or kind not in "buif":
        return None
    if kind == "b":
        return 1
    if n_phases == 2:
        white = [_is_white(planes) for planes in some_planes(slices)]
        if None not in white and any(white):
            return WHITE
    if kind != "f":
        return None
    whole = all(
        ((planes >= 0) & (planes < n_phases) & (planes % 1 == 0)).all()
        for planes in some_planes(slices)
    )
    return 1 if whole else None


def _is_white(planes: NDArray[Any]) -> bool | None:
    """Whether 255 is among planes of 0 and 255; None where there are other numbers."""
    white = planes == WHITE
    return bool(white.any()) if (white | (planes == 0)).all() else None


def numbered(slices: Any, n_phases: int | None) -> tuple[Any, list[str]]:
    """Return labels as whole numbers from 0 on, and what to say of it.

    Parameters
    ----------
    slices : (n, H, W) in memory or in Zarr, where they stay; other values stay as they are
    n_phases : None for grey levels
    """
    unit = unit_of(slices, n_phases)
    if unit is None:
        return slices, []
    labels: Any = NumberedLabels(slices, unit)
    told = f"labels 0 and {WHITE} are read as the phases 0 and 1"
    return (
        labels[:] if isinstance(slices, np.ndarray) else labels,
        [told] if unit == WHITE else [],
    )
