"""Scans in HDF5: NeXus, and the files of beamlines that are laid out much like it.

What is what is told by names and units: the default signal of NeXus or the largest array of
counts, circles by their motors' names, energy, distance and pixel size by NeXus' names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.files.errors import FileFormatError, listed
from bl_steer.files.maps.hdf5 import scaled
from bl_steer.files.scans.cell import q_of_cell
from bl_steer.files.scans.checks import agreed_energy
from bl_steer.files.scans.circles import circle_of, in_degrees, in_unit, text_of_unit
from bl_steer.files.scans.pixel_masks import bad_pixels_of
from bl_steer.files.scans.scan import Scan, is_rate
from bl_steer.files.scans.whole_datasets import read_whole
from bl_steer.protocols import Array

__all__ = ["read_nexus"]

MAX_OBJECTS = 20_000
SIGNALS = ("counts", "frames", "images", "image", "data", "intensity", "detector")
ELSEWHERE = ("monochromator", "mono", "dcm", "source", "undulator", "insertion_device")
"""Groups whose angles are not those of the diffractometer: a monochromator has a theta, too."""
SAME = 1e-4
"""Relative, of energies and distances at all points; an undulator's energy moves by less."""
TIMES = ("count_time", "exposure_time", "frame_time")


def read_nexus(path: Path) -> Scan:
    """Read the only entry of a file, or its ``default`` one.

    Raises
    ------
    FileFormatError
        When there are no counts or no angles, several entries, or sources that are missing.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileFormatError(
            f"must be whole HDF5, got one that cannot be opened ({str(error)[:80]}); copy it anew, "
            "or wait until its writer has closed it"
        ) from error
    with file:
        datasets = dict(_datasets(_entry(file)))
        signal = _signal(_entry(file), datasets)
        counts, scale = scaled(signal.parent, signal.name.rpartition("/")[2], read_whole(signal))
        n = len(counts) if counts.ndim else 0
        angles, notes = _angles(datasets, signal.name, n)
        hkl = _triple(datasets)
        facts, seen = _detector(datasets)
        in_time = is_rate(text_of_unit(signal.attrs.get("units", "")))
        return Scan(
            counts,
            angles,
            energy_kev=_energy(datasets),
            hkl=hkl,
            q_hkl=q_of_cell(hkl, _cell(datasets)),
            count_time_s=None if in_time else _per_frame(datasets, TIMES, n),
            monitor=_monitor(datasets, n),
            attenuation=_attenuation(datasets, n),
            mask=_mask(datasets, signal, counts.shape),
            detector=facts,
            corrected=("time",) * in_time,
            notes=[*notes, *seen, *([f"counts are read as {scale}"] if scale else [])],
        )


def _entry(file: h5py.File) -> h5py.Group:
    default = _text(file.attrs.get("default", ""))
    groups = [name for name, kind in _members(file) if kind is h5py.Group]
    if default in groups:
        return file[default]
    entries = [g for g in groups if _text(file[g].attrs.get("NX_class", "")) == "NXentry"] or groups
    if len(entries) > 1:
        raise FileFormatError(
            f"must hold one entry, or name its default, got {listed(entries)}; save the scan as a "
            "file of its own"
        )
    return file[entries[0]] if entries else file


def _members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Yield the names and classes of members; links that lead nowhere have none."""
    for name in group:
        try:
            yield name, group.get(name, getclass=True, default=None)
        except (RuntimeError, OSError):  # an external link whose file is not there
            yield name, None


