"""Which spot of a search is the brightest: how sure that is, and which look would decide it.

For an agent that says how long to look, once its search is over. All looks count together: those
at a place, those beside it, and those of a rival hill. `bl_steer.agents.comparison` takes places
for independent of each other, as runs of earlier versions did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bl_steer.agents.candidates import Candidates
from bl_steer.agents.comparison import CONFIRMED, reportable
from bl_steer.agents.ensemble.scatter import (
    LEAST_TEXTURE,
    Noise,
    by_sums,
    learned_flicker,
    learned_texture,
    single,
    texture_of,
)
from bl_steer.agents.ledger import Ledger
from bl_steer.agents.looks import Looks, Visits
from bl_steer.agents.space import Space
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import WarpName, warped
from bl_steer.protocols import Array, Explanation

__all__ = ["Standing", "next_look", "standing_of"]

SURE = 0.99
"""Probability that the spot to report is the right one, with which a search may end."""
ALIKE = 0.95
"""Share of the brightest spot's value that is as good: `bl_steer.steering.scoring` has it too."""
NEAR = 1.1
"""Distance from the brightest spot that is as good, in pitches."""
N_BRIGHTEST, HOPEFUL = 48, 2.0
"""Measured places that are looked at, with those beside them: the brightest by the model's mean
and so many standard deviations. Of 16, the brightest was not one on 2 faint films of 6: its one
look was among many alike."""
N_UNSEEN = 32
"""Cells without a look that are looked at too: those that may be brightest, by the same measure."""
AS_WELL = 0.9
"""Share of what is told by the second that is as good: looks are counted too, so that of such
exposure times the longest is taken."""
N_DRAWS = 1000
LEAST_WEIGHT = 0.01
"""Of a member of the ensemble that counts."""


@dataclass(frozen=True)
class Standing:
    """What is believed of the spots that may be the brightest.

    Parameters
    ----------
    positions : shape (n, d), measured places and those beside them
    shares : shape (n,), how long each was exposed, over the full exposure; 0 where not measured
    mean, covariance : shapes (n,) and (n, n), of the warped objective
    right : shape (n_draws, n), whether each would be right to report, in draws of what is believed
    brightest : shape (n_draws,), the brightest in each draw
    noise : of looks
    """

    positions: Array
    shares: Array
    mean: Array
    covariance: Array
    right: NDArray[np.bool_]
    brightest: NDArray[np.intp]
    noise: Noise

    @property
    def p_right(self) -> Array:
        """The probability of each that it is the right one to report, (n,)."""
        return np.asarray(self.right.mean(axis=0))

    def reported(self) -> tuple[Array, float]:
        """Return the spot to report, (d,): of those looked at in full, if any, with `p_right`."""
        is_full = self.shares >= CONFIRMED
        allowed = is_full if is_full.any() else self.shares > 0.0
        best = int(np.argmax(np.where(allowed, self.p_right, -1.0)))
        return self.positions[best], float(self.p_right[best])

    def rival(self, leader: int) -> int | None:
        """Return what is the brightest most often where the leader would be wrong, if it may be."""
        others = self.brightest[~self.right[:, leader]]
        return int(np.bincount(others).argmax()) if len(others) else None


