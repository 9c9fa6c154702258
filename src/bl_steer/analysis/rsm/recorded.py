"""A recorded Bluesky run as a scan: which of its keys are circles, counts, energy, hkl and UB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.diffraction import Goniometer, find_flags, find_sentinels
from bl_steer.diffraction.corrections import unpack_mask
from bl_steer.diffraction.geometry import HC_KEV_ANGSTROM
from bl_steer.diffraction.recorded import mask_of_record
from bl_steer.files.documents import read_run_documents
from bl_steer.files.errors import FileFormatError, listed
from bl_steer.files.scans import Scan
from bl_steer.files.scans.checks import checked
from bl_steer.files.scans.circles import circle_of, in_degrees, in_unit
from bl_steer.protocols import Array, Inputs
from bl_steer.runs import Run
from bl_steer.store import StoreError

__all__ = ["inputs_of_run", "inputs_of_scan", "open_recorded", "scan_of_run"]

ELSEWHERE = re.compile(r"mono|dcm|undulator|setpoint|offset|limit|^ts_|^time$|^seq_num$", re.I)
"""Keys that are no circle of the sample or detector, whatever their end says: a monochromator has
a theta, too."""
ATTENUATORS = re.compile(r"atten|transm|absorb|filter", re.I)
COUNT_TIME = re.compile(r"(count|exposure|acquire)_time$", re.I)
SAME_ENERGY = 1e-4
"""Relative; an undulator's energy moves by less from point to point."""
FACTORS = ("count_time_s", "attenuation", "monitor")


def inputs_of_run(run: Run) -> Inputs:
    """Return a run as inputs of a map.

    Raises
    ------
    ValueError
        When it holds no points, no counts, or no angles.
    """
    try:
        return inputs_of_scan(checked(scan_of_run(run)), {"run": run.uid})
    except FileFormatError as error:
        raise ValueError(f"the run {run.uid[:8]} {error}") from error.__cause__


def open_recorded(path: Path) -> Scan:
    """Return the scan of a run in a file of its documents, JSON lines or msgpack.

    Raises
    ------
    ValueError
        When there is no such run, or it is no scan; one line of at most 300 characters.
    """
    try:
        documents = read_run_documents(path)
        return checked(scan_of_run(Run.from_documents(documents, where=path.name[-80:])))
    except FileFormatError as error:
        raise ValueError(f"{path.name[-80:]} {error}") from error.__cause__
    except (KeyError, TypeError, StoreError) as error:
        raise ValueError(
            f"{path.name[-80:]} must hold a whole run, got a fault ({str(error)[:100]}); export it "
            "anew"
        ) from error


def inputs_of_scan(scan: Scan, source: Mapping[str, Any]) -> Inputs:
    """Return a scan as inputs of an analysis."""
    factors = {name: getattr(scan, name) for name in FACTORS}
    return Inputs(
        {"counts": scan.counts, **scan.angles}
        | {name: values for name, values in factors.items() if values is not None}
        | ({} if scan.mask is None else {"mask": scan.mask}),
        {
            "energy_kev": scan.energy_kev,
            "hkl": None if scan.hkl is None else list(scan.hkl),
            "q_hkl": scan.q_hkl,
            "detector": dict(scan.detector),
            "corrected": list(scan.corrected),
            "unit": scan.unit,
        },
        source,
        scan.notes,
    )


