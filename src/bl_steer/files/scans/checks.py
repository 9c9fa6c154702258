"""What must hold of any scan, and what a user should know of it, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans.scan import Scan

__all__ = ["agreed_energy", "checked"]

MAX_DEGREES = 720.0
"""Beyond it, a number is a motor's steps, or a position in µm."""
ENERGIES_KEV = (0.1, 500.0)
HIGH_KEV = 60.0
"""Above it, a wavelength may have been given in nm."""
SAME_ENERGY = 0.01
"""Relative, of an energy and a wavelength in one file; either may be rounded."""
STANDS_STILL = 1e-6
"""Degrees; encoders' noise is more, and so is any step."""


def checked(scan: Scan) -> Scan:
    """Return the scan with notes on what is odd in it.

    Raises
    ------
    FileFormatError
        When it holds nothing, or its parts do not fit each other.
    """
    _check_counts(scan)
    if not scan.angles:
        raise FileFormatError(
            "must hold the angles of circles, got none; name them omega, two_theta, chi, phi, mu, "
            "eta, delta or nu"
        )
    for circle, values in scan.angles.items():
        if values.shape not in ((scan.n_points,), scan.counts.shape):
            raise FileFormatError(
                f"must have as many frames as points, got {scan.n_points} for {values.size} "
                f"angles of {circle}; give the angles of the frames that are there"
            )
        largest = np.abs(values).max()
        if not largest <= MAX_DEGREES:  # NaN, too
            raise FileFormatError(
                f"must have {circle} within ±{MAX_DEGREES:g} degrees, got {largest:g}; leave out "
                "the points without an angle, and give no steps or positions"
            )
    if scan.mask is not None and scan.mask.shape not in (scan.counts.shape[1:], scan.counts.shape):
        raise FileFormatError(
            f"must have a mask of the shape of its frames, {scan.counts.shape[1:]}, got "
            f"{scan.mask.shape}; save the mask of this detector, or leave it out"
        )
    if scan.mask is not None and scan.mask.all():
        raise FileFormatError(
            f"must leave pixels that are not masked, got all {scan.mask.size} masked; True or 1 is "
            "for pixels that are not to be used: turn the mask round"
        )
    _check_energy(scan.energy_kev)
    for name in ("count_time_s", "attenuation", "monitor"):
        factors = getattr(scan, name)
        if factors is not None and not (np.isfinite(factors) & (factors > 0)).any():
            raise FileFormatError(
                f"must have a positive {name}, got {np.unique(factors)[:3].tolist()}; correct it, "
                "or leave it out"
            )
    if scan.attenuation is not None and (scan.attenuation < 1.0).any():
        raise FileFormatError(
            f"must have an attenuation of at least 1, got {np.nanmin(scan.attenuation):g}; give 1 "
            "/ transmission, by which the beam was weakened"
        )
    return replace(scan, notes=[*scan.notes, *chain(_standing(scan), _odd(scan))])


def agreed_energy(energies: Mapping[str, float]) -> float | None:
    """Return the energy, keV, of a file that tells it in one way or in two; None of none.

    Parameters
    ----------
    energies : keV, by what the file says, the more direct way first

    Raises
    ------
    FileFormatError
        When they contradict each other.
    """
    if not energies:
        return None
    low, high = min(energies.values()), max(energies.values())
    if high > low * (1 + SAME_ENERGY):
        raise FileFormatError(
            f"must tell one energy, got {' and '.join(energies)} ({low:.4g} and {high:.4g} keV); "
            "leave out the wrong one"
        )
    return next(iter(energies.values()))


def _check_counts(scan: Scan) -> None:
    counts = scan.counts
    if counts.dtype.kind not in "biuf":
        raise FileFormatError(f"must have numbers as counts, got {counts.dtype}; save it anew")
    if counts.ndim not in (1, 2, 3) or 0 in counts.shape:
        raise FileFormatError(
            f"must hold points, profiles or frames, got counts of shape {counts.shape}; it may "
            "have been broken off before the first"
        )


def _check_energy(energy: float | None) -> None:
    low, high = ENERGIES_KEV
    if energy is not None and not low <= energy <= high:
        hint = f"{energy / 1e3:g} keV may be meant" if energy > high else "it may be in MeV"
        raise FileFormatError(
            f"must have an energy of {low:g} … {high:g} keV, got {energy:g}; {hint}, correct it"
        )


def _standing(scan: Scan) -> Iterator[str]:
    """Say that no circle turned."""
    if scan.n_points > 1 and all(np.ptp(a) < STANDS_STILL for a in scan.angles.values()):
        still = ", ".join(f"{circle} {a.flat[0]:g}°" for circle, a in scan.angles.items())
        yield (
            f"no angle changes over {scan.n_points} points ({still[:80]}): they are repeats of one "
            "position; check which circle was scanned"
        )


def _odd(scan: Scan) -> Iterator[str]:
    two_theta = scan.angles.get("two_theta", scan.angles.get("delta"))
    if two_theta is not None and 0.0 < np.abs(two_theta).max() <= np.pi:
        name = "two_theta" if "two_theta" in scan.angles else "delta"
        yield (
            f"{name} is at most {np.abs(two_theta).max():.4g}, taken in degrees; if it is in "
            "radians, say so (angle_unit=rad)"
        )
    if scan.energy_kev is not None and scan.energy_kev > HIGH_KEV:
        wavelength = HC_KEV_ANGSTROM / scan.energy_kev
        yield (
            f"the energy is {scan.energy_kev:.4g} keV, a wavelength of {wavelength:.4g} Å; if that "
            f"was in nm, give energy_kev={scan.energy_kev / 10:.4g}"
        )
    if scan.hkl is not None and any(scan.hkl) and scan.q_hkl is None:
        yield (
            f"hkl {' '.join(f'{index:g}' for index in scan.hkl)} is not compared with two-theta: "
            "the file has no unit cell"
        )
    if not scan.counts.any():
        yield f"all counts of {scan.n_points} points are zero; the shutter may have been closed"
