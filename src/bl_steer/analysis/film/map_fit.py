"""The peaks of one map on the true axes of q: fitted, aligned on the substrate, in its unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bl_steer.analysis.film.expected import WIDTH, place_of
from bl_steer.analysis.film.map_of_patterns import MapOfPatterns
from bl_steer.analysis.film.params import FilmParams
from bl_steer.analysis.film.starting import turn_of_substrate, turned
from bl_steer.analysis.film.told import Told, film_from
from bl_steer.analysis.film.whole_pattern import PatternFit, fit_patterns
from bl_steer.analysis.film.written import assumed_from_text
from bl_steer.diffraction import Reflection
from bl_steer.protocols import Array

__all__ = ["WRONG_MODEL", "MapFit", "film_told", "fit_map", "mean_residuals"]

WRONG_MODEL = 0.02
"""Error of the model above which patterns deviate from a fit by more than their noise."""
STANDS_OUT = 7.0
"""Standard deviations of its counts, of all points together, by which the substrate's peak must be
there: the tails of a film's peaks gave up to 3.6 where there was none."""


@dataclass(frozen=True)
class MapFit:
    """The peaks of a map.

    Parameters
    ----------
    peaks : in counts, or in the patterns' unit where they are none; positions are aligned
    expected : shape (n, n_pixels), what the fit makes of the patterns, in their unit
    is_plain : the variance that is known was left, as patterns deviate from a fit by it by more
    rotation_deg, stretch : that brought the substrate's peak to where it lies; 0 and 1 without one
    """

    peaks: PatternFit
    expected: Array
    rotation_deg: float
    stretch: float
    is_plain: bool = False


def fit_map(
    one: MapOfPatterns, reflection: Reflection, expected: Array, params: FilmParams
) -> MapFit:
    """Fit a map: by its variance where that is known, and the patterns deviate by no more.

    Cells of a grid that few and coarse frames fell into scatter by more than their counts: by the
    variance of these, x was wrong by twice as much, and its intervals too narrow.

    Parameters
    ----------
    expected : shape (K, 2), x and R of the film's peaks

    Raises
    ------
    ValueError
        When the substrate's peak is asked for, and not in the map.
    """
    fit = _fit(one, reflection, expected, params)
    if one.plain is None or fit.peaks.model_error <= WRONG_MODEL:
        return fit
    return replace(_fit(one.plain, reflection, expected, params), is_plain=True)


def _fit(one: MapOfPatterns, reflection: Reflection, expected: Array, params: FilmParams) -> MapFit:
    """Fit a map in one way."""
    still = place_of(np.array([[0.0, 1.0]]), reflection)[0]
    start = place_of(expected, reflection)
    turn = turn_of_substrate(one.mean, one.pixels, still) if params.substrate else 0.0
    begin = turned(still, turn)
    if params.substrate:
        _check_reach(one, begin, reflection)
    peaks = fit_patterns(
        one.patterns,
        one.axes,
        turned(start, turn),
        substrate=begin if params.substrate else None,
        width=WIDTH * float(np.linalg.norm(start[0])),
        are_counts=one.is_counted,
    )
    if params.substrate:
        _check_substrate(peaks, reflection)
    peaks = _with_sides(peaks)
    model = peaks.expected * one.unit[:, None]
    if not one.is_counted:
        peaks = replace(
            peaks,
            counts=peaks.counts * one.unit[:, None],
            covariance=_scaled(peaks.covariance, one.unit),
            noise=_scaled(peaks.noise, one.unit),
        )
    if not params.substrate:
        return MapFit(peaks, model, 0.0, 1.0)
    return _aligned(peaks, still, model, np.array(one.pixels.steps))


def film_told(
    fits: Sequence[MapFit],
    reflections: Sequence[Reflection],
    expected: Array,
    params: FilmParams,
) -> Told:
    """Return the film of each peak, at each point.

    Parameters
    ----------
    expected : shape (K, 2), x and R of the film's peaks
    """
    n_peaks = fits[0].peaks.counts.shape[1]
    q = [np.stack([fit.peaks.position[:, k] for fit in fits], axis=1) for k in range(n_peaks)]
    errors = [
        np.stack([fit.peaks.covariance[:, k, 1:, 1:] for fit in fits], axis=1)
        for k in range(n_peaks)
    ]
    state = np.append(expected[-1], np.zeros(3))
    return film_from(q, errors, reflections, assumed_from_text(params.assume), state)