def standing_of(
    model: GridEnsembleGP,
    ledger: Ledger,
    visits: Visits,
    candidates: Candidates,
    *,
    warp: WarpName,
    sums: bool,
) -> Standing | None:
    """Return what is believed of the brightest places and of those beside them; None without one.

    Parameters
    ----------
    model : conditioned on all outcomes
    candidates : the cells of the model
    warp : as `bl_steer.agents.warp.warped` took it
    sums : whether the looks at a place are summed before the warp, texture is that of bright
        places, and cells without a look may be the brightest too; False as runs of earlier
        versions had it

    Notes
    -----
    Each member of the ensemble is conditioned anew on one outcome for each place, whose noise
    counts its looks and the flicker, with texture of its own at each place. A spot is right that
    has 95 % of the brightest one's value, or lies beside it. Draws, and with them the probability
    of correct selection (Chen, Lin, Yücesan & Chick 2000, doi 10.1023/A:1008349927281), follow from
    the looks alone.
    """
    space, positions, ratios = ledger.space, ledger.positions(), ledger.noise_ratios()
    outcomes, offset = warped(ledger.objectives(), warp)
    power = 0.5 if warp == "sqrt" else 1.0
    places, which = np.unique(positions, axis=0, return_inverse=True)
    which = which.ravel()
    smooth, sd = _smooth(model, torch.tensor(places))
    levels = np.maximum(smooth, 0.0)
    scatter = float(model.log_weights.exp() @ model.noise_variance)
    counting = visits.counting or scatter
    flicker = learned_flicker(which, outcomes, counting * ratios, power=power)
    noise = Noise(counting, flicker)
    precisions = 1.0 / noise.variances(levels[which], ratios)
    precision = np.bincount(which, precisions)
    is_free = space.allowed
    if visits.looks is None or visits.looks.adds_up:
        is_free = is_free & ~ledger.failed()
    spots = _spots(space, places, smooth + HOPEFUL * sd, is_free)
    if not len(spots):
        return None
    if sums:
        spots = np.unique(np.concatenate([spots, _unseen(model, ledger, candidates)]), axis=0)
    kept = torch.nonzero(model.log_weights.exp() > LEAST_WEIGHT)[:, 0]
    if sums:
        unwarped = ledger.objectives() - offset
        together = by_sums(which, unwarped, precisions, counting * ratios, warp=warp)
        readings = places, together, 1.0 / precision
        texture = learned_texture(model, kept, readings, levels, power=power)
    else:
        together = np.bincount(which, precisions * outcomes) / precision
        readings = places, together, 1.0 / precision
        least = power * LEAST_TEXTURE * float(levels.max())
        texture = texture_of(noise, scatter, least, levels[which], ratios)
    weights, means, covariances = _members(model, kept, readings, spots, texture=single(texture))
    mean = weights @ means
    off = means - mean
    draws = _draws(weights, means, covariances, seed=len(outcomes))
    values = (np.maximum(draws, 0.0) ** 2 if warp == "sqrt" else draws) + offset
    highest = values.max(axis=1, keepdims=True)
    brightest, metric = draws.argmax(axis=1), space.metrics[0]
    apart = metric.of(spots)[:, None] - metric.of(spots)[None]
    near = np.sqrt((apart**2).sum(axis=-1)) <= NEAR * metric.pitch
    exposed = np.bincount(which, 1.0 / ratios)
    return Standing(
        positions=spots,
        shares=(spots[:, None] == places[None]).all(axis=-1) @ exposed,
        mean=mean,
        covariance=np.tensordot(weights, covariances + off[:, :, None] * off[:, None], 1),
        right=(values >= highest - (1.0 - ALIKE) * np.abs(highest)) | near[brightest],
        brightest=brightest,
        noise=noise,
    )


def next_look(
    looks: Looks,
    visits: Visits,
    standing: Standing | None,
    n_left: int,
    predict: Callable[[Array], tuple[Array, Array]],
    *,
    sums: bool,
) -> tuple[list[float], float, Explanation] | None:
    """Return which spot to look at, for how long, s, and why; None where all is decided.

    While the leader may be wrong, the look that by the second tells most of the difference between
    the leader and its rival: at one of them, or beside it. Then the leader in full.

    Parameters
    ----------
    n_left : looks that are left, the last of which is for the leader
    predict : gives mean and sd of the objective at (n, d), for the explanation
    sums : whether the longest look is taken that tells about as much by the second

    Notes
    -----
    A look at k with the noise variance v takes cov(f_k, f_leader - f_rival)²/(var f_k + v) of the
    variance of the difference. In Chen et al. 2000 independent rivals get looks in proportion to
    the noise over the squared gap; leader and rival of a draw are the top two of Russo 2020,
    doi 10.1287/opre.2019.1911.
    """
    if standing is None:
        return None
    left_s = np.array([looks.max_dose_s - visits.dose_s(p) for p in standing.positions.tolist()])
    free = left_s >= looks.shortest_s
    p_right = standing.p_right
    leader = int(np.argmax(p_right))
    place, exposure_s, reason = leader, looks.full_s, "confirm"
    rival = standing.rival(leader) if p_right[leader] < SURE and n_left > 1 else None
    if rival is not None and free.any():
        telling = _telling(looks, visits, standing, free=free, pair=(leader, rival))
        place = int(telling.max(axis=0).argmax())
        rates = telling[:, place]
        as_good = np.flatnonzero(rates >= AS_WELL * rates.max())
        step = int(as_good[-1] if sums else rates.argmax())
        exposure_s = float(looks.ladder(visits.overhead_s)[step])
        reason = "compare"
    elif standing.shares[leader] >= CONFIRMED or not free[leader]:
        return None
    position = standing.positions[place]
    mean, sd = predict(position[None])
    why = Explanation(reason, mean=float(mean[0]), sd=float(sd[0]))
    return position.tolist(), float(min(exposure_s, left_s[place])), why


