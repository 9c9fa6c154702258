"""The angles' zero by the substrate's peak, whose place is known, with its error.

The film's relaxation and tilt depend on the zero of the angles more than on counts: .01° is worth
.009 in R and .007° in tilt. Align the mean pattern of a map for what all points share, and the
pattern of each point where the sample drifts or bends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bl_steer.diffraction.axes import FrameAxes
from bl_steer.diffraction.geometry import Goniometer
from bl_steer.protocols import Array

__all__ = ["Alignment", "align_on_peak"]

LEAST_SIGNIFICANCE = 5.0
"""Standard deviations by which a peak must stand out."""
CENTRINGS = 12
"""Times that the window is moved to the centroid in it."""
NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Alignment:
    """A turn and a stretch of the map that bring a peak to where it is known to lie.

    Parameters
    ----------
    rotation_deg : from the measured to the true position, degrees; positive leans towards +q_par,
        as a tilt does
    scale : true over measured length of q
    rotation_error_deg, scale_error : standard deviations, by counts and by the width of the cells
    """

    rotation_deg: float
    scale: float
    rotation_error_deg: float
    scale_error: float

    def apply(self, q_par: ArrayLike, q_perp: ArrayLike) -> tuple[Array, Array]:
        """Return where measured positions truly lie, 1/Å."""
        turn = np.radians(self.rotation_deg)
        cosine, sine = self.scale * np.cos(turn), self.scale * np.sin(turn)
        par, perp = np.asarray(q_par, dtype=float), np.asarray(q_perp, dtype=float)
        return np.asarray(par * cosine + perp * sine), np.asarray(perp * cosine - par * sine)

    def corrected(
        self, goniometer: Goniometer, angles: Mapping[str, float], *, arm: str | None = None
    ) -> Goniometer:
        """Return the goniometer with the zeros that give the peak its true place.

        Parameters
        ----------
        goniometer : that the map was made with
        angles : of every circle in the middle of the scan, degrees
        arm : circle of the arm whose zero is wrong; None where it is the energy, which then takes
            up `scale`

        Raises
        ------
        ValueError
            When the `rocked` circle does not turn q in the plane of the map.

        Notes
        -----
        Newton's method on the zero of the `rocked` circle and that of `arm` (or the energy), for q
        at the beam centre. For the energy it is exact for the whole map, for a circle of the arm
        to first order in the distance from the beam centre.
        """
        par, perp = _in_map(goniometer, angles)
        target = np.array(self.apply(par, perp))
        zeros = np.zeros(2)
        step = 1e-4

        def q_at(values: Array) -> Array:
            return np.array(_in_map(_moved(goniometer, values, arm), angles))

        for _ in range(5):
            here = q_at(zeros)
            slopes = np.stack([(q_at(zeros + d) - here) / step for d in step * np.eye(2)], axis=1)
            if np.linalg.cond(slopes / np.linalg.norm(here)) > 1e3:
                raise ValueError(
                    f"the circles {goniometer.rocked} and {arm or 'the energy'} must move q apart "
                    "in the map, got a turn that leaves it where it is; name the circle that "
                    "rocks in the scattering plane as the goniometer's rocked"
                )
            zeros = zeros + np.linalg.solve(slopes, target - here)
        return _moved(goniometer, zeros, arm)


def align_on_peak(
    pattern: ArrayLike,
    axes: FrameAxes,
    expected: tuple[Any, Any],
    *,
    variance: ArrayLike | None = None,
    radius: float = 0.01,
    search: float = 0.03,
) -> Alignment:
    """Return what brings a peak of a map to where it is known to lie.

    Parameters
    ----------
    pattern : shape (n_pixels,) or (H, W), mean or counts of each cell; NaN where nothing fell
    axes : of the map, 1/Å
    expected : q_par and q_perp of the peak, 1/Å; `bl_steer.diffraction.peak_position(0.0, 1.0)`
        for Si (022)
    variance : of `pattern`; by default that of the cells around the peak
    radius : around its brightest cell that holds the peak, and no other, 1/Å
    search : around `expected` in which its brightest cell is looked for, 1/Å

    Raises
    ------
    ValueError
        When no peak stands out there.

    Notes
    -----
    The position is the centroid in a soft window of `radius` about itself, less the median of the
    ring outside it, and its error that of counts and of cells: a peak narrower than a cell of step
    d has its centroid wrong by d/√12, one of σ = s d by this times exp(-2 π² s²).

    Examples
    --------
    >>> axes = FrameAxes(np.linspace(2.26, 2.36, 51), np.linspace(2.26, 2.36, 51))
    >>> qx, qz = axes.mesh()
    >>> peak = 1e4 * np.exp(-0.5 * ((qx - 2.3138) ** 2 + (qz - 2.3098) ** 2) / 0.003**2)
    >>> round(align_on_peak(peak, axes, (2.3138, 2.3138)).rotation_deg, 3)
    -0.05
    """
    values = np.asarray(pattern, dtype=float).ravel()
    known = np.isfinite(values)
    q = np.stack(axes.mesh())
    target = np.array([float(part) for part in expected])
    near = known & (np.hypot(*(q - target[:, None])) <= search)
    if not near.any():
        raise ValueError(
            f"the map must reach the peak at {target[0]:.4f}, {target[1]:.4f} 1/Å, got none of its "
            f"cells within {search:g} 1/Å; widen the grid"
        )
    window = _Window(q[:, known], values[known], radius)
    centre = q[:, np.flatnonzero(near)[values[near].argmax()]]
    for _ in range(CENTRINGS):  # on itself, or the window's edge would draw it to the cell's middle
        centre = window.centroid(centre)
    share, background, spread = window.at(centre)
    errors = np.full(len(share), spread**2)
    if variance is not None:
        errors = np.asarray(variance, dtype=float).ravel()[known]
    errors = errors * share**2
    weights = (values[known] - background) * share
    total, noise = weights.sum(), np.sqrt(errors.sum())
    if not total > LEAST_SIGNIFICANCE * noise:
        raise ValueError(
            f"the peak must stand out by {LEAST_SIGNIFICANCE:g} standard deviations within "
            f"{search:g} 1/Å of {target[0]:.4f}, {target[1]:.4f}, got {total:.3g} ± {noise:.3g} "
            "above its surroundings; count longer, or name another peak"
        )
    apart = q[:, known] - centre[:, None]
    # The window follows the centroid, which follows the window: an error feeds on itself.
    step = 0.01 * radius
    follows = np.stack(
        [
            (window.centroid(centre + d) - window.centroid(centre - d)) / (2 * step)
            for d in step * np.eye(2)
        ],
        axis=1,
    )
    gain = np.linalg.inv(np.eye(2) - follows)
    covariance = gain @ ((apart * errors) @ apart.T / total**2) @ gain.T
    covariance = covariance + np.diag(_of_cells(apart, weights, axes))
    return _alignment(centre, covariance, target)


class _Window(NamedTuple):
    """A round window with a soft edge, in which a peak's centroid is taken.

    Parameters
    ----------
    q : shape (2, n), of the cells
    values : shape (n,), of the cells
    radius : at which half of a cell counts
    """

    q: Array
    values: Array
    radius: float

    def at(self, centre: Array) -> tuple[Array, float, float]:
        """Return the cells' shares, and the background and its spread in the ring around them."""
        distance = np.hypot(*(self.q - centre[:, None]))
        share = np.clip((self.radius - distance) / self.radius + 0.5, 0.0, 1.0)
        ring = self.values[(share == 0.0) & (distance <= 2.5 * self.radius)]
        background = float(np.median(ring)) if ring.size else 0.0
        spread = NORMAL_MAD * float(np.median(abs(ring - background))) if ring.size else 0.0
        return share, background, spread

    def centroid(self, centre: Array) -> Array:
        """Return the centroid of what lies above the background; `centre` where nothing does."""
        share, background, _ = self.at(centre)
        weights = (self.values - background) * share
        total = weights.sum()
        return np.asarray((self.q * weights).sum(axis=1) / total) if total > 0 else centre


