"""Where a measurement tells most of the whole map, or of where the target crosses a level.

Two steps. Every candidate gets a promise, from what the ensemble knows of it alone; for the most
promising ones it is worked out what a measurement there would change everywhere. For the brightest
spot instead, see `bl_steer.agents.acquisition`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from bl_steer.agents.mapping.goal import Goal
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import WarpName, unwarped_moments
from bl_steer.protocols import Array

__all__ = ["MapAcquisition", "probability_above", "warped_level"]

Scale = tuple[WarpName, float]

LEAST_WEIGHT = 0.01
"""Members of less weight are left out of the second step."""
MOST_PROMISING = 200
"""Candidates that the second step is for."""
MOST_CELLS = 2048
"""Cells on which the second step adds up; of more, evenly spread ones."""
AROUND_TOP = 24
"""Cells around the brightest one that the second step is for where the level is a share."""
SMALLEST_VARIANCE = 1e-300
"""Of a reading on a flat map."""
SMALLEST_GAIN = 1e-300
"""What rounding leaves of a gain that is none."""


class MapAcquisition:
    """What a measurement at each candidate is worth to the goal ``"map"`` or ``"level=…"``.

    Parameters
    ----------
    model : the ensemble, conditioned on the (warped) outcomes
    goal : what the search is after
    scale : kind and offset of the outcomes' warp, as `bl_steer.agents.warp.warped` took and
        returned them
    allowed : shape (C,), which of the model's candidates are outside the forbidden zones

    Notes
    -----
    A measurement at x takes Σ_c ω(c) P(c, x)² / (P(x, x) + n) away from the variance, as far as a
    linear estimate goes, with the noise n and the covariance P of the whole mixture, within its
    members and between them. For the map P is that of the target in its own unit and ω = 1
    (active learning Cohn): where the root of the target is modelled, what is bright counts most.
    For a level P is that of target less level, and ω the density of the target at the level
    (targeted mean squared error): only what may be on either side counts, and where the level is a
    share of the range, also the range's ends.

    References
    ----------
    Cohn 1996, doi 10.1016/0893-6080(95)00137-9; Seo, Wallat, Graepel & Obermayer 2000,
    doi 10.1109/IJCNN.2000.861310; Picheny, Ginsbourger, Roustant, Haftka & Kim 2010,
    doi 10.1115/1.4001873, eq. 12.
    """

    def __init__(
        self,
        model: GridEnsembleGP,
        goal: Goal,
        scale: Scale,
        allowed: NDArray[np.bool_],
    ) -> None:
        self.model = model
        self.goal = goal
        self.scale = scale
        self.weights = model.log_weights.exp().numpy()
        cells = np.flatnonzero(allowed)
        self._cells = cells[:: -(-len(cells) // MOST_CELLS)]
        mean, _ = self._moments(model.candidates[torch.tensor(self._cells)])
        self._ends = int(np.argmax(mean)), int(np.argmin(mean))
        if goal.kind == "level":
            self.threshold = warped_level(goal.level_in(mean), scale)

    def promise(self, X: Tensor) -> Array:
        """Return what each of X, (n, d), promises: the larger, the more, (n,).

        For the map the standard deviation of the target; for a level that of its model times the
        probability that it is on the other side than is believed.
        """
        if self.goal.kind == "map":
            return self._moments(X)[1]
        mean, variance = (moment.numpy() for moment in self.model.member_moments(X))
        p = probability_above(mean, variance, self.weights, self.threshold)
        middle = self.weights @ mean
        spread = self.weights @ (variance + (mean - middle) ** 2)
        return np.asarray(np.minimum(p, 1.0 - p) * np.sqrt(spread))

    def gains(self, points: Array, promises: Array, order: NDArray[np.intp]) -> Array:
        """Return the logarithm of `gain` at the most promising cells, -inf at the others, (n,).

        Parameters
        ----------
        points : shape (n, d), of the cells
        promises, order : as `bl_steer.agents.candidates.Candidates.evaluate` returns them
        """
        best = order[np.argsort(-promises[order], kind="stable")[:MOST_PROMISING]]
        best = best[np.isfinite(promises[best])]
        if self.goal.is_share:
            best = np.union1d(best, self._around_top(points, np.isfinite(promises)))
        values = np.full(len(points), -np.inf)
        values[best] = np.log(np.maximum(self.gain(torch.tensor(points[best])), SMALLEST_GAIN))
        return values

    def gain(self, X: Tensor) -> Array:
        """Return what a measurement at each of X, (k, d), would take away from the error, (k,)."""
        members = [m for m, w in enumerate(self.weights) if w >= LEAST_WEIGHT]
        weights = self.weights[members] / self.weights[members].sum()
        at_X, at_cells = (
            [moment.numpy()[members] for moment in self.model.member_moments(places)]
            for places in (X, self.model.candidates)
        )
        at_cells = [moment[:, self._cells] for moment in at_cells]
        noise = self.model.noise_variance.numpy()[members]
        covariances = [self.model.covariance(m, X, self._cells).numpy() for m in members]
        P, own = _mixture(self.scale[0], weights, at_X, at_cells, covariances, noise)
        if self.goal.kind == "map":
            return np.asarray((P**2).sum(axis=1) / own)
        if self.goal.is_share:
            top, bottom = (P[:, [end]] for end in self._ends)
            P = P - self.goal.level * top - (1.0 - self.goal.level) * bottom
        importance = _density(self.threshold, at_cells[0], at_cells[1], weights)
        return np.asarray(P**2 @ importance / own)

    def _around_top(self, points: Array, free: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the free cells nearest to the brightest one: its height decides a share."""
        top = self.model.candidates[self._cells[self._ends[0]]].numpy()
        scale = self.model.scales[int(np.argmax(self.weights))].numpy()
        distances = (((points - top) * scale) ** 2).sum(axis=1)
        distances[~free] = np.inf
        nearest = np.argsort(distances, kind="stable")[:AROUND_TOP]
        return np.asarray(nearest[np.isfinite(distances[nearest])])

    def _moments(self, X: Tensor) -> tuple[Array, Array]:
        mean, variance = self.model.member_moments(X)
        warp, offset = self.scale
        return unwarped_moments(
            mean.numpy(), variance.numpy(), self.weights, offset=offset, kind=warp
        )


