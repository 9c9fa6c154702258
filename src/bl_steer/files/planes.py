"""A stack of any size, in memory or on disk, and how to have some planes of it at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.large_arrays import let_go

__all__ = ["StoredStack", "some_planes"]

MOST_BYTES = 2**27
"""Of the planes that are had at a time."""


@dataclass(frozen=True)
class StoredStack:
    """A stack as it lies on the disk.

    Parameters
    ----------
    array : (Z, Y, X): numpy, mapped from an .npy, or Zarr; whatever type was stored
    known : what the file says of ``voxel_size_nm`` (z, y, x) and ``phases``; of a TIFF or single
        slices also what `image_metadata` reads, such as ``pixel_size_nm`` and ``pitch_nm``
    notes : what a user should know, one sentence each
    gaps : the same of slices that are missing, where those around are taken as neighbours
    numbers : of single slices in steps of one, as their names have them
    """

    array: Any
    known: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    gaps: Sequence[str] = ()
    numbers: Sequence[int] | None = None


def some_planes(array: Any) -> Iterator[NDArray[Any]]:
    """Yield an array (Z, …) in order of z, as many planes at a time as memory has room for.

    Parameters
    ----------
    array : numpy, Zarr, or anything with shape and type that is sliced alike
    """
    plane = max(1, math.prod(array.shape[1:]) * array.dtype.itemsize)
    step = max(1, MOST_BYTES // plane)
    for first in range(0, array.shape[0], step):
        yield np.asarray(array[first : first + step])
        let_go(array)
