"""Learn the patterns of the sample while it is mapped, and follow the one that was named.

Non-negative matrix factorisation writes each pattern as a sum of a few components. Its components
have no order that lasts from one fit to the next, so the component of interest is found anew at
each fit by its likeness to a *named reference pattern*, never by its index and never by its
likeness to an earlier fit, which would lock in an early mistake.

`bl_steer.features.reference.ReferenceFeature` is the frozen sibling: simpler, and it learns
nothing about the other phases, so that it can neither take their share away nor raise an alarm.
"""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from bl_steer.diffraction import FrameAxes
from bl_steer.features.alarm import ResidualAlarm, unexplained_share
from bl_steer.features.hals import REFERENCE_WEIGHT, count_weights, weighted_factors
from bl_steer.features.memory import Masks, make_memory
from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.features.reference import matched_filter, reference_pattern
from bl_steer.features.roi import checked_patterns, is_blind
from bl_steer.features.spikes import without_spikes
from bl_steer.features.target import Reference, Target
from bl_steer.protocols import Array

__all__ = ["NMFFeature", "propose"]

SHARED_COSINE = 0.15
"""Components more like the reference than this count as parts of it; those of other Si-Ge peaks
have .05 to .1."""
MIN_COSINE = 0.5
"""With no component more like the reference than this, the fit has lost it."""
MAX_ITERATIONS = 200
TOLERANCE = 1e-4


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

    Attributes
    ----------
    version : 0 before the first fit, then the number of fits; and how often, beside these, it has
        changed which cells and counts of earlier patterns count
    components_ : shape (n_components, n_pixels), each with highest value 1; before the first fit
        the reference alone
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
    ) -> None:
        self.target = str(Target("nmf", reference=reference, n_components=n_components))
        self.version = 0
        self.memory = make_memory(masks, axes.shape)
        self.n_components = n_components
        self.axes = axes
        self.seed = seed
        self.pattern = reference_pattern(reference, axes)
        self.n_features_in_ = len(self.pattern)
        if not 1 <= n_components <= self.n_features_in_:
            raise ValueError(
                f"the number of components must lie in 1 … {self.n_features_in_}, the frame's "
                f"pixels, got {n_components}; ask for fewer components, or for another target"
            )
        self.components_ = self.pattern[None, :]
        self.anchor_: int | None = None
        self.anchor_cosine_ = float("nan")
        self._patterns: list[Array] = []
        self._n_seen = 0
        self._next_fit = max(n_start, 2 * n_components)
        self._is_fitted = False
        self._columns = np.ones(self.n_features_in_)
        self._alarm = ResidualAlarm(axes.shape)

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        if self.memory is not None:
            self.memory.learn_noise(patterns, variances)

    def partial_fit(self, patterns: Array) -> Self:
        """Take newly measured patterns, (n_new, n_pixels), and fit anew when it is time."""
        values = self._checked(patterns)
        before = 0 if self.memory is None else self.memory.version
        if self.memory is None:
            values = self._prepared(values)
            self._patterns.append(values)
        else:
            self.memory.take(values)
            values = self._prepared(values)
        if self._is_fitted:
            self._alarm.observe(self._surprise(values))
        self._n_seen += len(values)
        if self._n_seen >= self._next_fit:
            self._next_fit = max(self._n_seen + 5, -(-6 * self._n_seen // 5))
            self._fit()
            self.version += 1
        elif self.memory is not None and self.memory.version > before:
            self.version += 1
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the outcomes, (n_points,), counts in the reference's brightest pixel."""
        values, reference = self._prepared(patterns), self.pattern * self._usable
        if self.anchor_ is None:
            return matched_filter(values, reference)
        others = np.where(self._cosines() < SHARED_COSINE, 1.0, 0.0)
        heights = matched_filter(self.components_, reference) * others
        explained = self._coefficients(values) @ heights
        return np.maximum(matched_filter(values, reference) - explained, 0.0)

    def coefficients(self, patterns: Array) -> Array:
        """Return the non-negative coefficients of the current components: (n_points, K)."""
        return self._coefficients(self._prepared(patterns))

    def residual(self, patterns: Array) -> Array:
        """Return the share of each pattern that the basis leaves unexplained, 0 … 1: (n_points,).

        Zero before the first fit. See `bl_steer.features.alarm.unexplained_share`.
        """
        values = self._prepared(patterns)
        if not self._is_fitted:
            return np.zeros(len(values))
        return unexplained_share(values, self._fitted(values), self._count_of(values))

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return whether each pattern holds what the basis has not seen: (n_points,).

        Never before the first fit, but where most of the reference lies in cells that do not
        count. See `bl_steer.features.alarm.ResidualAlarm`.
        """
        values = self._prepared(patterns)
        blind = is_blind(self.pattern, self._usable)
        if not self._is_fitted:
            return np.full(len(values), blind)
        return np.asarray((self._surprise(values) > self._alarm.threshold) | blind, dtype=bool)

    @property
    def _usable(self) -> NDArray[np.bool_]:
        everything = np.ones(self.n_features_in_, dtype=bool)
        return everything if self.memory is None else self.memory.usable

    @property
    def _count(self) -> Array | float:
        return 1.0 if self.memory is None else self.memory.count

    def _count_of(self, patterns: Array) -> Array | float:
        return 1.0 if self.memory is None else self.memory.count_of(patterns)

    def _checked(self, patterns: Array) -> Array:
        return checked_patterns(patterns, self.n_features_in_, gaps=self.memory is not None)

    def _prepared(self, patterns: Array) -> Array:
        values = self._checked(patterns)
        if self.memory is None:
            return without_spikes(np.maximum(values, 0.0), self.axes.shape)
        return np.maximum(self.memory.cleaned(values), 0.0)

    def _surprise(self, values: Array) -> Array:
        return self._alarm.surprise(values, self._fitted(values), self._count_of(values))

    def _coefficients(self, values: Array) -> Array:
        usable = self._usable / self._columns
        return nonnegative_coefficients(values / self._columns, self.components_ * usable)

    def _fitted(self, values: Array) -> Array:
        fitted: Array = self._coefficients(values) @ (self.components_ * self._usable)
        return fitted

    def _cosines(self) -> Array:
        reference = self.pattern * self._usable
        norms = np.linalg.norm(self.components_, axis=1) * np.linalg.norm(reference)
        return np.asarray(
            self.components_ @ reference / np.where(norms > 0, norms, 1.0), dtype=float
        )

    def _fit(self) -> None:
        if self.memory is None:
            patterns = np.concatenate(self._patterns)
            weight = np.sqrt(REFERENCE_WEIGHT) * np.linalg.norm(patterns)
            named = weight * self.pattern / np.linalg.norm(self.pattern)
            rows = np.vstack([patterns, named])
            self.components_ = propose(rows, self.n_components, seed=self.seed)
        else:
            patterns = self._prepared(self.memory.patterns)
            self._factorise(patterns)
        self._is_fitted = True
        self._alarm.learn(patterns, self._fitted(patterns))
        cosines = self._cosines()
        self.anchor_cosine_ = float(cosines.max())
        is_anchored = self.anchor_cosine_ >= MIN_COSINE
        self.anchor_ = int(cosines.argmax()) if is_anchored else None

    def _factorise(self, patterns: Array) -> None:
        """Fit the cells that count, each weighted by its noise."""
        usable = self._usable
        values, count = patterns[:, usable], np.broadcast_to(self._count, usable.shape)[usable]
        self.components_ = np.zeros((self.n_components, self.n_features_in_))
        if not values.any() or values.shape[1] < self.n_components:
            return
        _, self.components_[:, usable] = weighted_factors(
            values,
            self.n_components,
            reference=self.pattern[usable],
            count=count,
            prior=1.0,
            seed=self.seed,
        )
        self._columns = np.ones(self.n_features_in_)
        self._columns[usable] = count_weights(values * count, count**2)[1]


def propose(patterns: Array, n_components: int, *, seed: int = 0) -> Array:
    """Factorise a whole map, for a user to choose a pattern from and freeze it.

    Parameters
    ----------
    patterns : shape (n_points, n_pixels), not negative
    n_components : at most the number of points and of pixels
    seed : of the factorisation's start

    Returns
    -------
    components : shape (n_components, n_pixels), each with highest value 1

    Notes
    -----
    An iteration that ends at 200 rounds instead of at its tolerance is taken as it is: the named
    component settles in the first few.
    """
    if not 1 <= n_components <= min(patterns.shape):
        raise ValueError(
            f"the number of components must lie in 1 … {min(patterns.shape)} for "
            f"{patterns.shape[0]} patterns of {patterns.shape[1]} pixels, got {n_components}; "
            "ask for fewer components or give more patterns"
        )
    if not patterns.any():
        return np.zeros((n_components, patterns.shape[1]))
    model = NMF(
        n_components, init="nndsvda", tol=TOLERANCE, max_iter=MAX_ITERATIONS, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(patterns)
    components = np.asarray(model.components_, dtype=float)
    heights = components.max(axis=1, keepdims=True)
    return np.asarray(components / np.where(heights > 0, heights, 1.0), dtype=float)
