"""The grey levels of an image: a handful, as in a label map, or many, as in a micrograph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["few_levels"]

HANDFUL = 8
"""Different values up to which an image holds no more than a label map does."""
STRIDE = 16


def few_levels(planes: Iterable[NDArray[Any]]) -> list[float]:
    """Return the values in images, sorted, where all together hold a handful; else nothing.

    Parameters
    ----------
    planes : each (H, W); most often the first is all that is looked at

    Examples
    --------
    >>> few_levels([np.array([[0, 2], [2, 1]])]), few_levels([np.arange(12.0).reshape(3, 4)])
    ([0, 1, 2], [])
    """
    levels: set[float] = set()
    for plane in planes:
        # The sort of all pixels takes long: of a micrograph some pixels are enough.
        for some in (plane[::STRIDE, ::STRIDE], plane):
            levels |= set(np.unique(some).tolist())
            if len(levels) > HANDFUL:
                return []
    return sorted(levels)
