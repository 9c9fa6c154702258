"""What must hold of maps before a film is fitted to them, and what a user should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from bl_steer.analysis.components.readings import measured, what_is_no_count
from bl_steer.analysis.film.agreement import agreement_notes
from bl_steer.analysis.film.expected import place_of
from bl_steer.analysis.film.map_fit import WRONG_MODEL, MapFit, mean_residuals
from bl_steer.analysis.film.map_of_patterns import MapOfPatterns, map_of_patterns
from bl_steer.analysis.film.params import FilmParams
from bl_steer.analysis.film.recorded import suffix
from bl_steer.analysis.film.told import Told
from bl_steer.analysis.film.written import written_assumptions
from bl_steer.diffraction import FrameAxes, Reflection
from bl_steer.protocols import Array, Inputs, Table

__all__ = ["checked_maps", "faint_peaks", "fit_warnings"]

FEWEST_POINTS = 5
FEWEST_PIXELS = 8
"""Along each axis."""
UNEVEN = 0.01
"""Of a step, by which pixels may be out of their places."""
MISALIGNED_DEG = 0.01
FAR_OFF = 0.2
"""Error of the model above which a fit describes something else."""
TOGETHER = 1.5
LOPSIDED = 0.003
"""In x, between a peak's centroid and its maximum."""


def checked_maps(
    inputs: Inputs, reflections: Sequence[Reflection]
) -> tuple[list[MapOfPatterns], list[str]]:
    """Return the map of each reflection, and what to know of them.

    Raises
    ------
    ValueError
        When one is missing, has another shape, no axes of q, or no counts.
    """
    n_maps = sum(name.startswith("patterns") for name in inputs.arrays)
    if n_maps != len(reflections):
        raise ValueError(
            f"each map must have its reflection, got {n_maps} maps and "
            f"{len(reflections)} reflections ({', '.join(map(str, reflections))}); give hkl of "
            "each map, parted by semicolons"
        )
    arrays = {key: np.asarray(value, dtype=float) for key, value in inputs.arrays.items()}
    for name in ("x", "y"):
        if name not in arrays or not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"points must have finite x and y, got {name} "
                f"{'with NaN or infinity' if name in arrays else 'missing'}; give the place of each"
            )
    maps, notes = [], []
    for number in range(n_maps):
        end = suffix(number)
        axes = _checked_axes(arrays, end, str(inputs.metadata.get("axis_unit", "1/Å")))
        values = _checked_patterns(inputs, arrays, end, axes)
        variance = arrays.get(f"variance{end}")
        if variance is not None and variance.shape != values.shape:
            raise ValueError(
                f"variance{end} must have the shape of patterns{end}, got {variance.shape} for "
                f"{values.shape}; give that of each pixel, or none"
            )
        one = map_of_patterns(values, axes, variance)
        maps.append(one)
        name = f"map {number + 1}: " if n_maps > 1 else ""
        said = what_is_no_count(np.asarray(inputs.arrays[f"patterns{end}"]), values)
        notes += [f"{name}{text}" for text in (*said, *one.notes)]
        if not one.is_counted and variance is None:
            notes.append(
                f"{name}the patterns are no counts: their noise is taken from what the fit leaves"
            )
    return maps, notes


def _checked_axes(arrays: dict[str, Array], end: str, unit: str) -> FrameAxes:
    qx, qz = (arrays.get(f"{name}{end}", np.empty(0)) for name in ("qx", "qz"))
    if not (len(qx) and len(qz)) or unit != "1/Å":
        raise ValueError(
            f"a map must have axes of q in 1/Å, got {'none' if unit == '1/Å' else unit} for "
            f"patterns{end}; reduce the frames to q first, or give qx{end} and qz{end}"
        )
    for name, axis in ((f"qx{end}", qx), (f"qz{end}", qz)):
        if axis.ndim != 1 or len(axis) < FEWEST_PIXELS:
            raise ValueError(
                f"{name} must have at least {FEWEST_PIXELS} pixels, got {axis.size}; a peak is "
                "fitted in both directions of q"
            )
        steps = np.diff(axis)
        step = (axis[-1] - axis[0]) / (len(axis) - 1)
        if not np.isfinite(steps).all() or not np.abs(steps - step).max() <= UNEVEN * abs(step):
            raise ValueError(
                f"{name} must be equally spaced, got steps of {steps.min():.4g} to "
                f"{steps.max():.4g} 1/Å; put the patterns on an even grid of q"
            )
    return FrameAxes(qx, qz)


def _checked_patterns(inputs: Inputs, arrays: dict[str, Array], end: str, axes: FrameAxes) -> Array:
    values, n = arrays[f"patterns{end}"], arrays["x"].size
    shape = (n, axes.shape[0] * axes.shape[1])
    if arrays["x"].shape != arrays["y"].shape or values.shape != shape:
        raise ValueError(
            f"patterns{end} must have a row for each point and a value for each pixel, got shape "
            f"{values.shape} for {n} points of {axes.shape[0]} x {axes.shape[1]} pixels; give the "
            "patterns of these points and axes"
        )
    if n < FEWEST_POINTS:
        raise ValueError(
            f"a map must have at least {FEWEST_POINTS} valid points, got {n}; the shapes of the "
            "peaks are learned from all points together"
        )
    counts = values if np.isfinite(values).any() else np.ones(1)
    if not np.nansum(np.maximum(counts, 0.0)) > 0:
        raise ValueError(
            f"patterns{end} must hold counts, got a sum of {np.nansum(values):g}; check that the "
            "beam was on, and the background that was taken off"
        )
    if not np.isinf(values).any():
        values = measured(np.asarray(inputs.arrays[f"patterns{end}"]))
    if np.isinf(values).any() or np.isnan(values).all(axis=1).any():
        raise ValueError(
            f"patterns{end} must hold finite numbers, got infinity, or a point without any; leave "
            "out the points of dead frames (NaN stands for cells where nothing was measured)"
        )
    return values


