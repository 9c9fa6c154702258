"""How the score grows with the number of painted pairs, and whether more of them pay.

score(n) = a − b n^(−c), the inverse power law of Figueroa et al. (2012,
DOI 10.1186/1472-6947-12-8). A score at two or three sizes does not fix three parameters, so priors
hold the rest and the posterior says what is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from bl_steer.protocols import Array

__all__ = ["LearningCurve"]

LUCK = 0.01
"""The ceiling a is anywhere between the best score, less this, and 1: uniform. How much of what is
wrong can be learnt is not known before; labels of experts alone differ by some hundredths."""
EXPONENT_MEDIAN, EXPONENT_LOG_SD = 0.5, 0.6
"""Prior of c: log-normal. Errors of deep networks fall with exponents of 0.07 to 0.5 over many
decades (Hestness et al. 2017, arXiv 1712.00409), faster among the first few pairs."""
NOISE_SCALE = 0.015
"""Prior of the scores' noise where it is not given: half-normal; the seed of a training run alone
moves mIoU by about 0.01."""
N_DRAWS = 4000
MOST_PAIRS = 100_000


@dataclass(frozen=True)
class LearningCurve:
    """The posterior of a learning curve, as draws of its parameters.

    Parameters
    ----------
    sizes, scores, sds : what was fitted, each (n,); sds is NaN where unknown
    ceiling, amplitude, exponent : a, b and c, each (n_draws,)
    """

    sizes: Array
    scores: Array
    sds: Array
    ceiling: Array
    amplitude: Array
    exponent: Array

    @classmethod
    def fit(
        cls,
        sizes: Sequence[float],
        scores: Sequence[float],
        sds: Sequence[float] | None = None,
        *,
        seed: int = 0,
    ) -> Self:
        """Fit the curve to scores of models trained on some of the pairs.

        Parameters
        ----------
        sizes : pairs in each training set
        scores : on pairs that no model has seen, 0 … 1
        sds : standard deviations of the scores, from folds or repeated runs; not of the choice of
            fields where all models were scored on the same ones, since it moves all scores alike
        seed : of the posterior's draws

        Raises
        ------
        ValueError
            If there are fewer than two sizes, or numbers out of range.
        """
        n, y, sd = _check(sizes, scores, sds)
        ceiling, exponent, deficit, noise = _prior_draws(float(y.max()), seed)
        amplitude = deficit * n.min() ** exponent
        predicted = ceiling - amplitude * n[:, None] ** -exponent
        # Known errors stand beside the law's own misfit, which the noise of the prior covers.
        variance = (
            np.where(np.isnan(sd), 0.0, sd)[:, None] ** 2
            + noise**2 * np.where(np.isnan(sd), 1.0, 0.1)[:, None]
        )
        log_weight = -0.5 * np.sum((y[:, None] - predicted) ** 2 / variance, axis=0)
        log_weight -= 0.5 * np.sum(np.log(variance), axis=0)
        weight = np.exp(log_weight - log_weight.max())
        rng = np.random.default_rng([seed, 1])
        draws = rng.choice(weight.size, size=N_DRAWS, p=weight / weight.sum())
        return cls(n, y, sd, ceiling[draws], amplitude[draws], exponent[draws])

    def predict(self, n: float) -> tuple[float, float, float]:
        """Return mean, 5 % and 95 % bound of the score after training on `n` pairs."""
        return _summary(self._scores(n))

    def gain(self, n: float, more: float) -> tuple[float, float, float]:
        """Return mean, 5 % and 95 % bound of what `more` pairs add to the score of `n`."""
        return _summary(self._scores(n + more) - self._scores(n))

    def advice(self, n: int, *, worth: float = 0.005) -> str:
        """Say whether labels beyond `n` pairs still pay, and up to how many.

        Parameters
        ----------
        worth : least gain in score that doubling the pairs must bring
        """
        mean, low, high = self.gain(n, n)
        gain = f"doubling {n} pairs is expected to add {mean:.3f} ({low:.3f} to {high:.3f})"
        if mean < worth:
            return f"Stop: {gain} to the score, less than {worth:g}."
        enough = n
        while self.gain(enough, enough)[0] >= worth and enough < MOST_PAIRS:
            enough *= 2
        return (
            f"Label more: {gain} to the score; it pays up to about {enough} pairs, with an "
            f"expected score of {self.predict(enough)[0]:.3f}."
        )

    def _scores(self, n: float) -> Array:
        if not n >= 1:
            raise ValueError(f"n must be 1 or more, got {n} pairs; count the pairs painted")
        return np.asarray(self.ceiling - self.amplitude * n**-self.exponent)


def _summary(values: Array) -> tuple[float, float, float]:
    low, high = np.quantile(values, [0.05, 0.95])
    return float(values.mean()), float(low), float(high)


def _check(
    sizes: Sequence[float], scores: Sequence[float], sds: Sequence[float] | None
) -> tuple[Array, Array, Array]:
    n, y = (np.asarray(column, dtype=np.float64) for column in (sizes, scores))
    sd = np.full(n.shape, np.nan) if sds is None else np.asarray(sds, dtype=np.float64)
    if n.ndim != 1 or not n.shape == y.shape == sd.shape or len(np.unique(n)) < 2:
        raise ValueError(
            f"sizes must be two different ones or more, with a score each, got sizes {n.tolist()}, "
            f"scores {y.tolist()}; train on a half and a quarter of the pairs too"
        )
    if not (np.all(n >= 1) and np.all((y >= 0) & (y <= 1)) and not np.any(sd < 0)):
        raise ValueError(
            f"sizes must be 1 or more and scores 0 to 1, got sizes {n.tolist()}, scores "
            f"{y.tolist()}, sds {sd.tolist()}"
        )
    return n, y, sd


def _prior_draws(best: float, seed: int) -> tuple[Array, Array, Array, Array]:
    """Return ceiling, exponent, deficit at the smallest size and noise, from a Sobol sequence."""
    u = Sobol(4, seed=seed).random_base2(17).clip(1e-9, 1 - 1e-9).T
    ceiling = 1.0 - (1.0 - max(best - LUCK, 0.0)) * u[0]
    exponent = EXPONENT_MEDIAN * np.exp(EXPONENT_LOG_SD * ndtri(u[1]))
    noise = np.maximum(NOISE_SCALE * ndtri(0.5 + 0.5 * u[3]), 1e-3)
    return ceiling, exponent, u[2], noise
