"""Learn the patterns of the sample while it is mapped, and follow the one that was named.

Non-negative matrix factorisation writes each pattern as a sum of a few components. Its components
have no order that lasts from one fit to the next, so the component of interest is found anew at
each fit by its likeness to a *named reference pattern*, never by its index and never by its
likeness to an earlier fit, which would lock in an early mistake.

`bl_steer.features.reference.ReferenceFeature` is the frozen sibling: simpler, and it learns
nothing about the other phases, so that it can neither take their share away nor raise an alarm.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.features.alarm import unexplained_share
from bl_steer.features.memory import Masks
from bl_steer.features.online_nmf import OnlineNMF
from bl_steer.features.reference import matched_filter, reference_pattern
from bl_steer.features.roi import is_blind
from bl_steer.features.target import Reference, Target
from bl_steer.protocols import Array

__all__ = ["NMFFeature"]

SHARED_COSINE = 0.15
"""Components more like the reference than this count as parts of it; those of other Si-Ge peaks
have .05 to .1."""
MIN_COSINE = 0.5
"""With no component more like the reference than this, the fit has lost it."""


class NMFFeature:
    """Outcome = height of the reference in what the other components leave of the pattern.

    Parameters
    ----------
    n_components : K
    reference : what names the component of interest
    axes : the frame's pixels
    seed : of the factorisation's start
    n_start : patterns before the first fit; at least 2K are waited for
    masks : as `bl_steer.features.make_feature` takes it
    beside : a feature with as many components that is given the same patterns, before this one: the
        two share one factorisation, with a row for each reference

    Attributes
    ----------
    version : 0 before the first fit, then the number of fits; and how often, beside these, it has
        changed which cells and counts of earlier patterns count
    n_features_in_ : pixels of a pattern
    anchor_ : index of the component most like the reference; None before the first fit, and where
        the fit has lost the reference
    anchor_cosine_ : cosine of that component with the reference; below .9 the peak has another
        shape or place than the reference says

    Notes
    -----
    *Fit.* Over the cells that count (`bl_steer.features.memory`), each weighted by its noise
    (`bl_steer.features.hals`), at `n_start` patterns and then whenever their number has grown by a
    fifth (by five at least). Each fit starts afresh from all patterns, so that a basis depends on
    these alone and not on the fits before it. The reference is one more row of the data, its weight
    20 % of all patterns' squared norm: the phase has a component of its own even before it is
    found, and takes its true shape as its patterns outweigh that row. Without `masks` it is
    scikit-learn's coordinate descent from an NNDSVD start, without weights.

    *Outcome.* With w the exact non-negative coefficients of pattern x in the same weights, r the
    reference and "other" the components that do not share it (cosine < .15),

        max(0, <x - Σ_other w_k h_k, r> / <r, r>),

    the counts in the reference's brightest pixel. It is the coordinate update of hierarchical
    alternating least squares with r for the anchored component, so its units and scale are the
    same in all versions, before the first fit too (the matched filter). What no component explains
    stays in. Where the fit has lost the reference, the outcome is the matched filter.

    *Rules for bad data.* Negative values count as 0; cells that were not measured at some point
    (NaN, a counter's largest number), hot and dead ones are left out, spikes replaced. Without
    `masks` lone bright pixels are replaced (`bl_steer.features.spikes`), and NaN is an error.

    References
    ----------
    Lee & Seung (1999), Nature 401, 788, doi 10.1038/44565.
    Cichocki & Phan (2009), IEICE Trans. Fundam. E92-A, 708, doi 10.1587/transfun.E92.A.708.
    Boutsidis & Gallopoulos (2008), Pattern Recognit. 41, 1350, doi 10.1016/j.patcog.2007.09.010.
    """

    def __init__(
        self,
        n_components: int,
        reference: Reference,
        axes: FrameAxes,
        *,
        seed: int = 0,
        n_start: int = 10,
        masks: Masks = True,
        beside: NMFFeature | None = None,
    ) -> None:
        self.target = str(Target("nmf", reference=reference, n_components=n_components))
        self.version = 0
        self.n_components = n_components
        self.axes = axes
        self.seed = seed
        self.pattern = reference_pattern(reference, axes)
        self.n_features_in_ = len(self.pattern)
        self.anchor_: int | None = None
        self.anchor_cosine_ = float("nan")
        if beside is None:
            self.basis = OnlineNMF(n_components, axes, seed=seed, n_start=n_start, masks=masks)
        else:
            self.basis = beside.basis
        self.basis.draw_to(self.pattern)
        # What is told about all patterns is told once, by the first feature.
        self.memory = self.basis.memory if beside is None else None
        self._n_seen = self._n_fits = 0

    @property
    def components_(self) -> Array:
        """Components, (n_components, n_pixels), each with highest value 1.

        Before the first fit the reference alone.
        """
        return self.basis.components_

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        if self.memory is not None:
            self.basis.learn_noise(patterns, variances)

    def partial_fit(self, patterns: Array) -> Self:
        """Take newly measured patterns, (n_new, n_pixels), and fit anew when it is time."""
        shared = self.basis
        self._n_seen += len(np.atleast_2d(patterns))
        if shared.n_seen < self._n_seen:  # else the feature beside has taken them already
            shared.take(patterns)
        if shared.n_fits > self._n_fits:
            self._n_fits = shared.n_fits
            cosines = self._cosines()
            self.anchor_cosine_ = float(cosines.max())
            is_anchored = self.anchor_cosine_ >= MIN_COSINE
            self.anchor_ = int(cosines.argmax()) if is_anchored else None
        self.version = shared.version
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the outcomes, (n_points,), counts in the reference's brightest pixel."""
        shared = self.basis
        values, reference = shared.prepared(patterns), self.pattern * shared.usable
        if self.anchor_ is None:
            return matched_filter(values, reference)
        others = np.where(self._cosines() < SHARED_COSINE, 1.0, 0.0)
        heights = matched_filter(self.components_, reference) * others
        explained = shared.coefficients(values) @ heights
        return np.maximum(matched_filter(values, reference) - explained, 0.0)

    def coefficients(self, patterns: Array) -> Array:
        """Return the non-negative coefficients of the current components: (n_points, K)."""
        return self.basis.coefficients(self.basis.prepared(patterns))

    def residual(self, patterns: Array) -> Array:
        """Return the share of each pattern that the basis leaves unexplained, 0 … 1: (n_points,).

        Zero before the first fit. See `bl_steer.features.alarm.unexplained_share`.
        """
        shared = self.basis
        values = shared.prepared(patterns)
        if not shared.n_fits:
            return np.zeros(len(values))
        return unexplained_share(values, shared.fitted(values), shared.count_of(values))

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return whether each pattern holds what the basis has not seen: (n_points,).

        Never before the first fit, but where most of the reference lies in cells that do not
        count. See `bl_steer.features.alarm.ResidualAlarm`.
        """
        shared = self.basis
        values = shared.prepared(patterns)
        blind = is_blind(self.pattern, shared.usable)
        if not shared.n_fits:
            return np.full(len(values), blind)
        return np.asarray((shared.surprise(values) > shared.alarm_threshold) | blind, dtype=bool)

    def _cosines(self) -> Array:
        reference = self.pattern * self.basis.usable
        norms = np.linalg.norm(self.components_, axis=1) * np.linalg.norm(reference)
        return np.asarray(
            self.components_ @ reference / np.where(norms > 0, norms, 1.0), dtype=float
        )
