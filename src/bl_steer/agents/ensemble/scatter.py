"""What looks at one place, and places near each other, scatter by: counting, flicker, texture.

`bl_steer.agents.selection` compares spots by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import WarpName
from bl_steer.protocols import Array

__all__ = [
    "LEAST_TEXTURE",
    "Noise",
    "by_sums",
    "learned_flicker",
    "learned_texture",
    "single",
    "texture_of",
]

FLICKERS = np.array([0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3])
"""Relative standard deviations of the beam on the sample, equally likely beforehand."""
LEAST_TEXTURE = 0.03
"""What a place differs from a smooth model by, over the brightest: least standard deviation."""
TEXTURES = LEAST_TEXTURE * np.array([1.0, 2.0, 4.0, 8.0])
"""Of which each is beforehand half as likely as the one before."""
BRIGHT = 0.7
"""Of the highest level, warped: from which on places tell of the texture that matters. Few counts
of dark ones scatter otherwise than counting alone would have them, as none are negative."""


@dataclass(frozen=True)
class Noise:
    """The noise of looks, of warped outcomes.

    Parameters
    ----------
    counting : variance of a look in full, by counting
    flicker : relative standard deviation of the beam on the sample, in a look of any length, over
        the power of the warp: half of it for roots
    """

    counting: float
    flicker: float

    def variances(self, levels: Array, noise_ratios: Array | float) -> Array:
        """Return the variances of looks of such noise ratios at such levels, (n,)."""
        return np.asarray(self.counting * noise_ratios + (self.flicker * levels) ** 2)


def by_sums(
    which: NDArray[np.intp], outcomes: Array, weights: Array, counting: Array, *, warp: WarpName
) -> Array:
    """Return what all looks at each place say together, warped, (n_places,).

    Parameters
    ----------
    which : shape (n,), the place of each look
    outcomes, weights : shape (n,), not warped, the smallest possible being 0; of the mean
    counting : shape (n,), what counting makes the warped outcomes vary by

    Notes
    -----
    The root of the mean, not the mean of roots, which is too low by half the variance over the
    root: one look without a count would count as darkness. Of the square of a normal z the mean is
    (E z)² + var z, and outcomes y have the mean (E z)²: √(y + var z) is as large as √(E y) on
    average, as √(n + 1/4) is for n counts (Anscombe 1948, doi 10.1093/biomet/35.3-4.246).
    """
    # Where nothing is counted variances are next to 0, and squares of weights overflow; a power of
    # two changes no bit of the rest.
    weights = np.ldexp(weights, -int(np.frexp(weights.max())[1]))
    total = np.bincount(which, weights)
    mean = np.bincount(which, weights * outcomes) / total
    if warp == "none":
        return np.asarray(mean)
    variance = np.bincount(which, weights**2 * counting) / total**2
    return np.asarray(np.sqrt(np.maximum(mean, 0.0) + variance))


def learned_flicker(
    which: NDArray[np.intp], outcomes: Array, variances: Array, *, power: float = 0.5
) -> float:
    """Return the `Noise.flicker` that repeated looks tell of; 0 where there are none.

    A beam that flickers varies as much in a long look as in a short one.

    Parameters
    ----------
    which : shape (n,), the place of each look
    outcomes, variances : shape (n,), warped, and what counting alone makes them vary by
    power : of the warp

    Notes
    -----
    The root of the mean square over `FLICKERS`, weighted by the restricted likelihood: of what the
    looks at each place are off their weighted mean.
    """
    repeated = np.bincount(which)[which] > 1
    if not repeated.any():
        return 0.0
    _, which = np.unique(which[repeated], return_inverse=True)
    z, counting = outcomes[repeated], variances[repeated]
    levels = (np.bincount(which, z / counting) / np.bincount(which, 1.0 / counting))[which]
    logs, squares = [], (power * FLICKERS) ** 2
    for square in squares:
        v = counting + square * levels**2
        precision = np.bincount(which, 1.0 / v)
        off = z - (np.bincount(which, z / v) / precision)[which]
        logs.append(-0.5 * (np.log(v).sum() + (off**2 / v).sum() + np.log(precision).sum()))
    weights = np.exp(np.array(logs) - max(logs))
    return math.sqrt(float(weights @ squares / weights.sum()))


def texture_of(noise: Noise, scatter: float, least: float, levels: Array, ratios: Array) -> float:
    """Return the variance by which places differ from a smooth model, as earlier versions had it.

    What looks scatter by around the model, and neither counting nor flicker explains, is the
    sample's own.

    Parameters
    ----------
    scatter : variance around the model of a look in full
    least : the least standard deviation
    levels, noise_ratios : shape (n,), of the looks
    """
    excess = scatter * ratios - noise.variances(levels, ratios)
    return max(float(np.median(excess)), least**2)


def single(variance: float) -> float:
    """Return a variance with the 24 bits that recorded runs were decided with, of any size.

    >>> single(0.1) == float(np.float32(0.1)), single(1e300) > 0.99e300
    (True, True)
    """
    mantissa, exponent = np.frexp(variance)
    return float(np.ldexp(np.float64(np.float32(mantissa)), exponent))


def learned_texture(
    model: GridEnsembleGP,
    members: Tensor,
    readings: tuple[Array, Array, Array],
    levels: Array,
    *,
    power: float,
) -> float:
    """Return the variance by which places differ from a smooth model, of those that are bright.

    Parameters
    ----------
    members : of the model, which count
    readings : places, (n, d), each once, what their looks say, and its variance, (n,) each
    levels : shape (n,), of the places by the model
    power : of the warp

    Notes
    -----
    The mean square over `TEXTURES`, weighted by prior and restricted likelihood (Patterson &
    Thompson 1971, doi 10.1093/biomet/58.3.545), summed over the members by their weights.
    """
    highest = float(levels.max())
    is_bright = levels >= BRIGHT * highest
    X, y, noise = (torch.tensor(column[is_bright]) for column in readings)
    squares = torch.tensor((power * TEXTURES * highest) ** 2)
    prior = model.amplitude_variance[members, None, None] * model.factors.correlations(
        X, X, members
    )
    diagonal = torch.diag_embed(noise + squares[:, None])
    L = torch.linalg.cholesky(prior[:, None] + diagonal)
    targets = torch.stack([y, torch.ones_like(y)], dim=-1).expand(*L.shape[:2], -1, -1)
    wy, w1 = torch.linalg.solve_triangular(L, targets, upper=False).unbind(-1)
    ones = w1.square().sum(-1)
    residual = wy.square().sum(-1) - (wy * w1).sum(-1).square() / ones
    log_det = 2.0 * L.diagonal(dim1=-2, dim2=-1).log().sum(-1) + ones.log()
    log_prior = model.log_weights[members, None] - math.log(2.0) * torch.arange(len(squares))
    weights = torch.softmax((log_prior - 0.5 * (residual + log_det)).flatten(), dim=0)
    return float(weights.reshape(log_det.shape).sum(0) @ squares)
