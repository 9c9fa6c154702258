"""Expected improvement over a weighted ensemble, on a log scale.

Far from the incumbent EI underflows and every candidate looks alike; its logarithm keeps the order
of candidates down to improvements of e^-1e6 and less.
"""

from __future__ import annotations

import gpytorch
import torch
from botorch.acquisition.analytic import AnalyticAcquisitionFunction, _log_ei_helper
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from bl_steer.agents.surrogate import GridEnsembleGP

__all__ = [
    "WeightedLogExpectedImprovement",
    "log_expected_improvement",
    "weighted_log_expected_improvement",
]

SMALLEST_VARIANCE = 1e-250


def log_expected_improvement(mean: Tensor, sd: Tensor, best_f: float | Tensor) -> Tensor:
    """Return log E[max(f - best_f, 0)] for f normal with this mean and sd (broadcast).

    References
    ----------
    Jones, Schonlau & Welch 1998, doi 10.1023/A:1008306431147, eq. 15 (EI); Ament, Daulton,
    Eriksson, Balandat & Bakshy 2023, doi 10.48550/arXiv.2310.20708, eq. 9 (its logarithm).
    """
    log_ei: Tensor = _log_ei_helper((mean - best_f) / sd)
    return log_ei + sd.log()


def weighted_log_expected_improvement(
    model: GridEnsembleGP,
    X: Tensor,
    best_f: float | Tensor,
    pending: Tensor | None = None,
    *,
    observed: bool = False,
) -> Tensor:
    """Return log Σ_m w_m EI_m at X of shape (n, d), (n,), of the members that count.

    What `WeightedLogExpectedImprovement` gives, without what BoTorch's interface costs: a
    distribution and a posterior for each decision. With points on their way, `pending`, (k, d).
    Of outcomes, with what the model takes for noise, if `observed`.
    """
    mean, variance, log_weights = model.weighted_moments(X, pending, observed=observed)
    sd = variance.clamp_min(SMALLEST_VARIANCE).sqrt()
    log_ei = log_expected_improvement(mean, sd, best_f)
    return torch.logsumexp(log_ei + log_weights[:, None], dim=0)


class WeightedLogExpectedImprovement(AnalyticAcquisitionFunction):
    """log Σ_m w_m EI_m(x): BoTorch's LogExpectedImprovement with members weighted by evidence.

    BoTorch's own would average the members uniformly (``average_over_ensemble_models``).

    Parameters
    ----------
    model : the ensemble; its ``log_weights`` are used.
    best_f : the incumbent, a number, in the units of the model's targets.
    """

    def __init__(self, model: GridEnsembleGP, best_f: float | Tensor) -> None:
        super().__init__(model=model)
        self.ensemble = model
        self.best_f = best_f

    @t_batch_mode_transform(expected_q=1)  # type: ignore[arg-type]  # BoTorch types it on its base
    def forward(self, X: Tensor) -> Tensor:
        """Return the value at X of shape (b, 1, d): (b,)."""
        # GPyTorch floors variances at 1e-10, whatever the unit of the targets.
        with gpytorch.settings.min_variance(double_value=SMALLEST_VARIANCE):
            posterior = self.ensemble.posterior(X)
            mean, variance = posterior.mean[..., 0, 0], posterior.variance[..., 0, 0]
        log_ei = log_expected_improvement(mean, variance.sqrt(), self.best_f)
        # The weighted sum is taken of EI itself, not of its logarithm: one member that sees much to
        # gain must not be outvoted by many that see nothing.
        return torch.logsumexp(log_ei + self.ensemble.log_weights, dim=-1)
