"""Plain BoTorch on a continuous domain: the peer that the grid agent is compared with.

SingleTaskGP with its default priors, LogExpectedImprovement, ``optimize_acqf`` within the bounds,
uniformly random starts. It knows no pitch, so it may come close to a point measured before. Use
`bl_steer.agents.bayesian` for a map on a grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.exceptions.warnings import OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from botorch.optim.optimize import optimize_acqf
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.warnings import NumericalWarning

from bl_steer.agents.comparison import reportable
from bl_steer.agents.ensemble.likelihood import RatioNoiseLikelihood
from bl_steer.agents.ledger import MIN_OUTCOMES, Ledger, check_settings
from bl_steer.agents.space import Space
from bl_steer.protocols import Array, Explanation, Point
from bl_steer.single_thread import single_thread

__all__ = ["ContinuousAgent"]


class ContinuousAgent:
    """Maximise over the bounding box of a space with BoTorch's defaults.

    Implements `Agent`, `ExplainsDecisions`, `PredictsMap` and `RemembersState`.

    Parameters
    ----------
    space : its bounds and its forbidden zones are used; its points are not.
    seed : fixes the start points and the optimiser's restarts; the global generator of torch is
        left as it was.
    n_start : uniformly random points before the first model.
    """

    def __init__(self, space: Space, *, seed: int = 0, n_start: int = 10) -> None:
        if n_start < MIN_OUTCOMES:
            raise ValueError(f"n_start must be at least {MIN_OUTCOMES}, got {n_start}; 10 is usual")
        self.space = space
        self.seed = seed
        self.n_start = n_start
        self._rng_seed = int(np.random.default_rng(seed).integers(2**31))
        self._ledger = Ledger(space)

    @property
    def settings(self) -> dict[str, Any]:
        """What the agent was built with, as JSON-compatible data."""
        return {
            "agent": "botorch",
            "space": self.space.fingerprint,
            "seed": self.seed,
            "n_start": self.n_start,
        }

    def suggest(self, num_points: int | None = None) -> Sequence[Point]:
        """Return the next points, one by default; several only while the start lasts."""
        count = self._ledger.n_asked(num_points, n_start=self.n_start)
        return [self._suggest_one() for _ in range(count)]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Take outcomes, by the rules of `Ledger.ingest`."""
        self._ledger.ingest(points)

    def explain(self) -> Explanation:
        """Return the reasons for the latest suggestion."""
        return self._ledger.explain()

    def forbid(self, zones: Sequence[Any]) -> None:
        """Suggest no point in these zones from now on."""
        self.space = self._ledger.space = self.space.forbid(zones)

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Return posterior mean and sd of the objective, (n,) each, at X of shape (n, d)."""
        self._ledger.check_outcomes(MIN_OUTCOMES)
        with self._reproducibly():
            return _moments(self._fitted(), np.asarray(X, dtype=np.float64))

    def state_dict(self) -> dict[str, Any]:
        """Return settings and record, as JSON-compatible data."""
        return {"settings": self.settings, "ledger": self._ledger.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; the next suggestions are those of the lost agent."""
        check_settings(self.settings, state["settings"])
        self._ledger.load_state_dict(state["ledger"])

    def _suggest_one(self) -> Point:
        if self._ledger.n_taken < self.n_start or len(self._ledger.measured) < MIN_OUTCOMES:
            self._ledger.explanation = Explanation("start")
            position = self._random_point()
        else:
            with self._reproducibly():
                position = self._improve()
        return self._ledger.issue(*position)

    def _random_point(self) -> list[float]:
        """Return the uniformly random point that belongs to the next id."""
        rng = np.random.default_rng([self._rng_seed, self._ledger.next_id])
        lower, upper = self.space.bounds
        position = lower + rng.random(len(lower)) * (upper - lower)
        if not self.space.in_no_zone(position[None])[0]:
            position = rng.permutation(self._allowed(rng))[0]
        return [float(value) for value in position]

    def _allowed(self, rng: np.random.Generator) -> Array:
        """Return random positions within the bounds and outside the zones, and the space's own."""
        lower, upper = self.space.bounds
        drawn = lower + rng.random((1024, len(lower))) * (upper - lower)
        drawn = drawn[self.space.in_no_zone(drawn)]
        return drawn if len(drawn) else self.space.points[self.space.allowed]

    def _improve(self) -> list[float]:
        model = self._fitted()
        within = reportable(self.space, self._ledger.positions())
        best_f = float(self._ledger.objectives()[within | ~within.any()].max())
        acquisition = LogExpectedImprovement(model, best_f=best_f)
        candidate, _ = optimize_acqf(
            acquisition,
            bounds=torch.tensor(self.space.bounds),
            q=1,
            num_restarts=8,
            raw_samples=256,
        )
        point = candidate.detach().numpy()
        if not self.space.in_no_zone(point)[0]:
            # The optimiser knows no zones: of many allowed positions, the most promising one.
            rng = np.random.default_rng([self._rng_seed, self._ledger.next_id])
            allowed = self._allowed(rng)
            with torch.no_grad():
                values = acquisition(torch.tensor(allowed)[:, None, :])
            point = allowed[[int(values.argmax())]]
        mean, sd = _moments(model, point)
        lengthscales = model.covar_module.lengthscale.detach().numpy().ravel()
        self._ledger.explanation = Explanation(
            reason="improve",
            acquisition=acquisition(torch.tensor(point)).item(),
            mean=float(mean[0]),
            sd=float(sd[0]),
            lengthscale=float(
                self.space.metrics[0].of(lengthscales * np.ptp(self.space.bounds, axis=0)).mean()
            ),
        )
        return [float(value) for value in point[0]]

    def _fitted(self) -> SingleTaskGP:
        X = torch.tensor(self._ledger.positions())
        Y = torch.tensor(self._ledger.objectives())[:, None]
        model = SingleTaskGP(
            X,
            Y,
            input_transform=Normalize(d=X.shape[1], bounds=torch.tensor(self.space.bounds)),
            outcome_transform=Standardize(m=1),
        )
        noise_ratios = self._ledger.noise_ratios()
        if (noise_ratios != 1.0).any():
            model.likelihood = RatioNoiseLikelihood(model.likelihood, torch.tensor(noise_ratios))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model

    @contextmanager
    def _reproducibly(self) -> Iterator[None]:
        """Seed torch inside from the seed and the number of points, and restore it after.

        Two warnings are silenced, both about a fit that BoTorch then repeats or completes by
        itself: the optimiser stopping early, and jitter added to a nearly singular covariance.
        """
        with (
            torch.random.fork_rng(devices=[]),
            single_thread(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", OptimizationWarning)
            warnings.simplefilter("ignore", NumericalWarning)
            torch.manual_seed(self._rng_seed + self._ledger.n_taken)
            yield


def _moments(model: SingleTaskGP, X: Array) -> tuple[Array, Array]:
    # One point a t-batch would expand the factors; the joint posterior of a map is affordable.
    with torch.no_grad():
        posterior = model.posterior(torch.tensor(X))
        return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()