def scan_of_run(run: Run) -> Scan:
    """Return what a run measured, a row an event.

    Raises
    ------
    FileFormatError
        As the end of a sentence that names the run.
    """
    primary = {k: v for k, v in run.primary.items() if not k.startswith("ts_")}
    n = len(primary.get("seq_num", ()))
    if not n:
        raise FileFormatError(
            f"must hold points, got none ({_ending(run)}); choose a run that was carried on"
        )
    angles, notes = _angles(run, n)
    counts, rows, counted = _counts(run, primary, n)
    h = _hkl(primary, run.streams.get("baseline", {}))
    times = [v for k, v in run.configuration.items() if COUNT_TIME.search(k)]
    planned = run.start.get("num_points")
    if run.status != "success":
        of = f" of {planned}" if isinstance(planned, int) else ""
        held = f"{run.n_points}{of} points"
        notes.append(f"the run did not end well ({_ending(run)}); the map holds {held}")
    mask, left_out = _mask(run, counts.shape[1:])
    return Scan(
        counts,
        {circle: values[rows] for circle, values in angles.items()},
        energy_kev=_energy(run),
        hkl=None if h is None else (float(h[0]), float(h[1]), float(h[2])),
        q_hkl=None if h is None else _length(h, run.configuration),
        count_time_s=np.full(len(counts), float(times[0])) if _is_time(times) else None,
        mask=mask,
        notes=[*notes, *counted, *left_out, *_weakened(primary)],
    )


def _mask(run: Run, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_] | None, list[str]]:
    """Return the mask that a run was steered with, and what to know of it."""
    steering = run.start.get("steering") or {}
    mask = mask_of_record(steering.get("mask"))
    reduction = steering.get("reduction_settings") or {}
    if mask is None and reduction.get("mask_bits") is not None:
        pixels = Goniometer.from_dict(reduction["goniometer"]).detector.shape
        mask = unpack_mask(reduction["mask_bits"], pixels)
    if mask is None or mask.shape == shape:
        return mask, []
    return None, [f"the run's mask of shape {mask.shape} is left out: the frames have {shape}"]


def _weakened(primary: Mapping[str, NDArray[Any]]) -> list[str]:
    """Say which columns may tell an attenuation, whose meaning nobody wrote down."""
    names = [key for key in primary if ATTENUATORS.search(key)]
    return [f"counts are not corrected for {listed(names)}; check what they mean"] if names else []


def _ending(run: Run) -> str:
    reason = str((run.stop or {}).get("reason", ""))[:60]
    return f"{run.status}: {reason}" if reason else run.status


def _is_time(times: list[Any]) -> bool:
    return bool(times) and isinstance(times[0], int | float) and times[0] > 0


def _angles(run: Run, n: int) -> tuple[dict[str, Array], list[str]]:
    """Return the circles' angles at each event: as measured, else as the baseline has them."""
    angles: dict[str, Array] = {}
    notes: list[str] = []
    for stream in ("primary", "baseline"):
        units = run.data_keys.get(stream, {})
        for key, column in run.streams.get(stream, {}).items():
            circle = None if ELSEWHERE.search(key) else circle_of(key)
            if circle is None or circle in angles or column.dtype.kind not in "iuf":
                continue
            if column.ndim != 1 or not len(column):
                continue
            unit = (units.get(key) or {}).get("units")
            values, said = in_degrees(circle, column, unit)
            angles[circle] = values if stream == "primary" else np.full(n, values[0])
            notes += said
    return angles, notes


def _counts(
    run: Run, primary: Mapping[str, NDArray[Any]], n: int
) -> tuple[NDArray[Any], slice, list[str]]:
    """Return counts or frames, the events that have them, and what to know of them."""
    if run.frames is not None:
        return _frames(run, n)
    names = [str(name) for name in run.start.get("detectors") or ()]
    usable = {
        key: column
        for key, column in primary.items()
        if column.dtype.kind in "iuf" and not ELSEWHERE.search(key) and not circle_of(key)
    }
    chosen = [key for name in names for key in usable if key == name] or [
        key for name in names for key in usable if key.startswith((f"{name}_", f"{name}-"))
    ]
    arrays = [key for key in usable if usable[key].ndim > 1]
    if not chosen and not arrays:
        raise FileFormatError(
            f"must hold counts of a detector, got {listed(usable)}; name the detector in "
            "'detectors' of the start document"
        )
    counts = usable[(chosen or arrays)[0]]
    if counts.ndim == 4:
        added, notes = _added_up(counts)
        return added, slice(n), notes
    return counts.reshape(n, *[size for size in counts.shape[1:] if size > 1]), slice(n), []


