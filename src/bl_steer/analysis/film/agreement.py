"""Whether the maps of one film agree with each other, and with what was assumed of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bl_steer.analysis.film.expected import place_of
from bl_steer.analysis.film.map_fit import MapFit
from bl_steer.analysis.film.told import Told
from bl_steer.diffraction import UNKNOWNS
from bl_steer.protocols import Array

__all__ = ["agreement_notes", "clear_points"]

FEWEST_POINTS = 5
DISAGREE = 3.0
"""Factor over its median by chance at which χ² says that places do not agree."""
SAME = 2.0
"""χ² below which the peaks of two maps lie at one place."""
UNLIKE = 0.5
"""Correlation below which counts do not go together."""
VARIES = 3.0
"""Errors by which something must vary over the map for its pattern to be told."""
BETTER = 0.3
"""Correlation that another order of the points must gain to be named."""
FAR_FROM_ASSUMED = 3.0
"""Standard deviations."""
LEANS_DEG = 0.3
"""Median tilt that is unlikely where something was assumed."""
TURNS_APART_DEG = 0.02
ORDERS = {
    "with x and y exchanged": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "with x turned round": np.diag([-1.0, 1.0]),
    "with y turned round": np.diag([1.0, -1.0]),
    "turned by 180°": -np.eye(2),
}
"""Of the points of a map, about their middle."""


def clear_points(fits: Sequence[MapFit], k: int, significance: float) -> NDArray[np.bool_]:
    """Return at which points a peak's counts are at least so many errors in all maps, (n,)."""
    errors = [np.sqrt(fit.peaks.covariance[:, k, 0, 0]) for fit in fits]
    counts = [fit.peaks.counts[:, k] for fit in fits]
    clear = [c >= significance * e for c, e in zip(counts, errors, strict=True)]
    return np.asarray(np.all(clear, axis=0))


def agreement_notes(
    fits: Sequence[MapFit], told: Told, places: Array, significance: float
) -> list[str]:
    """Say what does not go together, with numbers and likely causes.

    Parameters
    ----------
    places : shape (n, 2), x and y of the points
    """
    notes = list(_turns(fits))
    for k in range(len(told.states)):
        clear = clear_points(fits, k, significance)
        if clear.sum() < FEWEST_POINTS:
            continue
        notes += _assumptions(told, k, clear)
        if len(fits) > 1:
            notes += _maps(fits, told, k, clear, places)
    return notes


def _turns(fits: Sequence[MapFit]) -> Iterator[str]:
    turns = [fit.rotation_deg for fit in fits]
    if max(turns) - min(turns) > TURNS_APART_DEG:
        listed = " and ".join(f"{turn:+.3f}°" for turn in turns)
        yield (
            f"the maps were turned by {listed} onto the substrate, so that their angles have other "
            "zeros, or one was aligned on something else: look at the figure of the fits, and take "
            "substrate=False if there is no substrate's peak"
        )


def _assumptions(told: Told, k: int, clear: NDArray[np.bool_]) -> Iterator[str]:
    """Say what contradicts an assumption about a peak."""
    states = told.states[k]
    if told.unassumed is not None:
        free = told.unassumed[k]
        for name, (value, error) in told.assumed.items():
            index = UNKNOWNS.index(name)
            own = float(np.median(free.values[clear, index]))
            spread = float(np.median(np.sqrt(free.covariance[clear, index, index])))
            if abs(own - value) > FAR_FROM_ASSUMED * np.hypot(error, spread):
                yield (
                    f"peak {k}: {name}={value:g} was assumed, but the maps tell {own:.4g} "
                    f"± {spread:.2g} without it; leave the assumption out, or check hkl"
                )
    elif told.assumed and states.free:
        ratio = float(np.median(states.chi2[clear])) / _median_by_chance(states.free)
        if ratio > DISAGREE:
            yield (
                f"peak {k}: its places and what was assumed do not agree, χ² is "
                f"{np.mean(states.chi2[clear]):.3g} for each point and freedom (1 where they do); "
                "leave an assumption out, or check hkl"
            )
    lean = states.values[clear, 2]
    median, spread = float(np.median(lean)), float(np.std(lean))
    if told.assumed and "tilt" not in told.assumed and abs(median) > max(LEANS_DEG, 2.0 * spread):
        yield (
            f"peak {k} leans by {median:+.2f}° at all points by what was assumed"
            f"{_upright(told, k, median)}"
        )


