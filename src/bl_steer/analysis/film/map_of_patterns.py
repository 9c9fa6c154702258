"""A map that is fit to be fitted: its patterns in counts, and what is left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bl_steer.analysis.components.readings import readings_of, value_of_count, whole_counts
from bl_steer.analysis.film.pattern_model import Patterns
from bl_steer.analysis.film.pixels import PixelLattice
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = ["MapOfPatterns", "map_of_patterns"]

OUTER, ALIKE = 95.0, 2.0
"""So many in a hundred variances are within this factor of those of counts, if they are such."""


@dataclass(frozen=True)
class MapOfPatterns:
    """The patterns of a map.

    Parameters
    ----------
    values : shape (n, n_pixels), as they came; NaN where nothing was measured or is left out
    patterns : the same in counts, where they are multiples of one number at each point
    unit : shape (n,), what one count is in `values`
    is_counted : whether they are counts
    axes, pixels : of the frame
    notes : what was left out
    plain : the same without its variance, where that is that of counts
    """

    values: Array
    patterns: Patterns
    unit: Array
    is_counted: bool
    axes: FrameAxes
    pixels: PixelLattice
    notes: Sequence[str]
    plain: MapOfPatterns | None = None

    @property
    def mean(self) -> Array:
        """The mean pattern, (n_pixels,)."""
        measured = np.maximum(np.isfinite(self.values).sum(axis=0), 1)
        return np.asarray(np.nansum(self.values, axis=0) / measured)


def map_of_patterns(values: Array, axes: FrameAxes, variance: Array | None) -> MapOfPatterns:
    """Return a map without its bad pixels, in counts where that is possible."""
    readings = readings_of(values, axes)
    clean = readings.values
    counts = None if variance is not None else whole_counts(np.maximum(clean, 0.0))
    unit = np.ones(len(values))
    if counts is not None:
        sums = np.nansum(counts, axis=1)
        unit = np.where(sums > 0, np.nansum(clean, axis=1) / np.maximum(sums, 1.0), 1.0)
    elif variance is None:
        # The weights are those of counts, whatever the unit; what the fit leaves tells the errors.
        unit[:] = max(float(np.nanmean(clean)), np.finfo(float).tiny)
    known = scale = None
    good = np.isfinite(clean) if variance is None else np.isfinite(variance)
    if variance is not None:
        count = value_of_count(clean, variance)
        if _is_of_counts(clean, variance, count):
            unit[:] = float(np.median(count))
            scale = np.tile((count / unit[0]).astype(np.float32), (len(clean), 1))
        else:
            good &= variance > 0
            known = np.where(good, variance, 1.0).astype(np.float32)
    scaled = clean / unit[:, None] if counts is None else counts
    inside = np.isfinite(scaled) & good
    patterns = Patterns(
        np.where(inside, scaled, 0.0).astype(np.float32), inside.astype(np.float32), known, scale
    )
    plain = None if scale is None else map_of_patterns(values, axes, None)
    pixels = PixelLattice.of(axes)
    return MapOfPatterns(
        clean, patterns, unit, counts is not None, axes, pixels, readings.notes, plain
    )


def _is_of_counts(values: Array, variance: Array, count: Array) -> bool:
    """Return whether variances are those of counts, each worth `count` in its pixel, (n_pixels,).

    Then the expected value tells the variance better than the reading: one of 0 has none.
    """
    expected = count * values
    lit = (values > 0) & np.isfinite(variance)
    ratios = variance[lit] / expected[lit]
    return bool(len(ratios)) and bool(np.percentile(np.abs(np.log(ratios)), OUTER) < np.log(ALIKE))
