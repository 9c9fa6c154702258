"""The goniometer that a scan was measured on, by the circles and the detector that it names."""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.analysis.rsm.params import RsmParams
from bl_steer.diffraction import Detector, Goniometer, goniometer
from bl_steer.files.scans import Scan
from bl_steer.protocols import Array

__all__ = ["circle_angles", "goniometer_of"]

DIRECTIONS = {"area": "z-,x+", "linear": "z+"}
"""As in the presets; a linear detector of a laboratory lies along two-theta."""
LENGTHS_MM = {"pixel_size_mm": (0.001, 5.0), "distance_mm": (5.0, 50_000.0)}
"""Of detectors that there are: what lies outside was given in another unit."""
NEAR_ZERO = 0.5
"""Degrees of chi that a laboratory's alignment takes."""


def goniometer_of(scan: Scan, energy_kev: float, params: RsmParams) -> tuple[Goniometer, list[str]]:
    """Return the goniometer, and what was taken for granted.

    Raises
    ------
    ValueError
        When the circles tell none, or a detector's pixels are not known.
    """
    moved = {c for c, angles in scan.angles.items() if np.ptp(angles) or np.abs(angles).max()}
    preset, notes = _preset(scan, params)
    detector = _detector(scan, params)
    chosen = goniometer(preset, energy_kev=energy_kev, detector=detector)
    pairs = zip(detector.beam_centre, detector.shape, strict=True)
    if not all(-0.5 <= centre <= size - 0.5 for centre, size in pairs):
        centre = ", ".join(f"{value:g}" for value in detector.beam_centre)
        notes.append(
            f"the beam centre ({centre}) lies outside the frames {detector.shape}; check it, rows "
            "come before columns"
        )
    if missing := [name for name in chosen.circles if name not in scan.angles]:
        notes.append(f"the file does not tell {', '.join(missing)} of {preset}: taken as 0°")
    unused = sorted(moved - set(chosen.circles) - {"phi"})
    unused = [c for c in unused if np.abs(scan.angles[c]).max() > NEAR_ZERO]
    if unused:
        notes.append(f"{', '.join(unused)} turned, which {preset} does not have: left out")
    if "phi" in chosen.circles:
        # The azimuth was found by turning phi: q_par points to where the detector looks.
        chosen = chosen.facing(circle_angles(scan, chosen))
    return chosen, notes


def _preset(scan: Scan, params: RsmParams) -> tuple[str, list[str]]:
    """Return the name of the goniometer, and what made it that one where another fits as well."""
    circles = set(scan.angles)
    if params.goniometer != "auto":
        return params.goniometer, []
    if {"omega", "two_theta"} <= circles:
        turned = any(np.ptp(scan.angles[c]) for c in ("chi", "phi") if c in circles)
        return "four-circle" if turned or scan.kind == "area" else "omega-2theta", []
    if not circles & {"mu", "eta"} or not circles & {"delta", "nu"}:
        raise ValueError(
            "a goniometer must be known by its circles (omega and two_theta, or mu or eta with "
            f"delta or nu), got {', '.join(scan.angles)}; name it with goniometer=NAME"
        )
    # Both have the same six names; the incidence angle, which is rocked, is another one.
    is_eta = np.ptp(scan.angles.get("eta", 0.0)) > np.ptp(scan.angles.get("mu", 0.0))
    preset, rocked = ("psic", "eta") if is_eta else ("4S+2D", "mu")
    return preset, [
        f"{preset} was taken, where {rocked} is the incidence angle; another one by goniometer=NAME"
    ]


def circle_angles(scan: Scan, chosen: Goniometer) -> dict[str, Array]:
    """Return the angles of a goniometer's circles, flat where each channel has its own."""
    shape = scan.counts.shape if scan.has_angle_a_channel else scan.counts.shape[:1]
    zero = np.zeros(1)
    angles = {}
    for name in chosen.circles:
        values = scan.angles.get(name, zero)
        if values.ndim < len(shape):
            values = values[:, None]
        angles[name] = np.broadcast_to(values, shape).ravel()
    return angles


def _detector(scan: Scan, params: RsmParams) -> Detector:
    """Return the detector of the file, with what was given in place of what it says."""
    kind, shape = scan.kind, scan.counts.shape[1:]
    if kind == "point":
        return Detector()
    facts = scan.detector
    size: Any = params.pixel_size_mm or facts.get("pixel_size_mm")
    distance: Any = params.distance_mm or facts.get("distance_mm")
    centre = np.ravel(facts.get("beam_centre", []))[-len(shape) :].tolist()
    given = [params.beam_row, params.beam_column][-len(shape) :]
    centre = [g if g is not None else c for g, c in zip(given, centre or [None] * 2, strict=False)]
    needed: dict[str, Any] = {
        "pixel_size_mm": size,
        "distance_mm": distance,
        "beam_column": centre[-1],
    }
    if kind == "area":
        needed["beam_row"] = centre[0]
    if missing := [option for option, value in needed.items() if value is None]:
        raise ValueError(
            f"frames of an {kind} detector must come with its geometry, got none of "
            f"{', '.join(missing)} for pixels {shape}; give these"
        )
    for name, values in (("pixel_size_mm", size), ("distance_mm", distance)):
        _check_length(name, np.ravel(values).astype(float))
    directions = (params.directions or DIRECTIONS[kind]).replace(" ", "").split(",")
    sizes = np.broadcast_to(np.ravel(size), len(shape)).tolist()
    return Detector(
        tuple(shape), tuple(directions), tuple(sizes), float(np.ravel(distance)[0]), tuple(centre)
    )


def _check_length(name: str, values: Array) -> None:
    """Refuse a length that is none in mm, and say in which unit it would be one."""
    low, high = LENGTHS_MM[name]
    if ((values >= low) & (values <= high)).all():
        return
    value = float(values[(values < low) | ~(values <= high)][0])
    units = {"µm": 1e-3, "m": 1e3}
    meant = [f"{value * mm:g} mm" for mm in units.values() if low <= value * mm <= high]
    hint = f"; {meant[0]} may be meant" if meant else ""
    raise ValueError(
        f"{name} must be {low:g} … {high:g}, got {value:g}{hint}: correct it, or give "
        f"--{name.replace('_', '-')}"
    )
