"""Where to measure once a model expects nothing more: where something may hide that it never saw.

A model that has seen broad hills alone is sure too early: a hill narrower than the distances
between the points can always hide. Two things tell of one: a place that is brighter than all the
others say, which may be its flank, and a part of the sample where nothing was measured. For a width
that matters, `bl_steer.steering.stopping` says how probable it is that one is left.

On samples with texture, as recorded maps have, it expects nothing more for another reason: what
differs from cell to cell counts as noise, and the brightest cell was luck. There the brightest
outcome stands out of all that is expected, and a brighter one lies where the bright ones are. As a
needle's flank stands out too, every second point goes on looking for what may hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy  # it loads .spatial when it is used
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.candidates import MOST_CELLS, Candidates
from bl_steer.agents.design import farthest_cell
from bl_steer.agents.ensemble.neighbours import NeighbourFactors
from bl_steer.agents.ledger import Ledger
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warped_model import WarpedModel
from bl_steer.protocols import Array

__all__ = ["cell_beyond", "cell_to_explore", "is_exhausted", "surprises"]

NEGLIGIBLE = 1e-4
"""Expected improvement over the amplitude below which there is nothing to be gained from known
hills. On 47 multi-domain films this is reached for one point of a search in the mean, before the
maximum is found; with 1e-3 for seven. On the needle it is reached at some 20 points."""
STANDS_OUT = 0.6
"""Amplitudes by which the brightest outcome of a sample with texture is above what is expected
where most is promised: so on four of five points where searches of recorded maps expected nothing
more before their maximum was found, and on none of 443 of needles. With .4, 2 of 60 needles were
found sooner and 10 later."""
SURPRISING = 3.0
"""Standard deviations by which a place is brighter than all the others say it is."""
BESIDE = 1.1
"""Distance of a neighbour, in pitches."""
MOST_PLACES = 256
"""Places that are asked how surprising they are."""
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


def cell_beyond(
    beliefs: WarpedModel,
    ledger: Ledger,
    candidates: Candidates,
    order: NDArray[np.intp],
    *,
    textured: bool,
) -> tuple[int, bool]:
    """Return a cell to measure once no improvement is expected, and whether it is to explore.

    Parameters
    ----------
    beliefs : conditioned on all outcomes of the ledger
    order : shape (n,), a permutation of the cells, in which ties are broken
    textured : where the brightest outcome stands out of the model, take in turn with these the cell
        that promises most with noise and texture included
    """
    model, points = beliefs.ensemble, ledger.space.points
    if textured and ledger.n_taken % 2:
        values, cells = candidates.evaluate(
            beliefs.acquisition(observed=True),
            model.candidates,
            barred=ledger.barred(),
            brightest=ledger.positions()[int(np.argmax(ledger.objectives()))],
        )
        cell = int(cells[np.argmax(values[cells])])
        if beliefs.stands_out(points[cell]) > STANDS_OUT:
            return cell, False
    return cell_to_explore(model, ledger, order=order, reserved=candidates.reserved), True


def cell_to_explore(
    model: GridEnsembleGP,
    ledger: Ledger,
    *,
    order: NDArray[np.intp],
    reserved: Callable[[NDArray[np.bool_]], NDArray[np.bool_]] | None = None,
) -> int:
    """Return a cell beside the most surprising place; else the one farthest from all points.

    Of several cells beside a place, the one farthest from all points: to the left of it, and then
    to the right, if need be.

    Parameters
    ----------
    model : conditioned on all outcomes of the ledger
    order : shape (n,), a permutation of the cells, in which ties are broken
    reserved : which cells, of those that are not barred, are not to be looked at either
    """
    space, occupied, barred = ledger.space, ledger.occupied(), ledger.barred()
    metric = space.metrics[0]
    if reserved is not None:
        barred = reserved(barred)
    points, measured = metric.of(space.points), metric.of(model.factors.X.numpy())
    z = np.full(len(measured), -np.inf)
    if model.sparing:
        rows = _with_room(points[~barred], measured, BESIDE * metric.pitch)
        # Of very many places the brightest: what is to be found is brighter than they are.
        rows = rows[np.argsort(-model.factors.y.numpy()[rows], kind="stable")][:MOST_PLACES]
        z[rows] = surprises(model, rows)
    else:
        z = surprises(model)
    for place in np.argsort(-z, kind="stable"):
        if z[place] < SURPRISING:
            break
        apart = np.sqrt(((points - measured[place]) ** 2).sum(axis=1))
        beside = ~barred & (apart <= BESIDE * metric.pitch)
        if beside.any():
            return farthest_cell(space, occupied=occupied, barred=~beside, order=order)
    return farthest_cell(space, occupied=occupied, barred=barred, order=order)


def _with_room(free: Array, measured: Array, reach: float) -> NDArray[np.intp]:
    """Return which places measured, (n, d), have a free cell beside them, ascending."""
    if len(free) > MOST_CELLS:  # between so many there is room everywhere
        return np.arange(len(measured))
    distances, _ = scipy.spatial.cKDTree(free).query(measured, distance_upper_bound=reach)
    return np.flatnonzero(np.isfinite(distances))


def surprises(model: GridEnsembleGP, rows: NDArray[np.intp] | None = None) -> Array:
    """Return by how many standard deviations outcomes are above what all others say, (n,).

    Parameters
    ----------
    model : conditioned on the outcomes
    rows : which of them; all by default

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
    if isinstance(model.factors, NeighbourFactors) and not model.factors.is_exact:
        which = torch.arange(model.factors.n_rows) if rows is None else torch.tensor(rows)
        off, precision = model.factors.left_out(which, model.constant, kept)
    else:
        off, precision = _left_out(model, kept, rows)
    variance = model.amplitude_variance[kept, None] / precision
    average = (shares * off).sum(0)
    spread = (shares * (variance + (off - average).square())).sum(0)
    return np.asarray((average / spread.sqrt()).numpy())


def _left_out(
    model: GridEnsembleGP, kept: Tensor, rows: NDArray[np.intp] | None
) -> tuple[Tensor, Tensor]:
    """Return what outcomes are off what all others say, (K, n), and the precision of that."""
    factors = model.factors.L_of(kept)
    identity = torch.eye(factors.shape[1], dtype=factors.dtype)
    if rows is not None:
        identity = identity[:, torch.tensor(rows)]
    identity = identity.expand(len(kept), -1, -1)
    inverse = torch.linalg.solve_triangular(factors, identity, upper=False)
    solved = (
        model.factors.W[kept]
        @ torch.stack([torch.ones_like(model.constant[kept]), -model.constant[kept]], dim=-1)[
            :, :, None
        ]
    )
    precision = inverse.square().sum(1)
    return (inverse.mT @ solved)[:, :, 0] / precision, precision
