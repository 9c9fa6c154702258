"""Peaks of a reciprocal-space map: found on the grid, measured on the counts themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import reconstruction

from bl_steer.analysis.rsm.gridding import Grid, Samples
from bl_steer.protocols import Array, Table

__all__ = ["find_peaks"]

SMOOTHING = 1.0
"""Standard deviation, cells."""
STANDS_OUT = 2.0
"""Factor between a peak and the highest pass to a higher one."""
SIGNIFICANT = 5.0
"""Standard deviations of the counts within a peak."""
GAP = 2
"""Cells; an empty one between counts that lie further apart than cells was measured, too."""
ABOVE_HALF = 1.0 - np.log(2.0)
"""Variance along an axis of the part of a round Gaussian above half its height, in units of σ²:
``½ E[r²] = 1 - ln 2``, as ∫₀^{ln 2} 2u e⁻ᵘ du / ∫₀^{ln 2} e⁻ᵘ du = 2 (1 - ln 2)."""
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
NAMES = ("q_par", "q_perp", "width", "width_par", "width_perp", "counts", "height")


def find_peaks(samples: Samples, grid: Grid, n_peaks: int) -> Table:
    """Return the peaks, the highest first: a column (n,) for each of `NAMES`.

    Widths are full widths at half maximum, 1/Å: ``width`` the diameter of the circle that has the
    area above half height, the others those of a Gaussian along q_par and q_perp with the second
    moments found there. Counts as stored, above half height; height in the samples' unit.
    """
    smooth = _smoothed(grid)
    background = float(np.median(smooth[grid.n > 0]))
    rows: list[dict[str, float]] = []
    for row, column in _maxima(smooth, background):
        region = _above_half(smooth, (row, column), background)
        peak = _measured(samples, grid, region, background)
        if peak is not None:
            rows.append(peak)
    rows.sort(key=lambda peak: -peak["height"])
    return {name: np.array([peak[name] for peak in rows[:n_peaks]]) for name in NAMES}


def _smoothed(grid: Grid) -> Array:
    """Return the map smoothed over the cells into which something fell; 0 far from any."""
    filled = np.nan_to_num(grid.mean)
    weight = ndimage.gaussian_filter((grid.n > 0).astype(float), SMOOTHING, mode="constant")
    smooth = ndimage.gaussian_filter(filled, SMOOTHING, mode="constant")
    return np.asarray(np.divide(smooth, weight, out=np.zeros_like(smooth), where=weight > 0.05))


def _maxima(smooth: Array, background: float) -> list[tuple[int, int]]:
    """Return the cells of maxima that stand out, in the logarithm of the map."""
    floor = max(background, float(smooth.max()) * 1e-6, np.finfo(float).tiny)
    logarithm = np.log(np.maximum(smooth, floor))
    step = np.log(STANDS_OUT)
    low = reconstruction(logarithm - step, logarithm)
    domes = label(logarithm - low >= step * (1 - 1e-9))
    return [
        (int(row), int(column))
        for row, column in ndimage.maximum_position(smooth, domes, range(1, domes.max() + 1))
    ]


def _above_half(smooth: Array, peak: tuple[int, int], background: float) -> NDArray[np.bool_]:
    """Return the cells around a maximum above half its height over the background."""
    parts = label(smooth >= 0.5 * (smooth[peak] + background), connectivity=1)
    return np.asarray(ndimage.binary_dilation(parts == parts[peak], iterations=2))


def _measured(
    samples: Samples, grid: Grid, region: NDArray[np.bool_], background: float
) -> dict[str, float] | None:
    """Return a peak by the counts within a region; None where they are too few."""
    inside = []
    for block in samples:
        near = region.ravel()[grid.cells_of(block)]
        inside.append(
            np.stack([v[near] for v in (block.q_par, block.q_perp, block.intensity, block.counts)])
        )
    par, perp, intensity, counts = np.concatenate(inside, axis=1)
    height = _height(intensity)
    above = intensity >= background + 0.5 * (height - background)
    total = float(counts[above].sum())
    rate = float(intensity[above].sum())
    if rate <= 0 or total <= 0:
        return None
    # Counts that the background alone would have given in the same time.
    expected = total * background * np.count_nonzero(above) / rate
    if total - expected < SIGNIFICANT * np.sqrt(total):
        return None
    # One count stands for the area between its neighbours: also right where a sharp peak has only
    # a row of counts, whose second moments across the row are zero.
    cell = (grid.q_par[1] - grid.q_par[0]) * (grid.q_perp[1] - grid.q_perp[0])
    measured = ndimage.binary_closing(np.pad(grid.n > 0, GAP), iterations=GAP)[GAP:-GAP, GAP:-GAP]
    area = np.count_nonzero(above) * cell * np.count_nonzero(region & measured) / len(par)
    weights = intensity[above] - background
    centre = np.array([np.average(q[above], weights=weights) for q in (par, perp)])
    deviations = np.stack([par[above], perp[above]]) - centre[:, None]
    covariance = (deviations * weights) @ deviations.T / weights.sum() / ABOVE_HALF
    width_par, width_perp = FWHM * np.sqrt(np.diag(covariance))
    return {
        "q_par": float(centre[0]),
        "q_perp": float(centre[1]),
        "width": float(np.sqrt(4.0 / np.pi * area)),
        "width_par": float(width_par),
        "width_perp": float(width_perp),
        "counts": total,
        "height": height,
    }


def _height(intensity: Array) -> float:
    """Return the height of a peak: the mean of its three highest values, against noise."""
    return float(np.sort(intensity)[-3:].mean())
