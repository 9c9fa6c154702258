"""PANalytical's XRDML: one XML file, a <scan> for each profile of a mesh.

The format is described by its schema, http://www.xrdml.com/XRDMeasurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError
from bl_steer.files.scans.cell import length_of_hkl
from bl_steer.files.scans.circles import circle_of, in_degrees, in_unit, put_circle
from bl_steer.files.scans.joining import joined, per_point
from bl_steer.files.scans.scan import Scan, is_rate
from bl_steer.files.scans.xml_text import numbers, parse_xml, text_at
from bl_steer.protocols import Array

__all__ = ["read_xrdml", "scan_of_xrdml"]

FULL = "Completed"


def read_xrdml(path: Path, **_: str) -> Scan:
    """Read all scans of all measurements of a file, which are one mesh."""
    return scan_of_xrdml(parse_xml(path.read_bytes()))


def scan_of_xrdml(root: Element) -> Scan:
    """Return the scan of a document.

    Raises
    ------
    FileFormatError
        When it holds no counts, or they do not fit their positions.
    """
    measurements = list(root.iterfind("xrdMeasurement"))
    scans = [(m, s) for m in measurements for s in m.iterfind("scan")]
    if not scans:
        raise FileFormatError(
            "must hold scans, got an XRDML without any; it may be a batch program, give the "
            "measurement itself"
        )
    profiles = [_profile(scan, number) for number, (_, scan) in enumerate(scans)]
    parts = [part for part in profiles if part is not None]
    notes = _notes([scan for _, scan in scans], len(parts))
    if not parts:
        raise FileFormatError(f"must hold counts, got {len(scans)} scans without; measure it anew")
    wavelength = measurements[0].find("usedWavelength")
    hkl, length = _reflection(scans[0][1])
    return joined(
        parts,
        energy_kev=None if wavelength is None else _energy(wavelength),
        hkl=hkl,
        q_hkl=length,
        notes=notes,
    )


def _profile(scan: Element, number: int) -> dict[str, Any] | None:
    """Return what one scan holds; None where it was broken off before its first count."""
    data = scan.find("dataPoints")
    stored = [] if data is None else [e for e in data if e.tag in ("counts", "intensities")]
    if data is None or not stored or not (stored[0].text or "").strip():
        return None
    if len(stored) > 1:
        raise FileFormatError(
            f"must hold counts or intensities, got both in scan {number}; take out one of them, "
            "as only the counts are yet to be corrected for attenuation"
        )
    what = stored[0].tag
    counts = numbers(stored[0].text, f"{what} of scan {number}")
    broken_off = scan.get("status", FULL) != FULL
    angles: dict[str, Array] = {}
    notes: list[str] = []
    for positions in data.iterfind("positions"):
        circle = circle_of(positions.get("axis", ""))
        if circle is not None:
            values = _positions(positions, len(counts), number, broken_off=broken_off)
            in_deg, said = in_degrees(circle, values, positions.get("unit"))
            put_circle(angles, circle, in_deg, positions.get("axis", ""))
            notes += said
    a_second = is_rate(stored[0].get("unit", "counts"))
    factors = data.find("beamAttenuationFactors")
    attenuation = None
    if factors is not None and what == "counts":
        attenuation = numbers(factors.text, f"attenuation factors of scan {number}")
    return {
        "counts": counts,
        "angles": angles,
        "count_time_s": None if a_second else _count_time(data, len(counts), number),
        "attenuation": attenuation,
        "unit": "counts/s" if a_second else "counts",
        "corrected": ("attenuation",) * (what == "intensities") + ("time",) * a_second,
        "notes": notes,
    }


def _positions(element: Element, n: int, number: int, *, broken_off: bool) -> Array:
    """Return the position at each count: fixed, listed, or between two ends."""
    axis = element.get("axis", "")
    fixed = element.findtext("commonPosition")
    listed = element.findtext("listPositions")
    if fixed is not None:
        return per_point(numbers(fixed, axis), n, axis)
    if listed is not None:
        values = numbers(listed, axis)
        return values[:n] if broken_off else values
    ends = [numbers(element.findtext(f"{end}Position"), axis) for end in ("start", "end")]
    if any(end.size != 1 for end in ends):
        raise FileFormatError(
            f"must have a start and an end of {axis}, got neither these nor a list in scan "
            f"{number}; save it anew"
        )
    if broken_off:
        raise FileFormatError(
            f"must have listed positions where a scan was broken off, got the planned ends of "
            f"{axis} in scan {number}, of which {n} counts are there; leave out this scan"
        )
    return np.linspace(ends[0][0], ends[1][0], n)


def _count_time(data: Element, n: int, number: int) -> Array | None:
    for name in ("commonCountingTime", "countingTimes"):
        element = data.find(name)
        if element is not None:
            values = numbers(element.text, f"{name} of scan {number}")
            return per_point(
                in_unit("s", 1.0, element.get("unit"), "the counting time") * values, n, name
            )
    return None


def _energy(element: Element) -> float | None:
    """Return the energy of the line that was used, keV."""
    intended = element.get("intended", "K-Alpha 1")
    first = numbers(text_at(element, "kAlpha1"), "the wavelength")
    second = numbers(text_at(element, "kAlpha2"), "the wavelength")
    if intended == "K-Beta":
        first = numbers(text_at(element, "kBeta"), "the wavelength")
    if not first.size:
        return None
    wavelength = float(first[0])
    if intended == "K-Alpha" and second.size:  # both lines: their mean, by the ratio of intensity
        ratio = float(text_at(element, "ratioKAlpha2KAlpha1", "0.5"))
        wavelength = (wavelength + ratio * float(second[0])) / (1.0 + ratio)
    return HC_KEV_ANGSTROM / wavelength if wavelength > 0 else None


def _reflection(scan: Element) -> tuple[tuple[float, float, float] | None, float | None]:
    """Return hkl and its length, as the operator entered them with the material's cell."""
    reflection = scan.find("reflection")
    if reflection is None:
        return None, None
    hkl = numbers(" ".join(text_at(reflection, f"hkl/{key}") for key in "hkl"), "hkl")
    cell = [
        text_at(reflection, f"unitCell/{key}") for key in ("a", "b", "c", "alpha", "beta", "gamma")
    ]
    if hkl.size != 3 or not hkl.any():
        return None, None
    length = length_of_hkl(hkl, numbers(" ".join(cell), "the unit cell")) if all(cell) else None
    return (float(hkl[0]), float(hkl[1]), float(hkl[2])), length


def _notes(scans: Sequence[Element], n_full: int) -> list[str]:
    """Say what was broken off."""
    broken = [scan.get("status", FULL) for scan in scans if scan.get("status", FULL) != FULL]
    notes = []
    if broken:
        notes.append(
            f"{len(broken)} of {len(scans)} scans did not complete ({broken[0]}); the map holds "
            "what was measured"
        )
    if n_full < len(scans):
        notes.append(f"{len(scans) - n_full} of {len(scans)} scans hold no counts and are left out")
    return notes
