"""Circles by the names that instruments give them, and their angles in degrees."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from bl_steer.files.errors import FileFormatError
from bl_steer.protocols import Array

__all__ = ["CIRCLES", "circle_of", "in_degrees", "in_unit", "put_circle"]

CIRCLES = {
    "omega": ("omega", "om", "theta", "th", "thetas"),
    "two_theta": ("twotheta", "2theta", "tth", "tt", "2th"),
    "chi": ("chi",),
    "phi": ("phi",),
    "mu": ("mu",),
    "eta": ("eta",),
    "delta": ("delta", "del"),
    "nu": ("nu", "gamma", "gam"),
}
"""Circles that are known, with what they are called in files; all of them turn by degrees."""
DEGREES = {
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "°": 1.0,
    "": 1.0,
    "rad": 180.0 / np.pi,
    "radian": 180.0 / np.pi,
    "radians": 180.0 / np.pi,
    "mrad": 0.18 / np.pi,
    "urad": 0.18e-3 / np.pi,
    "arcmin": 1.0 / 60.0,
    "arcsec": 1.0 / 3600.0,
}
_FACTORS = {
    "mm": {"mm": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "cm": 10.0, "m": 1e3},
    "keV": {"kev": 1.0, "ev": 1e-3, "j": 1.0 / 1.602176634e-16},
    "Å": {"angstrom": 1.0, "angstroms": 1.0, "å": 1.0, "a": 1.0, "nm": 10.0, "m": 1e10},
    "s": {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6},
}


@cache
def circle_of(name: str) -> str | None:
    """Return the circle that a motor's name means; None for what is no circle.

    >>> circle_of("Two Theta"), circle_of("diffractometer_eta"), circle_of("sample_x")
    ('two_theta', 'eta', None)
    """
    for text in (name, re.split(r"[_./:]", name)[-1]):
        plain = re.sub(r"[\s_-]", "", text).lower()
        for circle, names in CIRCLES.items():
            if plain in names:
                return circle
    return None


def in_degrees(circle: str, values: Any, unit: Any = "") -> tuple[Array, tuple[str, ...]]:
    """Return the angles of a circle in degrees, and a note where the file had another unit.

    Raises
    ------
    FileFormatError
        When they are no numbers, or the unit is none of an angle.
    """
    stated = text_of_unit(unit)
    factor = DEGREES.get(stated.lower())
    if factor is None:
        raise FileFormatError(
            f"must have {circle} in degrees or radians, got the unit {stated[:30]!r}; give the "
            "circle's own angle, not a position along a way"
        )
    try:
        angles = np.asarray(values, dtype=float) * factor
    except (TypeError, ValueError):
        raise FileFormatError(
            f"must have numbers for {circle}, got {str(values)[:40]!r}; save it anew"
        ) from None
    if factor == 1.0:
        return angles, ()
    return angles, (f"{circle} was stored in {stated}, and is taken in degrees",)


def put_circle(angles: dict[str, Array], circle: str, values: Array, name: str) -> None:
    """Put the angles of a circle beside those of the others.

    Raises
    ------
    FileFormatError
        When it is there already, by another name and with other angles.
    """
    if circle in angles and not np.array_equal(angles[circle], values, equal_nan=True):
        raise FileFormatError(
            f"must hold each circle once, got {circle} again as {name[:40]!r} with other angles; "
            "leave out the one"
        )
    angles[circle] = values


def in_unit(wanted: str, value: float, unit: Any, what: str) -> float:
    """Return a number in ``mm``, ``keV``, ``Å`` or ``s``; without a unit it counts as in this one.

    Raises
    ------
    FileFormatError
        When the unit is another.
    """
    stated = text_of_unit(unit)
    factor = _FACTORS[wanted].get(stated.lower(), 1.0 if not stated else None)
    if factor is None:
        raise FileFormatError(
            f"must have {what} in {wanted}, got the unit {stated[:30]!r}; correct the unit"
        )
    return value * factor


def text_of_unit(unit: Any) -> str:
    """Return a unit as text, whatever a file stores it as."""
    return (unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit or "")).strip()
