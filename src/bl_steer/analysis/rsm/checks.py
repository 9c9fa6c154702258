"""What must hold of inputs before a map is made of them: they are a scan, at one known energy."""

from __future__ import annotations

from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.rsm.params import RsmParams
from bl_steer.diffraction import find_bad_pixels, find_sentinels
from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files import read_pixel_mask
from bl_steer.files.scans import CIRCLES, Scan
from bl_steer.protocols import Inputs

__all__ = ["checked_energy", "exchanged", "hot_pixels", "scan_of_inputs"]

FACTORS = ("count_time_s", "attenuation", "monitor")
MOST_FRAMES = 64
"""Of which hot pixels are told."""
ENERGY_TOLERANCE = 0.03
"""Of what hkl and two-theta say; a film is strained by less, a wrong energy is off by more."""
BELOW_DEG = 2.0
"""By which omega may exceed two-theta through a miscut or a zero that is off."""
SAME_ENERGY = 0.002
"""Two numbers that are rounded differ by less."""


def scan_of_inputs(inputs: Inputs, params: RsmParams) -> Scan:
    """Return inputs as a scan, its angles in degrees.

    Raises
    ------
    ValueError
        When counts or angles are missing, or do not fit each other.
    """
    arrays = inputs.arrays
    circles = [name for name in CIRCLES if name in arrays]
    if "counts" not in arrays or not circles:
        raise ValueError(
            "a reciprocal-space map must have counts and the angles of circles, got "
            f"{', '.join(arrays)[:80] or 'nothing'}; give counts, omega, two_theta, …"
        )
    counts = np.asarray(arrays["counts"])
    in_degrees = np.degrees if params.angle_unit == "rad" else np.asarray
    angles = {name: np.asarray(in_degrees(arrays[name]), dtype=float) for name in circles}
    if counts.ndim not in (1, 2, 3) or not counts.size or counts.dtype.kind not in "biuf":
        raise ValueError(
            "counts must be numbers of points, profiles or frames, got shape "
            f"{counts.shape} of {counts.dtype}; give (n,), (n, W) or (n, H, W)"
        )
    for name, values in angles.items():
        if values.shape not in (counts.shape[:1], counts.shape) or not np.isfinite(values).all():
            raise ValueError(
                f"{name} must have a finite angle for each of {len(counts)} points, got shape "
                f"{values.shape}; give the angles of the points that are there"
            )
    known: dict[str, Any] = {
        name: np.asarray(arrays[name], dtype=float) for name in FACTORS if name in arrays
    }
    facts = inputs.metadata
    return Scan(
        counts,
        angles,
        energy_kev=facts.get("energy_kev"),
        q_hkl=facts.get("q_hkl"),
        detector=facts.get("detector", {}),
        corrected=facts.get("corrected", ()),
        unit=facts.get("unit", ""),
        mask=_mask(arrays.get("mask"), counts, params.mask),
        **known,
    )


def _mask(own: Any, counts: NDArray[Any], path: str) -> NDArray[np.bool_] | None:
    """Return the pixels that are not to be used, by the scan and by a file of the user."""
    masks = [] if own is None else [np.asarray(own, dtype=bool)]
    if path:
        masks.append(read_pixel_mask(path))
    for mask in masks:
        if mask.shape not in (counts.shape[1:], counts.shape):
            raise ValueError(
                f"a mask must have the shape of the frames, {counts.shape[1:]}, got {mask.shape}; "
                "give the mask of this detector"
            )
    return np.asarray(sum(masks[1:], masks[0]) != 0) if masks else None


def hot_pixels(scan: Scan) -> list[str]:
    """Say which pixels count in all frames: what one draws through the map looks like a peak."""
    if scan.kind != "area":
        return []
    some = scan.counts[:: -(-len(scan.counts) // MOST_FRAMES)]
    hot = find_bad_pixels(some).hot
    if scan.mask is not None:
        hot = hot & ~scan.mask.reshape(-1, *hot.shape).all(axis=0)
    if not hot.any():
        return []
    counts = np.where(find_sentinels(some), 0, some).sum(axis=0, dtype=float)
    row, column = np.argwhere(hot)[np.argmax(counts[hot])]
    return [
        f"{np.count_nonzero(hot)} pixels are hot in all frames, with "
        f"{100.0 * counts[hot].sum() / max(counts.sum(), 1.0):.2g} % of the counts, such as row "
        f"{row}, column {column}: each draws a line through the map, and may look like a peak; "
        "leave them out with mask=FILE"
    ]


def checked_energy(scan: Scan, params: RsmParams) -> tuple[float, list[str]]:
    """Return the energy, keV, and what to know of it.

    Raises
    ------
    ValueError
        When it is not known, or the file's contradicts its own hkl and two-theta.
    """
    energy = params.energy_kev or scan.energy_kev
    if energy is None:
        raise ValueError(
            "the energy of the photons must be known, got none from the file; give energy_kev"
        )
    told = scan.energy_of_hkl()
    if told is None:
        return energy, _other_energy(params.energy_kev, scan.energy_kev)
    low, high = told
    if low * (1 - ENERGY_TOLERANCE) <= energy <= high * (1 + ENERGY_TOLERANCE):
        return energy, []
    nearest = min(max(energy, low), high)
    contradiction = (
        f"got {energy:.4g} keV where hkl and two-theta tell {nearest:.4g} keV (ratio "
        f"{nearest / energy:.3f}){_meant(scan, energy)}"
    )
    if params.energy_kev is None:
        raise ValueError(
            f"the energy in the file must agree with its hkl and two-theta, {contradiction}; "
            "choose one of them with energy_kev"
        )
    return energy, [f"the energy that was given contradicts hkl and two-theta: {contradiction}"]


def _meant(scan: Scan, energy: float) -> str:
    """Return at which two-theta hkl is met, and whether omega is there instead."""
    sine = HC_KEV_ANGSTROM * (scan.q_hkl or 0.0) / (4 * np.pi * energy)
    if sine >= 1.0:
        return ", at which hkl is met nowhere"
    bragg = 2.0 * np.degrees(np.arcsin(sine))
    omega = np.abs(scan.angles.get("omega", np.full(1, np.inf)))
    near = ENERGY_TOLERANCE * bragg
    swapped = omega.min() - near <= bragg <= omega.max() + near
    hint = "omega and two-theta may be exchanged" if swapped else "hkl may be another one"
    return f", and hkl is met at two-theta {bragg:.2f}°: {hint}"


def exchanged(scan: Scan) -> list[str]:
    """Say where the beam would leave the sample through its back: omega above two-theta."""
    omega, two_theta = scan.angles.get("omega"), scan.angles.get("two_theta")
    if omega is None or two_theta is None:
        return []
    start, end = np.median(omega), np.median(two_theta)
    if not start - end > BELOW_DEG or not two_theta.min() > 0:
        return []
    return [
        f"omega ({start:.4g}°) is larger than two-theta ({end:.4g}°): the beam would leave through "
        "the back of the sample; if it was not measured in transmission, the two are exchanged: "
        "check which is which"
    ]


def _other_energy(given: float | None, stated: float | None) -> list[str]:
    """Return what to say where an energy in keV is given in place of another that a file states."""
    if given is None or stated is None or isclose(given, stated, rel_tol=SAME_ENERGY):
        return []
    return [
        f"the file states an energy of {stated:.5g} keV; {given:.5g} keV was given and is used: "
        "check which is right"
    ]
