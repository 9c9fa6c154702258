"""The surrogate: 24 Gaussian processes on the candidate grid, as one BoTorch model.

Eight lengthscales times three nuggets stand for the hyperparameters, weighted by likelihood times
prior: nothing is fitted by gradient, so nothing can fail to converge, and a decision takes
milliseconds. Each member's constant mean and amplitude are profiled in closed form.

The model is a GPyTorch ``ExactGP`` of batch shape (24,) and a BoTorch ``GPyTorchModel``; on its own
candidates the posterior comes from factors that grow by one row a measurement
(`bl_steer.agents.factors`). GPyTorch's own path would build a 961 × 961 covariance a member, some
400 ms. `posterior` is therefore overridden, as BoTorch's own models do; the tests hold it equal to
GPyTorch's result and to dense algebra.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.gpytorch import GPyTorchModel
from botorch.posteriors.fully_bayesian import GaussianMixturePosterior
from gpytorch.constraints import GreaterThan
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import MaternKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.models import ExactGP
from linear_operator.operators import DiagLinearOperator
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.ensemble.likelihood import RatioNoiseLikelihood
from bl_steer.agents.ensemble.neighbours import NeighbourFactors, rows_within
from bl_steer.agents.ensemble.pending import explained_by
from bl_steer.agents.factors import GrowingFactors, KernelName
from bl_steer.agents.scales import Metric

__all__ = ["LENGTHSCALE_COUNT", "NUGGETS", "GridEnsembleGP"]

LENGTHSCALE_COUNT = 8
LONGEST_OF_EXTENT = 0.25
"""The longest lengthscale over the longer side of the map; the shortest is the pitch. On 40 films
not used for tuning, 0.4 did as well: the choice matters less than the luck of the films."""
LOG_LENGTHSCALE_SD = 0.7
"""Width of the prior, log-normal around the middle of that range (on a log scale)."""
NUGGETS = (1e-5, 1e-3, 1e-1)
"""Noise variances over the amplitude, equally likely beforehand."""
CHUNK = 8192
"""Positions that are predicted at a time: else a million of them would take gigabytes."""
SMALLEST_VARIANCE = 1e-12
"""Floor of the amplitude over the mean square of the targets' distances from the first one, and
for runs of earlier versions from 0: a flat map has no scale."""
LEAST_WEIGHT = 1e-6
"""Of the heaviest member. Of 1e-4, three films of twelve were searched on another path."""
ROUNDING = 1e-26
"""Square of the relative error of the targets, with which a flat map is known."""


class GridEnsembleGP(GPyTorchModel, ExactGP):
    """A weighted ensemble of Gaussian processes over fixed candidates.

    Parameters
    ----------
    candidates : shape (C, d), float64, in the axes' units.
    metrics : the ways to bring the axes to one unit (`bl_steer.agents.scales`), equally likely
        beforehand; 24 members for each, with lengthscales from its pitch to a quarter of its extent
    kernel : "matern52" or "rbf".
    shifts : whether the least amplitude is that of differences, so that adding a constant to all
        targets changes nothing; False for runs of earlier versions
    sparing : leave members of next to no weight out of `weighted_moments`; False for runs of
        earlier versions

    Notes
    -----
    Trap: BoTorch averages ensembles uniformly, ``posterior.mixture_mean`` too. Use
    `member_moments` with `log_weights`, and `WeightedLogExpectedImprovement`.
    Memory: see `GrowingFactors`.
    """

    _num_outputs = 1
    _is_ensemble = True
    mean_module: Any
    covar_module: Any
    likelihood: Any

    def __init__(
        self,
        candidates: Tensor,
        *,
        metrics: Sequence[Metric],
        kernel: KernelName,
        nuggets: Sequence[float] = NUGGETS,
        shifts: bool = True,
        sparing: bool = True,
    ) -> None:
        noise = torch.tensor(nuggets, dtype=candidates.dtype)
        ladders = [_ladder(metric, candidates.dtype) for metric in metrics]
        lengthscales = torch.cat(ladders).repeat_interleave(len(noise))
        ratios = noise.repeat(LENGTHSCALE_COUNT * len(metrics))
        scales = torch.tensor(np.stack([metric.scale for metric in metrics])).to(candidates)
        scales = scales.repeat_interleave(len(ratios) // len(metrics), dim=0)
        shape = torch.Size([len(ratios)])
        likelihood = GaussianLikelihood(batch_shape=shape, noise_constraint=GreaterThan(0.0))
        super().__init__(None, None, RatioNoiseLikelihood(likelihood))
        d = candidates.shape[1]
        base = (
            RBFKernel(batch_shape=shape, ard_num_dims=d)
            if kernel == "rbf"
            else MaternKernel(nu=2.5, batch_shape=shape, ard_num_dims=d)
        )
        self.mean_module = ConstantMean(batch_shape=shape)
        self.covar_module = ScaleKernel(base, batch_shape=shape)
        self.to(candidates)
        self.requires_grad_(False)
        base.lengthscale = lengthscales[:, None, None] / scales[:, None, :]
        self.kernel: KernelName = kernel
        self.shifts = shifts
        self.sparing = sparing
        self.lengthscales = lengthscales
        self.scales = scales
        self.nuggets = ratios
        self.candidates = candidates
        self._conditioned: tuple[Tensor, Tensor, Tensor] | None = None
        middles = torch.stack([ladder[[0, -1]].log().mean() for ladder in ladders])
        middle = middles.repeat_interleave(len(ratios) // len(metrics))
        self.log_prior = -0.5 * ((lengthscales.log() - middle) / LOG_LENGTHSCALE_SD).square()
        self.eval()
        self._reset()

    @property
    def batch_shape(self) -> torch.Size:
        """(M,), as `GaussianMixturePosterior` wants it, before any data too."""
        return torch.Size([len(self.nuggets)])

    @property
    def candidate_X(self) -> Tensor:
        """The candidates as t-batches of one point, shape (C, 1, 2): evaluate these."""
        return self.candidates[:, None, :]

    def forward(self, X: Tensor) -> MultivariateNormal:
        """Return the prior at X, as GPyTorch asks of an exact GP."""
        return MultivariateNormal(self.mean_module(X), self.covar_module(X))

    def condition(self, X: Tensor, y: Tensor, noise_ratios: Tensor | None = None) -> None:
        """Take all measurements so far, whatever changed since the last call.

        New rows extend the factors. New targets for old rows recompute only W. Rows that were
        removed or reordered rebuild everything.

        Parameters
        ----------
        X : shape (n, d), n ≥ 1; on the candidates or between them.
        y : shape (n,), finite.
        noise_ratios : shape (n,), noise variances in units of the model's; 1 by default.
        """
        ratios = torch.ones_like(y) if noise_ratios is None else noise_ratios
        self.extend(X, ratios)
        self.factors.label(y)
        self._profile()
        self._conditioned = X, y, ratios
        if not self.sparing:
            self.hand_over()

    def extend(self, X: Tensor, noise_ratios: Tensor, following: Tensor | None = None) -> None:
        """Bring the factors to these rows, whose targets may still come.

        Parameters
        ----------
        X, noise_ratios : shape (n, d) and (n,)
        following : shape (d,), of the row that is likely to be the next
        """
        known = self.factors.n_rows
        if not (
            known <= len(X)
            and torch.equal(self.factors.X, X[:known])
            and torch.equal(self.factors.noise_ratios, noise_ratios[:known])
        ):
            self._reset()
        for i in range(self.factors.n_rows, len(X)):
            self.factors.add_point(X[i], float(noise_ratios[i]))
        if following is not None:
            self.factors.foresee(following)

    def hand_over(self) -> None:
        """Let GPyTorch's own modules know what the factors know, for its exact prediction.

        `posterior` does it; a decision has no use for it.
        """
        if self._conditioned is None:
            return
        X, y, self.likelihood.ratios = self._conditioned
        members = len(self.nuggets)
        ExactGP.set_train_data(self, X.expand(members, -1, -1), y.expand(members, -1), strict=False)
        self.mean_module.constant.copy_(self.constant)
        self.covar_module.raw_outputscale.copy_(
            self.covar_module.raw_outputscale_constraint.inverse_transform(self.amplitude_variance)
        )
        self.likelihood.noise = self.noise_variance[:, None]

    def posterior(  # type: ignore[override]  # BoTorch's own bases disagree on the signature
        self,
        X: Tensor,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the mixture posterior at X: (b) x q x 2 gives moments of shape (b) x M x q x 1.

        q = 1 costs no joint covariance, and on `candidate_X` no solve. For q > 1, or with a tensor
        of noise variances, GPyTorch's own exact prediction is used.
        """
        self.hand_over()
        if X.shape[-2] == 1 and not isinstance(observation_noise, Tensor) and self.factors.n_rows:
            mean, variance = self.member_moments(X[..., 0, :].reshape(-1, X.shape[-1]))
            if observation_noise:
                variance = variance + self.noise_variance[:, None]
            shape = (*X.shape[:-2], len(self.nuggets), 1)
            distribution = MultivariateNormal(
                mean.T.reshape(shape), DiagLinearOperator(variance.T.reshape(shape))
            )
            posterior = GaussianMixturePosterior(distribution)
            return posterior if posterior_transform is None else posterior_transform(posterior)
        joint: Any = super().posterior(X.unsqueeze(-3), observation_noise=observation_noise)
        posterior = GaussianMixturePosterior(joint.distribution)
        return posterior if posterior_transform is None else posterior_transform(posterior)

    def member_moments(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return every member's mean and variance at X of shape (n, d): (M, n) each."""
        return self._moments(X, slice(None))

    def weighted_moments(
        self, X: Tensor, pending: Tensor | None = None, *, observed: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and variances at X, (n, d), of the members that count, (K, n) each.

        And the logarithms of their weights, (K,), which sum to 1. With `sparing`, a member counts
        that has `LEAST_WEIGHT` of the heaviest one's weight. At candidates nothing is solved.
        Points on their way, `pending`, (k, d), lower the variances; `observed` adds the noise.
        """
        if not self.sparing:
            return *self.member_moments(X), self.log_weights
        least = self.log_weights.max() + math.log(LEAST_WEIGHT)
        heavy = torch.nonzero(self.log_weights >= least)[:, 0]
        mean, variance = self._moments(X, heavy)
        if pending is not None and isinstance(self.factors, NeighbourFactors):
            everywhere = X is self.candidates
            share = explained_by(pending, self.factors, X, heavy, everywhere=everywhere)
            variance = (variance - self.amplitude_variance[heavy, None] * share).clamp_min(0.0)
        variance = variance + self.noise_variance[heavy, None] if observed else variance
        return mean, variance, torch.log_softmax(self.log_weights[heavy], dim=0)

    def joint_moments(
        self, members: Tensor, X: Tensor, y: Tensor, noise: Tensor, at: Tensor, *, texture: float
    ) -> tuple[Tensor, Tensor]:
        """Return members' means, (K, n_at), and covariances, (K, n_at, n_at), given y alone.

        With the amplitudes that they have, and means profiled as in `condition`.

        Parameters
        ----------
        members : shape (K,), which
        X, y : shapes (n, d), no position twice, and (n,), in place of all that was measured
        noise : shape (n,), variances of y
        at : shape (n_at, d)
        texture : variance by which each place differs from a smooth model, in X and in at alike
        """
        amplitude = self.amplitude_variance[members, None, None]

        def prior(A: Tensor, B: Tensor) -> Tensor:
            same = (A[:, None] == B[None]).all(dim=-1)
            return amplitude * self.factors.correlations(A, B, members) + texture * same.to(A)

        L = torch.linalg.cholesky(prior(X, X) + torch.diag(noise))
        targets = torch.stack([y, torch.ones_like(y)], dim=-1).expand(len(L), -1, -1)
        columns = torch.cat([prior(X, at), targets], dim=-1)
        solved = torch.linalg.solve_triangular(L, columns, upper=False)
        V, wy, w1 = solved[..., :-2], solved[..., -2:-1], solved[..., -1:]
        constant = (w1 * wy).sum(1, keepdim=True) / w1.square().sum(1, keepdim=True)
        mean = constant + V.mT @ (wy - constant * w1)
        return mean[..., 0], prior(at, at) - V.mT @ V

    def _moments(self, X: Tensor, members: Tensor | slice) -> tuple[Tensor, Tensor]:
        f = self.factors
        if X.shape == self.candidates.shape and torch.equal(X, self.candidates):
            VtW, explained = f.at_candidates(members)
        elif self.sparing and (columns := f.columns_of(X)) is not None:
            VtW, explained = (each[..., columns] for each in f.at_candidates(members))
        else:
            parts = [f.solved(part, members) for part in torch.split(X, CHUNK)]
            VtW, explained = (torch.cat(each, dim=-1) for each in zip(*parts, strict=True))
        mean = self.constant[members, None] * (1.0 - VtW[:, 1]) + VtW[:, 0]
        unexplained = (1.0 - explained).clamp_min(1e-15)
        return mean, self.amplitude_variance[members, None] * unexplained

    def covariance(self, member: int, X: Tensor, cells: NDArray[np.intp]) -> Tensor:
        """Return a member's posterior covariance of X, (k, d), with some candidates, (k, c)."""
        return self.amplitude_variance[member] * self.factors.covariance(member, X, cells)

    def _reset(self) -> None:
        exact = GrowingFactors(
            self.candidates,
            lengthscales=self.lengthscales,
            scales=self.scales,
            nuggets=self.nuggets,
            kernel=self.kernel,
            in_blocks=self.shifts,
        )
        self.factors: GrowingFactors | NeighbourFactors = exact
        if self.sparing:
            n_exact = rows_within(len(self.nuggets), len(self.candidates))
            self.factors = NeighbourFactors(exact, n_exact=n_exact)

    def _profile(self) -> None:
        """Set each member's mean, amplitude and weight from W and log det K.

        Notes
        -----
        With K = R + nugget diag(noise ratios): mean = 1ᵀK⁻¹y / 1ᵀK⁻¹1,
        amplitude² = (y - mean)ᵀK⁻¹(y - mean)/n, and the log marginal likelihood at these is
        -½(n log(2π amplitude²) + log det K + n) (Jones, Schonlau & Welch 1998,
        doi 10.1023/A:1008306431147, eqs 4-6).
        """
        wy, w1 = self.factors.W.unbind(-1)
        n = self.factors.n_rows
        self.constant = (w1 * wy).sum(1) / w1.square().sum(1)
        residual = (wy - self.constant[:, None] * w1).square().sum(1)
        y = self.factors.y
        floor = SMALLEST_VARIANCE * y.square().mean() + 1e-200
        if self.shifts:
            rounding = ROUNDING * y.square().mean() + 1e-200
            floor = SMALLEST_VARIANCE * (y - y[0]).square().mean() + rounding
        self.amplitude_variance = torch.maximum(residual / n, floor)
        self.noise_variance = self.amplitude_variance * self.nuggets
        self.log_likelihood = -0.5 * (
            n * torch.log(2.0 * math.pi * self.amplitude_variance)
            + self.factors.log_det
            + residual / self.amplitude_variance
        )
        # Likelihood times prior, normalised: the posterior over lengthscales and nuggets.
        self.log_weights = torch.log_softmax(self.log_likelihood + self.log_prior, dim=0)


def _ladder(metric: Metric, dtype: torch.dtype) -> Tensor:
    """Return the lengthscales of a metric, from its pitch to a share of its extent."""
    longest = max(LONGEST_OF_EXTENT * metric.extent, metric.pitch)
    ends = math.log10(metric.pitch), math.log10(longest)
    return torch.logspace(*ends, LENGTHSCALE_COUNT, dtype=dtype)