def _datasets(root: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets of an entry by their names within it, also those behind links."""
    waiting, seen, count = [(root, "")], set(), 0
    while waiting:
        group, prefix = waiting.pop()
        for name, kind in _members(group):
            count += 1
            if count > MAX_OBJECTS:
                raise FileFormatError(
                    f"must hold at most {MAX_OBJECTS} objects in an entry, got more; save the "
                    "scan as a file of its own"
                )
            path = f"{prefix}/{name}"
            if kind is None:
                link = group.get(name, getlink=True)
                target = getattr(link, "filename", "") or getattr(link, "path", "")
                raise FileFormatError(
                    f"must have what it links to beside it, got {path[-60:]} linked to "
                    f"{str(target)[-60:]}, which is not there; copy that file, too"
                )
            if kind is h5py.Group:
                identity = h5py.h5o.get_info(group[name].id).addr, group[name].file.filename
                if identity not in seen:
                    seen.add(identity)
                    waiting.append((group[name], path))
            elif kind is h5py.Dataset:
                yield path, group[name]


def _signal(entry: h5py.Group, datasets: Mapping[str, h5py.Dataset]) -> h5py.Dataset:
    """Return the counts: NeXus' default signal, else the largest array with a name of counts."""
    for group in _default_groups(entry):
        signal = _text(group.attrs.get("signal", ""))
        if signal in group and isinstance(group.get(signal), h5py.Dataset):
            return group[signal]
    numeric = {k: d for k, d in datasets.items() if d.dtype.kind in "iuf" and 1 <= d.ndim <= 4}
    named = {k: d for k, d in numeric.items() if k.rpartition("/")[2].lower() in SIGNALS}
    frames = {k: d for k, d in numeric.items() if d.ndim >= 3}
    candidates = frames or named
    if not candidates:
        raise FileFormatError(
            f"must hold counts, got {listed(p[-20:] for p in datasets)}; name them data, and the "
            "signal of NXdata"
        )
    return max(candidates.values(), key=lambda dataset: (dataset.ndim, dataset.size))


def _default_groups(entry: h5py.Group) -> Iterator[h5py.Group]:
    default = _text(entry.attrs.get("default", ""))
    if default and default in entry and isinstance(entry[default], h5py.Group):
        yield entry[default]
    for name, kind in _members(entry):
        if kind is h5py.Group and _text(entry[name].attrs.get("NX_class", "")) == "NXdata":
            yield entry[name]


def _angles(
    datasets: Mapping[str, h5py.Dataset], signal: str, n: int
) -> tuple[dict[str, Array], list[str]]:
    """Return each circle's angles: the longest of the datasets that have its name."""
    best: dict[str, h5py.Dataset] = {}
    for path, dataset in datasets.items():
        *groups, name = path.lower().split("/")
        # .../omega, or .../omega/value and .../omega/data as NXpositioner has it
        circle = circle_of(groups[-1] if name in ("value", "data") and groups else name)
        elsewhere = any(word in group for group in groups for word in ELSEWHERE)
        if circle is None or elsewhere or dataset.name == signal or dataset.ndim > 2:
            continue
        if dataset.dtype.kind in "iuf" and dataset.size >= best.get(circle, np.zeros(0)).size:
            best[circle] = dataset
    angles: dict[str, Array] = {}
    notes: list[str] = []
    for circle, dataset in best.items():
        unit = dataset.attrs.get("units", "")
        values, said = in_degrees(circle, read_whole(dataset), unit)
        angles[circle] = np.full(n, float(values.ravel()[0])) if values.size == 1 else values
        notes += said
    return angles, notes


def _named(datasets: Mapping[str, h5py.Dataset], names: tuple[str, ...]) -> Iterator[h5py.Dataset]:
    for name in names:
        for path, dataset in datasets.items():
            is_named = path.rpartition("/")[2].lower() == name
            if is_named and dataset.dtype.kind in "iuf" and dataset.size:
                yield dataset


def _number(datasets: Mapping[str, h5py.Dataset], unit: str, *names: str) -> float | None:
    for dataset in _named(datasets, names):
        values = np.ravel(read_whole(dataset))
        value = float(values[0])
        if np.ptp(values) > SAME * abs(value):
            raise FileFormatError(
                f"must have one {names[0]}, got {values.min():g} to {values.max():g}; give the "
                "points of each as a file of their own"
            )
        if np.isfinite(value) and value > 0:
            stated = dataset.attrs.get("units", "")
            # NeXus' distances are in m where nothing is said.
            return in_unit(unit, value, stated or ("m" if unit == "mm" else ""), names[0])
    return None


def _energy(datasets: Mapping[str, h5py.Dataset]) -> float | None:
    energy = _number(datasets, "keV", "incident_energy", "photon_energy", "energy")
    wavelength = _number(datasets, "Å", "incident_wavelength", "wavelength")
    told = {} if energy is None else {f"energy {energy:g} keV": energy}
    if wavelength is not None:
        told[f"wavelength {wavelength:g} Å"] = HC_KEV_ANGSTROM / wavelength
    return agreed_energy(told)


def _detector(datasets: Mapping[str, h5py.Dataset]) -> tuple[dict[str, Any], list[str]]:
    facts: dict[str, Any] = {}
    sizes = [_number(datasets, "mm", f"{axis}_pixel_size") for axis in "yx"]
    if all(sizes):
        facts["pixel_size_mm"] = sizes
    distance = _number(datasets, "mm", "detector_distance", "distance")
    if distance is not None:
        facts["distance_mm"] = distance
    centre = [next(_named(datasets, (f"beam_center_{axis}",)), None) for axis in "yx"]
    if None not in centre:
        facts["beam_centre"] = [float(np.ravel(read_whole(d))[0]) for d in centre]
    corrections = ("flatfield_applied", "countrate_correction_applied")
    applied = [
        d.name.rpartition("/")[2] for d in _named(datasets, corrections) if read_whole(d).any()
    ]
    return facts, [f"the detector says {name}: not repeated" for name in applied]


def _per_frame(
    datasets: Mapping[str, h5py.Dataset], names: tuple[str, ...], n: int
) -> Array | None:
    for dataset in _named(datasets, names):
        values = np.ravel(read_whole(dataset)).astype(float)
        if values.size in (1, n):
            return np.array(np.broadcast_to(values, n))
    return None


def _monitor(datasets: Mapping[str, h5py.Dataset], n: int) -> Array | None:
    for path, dataset in datasets.items():
        words = path.lower().split("/")
        is_monitor = words[-1] in ("monitor", "i0") or (
            words[-1] in ("data", "integral") and len(words) > 1 and words[-2] == "monitor"
        )
        if is_monitor and dataset.shape == (n,) and dataset.dtype.kind in "iuf":
            return np.asarray(read_whole(dataset), dtype=float)
    return None


def _attenuation(datasets: Mapping[str, h5py.Dataset], n: int) -> Array | None:
    transmission = _per_frame(datasets, ("attenuator_transmission",), n)
    if transmission is None:
        return None
    return np.asarray(1.0 / np.where(transmission > 0, transmission, np.nan))


def _mask(
    datasets: Mapping[str, h5py.Dataset], signal: h5py.Dataset, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """Return the mask beside the counts, else one of their shape, else any, which is refused."""
    masks = [d for path, d in datasets.items() if path.rpartition("/")[2].lower() == "pixel_mask"]
    if not masks:
        return None
    beside = signal.parent.name
    best = max(masks, key=lambda d: (d.parent.name == beside, d.shape[-2:] == shape[-2:]))
    bad = bad_pixels_of(read_whole(best))
    return bad[0] if bad.ndim == 3 and len(bad) == 1 else bad


def _triple(datasets: Mapping[str, h5py.Dataset]) -> tuple[float, float, float] | None:
    columns = [next(_named(datasets, (letter,)), None) for letter in "hkl"]
    if None in columns:
        return None
    first, second, third = (float(np.mean(read_whole(column))) for column in columns)
    return first, second, third


def _cell(datasets: Mapping[str, h5py.Dataset]) -> Array | None:
    """Return the sample's unit cell, Å and degrees, as NXsample has it."""
    cell = next(_named(datasets, ("unit_cell",)), None)
    return None if cell is None else np.ravel(np.asarray(read_whole(cell), dtype=float))[:6]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
