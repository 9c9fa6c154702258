"""Which of the measured places to look at again, and for how long, before one is reported.

For an agent that says how long to look; `bl_steer.agents.looks` has the exposure times. Loads no
torch.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bl_steer.agents.looks import Looks, Visits
from bl_steer.agents.space import Space
from bl_steer.protocols import Array, Explanation

__all__ = [
    "CONFIRMED",
    "Beliefs",
    "brightest",
    "by_place",
    "confirmation",
    "estimates",
    "excess_scatter",
    "reportable",
    "undecided",
]

CONFIRMED = 0.95
"""Share of the full exposure that confirms a place: the beam may have been a little weaker."""
RIVAL_Z = 1.64
"""Standard deviations that a rival must be darker by to be left alone: one chance in twenty."""
TEXTURE = 0.05
"""What a place differs from a smooth model by, over the brightest: standard deviation."""
PRIOR_LOOKS = 4.0
"""Repeated looks that vary as their noise says, taken for granted."""
PRECISE = 0.02
"""Noise of a reading, over the brightest, at which no further look is worth its time."""
APART = 0.5
"""Noise of a look that compares two places, over their difference."""


class Beliefs(Protocol):
    """What a model believes of places, and how noisy outcomes are."""

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Return mean and sd of the objective, (n,) each, at X of shape (n, d)."""
        ...

    def variances(self, outcomes: Array, noise_ratios: Array) -> Array:
        """Return the variance of outcomes of such noise ratios by their noise, (n,)."""
        ...


def reportable(space: Space, positions: Array) -> NDArray[np.bool_]:
    """Return which of the positions, (n, d), may be reported, (n,).

    Those outside the forbidden zones and within half a step of the space: what earlier runs
    measured elsewhere is known, and no place to send to.
    """
    low, high = space.bounds
    reach = 0.5 * space.steps
    within = ((positions >= low - reach) & (positions <= high + reach)).all(axis=1)
    return np.asarray(space.in_no_zone(positions) & within)


def by_place(positions: Array, outcomes: Array, noise_ratios: Array) -> tuple[Array, Array, Array]:
    """Return the outcomes of each place in one, by inverse variance.

    Parameters
    ----------
    positions, outcomes, noise_ratios : shapes (n, d), (n,) and (n,)

    Returns
    -------
    places, outcomes, noise_ratios : shapes (m, d), (m,) and (m,), m ≤ n
    """
    places, which = np.unique(positions, axis=0, return_inverse=True)
    weights = np.bincount(which.ravel(), 1.0 / noise_ratios)
    sums = np.bincount(which.ravel(), outcomes / noise_ratios)
    return places, np.asarray(sums / weights), np.asarray(1.0 / weights)


def brightest(
    outcomes: tuple[Array, Array, Array], model: Beliefs, allowed: NDArray[np.bool_]
) -> tuple[Array, float, float]:
    """Return the brightest place, with mean and sd; of those looked at in full, if there are any.

    Parameters
    ----------
    outcomes, model : as for `confirmation`
    allowed : shape (n,), which positions may be reported, one at least
    """
    positions, readings, ratios = (column[allowed] for column in outcomes)
    places, noise_ratios, _, mean, sd = _believed((positions, readings, ratios), model)
    confirmed = CONFIRMED * noise_ratios <= 1.0
    best = int(np.argmax(np.where(confirmed | ~confirmed.any(), mean, -np.inf)))
    return places[best], float(mean[best]), float(sd[best])


def _believed(outcomes: tuple[Array, Array, Array], model: Beliefs) -> tuple[Array, ...]:
    """Return places with noise ratio and variance of their readings, and mean and sd."""
    places, readings, noise_ratios = by_place(*outcomes)
    mean, sd = model.predict(places)
    noise = model.variances(np.maximum(mean, readings), noise_ratios)
    noise = noise * excess_scatter(*outcomes, model)
    return places, noise_ratios, noise, *estimates(readings, noise, mean, sd**2)


