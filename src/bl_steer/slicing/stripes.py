"""Curtains: vertical stripes that the ion beam leaves on a face, and how to take them off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = ["remove_stripes"]


def remove_stripes(
    image: NDArray[Any], *, levels: int = 3, wavelet: str = "db15", width: float = 2.0
) -> Array:
    """Return an image without its vertical stripes; its mean is kept.

    Parameters
    ----------
    image : shape (H, W)
    levels : of the wavelet decomposition, as many of them as the image has room for; stripes of
        up to some 2^levels pixels are removed
    wavelet : of PyWavelets; longer ones separate stripes better
    width : standard deviation of the damping, in vertical frequencies of a band: larger values
        remove stripes that come and go along their length, and more of the specimen

    Returns
    -------
    image : shape (H, W), grey levels as before, as floats

    Notes
    -----
    The image is decomposed into wavelet bands. Stripes gather in the bands of vertical detail, at
    vertical frequencies about zero, and these are damped there by 1 − exp(−k²/2σ²). What cannot
    be told from a stripe goes with it: vertical edges of the specimen as long as the image is
    high. Stripes as broad as the specimen's own features stay; more levels would take both.

    References
    ----------
    Münch, Trtik, Marone, Stampanoni, "Stripe and ring artifact removal with combined
    wavelet-Fourier filtering", Optics Express 17 (2009) 8567, DOI 10.1364/OE.17.008567.
    """
    grey = np.asarray(image, dtype=np.float64)
    if grey.ndim != 2 or min(grey.shape) < 8:
        raise ValueError(
            f"an image must have two axes of 8 pixels at least, got shape {grey.shape}; "
            "give one slice at a time"
        )
    if levels < 1 or not width > 0.0:
        raise ValueError(
            f"levels must be 1 or more and width positive, got {levels} and {width:g}; "
            "try the defaults"
        )
    mean = grey.mean()
    bands, coarse = [], grey - mean
    for _ in range(min(levels, int(np.log2(min(grey.shape))) - 2)):
        coarse, details = pywt.dwt2(coarse, wavelet, mode="symmetric")
        bands.append(details)
    for horizontal, vertical, diagonal in reversed(bands):
        # The inverse of an odd length is one pixel too long.
        coarse = coarse[: horizontal.shape[0], : horizontal.shape[1]]
        coarse = pywt.idwt2((coarse, (horizontal, _damped(vertical, width), diagonal)), wavelet)
    clean = coarse[: grey.shape[0], : grey.shape[1]]
    return np.asarray(clean - clean.mean() + mean)


def _damped(band: Array, width: float) -> Array:
    spectrum = np.fft.rfft(band, axis=0)
    frequency = np.arange(spectrum.shape[0])
    spectrum *= -np.expm1(-(frequency[:, None] ** 2) / (2.0 * width**2))
    return np.fft.irfft(spectrum, n=band.shape[0], axis=0)
