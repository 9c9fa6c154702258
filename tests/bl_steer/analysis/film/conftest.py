"""Maps of the simulated film at two azimuths, and what is true of its Ge-rich population."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from bl_steer.analysis.film import PatternFit, Patterns, fit_patterns
from bl_steer.diffraction import FrameAxes, peak_position
from bl_steer.protocols import Array
from simulators.film import SigeFilm


class TurnedFilm(SigeFilm):
    """The same film with phi turned by 180°: what leaned to the right leans to the left."""

    def tilts(self, x: Array, y: Array) -> Array:
        return -super().tilts(x, y)


class TwoMaps(NamedTuple):
    """Patterns (2, n, n_pixels), counts, and the truth."""

    axes: FrameAxes
    x: Array
    y: Array
    patterns: Array
    counts: Array
    """Of the Ge-rich peak, (n,)."""
    truth: Array
    """x, R and tilt of the Ge-rich population, (n, 3)."""
    matrix: Array
    """Centroid of the Si-rich sublayers' peaks in both maps, (2, n, 2), 1/Å."""
    fits: tuple[PatternFit, ...]


def film_maps(preset: str, exposure_s: float, seed: int = 1) -> TwoMaps:
    """Measure a film at phi and phi + 180°, and fit both maps."""
    rng = np.random.default_rng(seed)
    patterns, fits, matrix = [], [], []
    for kind in (SigeFilm, TurnedFilm):
        film = kind(preset, seed)
        x, y = film.grid
        counts = rng.poisson(film.rates(x, y).reshape(len(x), -1) * exposure_s)
        patterns.append(counts.astype(float))
        q, rates = film.peaks(x, y)
        matrix.append(np.average(q[:, 1:3], axis=1, weights=rates[0, 1:3]))
        fits.append(fit_counts(counts, film.axes))
    fields = film.fields
    truth = [f(x, y) for f in (fields.rich_ge, fields.rich_relaxation, fields.rich_tilt_deg)]
    rich = rates[:, 3] * film.settings.flux * exposure_s
    return TwoMaps(
        film.axes,
        x,
        y,
        np.stack(patterns),
        rich,
        np.stack(truth, axis=1),
        np.stack(matrix),
        tuple(fits),
    )


def fit_counts(counts: Array, axes: FrameAxes) -> PatternFit:
    """Fit the Si-rich and the Ge-rich peak, and the substrate's."""
    expected = np.array([peak_position(0.18, 0.87), peak_position(0.45, 0.9)])
    values = counts.astype(np.float32)
    return fit_patterns(
        Patterns(values, np.ones_like(values)),
        axes,
        expected,
        substrate=np.array(peak_position(0.0, 1.0)),
        width=0.006,
    )


@pytest.fixture(scope="session")
def measured() -> Callable[[str, float], TwoMaps]:
    return cache(film_maps)