def _added_up(stack: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Return frames (n, H, W) of frames (n, n_a_point, H, W), and what to know of them."""
    if stack.shape[1] == 1:
        return stack[:, 0], []
    # A sentinel in one of them would be none any more in their sum.
    valid = ~(find_sentinels(stack) | find_flags(stack))
    total: NDArray[Any] = stack.sum(axis=1, where=valid, dtype=float)
    total[~valid.all(axis=1)] = np.nan
    return total, [f"{stack.shape[1]} frames a point are added up"]


def _frames(run: Run, n: int) -> tuple[NDArray[Any], slice, list[str]]:
    """Return the frames that are there; the last ones are missing where a writer died."""
    frames = list(_readable(run))
    notes = []
    if not frames:
        raise FileFormatError(
            f"must have its frames at hand, got none of {n}; copy the files that its documents "
            "name to where they say"
        )
    if len(frames) < n:
        notes.append(
            f"{len(frames)} frames for {n} points are there; the map holds the first "
            f"{len(frames)} points"
        )
    counts, added = _added_up(np.stack(frames))
    return counts, slice(len(frames)), [*notes, *added]


def _readable(run: Run) -> Iterator[NDArray[Any]]:
    frames = run.frames
    if frames is None:
        return
    for row in range(len(frames)):
        try:
            yield np.asarray(frames[row])
        except (StoreError, OSError):
            return


def _energy(run: Run) -> float | None:
    """Return the energy, keV, by the start document, the events, the baseline, or settings."""
    for key in ("energy_kev", "energy_keV", "energy"):
        if isinstance(run.start.get(key), int | float):
            return float(run.start[key])
    for stream in ("primary", "baseline"):
        for key, column in run.streams.get(stream, {}).items():
            unit = (run.data_keys.get(stream, {}).get(key) or {}).get("units") or ""
            values = np.ravel(column)
            if energy := _energy_of(key, values[:1], unit):
                if stream == "primary" and np.ptp(values) > SAME_ENERGY * abs(values[0]):
                    raise FileFormatError(
                        f"must be of one energy, got {key[-40:]} from {values.min():g} to "
                        f"{values.max():g}; map the points of each energy by themselves"
                    )
                return energy
    for key, value in run.configuration.items():
        if isinstance(value, int | float) and (energy := _energy_of(key, np.array([value]), "")):
            return energy
    return None


def _energy_of(key: str, values: NDArray[Any], unit: str) -> float | None:
    if ELSEWHERE.sub("", key) != key and "setpoint" in key:
        return None
    if not values.size or values.dtype.kind not in "iuf" or not values[0] > 0:
        return None
    if key.endswith("energy"):
        return in_unit("keV", float(values[0]), unit, "the energy")
    if key.endswith("wavelength"):
        return HC_KEV_ANGSTROM / in_unit("Å", float(values[0]), unit, "the wavelength")
    return None


def _hkl(*tables: Mapping[str, NDArray[Any]]) -> Array | None:
    """Return the mean h, k, l, where pseudo positions of one diffractometer tell them."""
    for table in tables:
        for key in table:
            stem = key[:-1]
            keys = [stem + letter for letter in "hkl"]
            if key.endswith(("_h",)) and all(name in table for name in keys):
                return np.array([float(np.mean(table[name])) for name in keys])
    return None


def _length(hkl: Array, configuration: Mapping[str, Any]) -> float | None:
    """Return |UB·hkl|, 1/Å; UB as hklpy writes it, with 2π."""
    for key, value in configuration.items():
        if key.endswith("UB"):
            matrix = np.asarray(value, dtype=float)
            if matrix.shape == (3, 3) and hkl.any():
                return float(np.linalg.norm(matrix @ hkl))
    return None
