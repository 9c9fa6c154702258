"""Where to measure once a model expects nothing more: where something may hide that it never saw.

A model that has seen broad hills alone is sure too early: a hill narrower than the distances
between the points can always hide. Two things tell of one: a place that is brighter than all the
others say, which may be its flank, and a part of the sample where nothing was measured. For a width
that matters, `bl_steer.steering.stopping` says how probable it is that one is left.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from bl_steer.agents.design import farthest_cell
from bl_steer.agents.ledger import Ledger
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.protocols import Array

__all__ = ["cell_to_explore", "is_exhausted", "surprises"]

NEGLIGIBLE = 1e-4
"""Expected improvement over the amplitude below which there is nothing to be gained from known
hills. On 47 multi-domain films this is reached for one point of a search in the mean, before the
maximum is found; with 1e-3 for seven. On the needle it is reached at some 20 points."""
SURPRISING = 3.0
"""Standard deviations by which a place is brighter than all the others say it is."""
BESIDE = 1.1
"""Distance of a neighbour, in pitches."""
LEAST_WEIGHT = 0.01
"""Of a member of the ensemble that is asked."""


def is_exhausted(log_improvement: float, amplitude: float) -> bool:
    """Return whether an expected improvement is negligible, and with it what a model can say.

    Parameters
    ----------
    log_improvement : logarithm of the largest expected improvement
    amplitude : standard deviation of the objective over the sample, in the same units
    """
    return log_improvement < math.log(NEGLIGIBLE) + math.log(max(amplitude, 1e-300))


def cell_to_explore(model: GridEnsembleGP, ledger: Ledger, *, order: NDArray[np.intp]) -> int:
    """Return a cell beside the most surprising place; else the one farthest from all points.

    Of several cells beside a place, the one farthest from all points: to the left of it, and then
    to the right, if need be.

    Parameters
    ----------
    model : conditioned on all outcomes of the ledger
    order : shape (n,), a permutation of the cells, in which ties are broken
    """
    space, occupied, barred = ledger.space, ledger.occupied(), ledger.barred()
    z, metric = surprises(model), space.metrics[0]
    points, measured = metric.of(space.points), metric.of(model.factors.X.numpy())
    for place in np.argsort(-z, kind="stable"):
        if z[place] < SURPRISING:
            break
        apart = np.sqrt(((points - measured[place]) ** 2).sum(axis=1))
        beside = ~barred & (apart <= BESIDE * metric.pitch)
        if beside.any():
            return farthest_cell(space, occupied=occupied, barred=~beside, order=order)
    return farthest_cell(space, occupied=occupied, barred=barred, order=order)


def surprises(model: GridEnsembleGP) -> Array:
    """Return by how many standard deviations each outcome is above what all others say, (n,).

    Notes
    -----
    With α = K⁻¹(y - mean) and K in units of the amplitude's variance a², the outcome i differs by
    α_i/(K⁻¹)_ii from what the others say, with the variance a²/(K⁻¹)_ii; moments of the mixture of
    all members with some weight.

    References
    ----------
    Rasmussen & Williams, Gaussian Processes for Machine Learning (MIT Press, 2006), eqs 5.10-5.12.
    """
    weights = model.log_weights.exp()
    kept = torch.nonzero(weights > LEAST_WEIGHT)[:, 0]
    shares = (weights[kept] / weights[kept].sum())[:, None]
    factors = model.factors.L_of(kept)
    identity = torch.eye(factors.shape[1], dtype=factors.dtype)
    inverse = torch.linalg.solve_triangular(factors, identity.expand_as(factors), upper=False)
    solved = (
        model.factors.W[kept]
        @ torch.stack([torch.ones_like(model.constant[kept]), -model.constant[kept]], dim=-1)[
            :, :, None
        ]
    )
    precision = inverse.square().sum(1)
    off = (inverse.mT @ solved)[:, :, 0] / precision
    variance = model.amplitude_variance[kept, None] / precision
    average = (shares * off).sum(0)
    spread = (shares * (variance + (off - average).square())).sum(0)
    return np.asarray((average / spread.sqrt()).numpy())
