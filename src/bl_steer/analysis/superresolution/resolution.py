"""How fine is a volume? Fourier correlation of two predictions that are independent in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.protocols import Array

__all__ = [
    "THRESHOLD",
    "FourierCorrelation",
    "first_below",
    "fourier_correlation",
    "ring_resolution",
]

THRESHOLD = 1 / 7
"""Usual for two measurements of half the data each (Rosenthal and Henderson, 2003,
DOI 10.1016/j.jmb.2003.07.013)."""
AGAINST_MEASURED = 0.5
"""The same criterion for a prediction against a whole measurement."""


@dataclass(frozen=True)
class FourierCorrelation:
    """Correlation of two volumes by spatial frequency.

    Parameters
    ----------
    frequency : of each shell, 1/nm
    correlation : -1 … 1
    resolution_nm : the length at which it first falls below 1/7; NaN where it does not
    """

    frequency: Array
    correlation: Array
    resolution_nm: float


def fourier_correlation(
    first: NDArray[Any],
    second: NDArray[Any],
    voxel_nm: tuple[float, ...],
    *,
    n_shells: int = 24,
) -> FourierCorrelation:
    """Return the Fourier shell (3-D), ring (2-D) or line (1-D) correlation.

    Parameters
    ----------
    first, second : of one shape
    voxel_nm : edge along each axis

    Raises
    ------
    ValueError
        When shapes or numbers of axes differ.

    Notes
    -----
    FSC(k) = Re Σ F₁F₂* / √(Σ|F₁|² Σ|F₂|²) over the shell of radius k, after a Hann window (van Heel
    and Schatz, 2005, DOI 10.1016/j.jsb.2005.05.009). Two predictions by one network share its
    mistakes: their correlation tells an upper bound of what is known.
    """
    if first.shape != second.shape or first.ndim != len(voxel_nm):
        raise ValueError(
            f"volumes must have one shape and an edge for each axis, got {first.shape}, "
            f"{second.shape} and {voxel_nm} nm; cut them alike"
        )
    a, b = (np.fft.rfftn(_windowed(volume)) for volume in (first, second))
    axes = [np.fft.fftfreq(n, d) for n, d in zip(first.shape[:-1], voxel_nm[:-1], strict=True)]
    axes.append(np.fft.rfftfreq(first.shape[-1], voxel_nm[-1]))
    radius = np.sqrt(sum(g**2 for g in np.meshgrid(*axes, indexing="ij", sparse=True)))
    # No farther than the coarsest axis reaches.
    edges = np.linspace(0, 0.5 / max(voxel_nm), n_shells + 1)
    shell = np.digitize(radius.ravel(), edges) - 1
    cross, power_a, power_b = (
        np.bincount(shell, values.ravel(), n_shells + 1)[:n_shells]
        for values in ((a * b.conj()).real, np.abs(a) ** 2, np.abs(b) ** 2)
    )
    correlation = cross / np.sqrt(np.where(power_a * power_b > 0, power_a * power_b, 1.0))
    frequency = 0.5 * (edges[:-1] + edges[1:])
    # Small volumes have no frequency in some shells.
    some = power_a * power_b > 0
    frequency, correlation = frequency[some], correlation[some]
    return FourierCorrelation(frequency, correlation, first_below(frequency, correlation))


def first_below(frequency: Array, correlation: Array, threshold: float = THRESHOLD) -> float:
    """Return the length, 1/frequency, at which a correlation first falls below; NaN without one.

    The first shell holds the mean, which the window leaves a little of: it tells nothing.
    """
    below = np.flatnonzero(correlation[1:] < threshold)
    return float(1 / frequency[below[0] + 1]) if len(below) else float("nan")


def ring_resolution(predicted: NDArray[Any], measured: NDArray[Any], pixel: float = 1.0) -> float:
    """Return the length down to which planes agree with measured ones, in the unit of the pixel.

    Parameters
    ----------
    predicted, measured : (n, H, W); the ring correlation is the mean of the planes'
    pixel : its edge

    Returns
    -------
    resolution : where the correlation first falls below one half; NaN where it does not. Planes of
        one grey level correlate with nothing, and are left out.
    """
    rings = [
        fourier_correlation(a, b, (pixel, pixel))
        for a, b in zip(predicted, measured, strict=True)
        if np.ptp(a) > 0 and np.ptp(b) > 0
    ]
    if not rings:
        return float("nan")
    mean = np.mean([ring.correlation for ring in rings], axis=0)
    return first_below(rings[0].frequency, mean, AGAINST_MEASURED)


def _windowed(values: NDArray[Any]) -> Array:
    out = np.asarray(values, np.float64) - float(np.mean(values))
    for axis, n in enumerate(out.shape):
        shape = [1] * out.ndim
        shape[axis] = n
        out = out * np.hanning(n + 2)[1:-1].reshape(shape)
    return out