def _telling(
    looks: Looks,
    visits: Visits,
    standing: Standing,
    *,
    free: NDArray[np.bool_],
    pair: tuple[int, int],
) -> Array:
    """Return what a look tells of the difference of two spots by the second, (n_times, n)."""
    covariance, levels = standing.covariance, np.maximum(standing.mean, 0.0)
    told = (covariance[:, pair[0]] - covariance[:, pair[1]]) ** 2
    ladder = looks.ladder(visits.overhead_s)
    ways = visits.costs_to(standing.positions)
    rates = [
        told
        / (np.diag(covariance) + standing.noise.variances(levels, looks.full_s / exposure_s))
        / (ways + exposure_s)
        for exposure_s in ladder
    ]
    return np.where(free, np.array(rates), -1.0)


def _smooth(model: GridEnsembleGP, X: Tensor) -> tuple[Array, Array]:
    """Return the mean and the sd of the model as it is at X, (n, d): (n,) each, warped."""
    means, variances, log_weights = model.weighted_moments(X)
    weights = log_weights.exp()
    mean = weights @ means
    return mean.numpy(), (weights @ (variances + (means - mean).square())).sqrt().numpy()


def _spots(space: Space, places: Array, highest: Array, is_free: NDArray[np.bool_]) -> Array:
    """Return the measured places that may be the brightest, and free cells beside them, (n, d)."""
    allowed = reportable(space, places)
    order = np.argsort(-np.where(allowed, highest, -np.inf), kind="stable")
    top = places[order[: min(N_BRIGHTEST, int(allowed.sum()))]]
    metric = space.metrics[0]
    beside = np.zeros(len(space), dtype=bool)
    points = metric.of(space.points)
    for place in metric.of(top):
        beside |= ((points - place) ** 2).sum(axis=1) <= (NEAR * metric.pitch) ** 2
    return np.unique(np.concatenate([top, space.points[beside & is_free]]), axis=0)


def _unseen(model: GridEnsembleGP, ledger: Ledger, candidates: Candidates) -> Array:
    """Return the cells without a look that may be the brightest, (n, d)."""

    def highest(X: Tensor) -> Array:
        mean, sd = _smooth(model, X)
        return mean + HOPEFUL * sd

    values, cells = candidates.evaluate(
        highest,
        model.candidates,
        barred=ledger.barred(),
        brightest=ledger.positions()[int(np.argmax(ledger.objectives()))],
    )
    cells = cells[np.isfinite(values[cells])]
    best = cells[np.argsort(-values[cells], kind="stable")[:N_UNSEEN]]
    return np.asarray(ledger.space.points[best])


def _members(
    model: GridEnsembleGP,
    kept: Tensor,
    readings: tuple[Array, Array, Array],
    spots: Array,
    *,
    texture: float,
) -> tuple[Array, Array, Array]:
    """Return weights, means and covariances at the spots of the members that are kept."""
    weights = model.log_weights[kept].exp()
    at = [torch.tensor(column) for column in (*readings, spots)]
    means, covariances = model.joint_moments(kept, *at, texture=texture)
    return (weights / weights.sum()).numpy(), means.numpy(), covariances.numpy()


def _draws(weights: Array, means: Array, covariances: Array, *, seed: int) -> Array:
    """Return draws of a mixture of normal distributions, (some `N_DRAWS`, n)."""
    rng = np.random.default_rng(seed)
    draws = []
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        values, vectors = np.linalg.eigh(covariance)
        normal = rng.standard_normal((max(1, round(N_DRAWS * weight)), len(mean)))
        draws.append(mean + (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
    return np.concatenate(draws)
