"""Where the film's peaks are expected: as a user wrote it, or as they stand out of the map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, signal

from bl_steer.analysis.film.map_of_patterns import MapOfPatterns
from bl_steer.analysis.film.params import FilmParams
from bl_steer.analysis.film.written import MOST_PEAKS, peaks_from_text
from bl_steer.diffraction import Reflection, positions
from bl_steer.protocols import Array

__all__ = ["WIDTH", "expected_peaks", "place_of"]

STANDS_OUT = 0.02
"""Height of a peak over its surroundings, of the highest one."""
BINS_A_PIXEL = 2.0
SMOOTHING = 1.5
"""Bins."""
NEAR_SUBSTRATE = 3.0
"""Pixels within which a peak is the substrate's."""
USUAL_RELAXATION = 0.9
WIDTH = 0.0018
"""Standard deviation of a peak to begin with, of the length of its q."""
UNITS = {"1/nm": 10.0, "1/Å without 2π": 0.5 / np.pi, "1/nm without 2π": 5.0 / np.pi}
SAME_UNIT = 0.1


def place_of(peaks: Array, reflection: Reflection) -> Array:
    """Return q_par and q_perp of peaks without a tilt, (K, 2), 1/Å."""
    states = np.column_stack([peaks, np.zeros((len(peaks), 3))])
    return positions(states, [reflection])[:, 0, :2]


def expected_peaks(one: MapOfPatterns, reflection: Reflection, params: FilmParams) -> Array:
    """Return x and R of the film's peaks, (K, 2), in the order of x.

    Raises
    ------
    ValueError
        When none lies in the map, or none stands out of it.

    Notes
    -----
    A tilt turns a peak about the origin and keeps the length of its q: the peaks are the maxima of
    the mean pattern over that length, and x that of a film with the usual relaxation.
    """
    if params.peaks:
        peaks = peaks_from_text(params.peaks)
        peaks = peaks[np.argsort(peaks[:, 0], kind="stable")]
        _check_inside(place_of(peaks, reflection), one, peaks, reflection)
        return peaks
    lengths = _maxima(one, reflection, with_substrate=params.substrate)
    x = np.linspace(0.0, 1.0, 201)
    states = np.column_stack([x, np.full(len(x), USUAL_RELAXATION)])
    possible = np.linalg.norm(place_of(states, reflection), axis=1)
    inside = [q for q in lengths if possible.min() <= q <= possible.max()]
    if not inside:
        raise ValueError(
            f"the film's peaks must stand out of the mean pattern, got none for {reflection}; name "
            f"them with peaks, e.g. x=0.45,R=0.9, or choose another hkl{_of_unit(one, reflection)}"
        )
    found = np.sort(np.interp(inside, possible[::-1], x[::-1]))[:MOST_PEAKS]
    return np.column_stack([found, np.full(len(found), USUAL_RELAXATION)])


def _maxima(one: MapOfPatterns, reflection: Reflection, *, with_substrate: bool) -> Sequence[float]:
    """Return the lengths of q at which the mean pattern has maxima, the highest first."""
    mean = np.nan_to_num(one.mean)
    mean = np.maximum(mean - np.percentile(mean, 20), 0.0)
    q = np.hypot(*one.axes.mesh())
    step = min(abs(one.pixels.steps[0]), abs(one.pixels.steps[1])) / BINS_A_PIXEL
    bins = ((q - q.min()) / step).astype(int)
    total = np.bincount(bins, weights=mean)
    profile = ndimage.gaussian_filter1d(total, SMOOTHING * BINS_A_PIXEL / 2.0)
    padded = np.pad(profile, 1)
    found = signal.find_peaks(padded, prominence=STANDS_OUT * profile.max())[0] - 1
    lengths = q.min() + (found + 0.5) * step
    if with_substrate:
        still = np.linalg.norm(place_of(np.array([[0.0, 1.0]]), reflection)[0])
        away = np.abs(lengths - still) > NEAR_SUBSTRATE * step * BINS_A_PIXEL
        found, lengths = found[away], lengths[away]
    return [float(q) for q in lengths[np.argsort(-profile[found], kind="stable")][:MOST_PEAKS]]


def _of_unit(one: MapOfPatterns, reflection: Reflection) -> str:
    """Say that the map reaches no Si-Ge of a reflection, and in which unit its axes seem to be."""
    ends = np.linalg.norm(place_of(np.array([[0.0, 1.0], [1.0, 0.9]]), reflection), axis=1)
    q = np.hypot(*one.axes.mesh())
    if q.min() <= ends.max() and q.max() >= ends.min():
        return ""
    ratio = float(q.mean() / ends.mean())
    units = [unit for unit, factor in UNITS.items() if abs(ratio / factor - 1.0) < SAME_UNIT]
    seems = f", and seems to be in {units[0]}" if units else ""
    return (
        f"; the map spans q of {q.min():.4g} to {q.max():.4g}, where Si-Ge has {ends.min():.4g} to "
        f"{ends.max():.4g} 1/Å, with 2π{seems}"
    )


def _check_inside(places: Array, one: MapOfPatterns, peaks: Array, reflection: Reflection) -> None:
    for (q_par, q_perp), (x, r) in zip(places, peaks, strict=True):
        pixel = one.pixels.to_pixels(np.array([q_par, q_perp]))
        if (pixel < 0).any() or (pixel > one.pixels.last).any():
            raise ValueError(
                f"a peak must lie in the map, got x={x:g},R={r:g} at q_par {q_par:.4f}, q_perp "
                f"{q_perp:.4f} 1/Å; check hkl and peaks{_of_unit(one, reflection)}"
            )
    for k, place in enumerate(places[:-1]):
        near = np.linalg.norm(places[k + 1 :] - place, axis=1) / np.linalg.norm(place)
        if near.min() < WIDTH:
            pair = [peaks[k], peaks[k + 1 + int(near.argmin())]]
            named = " and ".join(f"x={x:g},R={r:g}" for x, r in pair)
            raise ValueError(
                f"peaks must lie further apart than their width, {WIDTH:g} of q, got {named}, "
                f"{near.min():.2g} apart; name each peak of the map once"
            )
