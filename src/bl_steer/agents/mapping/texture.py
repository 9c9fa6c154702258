"""What each place of a sample has of its own, beside a smooth model, told from noise.

A Gaussian process takes for noise whatever is finer than its points lie apart. Of that noise,
counting explains a part that is known; the rest is the sample's: a reading tells it for its own
place, and nobody knows it of a place that was not measured.
"""

from __future__ import annotations

import numpy as np
import torch

from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.protocols import Array

__all__ = ["Texture"]


class Texture:
    """The members' moments of the sample itself, where those of a model are of its smooth part.

    Parameters
    ----------
    model : conditioned on the readings
    readings : positions, (n, d), (warped) outcomes and noise ratios, (n,) each
    counting : variance that counting gives an outcome at the nominal beam; 0 where unknown, and the
        model's noise is noise then

    Notes
    -----
    With a member's noise n = t + c of texture t and counting c, its posterior mean m and variance v
    of the smooth part, and a reading z there: a measured place has mean m + (z - m) t/n and
    variance c t/n + v (c/n)², any other one m and v + t. Both follow from the texture's covariance
    with the readings, which is t at its own and 0 at all others.
    """

    def __init__(
        self, model: GridEnsembleGP, readings: tuple[Array, Array, Array], counting: float
    ) -> None:
        noise = model.noise_variance.numpy()
        self._model = model
        self._counting = np.minimum(counting, noise) if counting > 0.0 else noise
        self._texture = noise - self._counting
        self._share = np.divide(
            self._texture, noise, out=np.zeros_like(noise), where=self._texture > 0.0
        )
        positions, outcomes, ratios = readings
        self._places, which = np.unique(positions, axis=0, return_inverse=True)
        weights = np.bincount(which.ravel(), 1.0 / ratios)
        self._readings = np.bincount(which.ravel(), outcomes / ratios) / weights
        self._ratios = 1.0 / weights
        self._numbers = {tuple(place): i for i, place in enumerate(self._places.tolist())}

    def moments(self, X: Array) -> tuple[Array, Array]:
        """Return mean and variance of each member at X, (n, d): (M, n) each."""
        smooth, spread = (m.numpy() for m in self._model.member_moments(torch.tensor(X)))
        at, reading, ratio = self._measured(X)
        share = self._share[:, None] * at
        own = np.where(at > 0.0, self._counting[:, None] * ratio * share, self._texture[:, None])
        return smooth + share * (reading - smooth), spread * (1.0 - share) ** 2 + own

    def covariance(self, member: int, X: Array, smooth: Array) -> Array:
        """Return a member's covariance of X, (n, d), from that of its smooth part, (n, n)."""
        at, _, ratio = self._measured(X)
        share = self._share[member] * at
        own = np.where(at > 0.0, self._counting[member] * ratio * share, self._texture[member])
        return np.asarray(smooth * np.outer(1.0 - share, 1.0 - share) + np.diag(own))

    def _measured(self, X: Array) -> tuple[Array, Array, Array]:
        """Return 1 for each of X that was measured, else 0; its reading, and that one's ratio."""
        numbers = np.array([self._numbers.get(tuple(x), -1) for x in X.tolist()])
        at = numbers >= 0
        reading, ratio = self._readings[numbers], self._ratios[numbers]
        return at.astype(float), np.where(at, reading, 0.0), np.where(at, ratio, 1.0)
