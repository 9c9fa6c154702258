"""Fit the peaks of all patterns of a map at once: counts, positions and their covariance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.film.learning import learn_shapes
from bl_steer.analysis.film.outliers import hot_pixels, spikes
from bl_steer.analysis.film.pattern_model import PatternModel, Patterns
from bl_steer.analysis.film.pixels import PixelLattice, Reals
from bl_steer.analysis.film.scoring import batches, fitted
from bl_steer.analysis.film.shapes import PeakShape
from bl_steer.analysis.film.starting import start_params
from bl_steer.diffraction import FrameAxes
from bl_steer.protocols import Array

__all__ = ["PatternFit", "fit_patterns"]

ROUNDS = 4
"""Times that the shapes are learned anew."""
LEARNING = 120
"""Patterns that the shapes are learned from."""
ITERATIONS = 30
FIRST_ITERATIONS = 6
"""Steps of the patterns and of each round of learning."""


NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SIGNIFICANT = 1.5
"""Standard deviations by which deviations must be larger than their noise, to be the model's."""


@dataclass(frozen=True)
class PatternFit:
    """Peaks of n patterns: K that move, and the substrate's, where there is one.

    Parameters
    ----------
    counts : shape (n, K), in the patterns' unit
    position : shape (n, K, 2), q_par and q_perp of the centroid, 1/Å
    covariance : shape (n, K, 3, 3), of counts, q_par and q_perp, by noise and by the model's error
    noise : shape (n, K, 3, 3), by noise alone
    substrate : q_par and q_perp of the substrate's peak, 1/Å; NaN without one
    substrate_counts, substrate_error, background : shape (n,), counts, their standard deviation by
        noise alone, and counts of a pixel
    misfit : shape (n,), mean squared deviation over the noise: 1 where the model is right
    model_error : standard deviation of the model's error, of the expected value
    expected : shape (n, n_pixels), what the fit makes of the patterns
    left_out : shape (n, n_pixels), pixels that are brighter than any peak: hot ones and zingers
    shapes : of the peaks
    """

    counts: Array
    position: Array
    covariance: Array
    noise: Array
    substrate: Array
    substrate_counts: Array
    substrate_error: Array
    background: Array
    misfit: Array
    model_error: float
    expected: Array
    left_out: NDArray[np.bool_]
    shapes: tuple[PeakShape, ...]


def fit_patterns(
    patterns: Patterns,
    axes: FrameAxes,
    expected: Array,
    *,
    substrate: Array | None = None,
    width: float,
    are_counts: bool = True,
) -> PatternFit:
    """Fit all patterns of a map, shapes and substrate in common.

    Parameters
    ----------
    axes : of the frame, equally spaced
    expected : shape (K, 2), q_par and q_perp of the peaks without a tilt, 1/Å
    substrate : q_par and q_perp of the substrate's peak, 1/Å; None without one
    width : standard deviation of a peak to begin with, 1/Å
    are_counts : of patterns that are none, and have no variance, the noise is taken from what the
        fit leaves, where that is more than their scale tells: by its median, which neither a wrong
        model nor a few spikes move far
    """
    pixels = PixelLattice.of(axes)
    n_shapes = len(expected) + (substrate is not None)
    shapes = [PeakShape.gaussian(width**2 * np.eye(2)) for _ in range(n_shapes)]
    still = None if substrate is None else pixels.to_pixels(np.asarray(substrate))
    model = PatternModel.of(shapes, still, pixels)
    params = start_params(model, patterns, np.asarray(expected))
    inside = patterns.inside
    model, patterns, params = _learned(model, patterns, params)
    params = fitted(model, patterns, params, iterations=ITERATIONS)
    spoiled = spikes(model, patterns, params)
    rows = np.flatnonzero(spoiled.any(axis=1))
    if len(rows):
        patterns = patterns.without(spoiled)
        again = fitted(model, patterns.part(rows), params[rows], iterations=ITERATIONS)
        params[rows] = again
    left_out = (inside > 0) & (patterns.inside == 0)
    if not are_counts and patterns.variance is None:
        scale = _noise_scale(model, patterns, params)
        if patterns.scale is not None:  # cells of a grid scatter by more than their counts
            scale = patterns.scale * np.maximum(scale, np.float32(1.0))
        patterns = replace(patterns, scale=scale)
    return replace(_measured(model, patterns, params), left_out=left_out)


def _noise_scale(model: PatternModel, patterns: Patterns, params: Array) -> Reals:
    """Return the variance over the expected value of each pattern, (n, 1)."""
    scales = []
    for rows in batches(len(patterns)):
        own = patterns.part(rows)
        expected = model.evaluate(params[rows])[0]
        deviation = np.abs(own.values - expected) * np.sqrt(own.weights(expected))
        deviation = np.where(own.inside > 0, deviation, np.nan)
        scales.append((NORMAL_MAD * np.nanmedian(deviation, axis=1, keepdims=True)) ** 2)
    return np.asarray(np.maximum(np.concatenate(scales), np.float32(1e-12)))


