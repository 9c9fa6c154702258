"""Scans as .npz files of one's own: counts, the angles of the circles, and the energy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.archives import archive_arrays, text_of
from bl_steer.files.errors import FileFormatError, listed
from bl_steer.files.scans.cell import q_of_cell
from bl_steer.files.scans.checks import agreed_energy
from bl_steer.files.scans.circles import CIRCLES, circle_of, in_degrees, put_circle
from bl_steer.files.scans.joining import per_point
from bl_steer.files.scans.pixel_masks import bad_pixels_of
from bl_steer.files.scans.scan import Scan, is_rate
from bl_steer.protocols import Array

__all__ = ["read_angles"]

COUNTS = ("counts", "intensity", "frames", "patterns")
ENERGY = ("energy_kev", "energy_keV", "energy")
WAVELENGTH = ("wavelength_A", "wavelength")
FACTORS = ("count_time_s", "attenuation", "monitor")
MASKS = ("mask", "pixel_mask")
UNITS = ("counts", "counts/s", "arbitrary")
DETECTOR = ("pixel_size_mm", "distance_mm", "beam_centre")


def read_angles(path: Path, **_: str) -> Scan:
    """Read ``counts``, an array for each circle, and what else is there.

    ``counts`` may be called intensity, frames or patterns; circles as in
    `bl_steer.files.scans.CIRCLES`, in degrees or in ``angle_unit``. Optional: ``energy_kev`` or
    ``wavelength_A``, ``hkl`` with its ``unit_cell`` (Å and degrees; of a cubic one a alone, with
    right angles a, b and c), ``count_time_s``, ``attenuation``, ``monitor``, and of the detector
    ``pixel_size_mm``, ``distance_mm``, ``beam_centre`` (row, column), ``mask`` or ``pixel_mask``,
    True or not 0 where a pixel is not to be used, and ``unit`` of the counts: ``counts``,
    ``counts/s`` or ``arbitrary``.

    Raises
    ------
    FileFormatError
        When counts or angles are missing, or do not fit each other.
    """
    arrays = archive_arrays(path)
    name = next((name for name in COUNTS if name in arrays), None)
    circles = {key: circle for key in arrays if (circle := circle_of(key))}
    if name is None or not circles:
        raise FileFormatError(
            f"must hold counts and the angles of circles, got {listed(arrays)}; name them "
            f"{COUNTS[0]} and {', '.join(list(CIRCLES)[:3])}, …"
        )
    counts = arrays[name]
    unit = text_of(arrays, "angle_unit") or ""
    angles: dict[str, Array] = {}
    notes: list[str] = []
    for key, circle in circles.items():
        values, said = in_degrees(circle, arrays[key], unit)
        put_circle(angles, circle, _for_points(values, counts, circle), key)
        notes += said
    factors: dict[str, Any] = {
        key: _for_points(_numbers(arrays, key), counts, key) for key in FACTORS if key in arrays
    }
    stated = _unit(arrays)
    if stated == "counts/s" and "count_time_s" in factors:
        raise FileFormatError(
            "must have the time applied once, got rates in counts/s with count_time_s; leave out "
            "one of the two"
        )
    known = {
        name,
        *circles,
        *FACTORS,
        *MASKS,
        *DETECTOR,
        *ENERGY,
        *WAVELENGTH,
        "angle_unit",
        "hkl",
        "unit",
        "unit_cell",
    }
    if unknown := sorted(set(arrays) - known):
        notes.append(f"arrays of other names are left out: {listed(unknown)}")
    hkl = _hkl(arrays)
    return Scan(
        counts,
        angles,
        energy_kev=_energy(arrays),
        hkl=hkl,
        q_hkl=q_of_cell(hkl, _numbers(arrays, "unit_cell") if "unit_cell" in arrays else None),
        mask=next((bad_pixels_of(arrays[key]) for key in MASKS if key in arrays), None),
        detector={key: _numbers(arrays, key).tolist() for key in DETECTOR if key in arrays},
        corrected=("time",) if stated == "counts/s" else (),
        unit=stated,
        notes=notes,
        **factors,
    )


def _unit(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the unit that the file states for its counts; "" where it does not."""
    text = text_of(dict(arrays), "unit")
    if text is None:
        return ""
    unit = "counts/s" if is_rate(text) else text.lower()
    if unit not in UNITS:
        raise FileFormatError(
            f"must have a unit of its counts among {', '.join(UNITS)}, got {text[:40]!r}; correct "
            "it, or leave it out"
        )
    return unit


def _for_points(values: Array, counts: NDArray[Any], what: str) -> Array:
    if counts.ndim and values.shape == counts.shape:
        return values
    return per_point(values, len(counts) if counts.ndim else 0, what)


def _numbers(arrays: Mapping[str, NDArray[Any]], name: str) -> Array:
    try:
        return np.asarray(arrays[name], dtype=float)
    except (TypeError, ValueError):
        raise FileFormatError(
            f"must have numbers as {name}, got {arrays[name].dtype}; save it anew"
        ) from None


def _energy(arrays: Mapping[str, NDArray[Any]]) -> float | None:
    """Return the energy, keV; the only one, where there is one for each point."""
    energies: dict[str, float] = {}
    for names, of_wavelength in ((ENERGY, False), (WAVELENGTH, True)):
        name = next((name for name in names if name in arrays), None)
        if name is None:
            continue
        values = np.unique(_numbers(arrays, name))
        if values.size != 1 or not values[0] > 0:
            raise FileFormatError(
                f"must have one positive {name}, got {values.size} from {values.min():g} to "
                f"{values.max():g}; give scans of other energies as files of their own"
                if values.size
                else f"must have one positive {name}, got none; leave it out"
            )
        value = float(values[0])
        energies[f"{name} {value:g}"] = HC_KEV_ANGSTROM / value if of_wavelength else value
    return agreed_energy(energies)


def _hkl(arrays: Mapping[str, NDArray[Any]]) -> tuple[float, float, float] | None:
    if "hkl" not in arrays:
        return None
    hkl = _numbers(arrays, "hkl").ravel()
    if hkl.size != 3:
        raise FileFormatError(f"must have three numbers as hkl, got {hkl.size}; give h, k and l")
    return float(hkl[0]), float(hkl[1]), float(hkl[2])