def fit_warnings(
    maps: Sequence[MapOfPatterns],
    fits: Sequence[MapFit],
    told: Told,
    places: Array,
    params: FilmParams,
) -> list[str]:
    """Say what is not told, what was assumed, whether maps agree, and how far the errors hold.

    Parameters
    ----------
    places : shape (n, 2), x and y of the points
    """
    texts = list(told.sentences)
    if told.assumed:
        tested = "" if told.states[0].free else ", which these maps cannot test (χ² is NaN)"
        texts.append(
            f"assumed: {written_assumptions(told.assumed)}; the errors hold if that does{tested}"
        )
    if not params.substrate:
        texts.append(
            "the zero of the angles is not checked on a substrate: .01° is worth .009 in R and "
            ".007° in the tilt"
        )
    for number, fit in enumerate(fits, 1):
        name = f"map {number}: " if len(fits) > 1 else ""
        if abs(fit.rotation_deg) > MISALIGNED_DEG:
            texts.append(
                f"{name}q was turned by {fit.rotation_deg:+.3f}° and stretched by "
                f"{100 * (fit.stretch - 1):+.3f} %, so that the substrate's peak lies where Si does"
            )
        if fit.is_plain:
            texts.append(
                f"{name}the cells scatter by more than their counts, as those of a grid do that is "
                "fine for its frames: their noise is taken from what the fit leaves"
            )
        if fit.peaks.model_error > WRONG_MODEL:
            texts.append(
                f"{name}the patterns deviate from the fit by {100 * fit.peaks.model_error:.0f} % "
                f"beyond their noise, which is in the errors{_where(maps[number - 1], fit)}; look "
                "at the figure of the fits"
            )
        texts += [f"{name}{text}" for text in _one_peak_twice(fit)]
        texts += [f"{name}{text}" for text in _lopsided(fit, told, number - 1)]
    return texts + agreement_notes(fits, told, places, params.significance)


def _where(one: MapOfPatterns, fit: MapFit) -> str:
    """Say where a fit that is far off leaves the most."""
    if fit.peaks.model_error <= FAR_OFF:
        return ""
    left = mean_residuals([one], [fit])[0].ravel()
    q = one.pixels.mesh()[int(np.abs(left).argmax())]
    return (
        f": it does not describe them, least at q_par {q[0]:.4f}, q_perp {q[1]:.4f} 1/Å, where a "
        "peak may be that is not named (peaks=PLACES), the substrate's, if it was left out, or one "
        "narrower than a pixel"
    )


def _one_peak_twice(fit: MapFit) -> Iterator[str]:
    """Say which peaks lie within each other's width."""
    places, shapes = fit.peaks.position, fit.peaks.shapes
    sizes = [float(np.linalg.det(shape.covariance)) ** 0.25 for shape in shapes]
    for k, other in combinations(range(places.shape[1]), 2):
        apart = float(np.median(np.linalg.norm(places[:, k] - places[:, other], axis=1)))
        width = 0.5 * (sizes[k] + sizes[other])
        if apart < TOGETHER * width:
            yield (
                f"peaks {k} and {other} lie {apart:.4f} 1/Å apart, {apart / width:.1f} of their "
                "standard deviations: they may be one, whose counts they share at will; name it "
                "once (peaks=PLACES)"
            )


def faint_peaks(points: Table, fits: Sequence[MapFit], significance: float) -> list[str]:
    """Say which peaks are not clear, so that nothing is told by them, and why."""
    wrong = max(fit.peaks.model_error for fit in fits)
    remedy = "count longer"
    if wrong > FAR_OFF:
        remedy = (
            f"most of it is the fit's, which is off by {100 * wrong:.0f} %: correct that first, or "
            "leave out the cells around a substrate peak narrower than a pixel (substrate=False)"
        )
    texts = []
    for k in np.unique(points["peak"]):
        own = points["peak"] == k
        faint = int((points["reason"][own] != "").sum())
        if faint:
            at = "any point" if faint == own.sum() else f"{faint} points of {own.sum()} (NaN)"
            texts.append(
                f"peak {k} tells no film at {at}: its counts are less than {significance:g} times "
                f"their error there; look at the figure of the fits; {remedy}"
            )
    return texts


def _lopsided(fit: MapFit, told: Told, number: int) -> Iterator[str]:
    """Say which peaks have their maximum off their centroid, and what that is in composition."""
    for k, states in enumerate(told.states):
        x = float(np.nanmedian(states.values[:, 0]))
        ends = place_of(np.array([[x, 0.9], [x + 0.01, 0.9]]), told.reflections[number])
        lengths = np.linalg.norm(ends, axis=1)
        way = fit.peaks.shapes[k].to_maximum
        in_x = 0.01 * float(way @ ends[0] / lengths[0]) / float(lengths[1] - lengths[0])
        if abs(in_x) > LOPSIDED:
            yield (
                f"peak {k} has a tail to one side: its maximum is off its centroid by "
                f"{float(np.linalg.norm(way)):.4f} 1/Å, {abs(in_x):.4f} in x, which is in the "
                "errors; look at the figure of the fits"
            )
