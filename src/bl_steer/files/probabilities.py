"""Probabilities where labels are expected: what ilastik, Weka and networks export beside labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["INSTEAD", "are_probabilities"]

INSTEAD = "export the simple segmentation (ilastik), or the label of the likeliest phase"
"""What to do about them, for messages."""
STRIDE_PX = 7
ROUNDED = 0.02
"""By how much those of a pixel miss their sum: of three phases in 8 bits, 1.5 of 255."""
MIXED = 0.1
"""Share of pixels that are of no one phase: pure colours also sum up, but for smeared edges."""


def are_probabilities(values: NDArray[Any], *, channels: bool) -> bool:
    """Whether values are shares of 1, or of 255 in 8 bits: fractions, or channels that sum up.

    Parameters
    ----------
    values : (…, Y, X), or (…, Y, X, C) with `channels`
    channels : whether the last axis holds the phases

    Examples
    --------
    >>> are_probabilities(np.array([[0.0, 0.25], [1.0, 0.5]]), channels=False)
    True
    >>> are_probabilities(np.array([[0.0, 1.0], [1.0, 0.0]]), channels=False)
    False
    """
    whole = 1.0 if values.dtype.kind == "f" else 255.0
    if values.dtype.kind not in "uf" or (values.dtype.itemsize > 1 and whole > 1.0):
        return False
    if not channels and whole > 1.0:
        return False
    some = values[..., ::STRIDE_PX, :] if channels else values
    known = some[np.isfinite(some)] if whole == 1.0 else some
    if not known.size or known.min() < 0 or known.max() > whole * (1 + ROUNDED):
        return False
    if not channels:
        return bool((known % 1 != 0).any())
    sums = some.sum(axis=-1, dtype=np.float64)
    mixed = some.max(axis=-1) < (1 - ROUNDED) * whole
    return bool((np.abs(sums - whole) <= ROUNDED * whole).all() and mixed.mean() > MIXED)
