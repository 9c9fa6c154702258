"""The simulated film as an area detector sees it: frames along a rocking scan, not yet a map.

`simulators.film.sige_film.SigeFilm` alone draws its map in q at once, which is fast. Here the same
peaks are drawn in three dimensions of reciprocal space, and each frame is where the detector's
pixels cut through them, with what a map in q never shows: gaps and pixels that are out of order, a
sharp substrate peak, tilts out of the plane. `bl_steer.diffraction.GriddedFrames` makes maps of
the frames; `Effects` says what is simulated beyond the peaks of the fast mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import Detector, FrameAxes, Goniometer
from bl_steer.diffraction import goniometer as preset
from bl_steer.protocols import Array
from simulators.film.mosaic_peaks import MosaicPeaks, Surroundings, crystal_peak
from simulators.film.pixel_detector import PixelDetector
from simulators.film.sample import check_exposure, checked_places
from simulators.film.sige_film import (
    ANGULAR_SIGMA,
    FOOTPRINT_FWHM_UM,
    RADIAL_SIGMA,
    WIDTHS,
    SigeFilm,
    footprint_nodes,
)

__all__ = ["ALIGNED", "Effects", "FilmOnDetector"]

ALIGNED: Mapping[str, float] = MappingProxyType(
    {"mu": 2.0, "eta": 0.0, "chi": 0.0, "phi": 0.0, "nu": 24.88, "delta": 24.16}
)
"""Circles of the preset 4S+2D at the substrate's (022), 11 keV and 2° incidence, degrees."""
DETECTOR_MM = 28.16
"""Edge of the detector: 512 pixels of 55 µm."""
DISTANCE_MM = 600.0
SCAN_DEG = 2.0
"""A rocking scan over so much counts as many photons as a map of the fast mode in the same time."""
FOLLOWS = np.array([1.0, 1.0, 0.1])
"""How far lower and upper matrix and the Ge-rich population lean with their domain: relaxed grains
follow it little."""
LEAST_INCIDENCE = 0.002
"""Sine of the angle below which the beam's footprint grows no further."""
REFERENCE_GE = 0.45
"""Ge fraction at which the fast mode's rates are those of the frames."""


@dataclass(frozen=True)
class Effects:
    """What frames show beyond the peaks that the fast mode draws; 0 and None leave it out."""

    substrate_sigma: float | None = 0.001
    """Standard deviation of the substrate's peak, 1/Å, a perfect crystal's; half a pixel where
    that is more. None: the broad one of the fast mode."""
    substrate_gain: float = 4.0
    """How much more the substrate scatters than in the fast mode."""
    rod: float = 0.05
    """Of the substrate, along the surface normal: its density one sigma beside the peak, against
    that on top."""
    streak: float = 0.03
    """The same along q."""
    tails: float = 0.1
    """Share of the film's intensity in tails that are no Gaussian's."""
    mosaic_spread: float = 0.15
    """Relative standard deviation of the mosaic from domain to domain."""
    tilt_across_deg: float = 0.1
    """Standard deviation of the domains' second tilt, out of the plane of the map."""
    twist_deg: float = 0.15
    """Standard deviation of the domains' twist about the surface normal."""
    structure_factor: bool = True
    """Whether Ge scatters more than Si."""
    beam_height_um: float = 0.1
    """Full width at half maximum of the beam across the surface: at 2° it lights 29 times as much
    of the film along the beam, and a flatter angle lights more of it."""
    drift_um_per_deg: tuple[float, float] = (0.2, 0.6)
    """How far the lit spot moves over the film as the rocked circle turns."""

    @classmethod
    def none(cls) -> Self:
        """Return no effects: frames of what the fast mode draws."""
        return cls(None, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, (0.0, 0.0))


