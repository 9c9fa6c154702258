"""Learn the patterns of the sample while it is mapped, and follow the one that was named.

Non-negative matrix factorisation writes each pattern as a sum of a few components. Its components
have no order that lasts from one fit to the next, so that the component of interest is found anew
at each fit by its likeness to a *named reference pattern*. `ReferenceFeature` is the frozen
sibling: simpler and nearly as good where the reference has the peak's true shape.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes
from bl_steer.features.nnls import nonnegative_coefficients
from bl_steer.features.reference import matched_filter, reference_pattern
from bl_steer.features.roi import checked_patterns
from bl_steer.features.spikes import without_spikes
from bl_steer.features.target import Reference, Target
from bl_steer.protocols import Array

__all__ = ["NMFFeature", "propose"]

MAX_ITER = 400
TOLERANCE = 1e-4


class NMFFeature:
    """Outcome = height of the reference's peak, as explained by the component anchored to it.

    Parameters
    ----------
    n_components : K
    reference : what names the component of interest
    axes : the frame's pixels
    seed : of the factorisation's start
    n_start : patterns before the first fit; at least 2K are waited for
    min_cosine : a component less like the reference than this is no anchor

    Attributes
    ----------
    components_ : shape (n_components, n_pixels), each with highest value 1
    n_features_in_ : pixels
    anchor_ : index of the component most like the reference, None before the first fit and where
        no component is like it
    anchor_cosine_ : its cosine with the reference
    version : 0 before the first fit, then the number of fits
    """

    def __init__(
        self,
        n_components: int,
        reference: Reference,
        axes: FrameAxes,
        *,
        seed: int = 0,
        n_start: int = 10,
        min_cosine: float = 0.5,
    ) -> None:
        self.target = str(Target("nmf", reference=reference, n_components=n_components))
        self.version = 0
        self.n_components = n_components
        self.axes = axes
        self.seed = seed
        self.n_start = max(n_start, 2 * n_components)
        self.min_cosine = min_cosine
        self.pattern = reference_pattern(reference, axes)
        self.n_features_in_ = len(self.pattern)
        if n_components > self.n_features_in_:
            raise ValueError(
                f"the number of components must not exceed the frame's {self.n_features_in_} "
                f"pixels, got {n_components}; ask for fewer components"
            )
        self.components_: Array = self.pattern[None, :]
        self.anchor_: int | None = None
        self.anchor_cosine_ = float("nan")
        self._weights: Array = np.ones(1)
        self._seen: list[Array] = []
        self._n_seen = 0
        self._next_fit = self.n_start

    def partial_fit(self, patterns: Array) -> Self:
        """Take newly measured patterns, (n_new, n_pixels), and fit anew when it is time."""
        values = self._prepared(patterns)
        self._seen.append(values)
        self._n_seen += len(values)
        if self._n_seen >= self._next_fit:
            self._fit(np.concatenate(self._seen))
            self._next_fit = next_fit_after(self._n_seen)
        return self

    def transform(self, patterns: Array) -> Array:
        """Return the outcomes, (n_points,), in counts in the reference's brightest pixel."""
        values = self._prepared(patterns)
        if self.version == 0 or self.anchor_ is None:
            return matched_filter(values, self.pattern)
        return np.asarray(
            nonnegative_coefficients(values, self.components_) @ self._weights, dtype=float
        )

    def residual(self, patterns: Array) -> Array:
        """Return the share of each pattern that the basis leaves unexplained: (n_points,)."""
        values = self._prepared(patterns)
        if self.version == 0:
            return np.zeros(len(values))
        fitted = nonnegative_coefficients(values, self.components_) @ self.components_
        norm = np.linalg.norm(values, axis=1)
        excess = ((values - fitted) ** 2 - fitted).sum(axis=1)
        share = np.sqrt(np.maximum(excess, 0.0)) / np.where(norm > 0, norm, 1.0)
        return np.asarray(np.clip(share, 0.0, 1.0), dtype=float)

    def alarm(self, patterns: Array) -> NDArray[np.bool_]:
        """Return which patterns the basis does not explain: (n_points,)."""
        return np.asarray(self.residual(patterns) > 0.3, dtype=bool)

    def _prepared(self, patterns: Array) -> Array:
        values = np.maximum(checked_patterns(patterns, self.n_features_in_), 0.0)
        return without_spikes(values, self.axes.shape)

    def _fit(self, patterns: Array) -> None:
        components = propose(patterns, self.n_components, seed=self.seed)
        self.version += 1
        self.components_ = components
        norms = np.linalg.norm(components, axis=1) * np.linalg.norm(self.pattern)
        cosines = components @ self.pattern / np.where(norms > 0, norms, 1.0)
        best = int(np.argmax(cosines))
        self.anchor_cosine_ = float(cosines[best])
        self.anchor_ = best if cosines[best] >= self.min_cosine else None
        heights = matched_filter(components, self.pattern)
        self._weights = np.where(cosines >= self.min_cosine, heights, 0.0)


def next_fit_after(n_seen: int) -> int:
    """Return at how many patterns the next fit is due: every 5 until 50, then every 10."""
    step = 5 if n_seen < 50 else 10
    return n_seen + step


def propose(patterns: Array, n_components: int, *, seed: int = 0) -> Array:
    """Factorise patterns; return the components, (n_components, n_pixels), highest value 1."""
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(n_components, init="nndsvda", tol=TOLERANCE, max_iter=MAX_ITER, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(patterns)
    components = np.asarray(model.components_, dtype=float)
    heights = components.max(axis=1, keepdims=True)
    return components / np.where(heights > 0, heights, 1.0)
