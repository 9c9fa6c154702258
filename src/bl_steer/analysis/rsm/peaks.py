"""Peaks of a reciprocal-space map: found on the grid, measured on the counts themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import reconstruction

from bl_steer.analysis.rsm.gridding import Grid, Samples
from bl_steer.analysis.rsm.widths import shape_of
from bl_steer.protocols import Array, Table

__all__ = ["find_peaks"]

SMOOTHING = 1.0
"""Standard deviation, cells that the steps of the scan fill."""
STANDS_OUT = 2.0
"""Factor between a peak and the highest pass to a higher one."""
SIGNIFICANT = 5.0
"""Standard deviations of the counts within a peak."""
MEDIAN_CHI2 = 0.4549
"""Of one degree of freedom."""
STEPS = (1, 2, 4)
"""Cells between which a map's scatter is told."""
REACH = 2
"""Cells around those above half height whose counts a peak is measured by, too."""
NAMES = (
    "q_par",
    "q_perp",
    "width",
    "width_par",
    "width_perp",
    "width_major",
    "width_minor",
    "tilt_deg",
    "counts",
    "height",
)


def find_peaks(samples: Samples, grid: Grid, n_peaks: int) -> Table:
    """Return the peaks, the highest first: a column (n,) for each of `NAMES`.

    Places and widths, 1/Å, are of the peak in the map, as `bl_steer.analysis.rsm.widths` has them.
    Counts, above half height, in the unit in which they were stored; height in the samples' unit.
    """
    smooth = _smoothed(grid)
    count = 1.0
    if not samples.are_counts:
        count = max(_value_of_a_count(grid), samples.least_count)
    background = float(np.median(smooth[grid.n > 0]))
    regions: list[NDArray[np.bool_]] = []
    for row, column in sorted(_maxima(smooth, background), key=lambda cell: -smooth[cell]):
        above = _above_half(smooth, (row, column), background)
        near = _around(above, grid)
        for higher in regions:  # whose counts would be the highest ones here, too
            near &= ~higher
        ring = _around(near, grid) & ~near & (grid.n > 0)
        beside = max(background, float(np.median(smooth[ring]))) if ring.any() else background
        if _stands_out(grid, above, beside, count):
            regions.append(near)
    rows = [
        _measured(inside, grid, background)
        for inside in _samples_of(samples, grid, regions)
        if inside.shape[1]
    ]
    rows.sort(key=lambda peak: -peak["height"])
    return {name: np.array([peak[name] for peak in rows[:n_peaks]]) for name in NAMES}


def _smoothed(grid: Grid) -> Array:
    """Return the map smoothed over the cells into which something fell; 0 far from any."""
    deviations = [SMOOTHING * step for step in grid.steps[::-1]]
    # Readings weigh alike: a cell with one of them is no less noisy than it is.
    weight = ndimage.gaussian_filter(grid.n.astype(float), deviations, mode="constant")
    sums = np.nan_to_num(grid.mean) * grid.n
    smooth = ndimage.gaussian_filter(sums, deviations, mode="constant")
    least = 0.05 * float(np.median(weight[grid.n > 0]))
    return np.asarray(np.divide(smooth, weight, out=np.zeros_like(smooth), where=weight > least))


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
    return np.asarray(parts == parts[peak])


def _around(region: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """Return a region with the cells within `REACH` of it."""
    sizes = [2 * int(np.ceil(REACH * step)) + 1 for step in grid.steps[::-1]]
    return np.asarray(ndimage.maximum_filter(region, sizes))


def _value_of_a_count(grid: Grid) -> float:
    """Return the variance over the value, of values that are no counts, as the map scatters.

    By second differences in rows of cells, which no slope changes; their median, which peaks do
    not move far; the largest for steps of 1 to 4 cells, as neighbours may be smoothed.
    """
    measured = (grid.n > 0) & (grid.counts > 0)
    exposure = np.where(measured, grid.exposure, 1.0)
    intensity = np.where(measured, grid.counts, np.nan) / exposure
    variance = intensity / exposure
    found = []
    for step in STEPS:
        here = np.s_[:, step:-step]
        left, right = np.s_[:, : -2 * step], np.s_[:, 2 * step :]
        bent = intensity[left] - 2.0 * intensity[here] + intensity[right]
        expected = variance[left] + 4.0 * variance[here] + variance[right]
        ratios = (bent**2 / expected)[np.isfinite(bent)]
        found += [float(np.median(ratios)) / MEDIAN_CHI2] if len(ratios) else []
    return max(found, default=1.0)


def _stands_out(grid: Grid, region: NDArray[np.bool_], background: float, count: float) -> bool:
    """Return whether a region's counts are more than what is around gives in the same time.

    All counts of the cells are summed: those of bright pixels alone would always be more.

    Parameters
    ----------
    count : value of one count, the variance over the value
    """
    total = float(grid.counts[region].sum())
    expected = background * float(grid.exposure[region].sum())
    return total > 0 and total - expected >= SIGNIFICANT * np.sqrt(count * total)


def _samples_of(samples: Samples, grid: Grid, regions: list[NDArray[np.bool_]]) -> list[Array]:
    """Return q_par, q_perp, q_across, intensity and counts of each region, (5, n)."""
    parts: list[list[Array]] = [[] for _ in regions]
    flat = [region.ravel() for region in regions]
    for block in samples if regions else ():
        cells = grid.cells_of(block)
        columns = (block.q_par, block.q_perp, block.q_across, block.intensity, block.counts)
        for part, region in zip(parts, flat, strict=True):
            near = region[cells]
            part.append(np.stack([values[near] for values in columns]))
    return [np.concatenate(part, axis=1) for part in parts]


def _measured(inside: Array, grid: Grid, background: float) -> dict[str, float]:
    """Return a peak by the counts within its region."""
    par, perp, across, intensity, counts = inside
    height = _height(intensity)
    above = intensity >= background + 0.5 * (height - background)
    # Pixels beside the scattering plane see nothing of the peak, and lie elsewhere in the map.
    slab = (across >= across[above].min()) & (across <= across[above].max())
    shape = shape_of(par[slab], perp[slab], intensity[slab], background=background)
    return {
        **shape._asdict(),
        "counts": float(counts[above].sum()),
        "height": height,
    }


def _height(intensity: Array) -> float:
    """Return the height of a peak: the mean of its three highest values, against noise."""
    return float(np.sort(intensity)[-3:].mean())