def excess_scatter(positions: Array, outcomes: Array, noise_ratios: Array, model: Beliefs) -> float:
    """Return by what factor the outcomes of repeated looks vary more than their noise says, or 1.

    A beam that flickers varies as much in a long look as in a short one. The mean square of what
    they are off the mean of their place, in units of their noise, `PRIOR_LOOKS` of 1 included.
    """
    places, means, _ = by_place(positions, outcomes, noise_ratios)
    which = (positions[:, None] == places[None]).all(axis=2).argmax(axis=1)
    variances = model.variances(np.maximum(means[which], 0.0), noise_ratios)
    off = (outcomes - means[which]) ** 2 / np.maximum(variances, np.finfo(float).tiny)
    n_repeats = len(positions) - len(places)
    return max(1.0, (float(off.sum()) + PRIOR_LOOKS) / (n_repeats + PRIOR_LOOKS))


def estimates(
    readings: Array, reading_variances: Array, mean: Array, variances: Array
) -> tuple[Array, Array]:
    """Return what is believed of places, mean and sd, (n,) each: of the model and of their reading.

    Parameters
    ----------
    readings, reading_variances : shape (n,)
    mean, variances : shape (n,), of the model; a place differs from it by `TEXTURE` of the largest
        mean besides: by grain and texture finer than the grid
    """
    prior = variances + (TEXTURE * float(np.abs(mean).max())) ** 2
    share = prior / (prior + reading_variances)
    return mean + share * (readings - mean), np.sqrt(share * reading_variances)


def undecided(mean: Array, sd: Array, *, free: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return the brightest of several places and the rival to compare; None where all is decided.

    A rival may be brighter: it is not darker by `RIVAL_Z` standard deviations. The one that may
    be brightest counts, and the one of the two of which less is known comes first.

    Parameters
    ----------
    mean, sd : shape (n,), what is believed of them
    free : which are worth another look, (n,)

    Examples
    --------
    >>> mean, sd, free = np.array([9.0, 10.0, 2.0]), np.array([1.0, 0.5, 1.0]), np.array([True] * 3)
    >>> undecided(mean, sd, free=free)
    (0, 1)
    >>> undecided(mean, 0.1 * sd, free=free) is None
    True
    """
    best = int(np.argmax(mean))
    spread = np.sqrt(sd**2 + sd[best] ** 2)
    z = np.divide(mean - mean[best], spread, out=np.full(len(mean), -np.inf), where=spread > 0)
    z[~(free | free[best])] = -np.inf  # another look at neither would tell
    z[best] = -np.inf
    rival = int(np.argmax(np.where(z > -RIVAL_Z, mean + RIVAL_Z * sd, -np.inf)))
    pair = sorted((rival, best), key=lambda place: (not free[place], -sd[place]))
    return (pair[0], pair[1]) if z[rival] > -RIVAL_Z else None


def confirmation(
    looks: Looks, visits: Visits, outcomes: tuple[Array, Array, Array], model: Beliefs, n_left: int
) -> tuple[list[float], float, Explanation] | None:
    """Return which place to look at again, for how long, s, and why; None where all is decided.

    Rivals are compared as long as one may be brighter, by looks that tell them apart; then the
    brightest is looked at in full.

    Parameters
    ----------
    outcomes : positions, (n, d), outcomes and noise ratios, (n,) each
    model : what it believes
    n_left : looks that are left, the last of which is for the brightest
    """
    places, noise_ratios, noise, mean, sd = _believed(outcomes, model)
    mean[~reportable(visits.space, places)] = -np.inf
    if not np.isfinite(mean).any():
        return None
    left_s = np.array([looks.max_dose_s - visits.dose_s(place) for place in places.tolist()])
    free = left_s >= looks.shortest_s
    place, reason, exposure_s = int(np.argmax(mean)), "confirm", looks.full_s
    is_known = np.sqrt(noise) <= PRECISE * np.abs(mean[place])
    pair = undecided(mean, sd, free=free & ~is_known) if n_left > 1 else None
    if pair is not None:
        place, reason = pair[0], "compare"
        apart = max(abs(mean[pair[0]] - mean[pair[1]]), TEXTURE * abs(mean[place]))
        wanted = looks.full_s * noise[place] / noise_ratios[place] / (APART * apart) ** 2
        wanted = max(wanted, visits.dose_s(places[place].tolist()))
        ladder = looks.ladder(visits.overhead_s)
        exposure_s = float(ladder[min(np.searchsorted(ladder, wanted), len(ladder) - 1)])
    elif CONFIRMED * noise_ratios[place] <= 1.0 or not free[place]:
        return None
    why = Explanation(reason, mean=float(mean[place]), sd=float(sd[place]))
    return places[place].tolist(), float(min(exposure_s, left_s[place])), why