def _of_cells(apart: Array, weights: Array, axes: FrameAxes) -> Array:
    """Return the variance of a centroid along q_par and q_perp by the width of the cells."""
    steps = np.array([_step(axes.qx), _step(axes.qz)])
    second = (apart**2 * weights).sum(axis=1) / weights.sum()
    own = np.clip(second / steps**2 - 1.0 / 12.0, 0.0, None)
    return np.asarray(steps**2 / 12.0 * np.exp(-4.0 * np.pi**2 * own))


def _step(centres: Array) -> float:
    return float(np.ptp(centres) / max(len(centres) - 1, 1))


def _alignment(centre: Array, covariance: Array, target: Array) -> Alignment:
    length = float(np.hypot(*centre))
    radial = centre / length
    sideways = np.array([radial[1], -radial[0]])  # the way that a positive rotation goes
    turn = np.arctan2(*target) - np.arctan2(*centre)
    return Alignment(
        rotation_deg=float(np.degrees(turn)),
        scale=float(np.hypot(*target)) / length,
        rotation_error_deg=float(np.degrees(np.sqrt(sideways @ covariance @ sideways) / length)),
        scale_error=float(np.sqrt(radial @ covariance @ radial) / length),
    )


def _in_map(goniometer: Goniometer, angles: Mapping[str, float]) -> tuple[float, float]:
    """Return q_par and q_perp of the beam centre."""
    q = goniometer.q(angles, goniometer.detector.beam_centre)
    along, across, normal = goniometer.components(q)
    return float(np.copysign(np.hypot(along, across), along)), float(normal)


def _moved(goniometer: Goniometer, values: Array, arm: str | None) -> Goniometer:
    """Return the goniometer with the zeros of two circles moved, or of one and with the energy."""
    zeros = {goniometer.rocked: float(values[0])}
    energy = goniometer.energy_kev
    if arm is None:
        energy = energy * (1.0 + float(values[1]))
    elif arm not in [circle.name for circle in goniometer.arm]:
        raise ValueError(
            f"arm must be a circle that turns the detector, among "
            f"{', '.join(circle.name for circle in goniometer.arm)}, got {arm!r}; leave it out to "
            "correct the energy"
        )
    else:
        zeros[arm] = float(values[1])
    sample, circles = (
        tuple(replace(c, zero_deg=c.zero_deg + zeros.get(c.name, 0.0)) for c in part)
        for part in (goniometer.sample, goniometer.arm)
    )
    return replace(goniometer, sample=sample, arm=circles, energy_kev=energy)
