"""Components learned from the patterns of a run as they come, drawn to the named references.

`bl_steer.features.nmf` follows one of them; the features of several targets share a factorisation.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from bl_steer.diffraction import FrameAxes
from bl_steer.features.alarm import ResidualAlarm
from bl_steer.features.hals import REFERENCE_WEIGHT, count_weights, weighted_factors
from bl_steer.features.memory import Masks, make_memory
from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.features.roi import checked_patterns
from bl_steer.features.spikes import without_spikes
from bl_steer.protocols import Array

__all__ = ["OnlineNMF", "propose"]

MAX_ITERATIONS = 200
TOLERANCE = 1e-4


class OnlineNMF:
    """K components of the patterns so far, fitted anew as these grow.

    Parameters
    ----------
    n_components : K
    axes : the frame's pixels
    seed : of the start of each fit
    n_start : patterns before the first fit; at least 2K are waited for
    masks : as `bl_steer.features.make_feature` takes it

    Attributes
    ----------
    version : number of fits; and how often, beside these, it has changed which cells and counts of
        earlier patterns count
    n_fits : number of fits
    n_seen : number of patterns
    components_ : shape (K, n_pixels), each with highest value 1; before the first fit the
        references
    references : shape (n_references, n_pixels), each drawing a component to itself

    Notes
    -----
    See `bl_steer.features.NMFFeature`.
    """

    def __init__(
        self, n_components: int, axes: FrameAxes, *, seed: int, n_start: int, masks: Masks
    ) -> None:
        n_pixels = axes.shape[0] * axes.shape[1]
        if not 1 <= n_components <= n_pixels:
            raise ValueError(
                f"the number of components must lie in 1 … {n_pixels}, the frame's "
                f"pixels, got {n_components}; ask for fewer components, or for another target"
            )
        self.n_components = n_components
        self.axes = axes
        self.seed = seed
        self.memory = make_memory(masks, axes.shape)
        self.version = self.n_fits = self.n_seen = 0
        self.components_ = self.references = np.empty((0, n_pixels))
        self._patterns: list[Array] = []
        self._next_fit = max(n_start, 2 * n_components)
        self._columns = np.ones(n_pixels)
        self._alarm = ResidualAlarm(axes.shape)

    def draw_to(self, reference: Array) -> None:
        """Name one more reference, (n_pixels,), before there are patterns."""
        self.components_ = self.references = np.vstack([self.references, reference])

    def learn_noise(self, patterns: Array, variances: Array) -> None:
        """Take the variances of patterns, both (n_new, n_pixels)."""
        if self.memory is not None:
            self.memory.learn_noise(patterns, variances)

    def take(self, patterns: Array) -> None:
        """Take newly measured patterns, (n_new, n_pixels), and fit anew when it is time."""
        values = self._checked(patterns)
        before = 0 if self.memory is None else self.memory.version
        if self.memory is None:
            values = self.prepared(values)
            self._patterns.append(values)
        else:
            self.memory.take(values)
            values = self.prepared(values)
        if self.n_fits:
            self._alarm.observe(self.surprise(values))
        self.n_seen += len(values)
        if self.n_seen >= self._next_fit:
            self._next_fit = max(self.n_seen + 5, -(-6 * self.n_seen // 5))
            self._fit()
            self.n_fits += 1
            self.version += 1
        elif self.memory is not None and self.memory.version > before:
            self.version += 1

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which cells count, (n_pixels,)."""
        everything = np.ones(self.references.shape[1], dtype=bool)
        return everything if self.memory is None else self.memory.usable

    @property
    def alarm_threshold(self) -> float:
        """Surprise above which a pattern holds what the components have not seen."""
        return self._alarm.threshold

    def count_of(self, patterns: Array) -> Array | float:
        """Return what one count is worth in patterns, as `PatternMemory.count_of`."""
        return 1.0 if self.memory is None else self.memory.count_of(patterns)

    def prepared(self, patterns: Array) -> Array:
        """Return patterns, (n_points, n_pixels), without what does not count, 0 at least."""
        values = self._checked(patterns)
        if self.memory is None:
            return without_spikes(np.maximum(values, 0.0), self.axes.shape)
        return np.maximum(self.memory.cleaned(values), 0.0)

    def coefficients(self, values: Array) -> Array:
        """Return the non-negative coefficients of prepared patterns: (n_points, K)."""
        usable = self.usable / self._columns
        return nonnegative_coefficients(values / self._columns, self.components_ * usable)

    def fitted(self, values: Array) -> Array:
        """Return what the components make of prepared patterns, (n_points, n_pixels)."""
        fitted: Array = self.coefficients(values) @ (self.components_ * self.usable)
        return fitted

    def surprise(self, values: Array) -> Array:
        """Return how much of prepared patterns is new: (n_points,)."""
        return self._alarm.surprise(values, self.fitted(values), self.count_of(values))

    def _checked(self, patterns: Array) -> Array:
        return checked_patterns(patterns, self.references.shape[1], gaps=self.memory is not None)

    def _fit(self) -> None:
        if self.memory is None:
            patterns = np.concatenate(self._patterns)
            weight = np.sqrt(REFERENCE_WEIGHT) * np.linalg.norm(patterns)
            named = [weight * r / np.linalg.norm(r) for r in self.references]
            rows = np.vstack([patterns, *named])
            self.components_ = propose(rows, self.n_components, seed=self.seed)
        else:
            patterns = self.prepared(self.memory.patterns)
            self._factorise(patterns, self.memory.count)
        self._alarm.learn(patterns, self.fitted(patterns))

    def _factorise(self, patterns: Array, count: Array | float) -> None:
        """Fit the cells that count, each weighted by its noise."""
        usable = self.usable
        values, count = patterns[:, usable], np.broadcast_to(count, usable.shape)[usable]
        self.components_ = np.zeros((self.n_components, len(usable)))
        if not values.any() or values.shape[1] < self.n_components:
            return
        _, self.components_[:, usable] = weighted_factors(
            values,
            self.n_components,
            reference=self.references[:, usable],
            count=count,
            prior=1.0,
            seed=self.seed,
        )
        self._columns = np.ones(len(usable))
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