def mean_residuals(maps: Sequence[MapOfPatterns], fits: Sequence[MapFit]) -> Array:
    """Return the mean of pattern minus fit of each map, (n_maps, H, W); 0 where all is left out."""
    images = []
    for one, fit in zip(maps, fits, strict=True):
        left = np.where(fit.peaks.left_out, np.nan, one.values - fit.expected)
        measured = np.maximum(np.isfinite(left).sum(axis=0), 1)
        images.append((np.nansum(left, axis=0) / measured).reshape(one.axes.shape))
    return np.stack(images)


def _check_reach(one: MapOfPatterns, still: Array, reflection: Reflection) -> None:
    """Refuse a map that ends before the substrate's peak."""
    pixel = one.pixels.to_pixels(still)
    if (pixel < 0).any() or (pixel > one.pixels.last).any():
        raise ValueError(
            f"the substrate's {reflection} must lie in the map, or its angles have no zero, got "
            f"q_par {still[0]:.4f}, q_perp {still[1]:.4f} 1/Å beyond its edge; reduce a larger "
            "part of q, or take substrate=False"
        )


def _check_substrate(peaks: PatternFit, reflection: Reflection) -> None:
    """Refuse a map in which no peak of the substrate stands out: another would be aligned on."""
    counts = float(peaks.substrate_counts.sum())
    error = float(np.sqrt(np.square(peaks.substrate_error).sum()))
    if not counts > STANDS_OUT * error:
        raise ValueError(
            f"the substrate's {reflection} must stand out of the map by {STANDS_OUT:g} standard "
            f"deviations of its counts, got {counts:.3g} ± {error:.2g}: q would be aligned on "
            "something else; take substrate=False, or count longer"
        )


def _with_sides(peaks: PatternFit) -> PatternFit:
    """Return the peaks with the way from centroid to maximum in their errors.

    A peak with a tail to one side is that of no single crystal, and nobody knows which of the two
    is the film's: the error reaches from one to the other.
    """
    ways = np.stack([shape.to_maximum for shape in peaks.shapes[: peaks.counts.shape[1]]])
    covariance = peaks.covariance.copy()
    covariance[:, :, 1:, 1:] += ways[:, :, None] * ways[:, None, :]
    return replace(peaks, covariance=covariance)


def _error_of_substrate(peaks: PatternFit, steps: Array) -> Array:
    """Return the covariance of the substrate's place, (2, 2), 1/Å²: by counts, by its own sides,
    and, where it is narrower than a pixel, by not knowing where in the pixel it lies."""
    shape = peaks.shapes[-1]
    way, total = shape.to_maximum, float(np.maximum(peaks.substrate_counts, 0.0).sum())
    unresolved = np.diag(shape.covariance) < (0.5 * steps) ** 2
    within = np.diag(np.where(unresolved, steps**2 / 12.0, 0.0))
    return np.asarray(shape.covariance / max(total, 1.0) + np.outer(way, way) + within)


def _aligned(peaks: PatternFit, still: Array, model: Array, steps: Array) -> MapFit:
    """Return the peaks turned and stretched so that the substrate's lies at `still`.

    Where the substrate's peak is off, all others are off by as much, in the ratio of their q:
    ``p (1 + δ / s)`` in complex numbers.
    """
    measured = peaks.substrate
    stretch = float(np.linalg.norm(still) / np.linalg.norm(measured))
    angle = np.arctan2(still[0], still[1]) - np.arctan2(measured[0], measured[1])
    c, s = np.cos(angle), np.sin(angle)
    turn = stretch * np.array([[c, s], [-s, c]])
    whole = np.eye(3)
    whole[1:, 1:] = turn
    ratio = (peaks.position @ [1.0, 1j]) / (measured @ [1.0, 1j])
    moves = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    moves = np.moveaxis(moves, (0, 1), (-2, -1))
    covariance = peaks.covariance.copy()
    error = _error_of_substrate(peaks, steps)
    covariance[:, :, 1:, 1:] += moves @ error @ moves.swapaxes(-2, -1)
    aligned = replace(
        peaks,
        position=peaks.position @ turn.T,
        covariance=whole @ covariance @ whole.T,
        noise=whole @ peaks.noise @ whole.T,
        substrate=turn @ measured,
    )
    return MapFit(aligned, model, float(np.degrees(angle)), stretch)


def _scaled(covariance: Array, unit: Array) -> Array:
    """Return the covariance with the counts in their unit."""
    factor = np.ones((len(unit), 1, 3))
    factor[:, 0, 0] = unit
    return np.asarray(covariance * factor[:, :, :, None] * factor[:, :, None, :])
