"""Values that headers of microscopes hold, by the names and in the units of the library."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["NM", "SQUARE", "corrected", "length", "number", "pixel", "positive", "whole"]

SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 1e-3, 5e3
"""What a microscope can mean: 300 dpi of a printer would be a pixel of 85 µm."""
SQUARE = 0.01
"""Width and height of a pixel are equal to so much: a header rounds them."""

_SPELT = {
    1.0: "nm nanometer nanometers nanometre nanometres",
    1e3: "um µm μm µ μ micron microns micrometer micrometers micrometre micrometres",
    1e-3: "pm picometer picometers picometre picometres",
    1e6: "mm millimeter millimeters millimetre millimetres",
    1e7: "cm centimeter centimeters centimetre centimetres",
    1e9: "m meter meters metre metres",
    0.1: "å Å a angstrom angstroms ångström",
    2.54e7: "inch inches in",
}
NM = {name: factor for factor, names in _SPELT.items() for name in names.split()}
"""What a unit of length is in nm, by what programs call it, in small letters."""
_SWITCH = {
    **dict.fromkeys(("yes", "on", "true", "1"), True),
    **dict.fromkeys(("no", "off", "false", "0"), False),
}


def length(value: float, unit: str) -> float | None:
    """Return a length in nm; None for a unit that is not known."""
    factor = NM.get(unit.lower())
    return None if factor is None else value * factor


def pixel(width_nm: float | None, height_nm: float | None = None) -> dict[str, float]:
    """Return the size of a pixel, where it is one that a microscope can mean."""
    if width_nm is None or not SMALLEST_PIXEL_NM <= width_nm <= LARGEST_PIXEL_NM:
        return {}
    known = {"pixel_size_nm": float(f"{width_nm:.6g}")}
    if height_nm is not None and height_nm > 0 and abs(height_nm / width_nm - 1) > SQUARE:
        known["pixel_height_nm"] = float(f"{height_nm:.6g}")
    return known


def positive(name: str, value: Any, factor: float) -> dict[str, float]:
    """Return a number under a name, times a factor, where it is above zero."""
    found = number(value)
    return {name: float(f"{found * factor:.6g}")} if found is not None and found > 0 else {}


def corrected(value: Any, degrees: float | None = None) -> dict[str, Any]:
    """Return whether heights are corrected for the tilt, where a header says that this is on.

    Parameters
    ----------
    value : what the header says: yes, on, no, off …
    degrees : the angle that it states with the correction, of either sign
    """
    said = str(value).lower()
    if said not in _SWITCH:
        return {}
    known: dict[str, Any] = {"tilt_corrected": _SWITCH[said]}
    if _SWITCH[said] and degrees is not None and math.isfinite(degrees):
        known["tilt_correction_deg"] = round(abs(degrees), 1)
    return known


def number(value: Any) -> float | None:
    """Return a number, None for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def whole(value: Any) -> int:
    """Return a whole number above zero, 0 for what is none."""
    found = number(value)
    return int(found) if found is not None and 0 < found < 2**31 else 0
