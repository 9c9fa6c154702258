"""Brightness and contrast that differ from slice to slice, and how to make them alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_multiotsu

from bl_steer.protocols import Array

__all__ = ["gain_and_offset", "phase_levels", "stored_grey"]

SMOOTH_PX = 1.5
"""Standard deviation of a Gaussian before levels are sought: noise would make thresholds of its
own."""


def phase_levels(image: NDArray[Any], *, n_phases: int = 3) -> Array:
    """Return the grey level of each phase of an image (H, W), from dark to bright, (n_phases,).

    Medians of the classes of a multi-level Otsu threshold. They do not depend on how much of a
    phase there is, as the mean or a histogram does, so that making them alike moves no volume
    fraction.

    References
    ----------
    Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. Syst. Man Cybern.
    9 (1979) 62, DOI 10.1109/TSMC.1979.4310076; several levels by scikit-image.
    """
    smooth = gaussian_filter(np.asarray(image, dtype=np.float64), SMOOTH_PX)
    try:
        thresholds = threshold_multiotsu(smooth, n_phases)
    except ValueError as error:
        raise ValueError(
            f"a slice must show {n_phases} phases to be levelled, got an image of fewer grey "
            "levels; leave it out, or give the number of phases"
        ) from error
    classes = np.digitize(smooth, thresholds)
    return np.array([np.median(smooth[classes == phase]) for phase in range(n_phases)])


def gain_and_offset(levels: Array, reference: Array) -> tuple[float, float]:
    """Return gain and offset that bring the levels of a slice to those of the reference.

    Both of shape (n_phases,); least squares.
    """
    gain, offset = np.polyfit(levels, reference, 1)
    return float(gain), float(offset)


def stored_grey(grey: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return grey levels in a type, those beyond its range at its ends."""
    if dtype.kind == "f":
        return grey.astype(dtype)
    ends = np.iinfo(dtype)
    return np.clip(np.rint(grey), ends.min, ends.max).astype(dtype)
