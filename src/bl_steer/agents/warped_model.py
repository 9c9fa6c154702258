"""What the Bayesian agent believes: the surrogate of its ledger's outcomes, in their own units.

Joins `bl_steer.agents.surrogate`, which knows no ledger, with `bl_steer.agents.warp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.acquisition import (
    WeightedLogExpectedImprovement,
    weighted_log_expected_improvement,
)
from bl_steer.agents.comparison import reportable
from bl_steer.agents.ledger import Ledger, believed
from bl_steer.agents.mapping.acquisition import MapAcquisition, probability_above, warped_level
from bl_steer.agents.mapping.area import inside_draws
from bl_steer.agents.mapping.goal import Goal
from bl_steer.agents.mapping.texture import Texture
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import WarpName, unwarped_moments, warped
from bl_steer.protocols import Array

__all__ = ["WarpedModel"]


class WarpedModel:
    """A surrogate conditioned on a ledger's outcomes, warped.

    Parameters
    ----------
    ensemble : the surrogate
    ledger : whose outcomes it takes
    warp : of the outcomes
    """

    def __init__(self, ensemble: GridEnsembleGP, ledger: Ledger, warp: WarpName) -> None:
        self.ensemble = ensemble
        self.warp: WarpName = warp
        self._ledger = ledger
        self._z = np.empty(0)
        self._offset = 0.0

    def condition(self) -> None:
        """Take all outcomes that the ledger has, two at least."""
        # √y of counts that were scaled by c has c times the noise variance, as y itself has.
        self._z, self._offset = warped(self._ledger.objectives(), self.warp)
        X, noise_ratios = self._rows()
        self.ensemble.condition(X, torch.tensor(self._z), noise_ratios)

    def foresee(self) -> None:
        """Compute what the outcome of the oldest pending point will want of its position."""
        pending = next(iter(self._ledger.pending.values()), None)
        if pending is not None:
            following = torch.tensor(pending.position, dtype=torch.float64)
            self.ensemble.extend(*self._rows(), following)

    def acquisition(self, *, observed: bool = False) -> Callable[[Tensor], Array]:
        """Return the logarithm of the expected improvement as a function of X, (n, d) to (n,).

        As if the points on their way had given what is expected there. Of the noise-free objective,
        or of outcomes (`observed`, for a sparing ensemble).
        """
        ensemble, best_f = self.ensemble, self._incumbent()
        if ensemble.sparing:
            on_their_way = [entry.position for entry in self._ledger.pending.values()]
            pending = torch.tensor(on_their_way, dtype=torch.float64) if on_their_way else None
            if pending is not None:  # what they are expected to give is no improvement any more
                mean, _, log_weights = ensemble.weighted_moments(pending)
                best_f = max(best_f, float((log_weights.exp() @ mean).max()))
            return lambda X: np.asarray(
                weighted_log_expected_improvement(ensemble, X, best_f, pending, observed=observed)
            )
        acquisition = WeightedLogExpectedImprovement(ensemble, best_f)
        return lambda X: np.asarray(acquisition(X[:, None, :]))

    def stands_out(self, position: Array) -> float:
        """Return how far the brightest outcome is above what is expected at a position, (d,).

        In amplitudes, the standard deviation of the objective over the sample.
        """
        mean, _, log_weights = self.ensemble.weighted_moments(torch.tensor(position)[None])
        expected = float(log_weights.exp() @ mean[:, 0])
        return (self._incumbent() - expected) / max(self.averages()["amplitude"], 1e-300)

    def worth(self, goal: Goal, allowed: NDArray[np.bool_]) -> MapAcquisition | None:
        """Return what is gained at each candidate for another goal than the maximum.

        Parameters
        ----------
        allowed : shape (C,), which candidates are outside the forbidden zones
        """
        if goal.kind == "maximum":
            return None
        return MapAcquisition(self.ensemble, goal, (self.warp, self._offset), allowed)

    def outlined(
        self, X: Array, goal: Goal, level: float, allowed: NDArray[np.bool_], counting: float
    ) -> tuple[Array, Array]:
        """Return the probability that the objective is above a level at X, (n, d): (n,).

        And draws of the share of the allowed candidates that is above the goal's.

        Parameters
        ----------
        counting : variance of an outcome by counting, warped (`bl_steer.agents.mapping.texture`)
        """
        scale, texture = (self.warp, self._offset), self._texture(counting)
        weights = self.ensemble.log_weights.exp().numpy()
        above = probability_above(*texture.moments(X), weights, warped_level(level, scale))
        return above, inside_draws(self.ensemble, goal, scale, allowed, texture)

    def predict(self, X: Array, counting: float | None = None) -> tuple[Array, Array]:
        """Return mean and sd of the objective, (n,) each, at X of shape (n, d).

        Parameters
        ----------
        counting : as for `outlined`, to predict what each place has of its own too; None for the
            smooth model
        """
        at = np.asarray(X, dtype=np.float64)
        if counting is not None:
            mean, variance = self._texture(counting).moments(at)
            weights = self.ensemble.log_weights.exp()
        else:
            moments = self.ensemble.weighted_moments(torch.tensor(at))
            mean, variance, weights = moments[0].numpy(), moments[1].numpy(), moments[2].exp()
        return unwarped_moments(
            mean, variance, weights.numpy(), offset=self._offset, kind=self.warp
        )

    def variances(self, outcomes: Array, noise_ratios: Array, least: float) -> Array:
        """Return the variance of outcomes of such noise ratios by their noise, (n,).

        Parameters
        ----------
        least : the least variance of noise at the nominal beam, warped
        """
        noise = float(self.ensemble.log_weights.exp() @ self.ensemble.noise_variance)
        noise_ratios = max(noise, least) * noise_ratios
        if self.warp == "none":
            return np.asarray(noise_ratios)
        return np.asarray(2.0 * noise_ratios**2 + 4.0 * np.maximum(outcomes, 0.0) * noise_ratios)

    def nugget(self, least: float) -> float:
        """Return the noise variance over the amplitude's, at least that of `least`, warped."""
        ensemble = self.ensemble
        weights = ensemble.log_weights.exp()
        nugget = float((weights * ensemble.nuggets.log()).sum().exp())
        amplitude = float(weights @ ensemble.amplitude_variance)
        return max(nugget, least / max(amplitude, 1e-300))

    def averages(self) -> dict[str, float]:
        """Return the members' parameters, averaged, by the names of an `Explanation`."""
        ensemble = self.ensemble
        weights = ensemble.log_weights.exp()
        averaged: dict[str, Any] = {
            "lengthscale": ensemble.lengthscales,
            "noise_sd": ensemble.noise_variance.sqrt(),
            "amplitude": ensemble.amplitude_variance.sqrt(),
            "constant_mean": ensemble.constant,
        }
        return {name: float(weights @ values) for name, values in averaged.items()}

    def _texture(self, counting: float) -> Texture:
        X, noise_ratios = self._rows()
        readings = X.numpy(), self._z, noise_ratios.numpy()
        # √(y - offset) has the variance of √y where nothing is negative; else it is not known.
        return Texture(self.ensemble, readings, 0.0 if self._offset else counting)

    def _rows(self) -> tuple[Tensor, Tensor]:
        """Return positions, (n, d), and noise ratios, (n,)."""
        ledger = self._ledger
        return torch.tensor(ledger.positions()), torch.tensor(ledger.noise_ratios())

    def _incumbent(self) -> float:
        """Return the largest outcome, warped; of those with much noise, what the model believes."""
        X, noise_ratios = self._rows()
        within = reportable(self._ledger.space, X.numpy())  # what may be improved on
        within |= not within.any()
        if bool((noise_ratios <= 1.0).all()):
            return float(self._z[within].max())
        mean, _, log_weights = self.ensemble.weighted_moments(X)
        expected = (log_weights.exp() @ mean).numpy()
        return float(believed(self._z, noise_ratios.numpy(), expected)[within].max())
