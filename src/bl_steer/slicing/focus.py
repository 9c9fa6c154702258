"""How sharp an image is, in a form that says how far the lens is from the focus."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # imports scipy.signal, a second of work, when it is needed
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["best_focus", "blur_against", "log_sharpness"]

FINE = (0.10, 0.18)
COARSE = (0.03, 0.06)
NOISE = (0.36, 0.48)
"""Bands of spatial frequency, cycles a pixel."""
AXES = 0.015
"""Frequencies nearer to an axis are left out: stripes of curtains and of charge lie there."""


def log_sharpness(image: NDArray[Any]) -> float:
    """Return the logarithm of fine over coarse detail in an image (H, W); NaN if noise hides it.

    Notes
    -----
    Power in two bands of the spectrum, less the noise of the highest frequencies. A blur of
    standard deviation σ pixels lowers it by 4π²σ²(f₁² − f₂²), so near the focus it is a parabola
    in the working distance.
    """
    grey = np.asarray(image, dtype=np.float64)
    window = np.outer(*(scipy.signal.windows.hann(n) for n in grey.shape))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    y, x = (np.fft.fftfreq(n) for n in grey.shape)
    off_axes = (np.abs(y)[:, None] > AXES) & (np.abs(x) > AXES)
    frequency = np.where(off_axes, np.hypot(y[:, None], x), -1.0)
    bands = [power[(frequency >= low) & (frequency < high)] for low, high in (FINE, COARSE, NOISE)]
    if not all(band.size for band in bands):  # of an image of few rows or columns
        return float("nan")
    fine, coarse, noise = (band.mean() for band in bands)
    if not (fine > noise and coarse > noise):
        return float("nan")
    return float(np.log((fine - noise) / (coarse - noise)))


def blur_against(sharpness: float, best: float) -> float:
    """Return the blur, pixels, by which an image is less sharp than the best; 0 if it is not."""
    slope = 4.0 * np.pi**2 * (np.mean(FINE) ** 2 - np.mean(COARSE) ** 2)
    return float(np.sqrt(max(best - sharpness, 0.0) / slope))


def best_focus(settings: Array, sharpness: Array) -> float:
    """Return the setting of the lens at which images are sharpest, within the settings tried.

    Parameters
    ----------
    settings : shape (n,), n ≥ 3 working distances
    sharpness : shape (n,), of `log_sharpness`; NaN where it is not known

    Raises
    ------
    ValueError
        When fewer than three images tell anything.
    """
    settings, sharpness = (np.asarray(v, dtype=np.float64) for v in (settings, sharpness))
    known = np.isfinite(sharpness)
    if known.sum() < 3:
        raise ValueError(
            f"focus must be judged by three images at least, got {int(known.sum())} with detail "
            "above their noise; take slower images"
        )
    middle = settings[known].mean()
    curve, line, _ = np.polyfit(settings[known] - middle, sharpness[known], 2)
    if curve >= 0.0:  # no hill: the sharpest that was seen
        return float(settings[np.nanargmax(sharpness)])
    return float(np.clip(middle - 0.5 * line / curve, settings[known].min(), settings[known].max()))
