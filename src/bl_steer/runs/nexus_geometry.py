"""A goniometer in a NeXus file: as its own JSON, and as the chains of turns that NeXus knows.

References
----------
The rules of ``NXtransformations``, and its frame, in which z runs along the beam and y up:
https://manual.nexusformat.org/classes/base_classes/NXtransformations.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bl_steer.diffraction import Circle, Detector, Goniometer
from bl_steer.diffraction.directions import unit_vector
from bl_steer.protocols import Array
from bl_steer.runs.nexus_groups import new_group, new_note

__all__ = ["write_goniometer", "write_pixel_mask"]

USER_MASK = 1 << 8
"""Bit of ``NXdetector/pixel_mask`` for pixels that a user left out."""


def write_goniometer(
    entry: Any, detector: Any, goniometer: Goniometer, angles: Mapping[str, ArrayLike]
) -> None:
    """Write circles, beam and pixels of a measurement.

    Parameters
    ----------
    entry : with a group ``instrument``
    detector : group of the detector
    angles : of the circles, degrees: numbers, or lists with an angle for each frame, in the order
        of the frames

    Notes
    -----
    ``instrument/goniometer`` holds `Goniometer.to_dict`, which `Goniometer.from_dict` reads. The
    chains end at ``sample/depends_on`` and at the detector's module, whose offset is that of the
    middle of the first pixel. Vectors are in the frame of NeXus: our x, y, z are its -x, z, y.
    """
    instrument = entry["instrument"]
    note = new_note(instrument, "goniometer", goniometer.to_dict())
    note["digest"] = goniometer.digest
    photons = instrument.get("beam") or new_group(instrument, "beam", "NXbeam")
    for name, value, unit in (
        ("incident_energy", goniometer.energy_kev, "keV"),
        ("incident_wavelength", goniometer.wavelength, "angstrom"),
    ):
        photons[name] = value
        photons[name].attrs["units"] = unit
    sample = entry.get("sample") or new_group(entry, "sample", "NXsample")
    turns = new_group(sample, "transformations", "NXtransformations")
    sample["depends_on"] = _write_circles(turns, goniometer.sample, angles)
    turns = new_group(detector, "transformations", "NXtransformations")
    last = _write_circles(turns, goniometer.arm, angles)
    pixels = goniometer.detector
    if pixels.shape:  # the distance of a point detector does not matter
        beam = unit_vector(goniometer.beam)
        last = _write_step(turns, "distance", pixels.distance_mm, beam, last)
        _write_pixels(detector, pixels, last)
    detector["depends_on"] = last


def write_pixel_mask(detector: Any, mask: NDArray[np.bool_]) -> None:
    """Write which pixels were left out, as ``pixel_mask``; 0 are the good ones."""
    detector["pixel_mask"] = np.where(mask, USER_MASK, 0).astype(np.uint32)


def _write_circles(group: Any, circles: Iterable[Circle], angles: Mapping[str, ArrayLike]) -> str:
    """Write turns, the outermost first; return the path of the innermost."""
    last = "."
    for circle in circles:
        values = np.asarray(angles[circle.name], dtype=float) - circle.zero_deg
        data = group.create_dataset(circle.name, data=values)
        data.attrs.update(
            transformation_type="rotation",
            vector=_in_nexus(unit_vector(circle.axis)),
            units="deg",
            depends_on=last,
            reading_at_zero=circle.zero_deg,
        )
        last = str(data.name)
    return last


def _write_pixels(detector: Any, pixels: Detector, away: str) -> None:
    directions = [unit_vector(direction) for direction in pixels.directions]
    sizes, centre = np.array(pixels.pixel_size_mm), np.array(pixels.beam_centre)
    names = {"x": -1, "y": 0} if len(sizes) == 2 else {"x": 0}
    for name, axis in names.items():
        detector[f"{name}_pixel_size"] = sizes[axis]
        detector[f"{name}_pixel_size"].attrs["units"] = "mm"
        detector[f"beam_center_{name}"] = centre[axis]
        detector[f"beam_center_{name}"].attrs["units"] = "pixel"
    module = new_group(detector, "module", "NXdetector_module")
    module["data_origin"] = np.zeros(len(sizes), dtype=int)
    module["data_size"] = np.array(pixels.shape)
    first = -(centre * sizes) @ np.stack(directions)
    length = float(np.linalg.norm(first))
    way = first / length if length else directions[-1]
    last = _write_step(module, "module_offset", length, way, away)
    names_of = ("slow_pixel_direction", "fast_pixel_direction")[-len(sizes) :]
    for name, size, direction in zip(names_of, sizes, directions, strict=True):
        last = _write_step(module, name, float(size), direction, last)


def _write_step(group: Any, name: str, length_mm: float, way: Array, last: str) -> str:
    data = group.create_dataset(name, data=length_mm)
    data.attrs.update(
        transformation_type="translation", vector=_in_nexus(way), units="mm", depends_on=last
    )
    return str(data.name)


def _in_nexus(vector: Array) -> Array:
    x, y, z = vector
    return np.array([-x, z, y]) + 0.0  # no negative zeros
