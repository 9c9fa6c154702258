"""Which spot of a search is the brightest: how sure that is, and which look would decide it.

For an agent that says how long to look, once its search is over. All looks count together: those
at a place, those beside it, and those of a rival hill. `bl_steer.agents.comparison` takes places
for independent of each other, as runs of earlier versions did.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bl_steer.agents.comparison import CONFIRMED, reportable
from bl_steer.agents.ledger import Ledger
from bl_steer.agents.looks import Looks, Visits
from bl_steer.agents.space import Space
from bl_steer.agents.surrogate import GridEnsembleGP
from bl_steer.agents.warp import WarpName, warped
from bl_steer.protocols import Array, Explanation

__all__ = ["Noise", "Standing", "learned_flicker", "next_look", "standing_of", "texture_of"]

SURE = 0.99
"""Probability that the spot to report is the right one, with which a search may end."""
ALIKE = 0.95
"""Share of the brightest spot's value that is as good: `bl_steer.steering.scoring` has it too."""
NEAR = 1.1
"""Distance from the brightest spot that is as good, in pitches."""
TEXTURE = 0.03
"""What a place differs from a smooth model by, over the brightest: standard deviation."""
N_BRIGHTEST, HOPEFUL = 48, 2.0
"""Measured places that are looked at, with those beside them: the brightest by the model's mean
and so many standard deviations. Of 16, the brightest was not one on 2 faint films of 6: its one
look was among many alike."""
N_DRAWS = 1000
LEAST_WEIGHT = 0.01
"""Of a member of the ensemble that counts."""
FLICKERS = np.array([0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3])
"""Relative standard deviations of the beam on the sample, equally likely beforehand."""


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

    def reported(self) -> Array:
        """Return the spot to report, (d,): of those looked at in full, if there are any."""
        is_full = self.shares >= CONFIRMED
        allowed = is_full if is_full.any() else self.shares > 0.0
        best: Array = self.positions[int(np.argmax(np.where(allowed, self.p_right, -1.0)))]
        return best

    def rival(self, leader: int) -> int | None:
        """Return what is the brightest most often where the leader would be wrong, if it may be."""
        others = self.brightest[~self.right[:, leader]]
        return int(np.bincount(others).argmax()) if len(others) else None


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


def standing_of(
    model: GridEnsembleGP, ledger: Ledger, visits: Visits, *, warp: WarpName
) -> Standing | None:
    """Return what is believed of the brightest places and of those beside them; None without one.

    Parameters
    ----------
    model : conditioned on all outcomes
    warp : as `bl_steer.agents.warp.warped` took it

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
    smooth, sd = _smooth(model, places)
    levels = np.maximum(smooth, 0.0)
    scatter = float(model.log_weights.exp() @ model.noise_variance)
    counting = visits.counting or scatter
    flicker = learned_flicker(which, outcomes, counting * ratios, power=power)
    noise = Noise(counting, flicker)
    precisions = 1.0 / noise.variances(levels[which], ratios)
    precision = np.bincount(which, precisions)
    readings = np.bincount(which, precisions * outcomes) / precision
    is_free = space.allowed
    if visits.looks is None or visits.looks.adds_up:
        is_free = is_free & ~ledger.failed()
    spots = _spots(space, places, smooth + HOPEFUL * sd, is_free)
    if not len(spots):
        return None
    weights, means, covariances = _members(
        model,
        (places, readings, 1.0 / precision),
        spots,
        texture=texture_of(
            noise, scatter, power * TEXTURE * float(levels.max()), levels[which], ratios
        ),
    )
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
) -> tuple[list[float], float, Explanation] | None:
    """Return which spot to look at, for how long, s, and why; None where all is decided.

    While the leader may be wrong, the look that by the second tells most of the difference between
    the leader and its rival: at one of them, or beside it. Then the leader in full.

    Parameters
    ----------
    n_left : looks that are left, the last of which is for the leader
    predict : gives mean and sd of the objective at (n, d), for the explanation

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
        place, exposure_s = _telling(looks, visits, standing, free=free, pair=(leader, rival))
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
) -> tuple[int, float]:
    """Return where and how long to look, s, to tell two spots apart soonest."""
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
    by_second = np.where(free, np.array(rates), -1.0)
    step, place = np.unravel_index(int(by_second.argmax()), by_second.shape)
    return int(place), float(ladder[step])


def texture_of(noise: Noise, scatter: float, least: float, levels: Array, ratios: Array) -> float:
    """Return the variance by which places differ from a smooth model.

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


def _smooth(model: GridEnsembleGP, places: Array) -> tuple[Array, Array]:
    """Return the mean and the sd of the model as it is at places, (n,) each, warped."""
    means, variances, log_weights = model.weighted_moments(torch.tensor(places))
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


def _members(
    model: GridEnsembleGP, looks: tuple[Array, Array, Array], spots: Array, *, texture: float
) -> tuple[Array, Array, Array]:
    """Return weights, means and covariances at the spots of the members with some weight."""
    weights = model.log_weights.exp()
    kept = torch.nonzero(weights > LEAST_WEIGHT)[:, 0]
    at = [torch.tensor(column) for column in (*looks, spots)]
    means, covariances = model.joint_moments(kept, *at, texture=texture)
    return (weights[kept] / weights[kept].sum()).numpy(), means.numpy(), covariances.numpy()


def _draws(weights: Array, means: Array, covariances: Array, *, seed: int) -> Array:
    """Return draws of a mixture of normal distributions, (some `N_DRAWS`, n)."""
    rng = np.random.default_rng(seed)
    draws = []
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        values, vectors = np.linalg.eigh(covariance)
        normal = rng.standard_normal((max(1, round(N_DRAWS * weight)), len(mean)))
        draws.append(mean + (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
    return np.concatenate(draws)
