"""Rigaku's .rasx: a zip with a profile and its conditions for each step of a mesh."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans.circles import circle_of, in_degrees
from bl_steer.files.scans.joining import joined
from bl_steer.files.scans.scan import Scan
from bl_steer.files.scans.xml_text import parse_xml, text_at
from bl_steer.files.scans.zips import MemberReader
from bl_steer.protocols import Array

__all__ = ["is_rasx", "read_rasx"]

# The maker spells the conditions without the first "a".
MEMBER = re.compile(r"Data(\d+)/(Profile|Image|Mea?surementConditions)\d*\.\w+")
COUPLED = {
    "TwoThetaOmega": ("two_theta", "omega", 0.5),
    "TwoThetaTheta": ("two_theta", "omega", 0.5),
    "OmegaTwoTheta": ("omega", "two_theta", 2.0),
}
"""Of a coupled scan: the circle whose angle is written, the one that follows, and its ratio."""


def is_rasx(names: Any) -> bool:
    """Return whether the members of a zip are those of a .rasx."""
    return any(MEMBER.fullmatch(name) for name in names)


def read_rasx(path: Path, **_: str) -> Scan:
    """Read all profiles of a file, which are one mesh.

    Raises
    ------
    FileFormatError
        When it holds no profiles, or they do not fit their conditions.
    """
    with MemberReader(path) as members:
        groups: dict[int, dict[str, str]] = {}
        for name in members.names:
            if match := MEMBER.fullmatch(name):
                groups.setdefault(int(match[1]), {})[match[2][0]] = name
        if not any("P" in group for group in groups.values()):
            raise FileFormatError(
                f"must hold profiles, got {len(groups)} images of an area detector; integrate "
                "them in the maker's software and export profiles, or give them as HDF5"
            )
        parts, energies = [], set()
        for number, group in sorted(groups.items()):
            if missing := [what for key, what in _NEEDED.items() if key not in group]:
                raise FileFormatError(
                    f"must hold a profile and its conditions for each step, got Data{number} "
                    f"without {missing[0]}; export it anew"
                )
            conditions = parse_xml(members.read(group["M"]), group["M"])
            text = members.read(group["P"]).decode("utf-8-sig", errors="replace")
            parts.append(_profile(text, conditions, number))
            energies.add(_energy(conditions))
    if len(energies) > 1:
        raise FileFormatError(
            f"must be of one wavelength, got {len(energies)} in its steps; give them as files of "
            "their own"
        )
    return joined(parts, energy_kev=energies.pop())


_NEEDED = {"P": "a profile", "M": "its conditions"}


def _profile(text: str, conditions: Element, number: int) -> dict[str, Any]:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    try:
        table = np.array(rows, dtype=float)
    except ValueError as error:
        raise FileFormatError(
            f"must have rows of angle, counts and attenuation, got others in Data{number}; export "
            "it anew"
        ) from error
    if table.ndim != 2 or table.shape[1] not in (2, 3):
        raise FileFormatError(
            f"must have rows of angle, counts and attenuation, got shape {table.shape} in "
            f"Data{number}; export it anew"
        )
    stated = text_at(conditions, "ScanInformation/DataCount")
    if stated.isdigit() and int(stated) != len(table):
        raise FileFormatError(
            f"must have as many counts as points, got {len(table)} for {stated} in Data{number}; "
            "the measurement was broken off: export it anew without this step"
        )
    fixed, notes = _circles(conditions)
    angles = {circle: np.full(len(table), angle) for circle, angle in fixed.items()}
    unit = text_at(conditions, "ScanInformation/PositionUnit")
    angles |= _scanned(text_at(conditions, "ScanInformation/AxisName"), table[:, 0], unit, fixed)
    return {
        "counts": table[:, 1],
        "unit": "counts",
        "angles": angles,
        "attenuation": table[:, 2] if table.shape[1] == 3 else np.ones(len(table)),
        "count_time_s": _count_time(conditions, len(table)),
        "notes": notes,
    }


def _circles(conditions: Element) -> tuple[dict[str, float], list[str]]:
    """Return where the circles stood; some axes are listed more than once, not in numbers."""
    angles: dict[str, float] = {}
    notes: list[str] = []
    for axis in conditions.iterfind("Axes/Axis"):
        circle = circle_of(axis.get("Name", ""))
        # ThetaS is the same motor as Omega on these diffractometers.
        if circle is None or circle in angles or axis.get("Name") == "ThetaS":
            continue
        value, said = in_degrees(circle, axis.get("Position"), axis.get("Unit"))
        angles[circle] = float(value)
        notes += said
    return angles, notes


def _scanned(axis: str, values: Array, unit: str, fixed: Mapping[str, float]) -> dict[str, Array]:
    """Return the angles of the circles that turned along a profile."""
    leader, follower, ratio = COUPLED.get(axis, (circle_of(axis), "", 0.0))
    if leader is None:
        raise FileFormatError(
            f"must be scanned along a circle, got {axis[:40] or 'none'!r}; measure along "
            "TwoTheta, Omega or both"
        )
    angles, _ = in_degrees(leader, values, unit)
    if not follower:
        return {leader: angles}
    if not {leader, follower} <= set(fixed):
        raise FileFormatError(
            f"must say where {leader} and {follower} stood, got {', '.join(fixed) or 'none'}; "
            "export it anew"
        )
    return {leader: angles, follower: fixed[follower] + ratio * (angles - fixed[leader])}


def _count_time(conditions: Element, n: int) -> Array | None:
    """Return the time of each step; a continuous scan has a speed in its place."""
    speed = text_at(conditions, "ScanInformation/Speed")
    in_steps = text_at(conditions, "ScanInformation/SpeedUnit").startswith("sec")
    try:
        return np.full(n, float(speed)) if in_steps and float(speed) > 0 else None
    except ValueError:
        return None


def _energy(conditions: Element) -> float | None:
    generator = "HWConfigurations/XrayGenerator"
    line = {"Ka1": "Kalpha1", "Ka2": "Kalpha2", "Kb": "Kbeta"}.get(
        text_at(conditions, f"{generator}/WaveType")[:3], "Kalpha1"
    )
    try:
        wavelength = float(text_at(conditions, f"{generator}/Wavelength{line}"))
    except ValueError:
        return None
    return HC_KEV_ANGSTROM / wavelength if wavelength > 0 else None
