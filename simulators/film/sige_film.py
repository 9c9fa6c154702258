"""A Si-Ge film on Si(001) under a micro-beam: the (022) reciprocal-space map of any spot.

A spot holds a Si-rich matrix in two depth sublayers, a Ge-rich population and the substrate. Each
is an anisotropic Gaussian peak whose place follows from composition, relaxation and tilt
(`bl_steer.diffraction.sige`); how these vary over the film is in `simulators.film.film_fields`, and
how a peak fades as a circle turns in `simulators.film.rocking`. For maps that were measured
somewhere, use `simulators.film.recorded_map`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import FrameAxes, peak_position
from bl_steer.protocols import Array
from simulators.film.film_fields import EXTENT_UM, FWHM_PER_SIGMA, PRESETS, FilmFields
from simulators.film.rocking import rocking_factor
from simulators.film.sample import check_exposure, checked_places
from simulators.seeds import seed_problems

__all__ = ["PRESETS", "SigeFilm"]

N_GRID = 31
N_PIXELS = 33
WINDOW = (2.240, 2.345)
"""q_par and q_perp at the first and last pixel, 1/Å: substrate, Ge-rich peak and all tilts."""
FOOTPRINT_FWHM_UM = 1.0

RADIAL_SIGMA = 0.005
ANGULAR_SIGMA = 0.0095
"""Nominal peak widths along and across q, 1/Å."""
WIDTHS = np.array([[0.70, 0.55], [1.10, 1.05], [1.15, 1.10], [1.06, 1.08]])
"""Widths relative to nominal (radial, angular): substrate, lower and upper matrix, Ge-rich."""

FILM_RATE = 5700.0
"""Counts/s of the film's peaks together, at the nominal beam: 4,000 from a Ge-rich share of .7."""
SUBSTRATE_RATE = 2500.0
SUBLAYER_SHARE = (0.45, 0.55)
SUBLAYER_GE = (-0.02, 0.02)
SUBLAYER_RELAXATION = (0.80, 0.92)
"""Lower and upper matrix: intensity, Ge fraction against the mean, relaxation."""

NOMINAL_MONITOR = 1.0e6
"""Counts/s of the beam monitor at the nominal beam."""
DRIFT = 0.03
DRIFT_PERIOD_S = 5400.0
TOP_UP_LOSS = 0.01
TOP_UP_PERIOD_S = 180.0
"""Slow drift of the flux, and the decay between two injections into the storage ring."""
N_HOT_PIXELS = 3
HOT_PIXEL_RATE = (0.5, 5.0)
ZINGER_PROBABILITY = 0.02
ZINGER_COUNTS = (200.0, 5000.0)
DEAD_PROBABILITY = 0.003
BATCH = 64
"""Spots drawn together: their exponents (BATCH x 16 peaks x pixels) stay in the cache."""


