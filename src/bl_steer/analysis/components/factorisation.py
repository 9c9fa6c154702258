"""Factorise the patterns of a map, and put shares, peaks and intervals into tables.

`analysis` says how; what is loaded here (scikit-learn) takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sklearn.decomposition  # noqa: F401  before single_thread, which limits what is loaded
from numpy.typing import NDArray

from bl_steer.analysis.components.params import ComponentParams
from bl_steer.analysis.components.ranks import rank_table
from bl_steer.analysis.components.readings import (
    are_whole,
    readings_of,
    value_of_count,
    whole_counts,
)
from bl_steer.diffraction import FrameAxes
from bl_steer.features import parse_reference, reference_pattern
from bl_steer.features.alarm import unexplained_share
from bl_steer.features.hals import weighted_factors
from bl_steer.protocols import Array, Table
from bl_steer.single_thread import single_thread

__all__ = ["Factorisation", "compare_ranks", "component_table", "factorise", "point_table"]

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap interval: 95 %."""
LOST_COSINE = 0.5
"""Below this likeness no component is the reference's, as in `bl_steer.features.nmf`."""


@dataclass(frozen=True)
class Factorisation:
    """Patterns (n_points, n_pixels), components (K, n_pixels), coefficients (n_points, K)."""

    patterns: Array
    """Cells that were not measured, or are left out, have the value of the fit."""
    components: Array
    coefficients: Array
    cosines: Array
    """Likeness of each component to the reference; NaN without one."""
    measured: NDArray[np.bool_] | None = None
    """Cells that count, (n_points, n_pixels); None for all."""
    notes: Sequence[str] = ()
    """What was left out."""
    count: Array | float = 1.0
    """What one count is worth, to broadcast to the patterns."""

    @property
    def fitted(self) -> Array:
        """What the components make of each pattern, (n_points, n_pixels)."""
        return np.asarray(self.coefficients @ self.components, dtype=float)


def factorise(
    patterns: Array, axes: FrameAxes, params: ComponentParams, variance: Array | None = None
) -> Factorisation:
    """Factorise patterns (n_points, n_pixels), the component of the largest share first.

    NaN stands for a cell that was not measured, at a point or at all of them.

    Parameters
    ----------
    variance : of the patterns, where it is known and is not that of counts
    """
    with single_thread():
        return _factorised(patterns, axes, params, variance)


def _factorised(
    patterns: Array, axes: FrameAxes, params: ComponentParams, variance: Array | None
) -> Factorisation:
    readings = readings_of(patterns, axes)
    data = readings.values
    pixels = np.asarray(np.isfinite(data).any(axis=0))
    if not pixels.any():
        raise ValueError(
            "patterns must hold numbers, got NaN in every cell; give patterns that were measured"
        )
    if params.n_components > min(len(data), int(pixels.sum())):
        raise ValueError(
            f"the number of components must lie in 1 … {min(len(data), int(pixels.sum()))} for "
            f"{len(data)} patterns of {int(pixels.sum())} pixels, got {params.n_components}; ask "
            "for fewer components or give more patterns"
        )
    reference = None
    if params.reference:
        reference = reference_pattern(parse_reference(params.reference), axes)[pixels]
    count = value_of_count(data, variance)
    unit = float(np.median(count))
    if variance is None and not are_whole(data / count):
        unit = float(np.nanmean(data)) or 1.0
    coefficients, components = weighted_factors(
        data[:, pixels] / unit,
        params.n_components,
        reference=reference,
        count=1.0 if variance is None else count[pixels] / unit,
        seed=params.seed,
    )
    coefficients = coefficients * unit
    order = np.argsort(-coefficients.sum(axis=0) * components.sum(axis=1), kind="stable")
    components, coefficients = components[order], coefficients[:, order]
    cosines = np.full(len(components), np.nan)
    if reference is not None:
        norms = np.linalg.norm(components, axis=1) * max(float(np.linalg.norm(reference)), 1e-300)
        cosines = components @ reference / np.where(norms > 0, norms, 1.0)
    spread = np.zeros((len(components), len(pixels)))
    spread[:, pixels] = components
    filled = np.where(np.isfinite(data), data, coefficients @ spread)
    inside = np.asarray(np.isfinite(data))
    return Factorisation(filled, spread, coefficients, cosines, inside, readings.notes, count)


def component_table(fit: Factorisation, axes: FrameAxes, params: ComponentParams) -> Table:
    """Return a row for each component: its share with the interval, its peak, its likeness."""
    counts = fit.coefficients * fit.components.sum(axis=1)
    totals = fit.patterns.sum(axis=1)
    with single_thread():
        low, high = _bootstrap(counts, totals, params)
    rows, columns = np.unravel_index(fit.components.argmax(axis=1), axes.shape)
    is_reference = np.zeros(len(counts.T), dtype=bool)
    if params.reference and fit.cosines.max() >= LOST_COSINE:
        is_reference[fit.cosines.argmax()] = True
    return {
        "component": np.arange(len(counts.T)),
        "share": counts.sum(axis=0) / max(totals.sum(), np.finfo(float).tiny),
        "share_low": low,
        "share_high": high,
        **_places(axes, rows, columns),
        "reference_cosine": fit.cosines,
        "is_reference": is_reference,
    }


def _places(axes: FrameAxes, rows: Array, columns: Array) -> Table:
    """Return where peaks are, by the names of the axes: a spectrum has no q."""
    x, z = axes.qx[columns], axes.qz[rows]
    if axes.shape[0] == 1 and not axes.unit.startswith("1/"):
        return {f"peak_{axes.unit}" if axes.unit.isidentifier() else "peak": x}
    if axes.unit == "channel":
        return {"peak_column": x, "peak_row": z}
    return {"peak_qx": x, "peak_qz": z}


def compare_ranks(fit: Factorisation, params: ComponentParams) -> Table | None:
    """Return the misfit of 1 … `max_components` components, see `ranks`; None without counts."""
    measured = np.isfinite(fit.patterns) if fit.measured is None else fit.measured
    pixels = measured.any(axis=0)
    counts = whole_counts(np.where(measured, fit.patterns, np.nan)[:, pixels])
    if counts is None:
        return None
    with single_thread():
        return rank_table(counts, min(params.max_components, *counts.shape), seed=params.seed)


def _bootstrap(counts: Array, totals: Array, params: ComponentParams) -> tuple[Array, Array]:
    """Return the interval of each share over resampled points, twice (K,)."""
    rng = np.random.default_rng(params.seed)
    n = len(totals)
    shares = np.empty((params.n_bootstrap, counts.shape[1]))
    for row in shares:
        drawn = np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
        row[:] = drawn @ counts / max(float(drawn @ totals), np.finfo(float).tiny)
    low, high = np.percentile(shares, INTERVAL, axis=0)
    return np.asarray(low), np.asarray(high)


def point_table(fit: Factorisation, arrays: Mapping[str, Array]) -> Table:
    """Return a row for each point: x, y, coefficients and the unexplained share."""
    coefficients = {f"c{k}": column.copy() for k, column in enumerate(fit.coefficients.T)}
    unexplained = unexplained_share(fit.patterns, fit.fitted, fit.count)
    return {"x": arrays["x"], "y": arrays["y"], **coefficients, "unexplained": unexplained}
