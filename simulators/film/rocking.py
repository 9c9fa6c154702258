"""How a peak's intensity follows the circle that rocks the film through the reflection.

A single frame at the aligned angle, as the fast mode takes it, is what `simulators.film.sige_film`
draws; here is how it changes at another angle.
"""

from __future__ import annotations

import numpy as np

from bl_steer.protocols import Array

__all__ = ["rocking_factor"]

RESOLUTION_SIGMA_DEG = 0.15
"""Standard deviation of the instrument's resolution: 2.6 mrad of convergence of the focused
micro-beam, assumed."""


def rocking_factor(rocking_deg: float, tilt_deg: Array, q: Array, sigma_across: Array) -> Array:
    """Return the intensity of peaks relative to that at the aligned angle.

    Parameters
    ----------
    rocking_deg : angle of the rocking circle from where the reflection was aligned, degrees
    tilt_deg : shape (n, n_peaks), tilt of each population, degrees, in the sense of
        `bl_steer.diffraction.peak_position`
    q : shape (n, n_peaks, 2), positions of the peaks, 1/Å
    sigma_across : shape (n_peaks,), standard deviation of each peak across q, 1/Å

    Returns
    -------
    factor : shape (n, n_peaks); exactly 1 at the aligned angle

    Notes
    -----
    Kinematic diffraction of a mosaic crystal: each block reflects at its own angle, so that the
    rocking curve is the distribution of the blocks' orientations, seen through the resolution:
    ``R(eta) = exp(-(eta - tilt)² / 2 w²)`` with ``w² = (sigma_across / |q|)² + resolution²``. The
    width across q is the mosaic spread times ``|q|``. A domain that leans by ``tilt`` reflects best
    where the circle has turned by as much. The factor is ``R(eta) / R(0)``: the frame at the
    aligned angle stands for what was measured there, whatever the tilt, so a domain that is tilted
    away from it becomes brighter as the circle turns to it. Absorption, extinction and the motion
    of the peaks in the frame, which is on the film's own axes of q, are left out.

    References
    ----------
    C. G. Darwin, Phil. Mag. 43 (1922) 800, doi:10.1080/14786442208633940: the mosaic crystal.

    Examples
    --------
    >>> q, tilt = np.array([[[2.29, 2.26]]]), np.array([[0.3]])
    >>> angles = (-0.3, 0.0, 0.3, 0.6)
    >>> [round(rocking_factor(eta, tilt, q, np.array([0.0095])).item(), 3) for eta in angles]
    [0.071, 1.0, 2.412, 1.0]
    """
    mosaic_deg = np.degrees(sigma_across / np.hypot(q[..., 0], q[..., 1]))
    variance = mosaic_deg**2 + RESOLUTION_SIGMA_DEG**2
    return np.asarray(np.exp(rocking_deg * (2.0 * tilt_deg - rocking_deg) / (2.0 * variance)))