class SigeFilm:
    """A simulated Si-Ge film; see `simulators.film.sample.Sample` for what it answers.

    Parameters
    ----------
    preset : name in `simulators.film.film_fields.PRESETS`: smooth, multi-domain, needle, noisy,
    rough seed : which film of that kind; also seeds the noise

    Raises
    ------
    ValueError
        If the preset is unknown or the seed negative.

    Examples
    --------
    >>> film = SigeFilm("smooth", seed=1)
    >>> film.rates(np.array([75.0]), np.array([40.0])).shape
    (1, 33, 33)
    """

    unit = "um"
    nominal_monitor = NOMINAL_MONITOR

    def __init__(self, preset: str = "multi-domain", seed: int = 0) -> None:
        if preset not in PRESETS:
            raise ValueError(
                f"preset must be one of {', '.join(PRESETS)}, got {preset!r}; choose one of these"
            )
        if problems := seed_problems(seed):
            raise ValueError(f"{problems[0]}; try seed=0")
        self.name = f"sige-{preset}-{seed}"
        self.preset = preset
        self.seed = seed
        self.settings = PRESETS[preset]
        self.fields = FilmFields(self.settings, seed)
        axis = np.linspace(*WINDOW, N_PIXELS)
        self.axes = FrameAxes(axis, axis.copy())
        self._basis = _quadratic_basis(self.axes)
        rng = np.random.default_rng([seed, 1])
        self._drift_phase = rng.uniform(0.0, 2.0 * np.pi)
        self._top_up_phase = rng.uniform()
        self._hot = np.zeros(N_PIXELS**2)
        self._hot[rng.choice(N_PIXELS**2, N_HOT_PIXELS, replace=False)] = rng.uniform(
            *HOT_PIXEL_RATE, N_HOT_PIXELS
        )

    @property
    def grid(self) -> tuple[Array, Array]:
        """Coordinates of the 961 grid points, µm, x first."""
        x, y = np.meshgrid(*2 * [np.linspace(0.0, EXTENT_UM, N_GRID)])
        return x.ravel(), y.ravel()

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Grid points along y and x."""
        return N_GRID, N_GRID

    def rates(self, x: Array, y: Array, *, rocking_deg: float = 0.0) -> Array:
        """Return noise-free count rates at the nominal beam, (n, 33, 33), counts/s.

        Parameters
        ----------
        x, y : shape (n,), positions, µm
        rocking_deg : of the circle that rocks the film, from where it was aligned
        """
        x, y = checked_places(x, y)
        batches = range(0, len(x), BATCH)
        frames = [self._draw(x[i : i + BATCH], y[i : i + BATCH], rocking_deg) for i in batches]
        return np.concatenate(frames).reshape(-1, *self.axes.shape)

    def expose(
        self,
        x: float,
        y: float,
        *,
        exposure_s: float,
        time_s: float,
        shot: int,
        rocking_deg: float = 0.0,
    ) -> tuple[NDArray[np.float64], float]:
        """Return one measured frame (33, 33), counts, and the beam monitor's counts.

        Parameters
        ----------
        x, y : place, µm
        exposure_s : exposure time, s
        time_s : time since the start, s; the beam's drift follows it
        shot : number of the exposure; the noise follows it and the seed
        rocking_deg : as for `rates`
        """
        check_exposure(exposure_s, shot)
        rng = np.random.default_rng([self.seed, 2, shot])
        seen, monitor = self.flux_seen(exposure_s, time_s, rng)
        rates = self.rates(np.array([x]), np.array([y]), rocking_deg=rocking_deg).ravel()
        frame = rng.poisson((seen * rates + self._hot) * exposure_s).astype(float)
        if rng.uniform() < ZINGER_PROBABILITY:
            hits = rng.choice(frame.size, rng.integers(1, 4), replace=False)
            frame[hits] += np.round(rng.uniform(*ZINGER_COUNTS, hits.size))
        if rng.uniform() < DEAD_PROBABILITY:
            frame[:] = 0.0
        return frame.reshape(self.axes.shape), monitor

    def beam(self, time_s: float) -> float:
        """Return the flux relative to nominal, some time after the start, s."""
        drift = DRIFT * np.sin(2.0 * np.pi * time_s / DRIFT_PERIOD_S + self._drift_phase)
        since_top_up = (time_s / TOP_UP_PERIOD_S + self._top_up_phase) % 1.0
        return float((1.0 + drift) * (1.0 - TOP_UP_LOSS * since_top_up))

    def flux_seen(
        self, exposure_s: float, time_s: float, rng: np.random.Generator
    ) -> tuple[float, float]:
        """Return the flux that reaches the film, relative to nominal, and the monitor's counts."""
        beam = self.beam(time_s + 0.5 * exposure_s)
        monitor = float(rng.poisson(self.nominal_monitor * beam * exposure_s))
        return beam * float(np.exp(self.settings.flicker * rng.standard_normal())), monitor

    def _draw(self, x: Array, y: Array, rocking_deg: float) -> Array:
        """Return rates (n, pixels): the mean over the beam's footprint of all peaks."""
        nodes = footprint_nodes(FOOTPRINT_FWHM_UM, FOOTPRINT_FWHM_UM)
        spots_x, spots_y = ((u[:, None] + nodes[:, i]).ravel() for i, u in enumerate((x, y)))
        q, rate = self.peaks(spots_x, spots_y)
        if rocking_deg:
            tilt = self.tilts(spots_x, spots_y)
            rate = rate * rocking_factor(rocking_deg, tilt, q, ANGULAR_SIGMA * WIDTHS[:, 1])
        exponents = _coefficients(q, rate / len(nodes), self.axes) @ self._basis
        np.exp(exponents, out=exponents)
        total = exponents.reshape(len(x), -1, self._basis.shape[1]).sum(axis=1)
        return np.asarray(self.settings.flux * total + self.settings.background_rate)

    def peaks(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return positions q (n, 4, 2), 1/Å, and rates (n, 4), counts/s, of the four peaks."""
        f = self.fields
        rich, film = f.rich_fraction(x, y), FILM_RATE * f.thickness(x, y)
        still = np.zeros_like(x)
        relaxation = [still, *(still + r for r in SUBLAYER_RELAXATION), f.rich_relaxation(x, y)]
        q = peak_position(self.composition(x, y), np.stack(relaxation, -1), self.tilts(x, y))
        matrix = [film * (1.0 - rich) * share for share in SUBLAYER_SHARE]
        rates = [still + SUBSTRATE_RATE, *matrix, film * rich]
        return np.stack(q, axis=-1), np.stack(rates, axis=-1)

    def composition(self, x: Array, y: Array) -> Array:
        """Return the Ge fractions (n, 4) of substrate, lower and upper matrix, and Ge-rich."""
        f = self.fields
        matrix_ge = f.matrix_ge(x, y)
        ge = [np.zeros_like(x), *(matrix_ge + d for d in SUBLAYER_GE), f.rich_ge(x, y)]
        return np.stack(ge, axis=-1)

    def tilts(self, x: Array, y: Array) -> Array:
        """Return the tilts (n, 4) of the four populations, degrees."""
        matrix = self.fields.matrix_tilt_deg(x, y)
        tilts = [np.zeros_like(x), matrix, matrix, self.fields.rich_tilt_deg(x, y)]
        return np.stack(tilts, axis=-1)


def footprint_nodes(width_um: float, length_um: float) -> Array:
    """Return spots that stand for a Gaussian footprint of this full width at half maximum, (4, 2).

    Two Gauss-Hermite nodes a direction lie at one standard deviation, with equal weights.
    """
    signs = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return np.asarray(signs * np.array([width_um, length_um]) / FWHM_PER_SIGMA)


def _quadratic_basis(axes: FrameAxes) -> Array:
    """Return the six images (6, pixels) that span all Gaussians' exponents: u², uv, v², u, v, 1."""
    u, v = (q - q.mean() for q in axes.mesh())
    return np.stack([u * u, u * v, v * v, u, v, np.ones_like(u)])


def _coefficients(q: Array, rates: Array, axes: FrameAxes) -> Array:
    """Return each peak's exponent in the quadratic basis.

    Parameters
    ----------
    q : shape (n, 4, 2), peak positions, 1/Å
    rates : shape (n, 4), counts/s of the whole peak
    axes : the frame's pixels

    Returns
    -------
    coefficients : shape (n * 4, 6)
    """
    radial, angular = RADIAL_SIGMA * WIDTHS[:, 0], ANGULAR_SIGMA * WIDTHS[:, 1]
    (ux, uz), (wr, wa) = (
        np.moveaxis(q, -1, 0) / np.hypot(*np.moveaxis(q, -1, 0)),
        (
            radial**-2,
            angular**-2,
        ),
    )
    xx, xz, zz = wr * ux**2 + wa * uz**2, (wr - wa) * ux * uz, wr * uz**2 + wa * ux**2
    cx, cz = q[..., 0] - axes.qx.mean(), q[..., 1] - axes.qz.mean()
    pixel = (axes.qx[1] - axes.qx[0]) * (axes.qz[1] - axes.qz[0])
    height = rates * pixel / (2.0 * np.pi * radial * angular)
    constant = np.log(np.maximum(height, 1e-300)) - 0.5 * (
        xx * cx**2 + 2.0 * xz * cx * cz + zz * cz**2
    )
    terms = [-0.5 * xx, -xz, -0.5 * zz, xx * cx + xz * cz, xz * cx + zz * cz, constant]
    return np.stack(terms, axis=-1).reshape(-1, 6)
