"""What every reader of a scan gives: counts as they were stored, and the angles of the circles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.protocols import Array

__all__ = ["Scan", "is_rate"]

RATES = ("cps", "counts/s", "countspersecond", "1/s", "hz")


def is_rate(unit: str) -> bool:
    """Return whether a unit, as a file writes it, is that of counts in a second."""
    return unit.lower().replace(" ", "") in RATES


@dataclass(frozen=True)
class Scan:
    """A scan of a diffractometer, as its file has it.

    Parameters
    ----------
    counts : shape (n,), (n, W) or (n, H, W): of a point, linear or area detector; as stored
    angles : by circle (`bl_steer.files.scans.CIRCLES`), degrees; (n,), or of the shape of counts
        where the file has an angle for each channel
    energy_kev : of the photons; None where the file does not say
    hkl : nominal, of the reflection that was measured; None where the file does not say
    q_hkl : length of hkl in reciprocal space, 1/Å, with 2π, by the file's own cell or UB matrix
    count_time_s, attenuation, monitor : shape (n,), or of the shape of counts; factors by which
        the beam was weakened; None where the file does not say
    mask : shape of a frame or of counts, True where a pixel is not to be used; None without one
    detector : what the file tells: ``pixel_size_mm``, ``distance_mm``, ``beam_centre``
    corrected : what the counts were divided or multiplied by already: ``"attenuation"``, ``"time"``
    unit : of the counts, ``"counts"``, ``"counts/s"`` or ``"arbitrary"``; "" where the file does
        not say
    notes : what a user should know, one sentence each
    """

    counts: NDArray[Any]
    angles: Mapping[str, Array]
    energy_kev: float | None = None
    hkl: tuple[float, float, float] | None = None
    q_hkl: float | None = None
    count_time_s: Array | None = None
    attenuation: Array | None = None
    monitor: Array | None = None
    mask: NDArray[np.bool_] | None = None
    detector: Mapping[str, Any] = field(default_factory=dict)
    corrected: Sequence[str] = ()
    unit: str = ""
    notes: Sequence[str] = ()

    @property
    def stored_unit(self) -> str:
        """Unit of the counts as stored: what the file says, else by the numbers themselves.

        Whole numbers are counts, unless they were divided by the time; others are in a unit that
        nobody told, and no root of one is its noise.
        """
        if self.unit:
            return self.unit
        if "time" in self.corrected:
            return "counts/s"
        return "counts" if self.are_whole else "arbitrary"

    @property
    def are_whole(self) -> bool:
        """Whether the counts are whole numbers, as they come from a detector."""
        if self.counts.dtype.kind in "biu":
            return True
        is_number = np.isfinite(self.counts)
        return bool((self.counts == np.rint(self.counts)).all(where=is_number))

    @property
    def n_points(self) -> int:
        """Points of the scan: frames, profiles or single counts."""
        return len(self.counts)

    @property
    def kind(self) -> str:
        """``"point"``, ``"linear"`` or ``"area"``; channels with angles of their own are points."""
        if self.has_angle_a_channel or self.counts.ndim == 1:
            return "point"
        return "linear" if self.counts.ndim == 2 else "area"

    @property
    def has_angle_a_channel(self) -> bool:
        """Whether some circle has an angle for each channel of a profile."""
        return self.counts.ndim == 2 and any(a.ndim == 2 for a in self.angles.values())

    @property
    def two_theta(self) -> Array | None:
        """Angle between primary and diffracted beam at the beam centre, degrees; None if unknown.

        That of the circle two_theta, or of nu and delta, which stand at right angles.
        """
        if "two_theta" in self.angles:
            return np.abs(self.angles["two_theta"])
        arm = [np.radians(self.angles[name]) for name in ("nu", "delta") if name in self.angles]
        if not arm:
            return None
        return np.asarray(np.degrees(np.arccos(np.prod(np.cos(arm), axis=0))))

    def energy_of_hkl(self) -> tuple[float, float] | None:
        """Return the least and largest energy, keV, at which hkl is met within the scan.

        None where hkl, its length or two-theta is not known.

        Notes
        -----
        ``E = h c q / (4 π sin θ)``.
        """
        two_theta = self.two_theta
        if self.q_hkl is None or two_theta is None or not (two_theta > 0).all():
            return None
        energies = HC_KEV_ANGSTROM * self.q_hkl / (4 * np.pi * np.sin(np.radians(two_theta / 2)))
        return float(energies.min()), float(energies.max())
