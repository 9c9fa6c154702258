"""An array of any size, in memory or on disk, some planes at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["some_planes"]

MOST_BYTES = 2**27
"""Of the planes that are had at a time."""


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
