"""The film that `bl-steer map-film` tells from two azimuths, beside the film that was simulated.

    python benchmarks/bench_film_fit.py [SEEDS]

Maps of (022) and (0 -2 2), with counting noise alone, of films that are bright, dim, and dim but
exposed for longer; points whose Ge-rich peak has `LEAST_COUNTS` or more. The fit is told roughly
where the two peaks lie. Printed are the median errors of x, R and tilt, the shares of true values
within the 95 % intervals, and the CPU time of a map's fit.
"""

from __future__ import annotations

import sys
from time import process_time

import numpy as np

from bl_steer.analysis.film.pattern_model import Patterns
from bl_steer.analysis.film.whole_pattern import PatternFit, fit_patterns
from bl_steer.diffraction import peak_position
from bl_steer.diffraction.film_state import Reflection, film_of_peaks
from bl_steer.protocols import Array
from simulators.film import SigeFilm

FILMS = (("multi-domain", 10.0), ("noisy", 50.0), ("noisy", 200.0))
"""Preset and exposure, s."""
LEAST_COUNTS = 200
RICH = 1
"""The Ge-rich peak among the fitted ones, which are in the order of `NOMINAL`."""
NOMINAL = np.array([peak_position(0.18, 0.87), peak_position(0.45, 0.9)])
REFLECTIONS = [Reflection.parse("0,2,2"), Reflection.parse("0,-2,2")]


class TurnedFilm(SigeFilm):
    """A film turned by 180° about its normal: its tilts are reversed."""

    def tilts(self, x: Array, y: Array) -> Array:
        """Return the tilts; see `SigeFilm.tilts`."""
        return -super().tilts(x, y)


def fitted(film: SigeFilm, exposure_s: float, rng: np.random.Generator) -> tuple[PatternFit, float]:
    """Return the fit of one map, and the CPU time that it took, s."""
    x, y = film.grid
    counts = rng.poisson(film.rates(x, y).reshape(len(x), -1) * exposure_s).astype(np.float32)
    patterns = Patterns(counts, np.ones_like(counts))
    began = process_time()
    fit = fit_patterns(
        patterns, film.axes, NOMINAL, substrate=np.array(peak_position(0.0, 0.0)), width=0.006
    )
    return fit, process_time() - began


def errors_of(preset: str, seed: int, exposure_s: float) -> tuple[Array, Array, list[float]]:
    """Return the errors of x, R and tilt at each point, shape (n, 3), in units and in sds."""
    rng = np.random.default_rng(seed)
    film = SigeFilm(preset, seed)
    x, y = film.grid
    fits, seconds = zip(
        *(fitted(kind(preset, seed), exposure_s, rng) for kind in (SigeFilm, TurnedFilm)),
        strict=True,
    )
    bright = film.peaks(x, y)[1][:, -1] * film.settings.flux * exposure_s >= LEAST_COUNTS
    position = np.stack([fit.position[:, RICH] for fit in fits], axis=1)
    covariance = np.stack([fit.covariance[:, RICH, 1:, 1:] for fit in fits], axis=1)
    told = film_of_peaks(position[bright], covariance[bright], REFLECTIONS, {})
    fields = film.fields
    truth = (fields.rich_ge, fields.rich_relaxation, fields.rich_tilt_deg)
    error = told.values[:, :3] - np.stack([of(x, y) for of in truth], axis=1)[bright]
    sd = np.sqrt(np.einsum("nii->ni", told.covariance)[:, :3])
    return error, error / sd, list(seconds)


def main(n_seeds: int = 20) -> None:
    """Print a row for each kind of film."""
    heads = ("points", "median errors of x, R, tilt", "within 95 %", "CPU s")
    print(f"{'film':22}{heads[0]:>8}{heads[1]:>30}{heads[2]:>22}{heads[3]:>7}")
    for preset, exposure_s in FILMS:
        rows = [errors_of(preset, seed, exposure_s) for seed in range(n_seeds)]
        error = np.concatenate([row[0] for row in rows])
        deviation = np.concatenate([row[1] for row in rows])
        medians = "".join(f"{value:10.4f}" for value in np.median(np.abs(error), axis=0))
        shares = "".join(f"{share:7.3f}" for share in (np.abs(deviation) < 1.96).mean(axis=0))
        cpu_s = np.median([seconds for row in rows for seconds in row[2]])
        name = f"{preset}, {exposure_s:g} s"
        print(f"{name:22}{len(error):8d}{medians:>30}{shares:>22}{cpu_s:7.1f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
