"""A map that is fit to be fitted: its patterns in counts, and what is left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bl_steer.analysis.components.ranks import whole_counts
from bl_steer.analysis.components.readings import readings_of
from bl_steer.analysis.film.pattern_model import Patterns
from bl_steer.analysis.film.pixels import PixelLattice
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = ["MapOfPatterns", "map_of_patterns"]


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
    """

    values: Array
    patterns: Patterns
    unit: Array
    is_counted: bool
    axes: FrameAxes
    pixels: PixelLattice
    notes: Sequence[str]

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
    scaled = clean / unit[:, None] if counts is None else counts
    inside = np.isfinite(scaled)
    known = None
    if variance is not None:
        good = np.isfinite(variance) & (variance > 0)
        inside &= good
        known = np.where(good, variance, 1.0).astype(np.float32)
    patterns = Patterns(
        np.where(inside, scaled, 0.0).astype(np.float32), inside.astype(np.float32), known
    )
    return MapOfPatterns(
        clean, patterns, unit, counts is not None, axes, PixelLattice.of(axes), readings.notes
    )
