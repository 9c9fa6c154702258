"""Factorise the patterns of a map, and put shares, peaks and intervals into tables.

`analysis` says how; what is loaded here (scikit-learn) takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sklearn.decomposition  # noqa: F401  before single_thread, which limits what is loaded

from bl_steer.analysis.components.analysis import ComponentParams
from bl_steer.diffraction import FrameAxes
from bl_steer.features import parse_reference, propose, reference_pattern
from bl_steer.features.alarm import unexplained_share
from bl_steer.features.nmf import REFERENCE_WEIGHT
from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.features.spikes import without_spikes
from bl_steer.processing.single_thread import single_thread
from bl_steer.protocols import Array, Table

__all__ = ["Factorisation", "component_table", "factorise", "point_table"]

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap interval: 95 %."""
LOST_COSINE = 0.5
"""Below this likeness no component is the reference's, as in `bl_steer.features.nmf`."""


@dataclass(frozen=True)
class Factorisation:
    """Patterns (n_points, n_pixels), components (K, n_pixels), coefficients (n_points, K)."""

    patterns: Array
    components: Array
    coefficients: Array
    cosines: Array
    """Likeness of each component to the reference; NaN without one."""

    @property
    def fitted(self) -> Array:
        """What the components make of each pattern, (n_points, n_pixels)."""
        return np.asarray(self.coefficients @ self.components, dtype=float)


def factorise(patterns: Array, axes: FrameAxes, params: ComponentParams) -> Factorisation:
    """Factorise patterns (n_points, n_pixels), the component of the largest share first."""
    with single_thread():
        return _factorised(patterns, axes, params)


def _factorised(patterns: Array, axes: FrameAxes, params: ComponentParams) -> Factorisation:
    patterns = without_spikes(np.maximum(patterns, 0.0), axes.shape)
    rows = patterns
    reference = None
    if params.reference:
        reference = reference_pattern(parse_reference(params.reference), axes)
        reference = reference / np.linalg.norm(reference)
        # One more row, as in NMFFeature: a rare phase gets a component of its own.
        rows = np.vstack([rows, np.sqrt(REFERENCE_WEIGHT) * np.linalg.norm(rows) * reference])
    components = propose(rows, params.n_components, seed=params.seed)
    coefficients = nonnegative_coefficients(patterns, components)
    counts = coefficients.sum(axis=0) * components.sum(axis=1)
    order = np.argsort(-counts, kind="stable")
    components, coefficients = components[order], coefficients[:, order]
    norms = np.linalg.norm(components, axis=1)
    cosines = np.full(len(components), np.nan)
    if reference is not None:
        cosines = components @ reference / np.where(norms > 0, norms, 1.0)
    return Factorisation(patterns, components, coefficients, cosines)


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
        "peak_qx": axes.qx[columns],
        "peak_qz": axes.qz[rows],
        "reference_cosine": fit.cosines,
        "is_reference": is_reference,
    }


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
    unexplained = unexplained_share(fit.patterns, fit.fitted)
    return {"x": arrays["x"], "y": arrays["y"], **coefficients, "unexplained": unexplained}