def _learned(
    model: PatternModel, patterns: Patterns, params: Array
) -> tuple[PatternModel, Patterns, Array]:
    """Return the model with its shapes, learned from points that are spread over the map, and the
    patterns without the hot pixels that they show."""
    n = len(patterns)
    chosen = np.unique(np.linspace(0, n - 1, min(n, LEARNING)).astype(int))
    own, params = patterns.part(chosen), params.copy()
    for _ in range(ROUNDS):
        params[chosen] = fitted(model, own, params[chosen], iterations=FIRST_ITERATIONS)
        own = own.without(spikes(model, own, params[chosen]))
        hot = hot_pixels(model, own, params[chosen])
        own, patterns = own.without(hot), patterns.without(hot)
        model = learn_shapes(model, own, params[chosen])
    return model, patterns, params


def _measured(model: PatternModel, patterns: Patterns, params: Array) -> PatternFit:
    """Return positions with the covariance of noise and of the model's error.

    Notes
    -----
    The model's error is a field over the frame, relative to the expected value, of one standard
    deviation for the map, alike over the width of a peak (a Gaussian process, Kennedy & O'Hagan
    2001, J. R. Stat. Soc. B 63, 425, doi 10.1111/1467-9868.00294). Its size is what the deviations
    have beyond their noise, where the signal is above it.
    """
    roots = [_root(length, model) for length in model.pixels.shape]
    parts = [
        _uncertainty(model, patterns.part(rows), params[rows], roots)
        for rows in batches(len(patterns))
    ]
    noise, spread, misfit, excess, chance, room, expected = (
        np.concatenate(values) for values in zip(*parts, strict=True)
    )
    is_certain = excess.sum() > SIGNIFICANT * np.sqrt(chance.sum()) and room.sum() > 0
    variance = float(excess.sum() / room.sum()) if is_certain else 0.0
    k = model.n_peaks
    index = np.arange(3 * k).reshape(k, 3)
    unit = np.array([1.0, *model.pixels.steps])

    def of_peaks(covariance: Array) -> Array:
        parts = covariance[:, index[:, :, None], index[:, None, :]]
        return np.asarray(parts * unit[:, None] * unit)

    still = np.full(2, np.nan) if model.substrate is None else model.pixels.to_q(model.substrate)
    return PatternFit(
        params[:, index[:, 0]],
        model.pixels.to_q(params[:, index[:, 1:]]),
        of_peaks(noise + variance * spread),
        of_peaks(noise),
        still,
        params[:, -2] if model.substrate is not None else np.zeros(len(params)),
        np.sqrt(noise[:, -2, -2]) if model.substrate is not None else np.zeros(len(params)),
        params[:, -1],
        misfit,
        float(np.sqrt(variance)),
        expected,
        patterns.inside == 0,
        model.shapes,
    )


def _uncertainty(
    model: PatternModel, own: Patterns, params: Array, roots: list[Array]
) -> tuple[Reals, ...]:
    """Return the covariance by noise; that of a relative error of the model of 1; the misfit; what
    the squares have in excess, its variance by chance, and what an error of 1 would make of it; the
    expected patterns."""
    expected, slopes = model.evaluate(params)
    weights, n, p = own.weights(expected), *params.shape
    left = own.values - expected

    def information(weights: Reals) -> Array:
        weighted = slopes * weights[:, None]
        return np.asarray(np.matmul(weighted, slopes.transpose(0, 2, 1)), dtype=float)

    a = information(weights)
    a += (1e-9 * np.einsum("nii->ni", a).max(axis=1)[:, None, None] + 1e-12) * np.eye(p)
    noise = np.linalg.inv(a)
    fields = (slopes * (weights * expected)[:, None]).reshape(n, p, *model.pixels.shape)
    fields = np.matmul(np.matmul(roots[0], fields), roots[1]).reshape(n, p, -1)
    spread = noise @ np.matmul(fields, fields.transpose(0, 2, 1)).astype(float) @ noise
    squares, signal = weights * left**2, weights * expected**2
    counted = signal / (1.0 + signal)
    in_fit = information(counted * weights)
    excess = (counted * (squares - own.inside)).sum(axis=1, dtype=float)
    excess += np.einsum("nij,nji->n", noise, in_fit)
    chance = (counted**2 * (2.0 + 1.0 / np.maximum(signal, 1e-6))).sum(axis=1, dtype=float)
    room = (counted * signal).sum(axis=1, dtype=float)
    room -= np.einsum("nij,nji->n", spread, in_fit)
    misfit = squares.sum(axis=1, dtype=float) / np.maximum(own.inside.sum(axis=1) - p, 1.0)
    return noise, spread, misfit, excess, chance, room, expected


def _root(length: int, model: PatternModel) -> Array:
    """Return the symmetric root of the correlation of the model's error along an axis."""
    sizes = [np.linalg.det(s.covariance) ** 0.25 for s in model.shapes[: model.n_peaks]]
    reach = float(np.mean(sizes)) / np.sqrt(model.pixels.area)
    at = np.arange(length)
    values, vectors = np.linalg.eigh(np.exp(-0.5 * ((at[:, None] - at) / reach) ** 2))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T, dtype=np.float32)