def _upright(told: Told, k: int, lean: float) -> str:
    """Say with which R the film would not lean, where the peaks leave that open."""
    open_to = told.directions[(told.directions[:, 1] != 0) & (told.directions[:, 2] != 0)]
    if not len(open_to):
        return "; check it, hkl, and the zero of the angles"
    direction = open_to[0]
    change = -lean / direction[2]
    x, relaxation = (float(np.median(told.states[k].values[:, i])) for i in (0, 1))
    return (
        f"; without a lean, x would be {x + change * direction[0]:.2f} and R "
        f"{relaxation + change * direction[1]:.2f}: check what was assumed, and the angles' zero"
    )


def _median_by_chance(free: int) -> float:
    """Return the median of χ² over its freedom (Wilson & Hilferty 1931)."""
    return float((1.0 - 2.0 / (9.0 * free)) ** 3)


def _maps(
    fits: Sequence[MapFit], told: Told, k: int, clear: NDArray[np.bool_], places: Array
) -> Iterator[str]:
    """Say which maps do not agree on a peak, or agree where they should not."""
    states = told.states[k] if told.unassumed is None else told.unassumed[k]
    if states.free and (told.unassumed is not None or not told.assumed):
        chi2 = states.chi2[clear]
        if float(np.median(chi2)) > DISAGREE * _median_by_chance(states.free):
            yield (
                f"peak {k}: the maps do not agree on its place, χ² is {np.mean(chi2):.3g} for each "
                "point and freedom (1 where they do): the points are in another order, the sample "
                "was not turned about its middle, or hkl and azimuth are others"
            )
    for other in range(1, len(fits)):
        yield from _counts(fits[0], fits[other], k, clear, places, other + 1)
        yield from _same_azimuth((fits[0], fits[other]), told, k, clear, other)


def _counts(
    first: MapFit, second: MapFit, k: int, clear: NDArray[np.bool_], places: Array, number: int
) -> Iterator[str]:
    """Say where a peak's counts in two maps do not go together over the points."""
    counts = np.stack([fit.peaks.counts[clear, k] for fit in (first, second)])
    errors = np.stack([np.sqrt(fit.peaks.covariance[clear, k, 0, 0]) for fit in (first, second)])
    if (counts.std(axis=1) <= VARIES * np.median(errors, axis=1)).any():
        return
    r = float(np.corrcoef(counts)[0, 1])
    if r > UNLIKE:
        return
    at = places[clear] - 0.5 * (places.min(axis=0) + places.max(axis=0))
    tree = KDTree(at)
    by_order = {"in reversed order": counts[1][::-1]}
    for name, matrix in ORDERS.items():
        distance, index = tree.query(at @ matrix.T)
        if float(np.median(distance)) <= 1e-6 * max(float(np.ptp(at)), 1e-300):
            by_order[name] = counts[1][index]
    likeness = {name: float(np.corrcoef(counts[0], c)[0, 1]) for name, c in by_order.items()}
    best = max(likeness, key=lambda name: likeness[name])
    hint = f"; {best} r is {likeness[best]:.2f}" if likeness[best] > r + BETTER else ""
    yield (
        f"peak {k}: its counts in maps 1 and {number} do not go together (r = {r:.2f}): their "
        f"points are in another order, or not the same{hint}"
    )


def _same_azimuth(
    fits: tuple[MapFit, MapFit], told: Told, k: int, clear: NDArray[np.bool_], other: int
) -> Iterator[str]:
    """Say where two azimuths show a peak at one place, as no film does that leans anywhere."""
    state = np.array([[0.3, 0.9]])
    ends = [place_of(state, told.reflections[number])[0] for number in (0, other)]
    if np.abs(ends[0] - ends[1]).max() > 1e-6:
        return
    places = [fit.peaks.position[clear, k] for fit in fits]
    covariances = [fit.peaks.covariance[clear, k, 1:, 1:] for fit in fits]
    apart = places[0] - places[1]
    chi2 = np.einsum("ni,nij,nj->n", apart, np.linalg.inv(sum(covariances)), apart) / 2.0
    moves = places[0] - places[0].mean(axis=0)
    moved = np.einsum("ni,nij,nj->n", moves, np.linalg.inv(covariances[0]), moves) / 2.0
    if float(np.median(chi2)) < SAME and float(np.median(moved)) > VARIES**2:
        yield (
            f"peak {k} lies at one place in maps 1 and {other + 1} at all points (χ² of their "
            f"difference {np.mean(chi2):.2g} for each number, over the map {np.mean(moved):.3g}): "
            "they were measured at one azimuth, or the film leans nowhere; if the sample was not "
            "turned, R and x are wrong"
        )