def warped_level(level: float, scale: Scale) -> float:
    """Return a level as the model has it."""
    warp, offset = scale
    return level if warp == "none" else float(np.sqrt(max(level - offset, 0.0)))


def probability_above(mean: Array, variance: Array, weights: Array, threshold: float) -> Array:
    """Return the probability to be above a threshold, (n,), of the members' moments, (M, n)."""
    return np.asarray(weights @ ndtr((mean - threshold) / np.sqrt(variance)))


def _density(threshold: float, mean: Array, variance: Array, weights: Array) -> Array:
    """Return the mixture's density at a threshold, (C,)."""
    apart = (mean - threshold) ** 2 / variance
    return np.asarray(weights @ (np.exp(-0.5 * apart) / np.sqrt(2.0 * np.pi * variance)))


def _mixture(
    warp: WarpName,
    weights: Array,
    at_X: Sequence[Array],
    at_cells: Sequence[Array],
    covariances: Sequence[Array],
    noise: Array,
) -> tuple[Array, Array]:
    """Return the mixture's covariance of target and cells, (k, C), and the variance of readings.

    Parameters
    ----------
    warp : "none" for the moments of the model, "sqrt" for those of its square
    at_X, at_cells : mean and variance of each member, (M, k) and (M, C)
    covariances : (k, C) of each member
    noise : shape (M,)
    """
    (mean_X, variance_X), (mean, variance) = at_X, at_cells
    variance_X = variance_X + noise[:, None]
    if warp == "none":
        within, own, levels_X, levels = covariances, variance_X, mean_X, mean
    else:
        # For normal u and v, cov(u², v²) = 2 cov(u, v)² + 4 E u E v cov(u, v).
        within = [
            c * (2.0 * c + 4.0 * np.outer(a, b))
            for c, a, b in zip(covariances, mean_X, mean, strict=True)
        ]
        own = variance_X * (2.0 * variance_X + 4.0 * mean_X**2)
        levels_X, levels = mean_X**2 + variance_X, mean**2 + variance
    apart_X, apart = levels_X - weights @ levels_X, levels - weights @ levels
    P = (apart_X * weights[:, None]).T @ apart
    for weight, part in zip(weights, within, strict=True):
        P += weight * part
    return P, np.maximum(weights @ (own + apart_X**2), SMALLEST_VARIANCE)
