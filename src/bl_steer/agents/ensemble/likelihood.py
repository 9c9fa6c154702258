"""Gaussian noise that is larger at some points than at others, by known ratios.

A point that was measured with a tenth of the beam counts a tenth of the photons: brought to the
nominal beam, its noise has ten times the variance. How large the noise is at the nominal beam is
learnt; the ratios are data.
"""

from __future__ import annotations

from typing import Any

from gpytorch.likelihoods import GaussianLikelihood
from linear_operator.operators import DiagLinearOperator, LinearOperator
from torch import Tensor

__all__ = ["RatioNoiseLikelihood"]


class RatioNoiseLikelihood(GaussianLikelihood):
    """A Gaussian likelihood whose noise variance at training input i is noise · ratio_i.

    New observations are foreseen at the nominal beam, ratio 1.

    Parameters
    ----------
    likelihood : with the noise that is learnt, its prior and its constraint
    ratios : shape (n,), of the training inputs; None for 1 everywhere
    """

    def __init__(self, likelihood: GaussianLikelihood, ratios: Tensor | None = None) -> None:
        super().__init__()
        self.noise_covar = likelihood.noise_covar
        self.ratios = ratios

    def _shaped_noise_covar(
        self, base_shape: Any, *params: Any, **kwargs: Any
    ) -> Tensor | LinearOperator:
        noise: Any = super()._shaped_noise_covar(base_shape, *params, **kwargs)
        # GPyTorch and BoTorch hand over the training inputs as a list, others as a tensor.
        training = bool(params) and isinstance(params[0], list | tuple)
        if self.ratios is None or not training:
            covariance: Tensor | LinearOperator = noise
            return covariance
        return DiagLinearOperator(noise.diagonal(dim1=-1, dim2=-2) * self.ratios)