class FilmOnDetector:
    """A simulated film that gives detector frames; see `simulators.film.sample.Sample`.

    Parameters
    ----------
    film : that is under the beam; also seeds the noise and the detector's bad pixels
    shape : of the detector, whose size stays the same; small ones are fast
    goniometer : the diffractometer with its detector, in place of a 4S+2D with `shape`. The film's
        reflection lies along its `in_plane`
    aligned : angles of all circles at the substrate's peak, degrees. Without a goniometer, phi
        further than 90° from that of `ALIGNED` is the azimuth behind the normal
    effects : what is simulated beyond the fast mode
    detector : gaps and bad pixels; by default some of each

    Notes
    -----
    A pixel counts ``I(q) dV`` a second, with I the density of the peaks at the pixel's q and dV
    the volume of reciprocal space that a pixel in the middle of the detector sweeps while the
    `rocked` circle turns by `SCAN_DEG`, so that a whole scan counts what the map of the fast mode
    counts in the same time. Pixels at the edge of the detector see less, by their solid angle.
    A turn of 180° about the normal brings the reflection on the other side; there are no more.
    Refraction, absorption and multiple scattering are left out.

    Examples
    --------
    >>> film = FilmOnDetector(SigeFilm("smooth", seed=1), shape=(64, 64))
    >>> frame, monitor = film.expose(75.0, 40.0, exposure_s=1.0, time_s=0.0, shot=0)
    >>> frame.shape, frame.dtype, int(frame.min())
    ((64, 64), dtype('int32'), -1)
    """

    def __init__(
        self,
        film: SigeFilm,
        *,
        shape: tuple[int, int] = (128, 128),
        goniometer: Goniometer | None = None,
        aligned: Mapping[str, float] = ALIGNED,
        effects: Effects | None = None,
        detector: PixelDetector | None = None,
    ) -> None:
        self.film = film
        self.name, self.unit = f"{film.name}-frames", film.unit
        self.nominal_monitor = film.nominal_monitor
        self.aligned = dict(aligned)
        self._front = 1.0
        if goniometer is None:
            goniometer, first = (_surface(shape).facing(at) for at in (aligned, ALIGNED))
            if np.dot(goniometer.in_plane, first.in_plane) < 0.0:
                self._front = -1.0  # the sample has been turned: its other side faces the beam
        self.goniometer = goniometer
        self.effects = Effects() if effects is None else effects
        own: Any = self.goniometer.detector.shape
        self.detector = PixelDetector(own, seed=film.seed) if detector is None else detector
        self.axes = FrameAxes.channels(own, "pixel")
        self._directions = self.goniometer.directions().reshape(-1, 3)
        sweep = self._pixel_sweep()
        self._solid_angle = self._solid_angles()
        self._volume = abs(float(np.linalg.det(sweep))) * SCAN_DEG * self._solid_angle
        self._pixel_sigma = 0.5 * float(np.linalg.norm(sweep[:2], axis=1).max())
        self._aligned_incidence = self._incidence(self.aligned)
        rng = np.random.default_rng([film.seed, 5])
        n = film.fields.n_domains
        self._tilts_across, self._twists = rng.standard_normal((2, n))
        self._mosaics = np.exp(self.effects.mosaic_spread * rng.standard_normal(n))

    @property
    def grid(self) -> tuple[Array, Array]:
        """Coordinates of the film's grid points, µm, x first."""
        return self.film.grid

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Grid points along y and x."""
        return self.film.grid_shape

    @property
    def fixed(self) -> dict[str, float]:
        """Angles of the circles that a rocking scan leaves where they are, degrees."""
        return {name: a for name, a in self.aligned.items() if name != self.goniometer.rocked}

    def rates(
        self,
        x: Array,
        y: Array,
        *,
        rocking_deg: float = 0.0,
        angles: Mapping[str, float] | None = None,
    ) -> Array:
        """Return the photons that pixels receive, noise-free, at the nominal beam, (n, H, W), 1/s.

        Parameters
        ----------
        x, y : shape (n,), positions, µm
        rocking_deg : of the `rocked` circle, from where it is aligned
        angles : of circles that stand elsewhere than aligned, degrees
        """
        stand = self._stand(rocking_deg, angles)
        turns, offsets = self.goniometer.matrices(self.goniometer.angle_table(stand))
        frame = self.goniometer.reference_frame
        q = self._directions @ (frame @ turns[0]).T + frame @ offsets[0]
        side = -1.0 if q[:, 0].mean() < 0.0 else 1.0
        places = Surroundings(q * [side, side, 1.0])
        spots = zip(*checked_places(x, y), strict=True)
        frames = [self._density(*spot, places, stand, side * self._front) for spot in spots]
        background = self.film.settings.background_rate * np.prod(self.film.axes.shape)
        photons = np.reshape(frames, (-1, *self.axes.shape)) * self._volume
        return np.asarray(photons + background / self._solid_angle.size * self._solid_angle)

    def expose(
        self,
        x: float,
        y: float,
        *,
        exposure_s: float,
        time_s: float,
        shot: int,
        rocking_deg: float = 0.0,
        angles: Mapping[str, float] | None = None,
    ) -> tuple[NDArray[Any], float]:
        """Return one frame (H, W), counts as int32 with -1 in the gaps, and the monitor's counts.

        Parameters
        ----------
        x, y : place, µm
        exposure_s, time_s : exposure time, and time since the start, s; the beam's drift follows
        shot : number of the exposure; the noise follows it and the film's seed
        rocking_deg, angles : as for `rates`
        """
        check_exposure(exposure_s, shot)
        rng = np.random.default_rng([self.film.seed, 6, shot])
        seen, monitor = self.film.flux_seen(exposure_s, time_s, rng)
        (rates,) = self.rates(np.array([x]), np.array([y]), rocking_deg=rocking_deg, angles=angles)
        return self.detector.count(seen * rates, exposure_s, rng), monitor

    def _stand(self, rocking_deg: float, angles: Mapping[str, float] | None) -> dict[str, float]:
        stand = {**self.aligned, **(angles or {})}
        stand[self.goniometer.rocked] += rocking_deg
        return stand

    def _density(
        self, x: float, y: float, places: Surroundings, stand: Mapping[str, float], side: float
    ) -> Array:
        """Return what a spot scatters into a unit of reciprocal space, counts/s Å³.

        Behind the normal, with `side` -1, lies the reflection that a turn of 180° about it brings
        to where this one was: seen from there, what leans to the right leans to the left.
        """
        effects, film = self.effects, self.film
        turned = stand[self.goniometer.rocked] - self.aligned[self.goniometer.rocked]
        nodes, lit = self._lit(stand)
        drift = np.array(effects.drift_um_per_deg) * turned
        xs, ys = np.array([[x], [y]]) + drift[:, None] + nodes.T
        q, rates = film.peaks(xs, ys)
        if side < 0.0:
            q = _leaning(q, -2.0 * film.tilts(xs, ys))
        power = np.ones_like(rates)
        if effects.structure_factor:
            power = _scattering_power(film.composition(xs, ys))
        rates = film.settings.flux * rates * power / len(xs)
        total = self._film(xs, ys, q[:, 1:], lit * rates[:, 1:], side).density(
            places, tails=effects.tails
        )
        return total + self._substrate(places, q[0, 0], float(rates[:, 0].sum()))

    def _film(self, x: Array, y: Array, q: Array, rates: Array, side: float) -> MosaicPeaks:
        """Return the peaks of the three populations of the film at n places, (n, 3, …)."""
        fields, effects = self.film.fields, self.effects
        across, twist, mosaic = (
            fields.of_domains(values, x, y)
            for values in (self._tilts_across, self._twists, self._mosaics)
        )
        angular = ANGULAR_SIGMA * WIDTHS[1:, 1] * mosaic[:, None]
        out_of_plane = angular * q[..., 0] / np.linalg.norm(q, axis=-1)
        radial = np.broadcast_to(RADIAL_SIGMA * WIDTHS[1:, 0], angular.shape)
        return MosaicPeaks(
            q.reshape(-1, 2),
            np.stack([radial, angular, out_of_plane], axis=-1).reshape(-1, 3),
            rates.ravel(),
            (side * effects.tilt_across_deg * across[:, None] * FOLLOWS).ravel(),
            (effects.twist_deg * twist[:, None] * FOLLOWS).ravel(),
        )

    def _substrate(self, places: Surroundings, q: Array, rate: float) -> Array:
        effects = self.effects
        rate *= effects.substrate_gain
        if effects.substrate_sigma is not None:
            sigma = max(effects.substrate_sigma, self._pixel_sigma)
            return crystal_peak(
                places, q, rate, sigma=sigma, rod=effects.rod, streak=effects.streak
            )
        radial, angular = RADIAL_SIGMA * WIDTHS[0, 0], ANGULAR_SIGMA * WIDTHS[0, 1]
        sigmas = np.array([[radial, angular, angular * q[0] / np.linalg.norm(q)]])
        still = np.zeros(1)
        return MosaicPeaks(q[None], sigmas, np.array([rate]), still, still).density(places)

    def _lit(self, stand: Mapping[str, float]) -> tuple[Array, float]:
        """Return spots that stand for the beam's footprint, (4, 2), µm, and how much is lit."""
        width = length = FOOTPRINT_FWHM_UM
        lit = 1.0
        if height := self.effects.beam_height_um:
            incidence = self._incidence(stand)
            length, lit = height / incidence, self._aligned_incidence / incidence
        return footprint_nodes(width, length), lit

    def _incidence(self, stand: Mapping[str, float]) -> float:
        """Return the sine of the angle between beam and surface."""
        _, offsets = self.goniometer.matrices(self.goniometer.angle_table(stand))
        normal = self.goniometer.reference_frame[2]
        return max(float(offsets[0] @ normal) / self.goniometer.k, LEAST_INCIDENCE)

    def _pixel_sweep(self) -> Array:
        """Return by what q changes a row, a column and a degree of the rocked circle, (3, 3)."""
        g = self.goniometer
        row, column = g.detector.beam_centre
        turned = {**self.aligned, g.rocked: self.aligned[g.rocked] + 1.0}
        moved = [
            g.q(self.aligned, (row + 1.0, column)),
            g.q(self.aligned, (row, column + 1.0)),
            g.q(turned, (row, column)),
        ]
        return np.stack(moved) - g.q(self.aligned, (row, column))

    def _solid_angles(self) -> Array:
        """Return the solid angles of the pixels in units of that in the middle, shape (H, W)."""
        d = self.goniometer.detector
        apart = [
            (np.arange(n) - centre) * size / d.distance_mm
            for n, centre, size in zip(d.shape, d.beam_centre, d.pixel_size_mm, strict=True)
        ]
        return np.asarray((1.0 + apart[0][:, None] ** 2 + apart[1] ** 2) ** -1.5)


def _surface(shape: tuple[int, int]) -> Goniometer:
    height, width = shape
    pixel = (DETECTOR_MM / height, DETECTOR_MM / width)
    middle = ((height - 1) / 2, (width - 1) / 2)
    return preset("4S+2D", detector=Detector(shape, ("z-", "x+"), pixel, DISTANCE_MM, middle))


def _leaning(q: Array, tilt_deg: Array) -> Array:
    """Return positions (…, 2) that lean further towards +q_par, as `peak_position` has it."""
    cosine, sine = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    par, perp = q[..., 0], q[..., 1]
    return np.stack([par * cosine + perp * sine, perp * cosine - par * sine], axis=-1)


def _scattering_power(x_ge: Array) -> Array:
    """Return |F(022)|²/V² of SiGe at 11 keV, in units of that at `REFERENCE_GE`.

    Through the values for x = 0, .18, .45 and 1 of xrayutilities 1.8: 1, 1.38, 2.04, 3.56.
    """

    def amplitude(x: Array | float) -> Array | float:
        return 1.0 + 0.985 * x - 0.098 * x**2

    return np.asarray((amplitude(x_ge) / amplitude(REFERENCE_GE)) ** 2)
