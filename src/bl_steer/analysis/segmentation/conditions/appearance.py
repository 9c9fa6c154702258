"""Describe the appearance of a micrograph in a few numbers that gain and offset leave alone.

They tell whether a new micrograph was acquired as those that a model learned from: the scale of its
features, its sharpness, its noise, its texture, the greys of its phases and its edges. What a
difference means is in `acquisition`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, median_filter, zoom

from bl_steer.protocols import Array

__all__ = ["ASPECTS", "SMALLEST", "altered", "appearance"]

SMALLEST = 64
"""Rows and columns below which an image shows too little of its structure."""
LARGEST = 1024
"""Rows and columns used of a larger image: its middle."""

ASPECTS = {
    "correlation_length": "scale of features",
    "crossings": "scale of features",
    "edge_width": "sharpness",
    "fine_detail": "sharpness",
    "noise": "noise",
    "texture": "texture within phases",
    "middle_greys": "contrast between phases",
    "bright_rim": "contrast at edges",
    "dark_rim": "contrast at edges",
}
"""The numbers that `appearance` returns, in order, and what each speaks of."""

_REACH = 12  # pixels on both sides of an edge


def appearance(image: NDArray[Any]) -> Array | None:
    """Return the numbers of `ASPECTS` for an image (H, W); None if it shows too little.

    Lengths, noise and texture are logarithms: of pixels, and of shares of the contrast between
    the darkest and the brightest phase.
    """
    grey = _flattened(_middle(image))
    if grey is None:
        return None
    smooth = gaussian_filter(grey, 2.0)
    rows, columns = np.gradient(smooth)
    slope = np.hypot(rows, columns)
    flat = slope < np.quantile(slope, 0.4)
    dark, bright = np.quantile(smooth, [0.02, 0.98])
    contrast = bright - dark
    if not contrast > 0:
        return None
    bands = [gaussian_filter(grey, s) - gaussian_filter(grey, 2 * s) for s in (1.0, 2.0, 4.0)]
    width, bright_rim, dark_rim = _edge(gaussian_filter(grey, 0.7), rows, columns, slope)
    numbers = [
        np.log(_correlation_length(smooth)),
        np.log(_crossings(gaussian_filter(grey, 2.5), 0.5 * (dark + bright))),
        np.log(width),
        np.log(np.std(bands[0]) / np.std(bands[2])),
        np.log(_noise(grey) / contrast),
        np.log(np.median(np.abs(bands[1][flat])) / contrast),
        _middle_greys(median_filter(grey, 5)),
        bright_rim,
        dark_rim,
    ]
    row = np.asarray(numbers, dtype=np.float64)
    return row if np.all(np.isfinite(row)) else None


def _middle(image: NDArray[Any]) -> NDArray[Any]:
    top, left = (max(0, (size - LARGEST) // 2) for size in image.shape)
    return image[top : top + LARGEST, left : left + LARGEST]


def _flattened(image: NDArray[Any]) -> Array | None:
    """Return the image less its slow shading, a quadratic surface; None without contrast."""
    grey = image.astype(np.float64)
    finite = np.isfinite(grey)
    if min(grey.shape) < SMALLEST or finite.mean() < 0.5:
        return None
    grey = np.where(finite, grey, np.median(grey[finite]))
    spread = grey.std()
    if not spread > 1e-12 * np.abs(grey).max():
        return None
    grey = (grey - grey.mean()) / spread
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in grey.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x**2, y**2]).reshape(6, -1)
    weights = np.linalg.solve(terms @ terms.T, terms @ grey.ravel())
    return np.asarray(grey - (weights @ terms).reshape(grey.shape))


def _middle_greys(grey: Array) -> float:
    """Return log of the share of darker over that of brighter greys between the extremes.

    A phase between the darkest and the brightest moves from one half to the other as its
    contrast changes; the extremes themselves are left out.
    """
    low, high = np.quantile(grey, [0.05, 0.95])
    level = (grey - low) / (high - low)
    darker, brighter = (np.mean((level > a) & (level <= a + 0.25)) for a in (0.2, 0.45))
    return float(np.log((darker + 0.01) / (brighter + 0.01)))


def _correlation_length(smooth: Array) -> float:
    """Return the distance at which the autocorrelation has fallen to a half, in pixels."""
    spectrum = np.abs(np.fft.rfft2(smooth - smooth.mean())) ** 2
    correlation = np.fft.irfft2(spectrum, s=smooth.shape)
    # Stripes of the ion beam run along columns: the rows' direction is left out.
    along = np.asarray(correlation[: smooth.shape[0] // 2, 0] / correlation[0, 0])
    below = int(np.argmax(along < 0.5))
    if below == 0:
        return float(along.size)
    step = (along[below - 1] - 0.5) / (along[below - 1] - along[below])
    return float(below - 1 + step)


def _crossings(smooth: Array, level: float) -> float:
    """Return how often the grey crosses a level, per pixel down a column."""
    above = smooth > level
    return float(max(np.mean(above[1:] != above[:-1]), 1e-4))


def _noise(grey: Array) -> float:
    """Return the noise's standard deviation after Immerkær (1996): his mask kills structure."""
    inner = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    mask = inner[:, :-2] - 2 * inner[:, 1:-1] + inner[:, 2:]
    return float(np.sqrt(np.pi / 2) * np.mean(np.abs(mask)) / 6)


def _edge(grey: Array, rows: Array, columns: Array, slope: Array) -> tuple[float, float, float]:
    """Return width of the mean edge in pixels, and its overshoots as shares of its height."""
    strong = np.argwhere(slope >= np.quantile(slope, 0.98))
    inside = np.all((strong >= _REACH) & (strong < np.array(slope.shape) - _REACH), axis=1)
    at = strong[inside][:: max(1, int(inside.sum()) // 4000)]
    if not len(at):  # all edges lie along the border
        return np.nan, np.nan, np.nan
    pixels = tuple(at.T)
    normal = np.stack([rows[pixels], columns[pixels]]) / slope[pixels]
    steps = np.arange(-_REACH, _REACH + 1)
    points = at.T[:, :, None] + normal[:, :, None] * steps
    profiles = map_coordinates(grey, points.reshape(2, -1), order=1, mode="nearest")
    profile = profiles.reshape(len(at), len(steps)).mean(axis=0)
    low, near_low = profile[_REACH - 9 : _REACH - 6].mean(), profile[_REACH - 4 : _REACH - 2].mean()
    high, near_high = (
        profile[_REACH + 7 : _REACH + 10].mean(),
        profile[_REACH + 3 : _REACH + 5].mean(),
    )
    height = high - low
    if not height > 0:  # noise alone: its slopes lead nowhere
        return np.nan, np.nan, np.nan
    width = height / np.max(np.diff(profile))
    return float(width), float((near_high - high) / height), float((low - near_low) / height)


def altered(image: NDArray[Any]) -> dict[str, Array]:
    """Return a micrograph as other acquisitions would show it, by what is changed.

    Crude, and enough to learn in which direction the numbers of `appearance` move.
    """
    grey = np.nan_to_num(image.astype(np.float64))
    smooth = gaussian_filter(grey, 1.0)
    rng = np.random.default_rng(0)

    def noisy(clean: Array) -> Array:
        return np.asarray(clean + rng.normal(0.0, np.std(grey - smooth), clean.shape))

    return {
        "larger": noisy(zoom(smooth, 2**0.5, order=1)),
        "blur": noisy(gaussian_filter(grey, 1.5)),
        "noise": noisy(grey),
        "relief": grey + 0.5 * (smooth - gaussian_filter(grey, 4.0)),
    }
