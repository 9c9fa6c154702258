"""Scans from files, and what ``bl-steer rsm`` does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.reporting import report_on, rows_of
from bl_steer.analysis.rsm.nexus import write_map
from bl_steer.analysis.rsm.recorded import inputs_of_scan, open_recorded
from bl_steer.files import read_all
from bl_steer.files.documents import are_documents
from bl_steer.files.scans import Scan, open_scan
from bl_steer.protocols import Inputs, Progress

__all__ = ["inputs_from_files", "map_files"]

FACTORS = ("count_time_s", "attenuation", "monitor")
SAME_ENERGY = 1e-4
"""Relative; an undulator's energy is told to some eV."""


def inputs_from_files(paths: Sequence[str | Path]) -> Inputs:
    """Return scans as one map's inputs.

    Raises
    ------
    ValueError
        When a file is no scan, or the scans do not belong together.
    """
    scans = read_all(_open, map(Path, paths))
    names = [Path(path).name for path in paths]
    return inputs_of_scan(_merged(scans, names), {"files": [str(path) for path in paths]})


def map_files(
    paths: Sequence[Path],
    *,
    params: Mapping[str, Any],
    figure: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make one map of scans; with `figure`, draw it there; with `out`, write files of the result.

    Returns
    -------
    report : JSON-compatible; ``peaks`` is a list, the highest first
    """
    result, inputs, settings, ending = report_on(
        "rsm",
        lambda: inputs_from_files(paths),
        params,
        figure=figure,
        out=out,
        progress=progress,
    )
    if out is not None:
        ending["written"].append(str(write_map(result, inputs, settings, out / "map.nxs")))
    about = result.provenance
    return {
        "files": [str(path) for path in paths],
        "energy_kev": about["energy_kev"],
        "goniometer": about["goniometer"],
        "goniometer_digest": about["goniometer_digest"],
        "unit": about["unit"],
        "stored_unit": about["stored_unit"],
        "counts": float(result.arrays["counts"].sum()),
        "q_par": [float(result.arrays["q_par"][end]) for end in (0, -1)],
        "q_perp": [float(result.arrays["q_perp"][end]) for end in (0, -1)],
        "peaks": rows_of(result.tables["peaks"]),
        **ending,
    }


def _open(path: Path) -> Scan:
    """Return a scan of a file, or of a recorded run in one."""
    if path.is_file() and are_documents(path):
        return open_recorded(path)
    return open_scan(path)


def _merged(scans: Sequence[Scan], names: Sequence[str]) -> Scan:
    """Return scans of one series as one, point after point."""
    first = scans[0]
    if len(scans) == 1:
        return first
    for number, (scan, name) in enumerate(zip(scans, names, strict=True)):
        _check_alike(scan, first, name[:60])
        for other, earlier in zip(scans[:number], names, strict=False):
            _check_differs(scan, other, name[:60], earlier[:60])
    flat = first.kind == "point"
    parts = [_flat(scan) if flat else scan for scan in scans]
    factors: dict[str, Any] = {
        name: None
        if getattr(first, name) is None
        else np.concatenate([getattr(part, name) for part in parts])
        for name in FACTORS
    }
    return Scan(
        np.concatenate([part.counts for part in parts]),
        {c: np.concatenate([part.angles[c] for part in parts]) for c in first.angles},
        energy_kev=first.energy_kev,
        mask=_masks(parts),
        detector=first.detector,
        corrected=first.corrected,
        unit=first.unit,
        notes=[
            f"{name}: {note}"
            for scan, name in zip(scans, names, strict=True)
            for note in scan.notes
        ],
        **factors,
    )


def _masks(scans: Sequence[Scan]) -> NDArray[np.bool_] | None:
    """Return the mask of all scans, one for each of their frames where they differ."""
    masks = [scan.mask for scan in scans]
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [
            np.broadcast_to(False if mask is None else mask, scan.counts.shape)
            for mask, scan in zip(masks, scans, strict=True)
        ]
    )


def _check_alike(scan: Scan, first: Scan, name: str) -> None:
    same_frames = scan.kind == "point" or scan.counts.shape[1:] == first.counts.shape[1:]
    if scan.kind != first.kind or set(scan.angles) != set(first.angles) or not same_frames:
        raise ValueError(
            f"scans of one map must have the same circles and detector, got {scan.kind} "
            f"{scan.counts.shape[1:]} with {', '.join(scan.angles)[:60]} in {name}; map it by "
            "itself"
        )
    energies = scan.energy_kev, first.energy_kev
    if None in energies and energies != (None, None):
        raise ValueError(
            f"scans of one map must tell their energies alike, got {energies[0]} keV in {name} "
            f"and {energies[1]} keV in the first; map it by itself"
        )
    if energies[0] and abs(energies[0] / (energies[1] or 1.0) - 1) > SAME_ENERGY:
        raise ValueError(
            f"scans of one map must be of one energy, got {energies[0]:.5g} keV in {name} and "
            f"{energies[1]:.5g} keV in the first; map it by itself"
        )
    if scan.stored_unit != first.stored_unit:
        raise ValueError(
            f"scans of one map must be in one unit, got {scan.stored_unit} in {name} and "
            f"{first.stored_unit} in the first; map it by itself"
        )
    told = [[getattr(s, f) is not None for f in FACTORS] for s in (scan, first)]
    if told[0] != told[1] or tuple(scan.corrected) != tuple(first.corrected):
        raise ValueError(
            "scans of one map must tell time, attenuation and monitor alike, got others in "
            f"{name}; map it by itself"
        )


def _check_differs(scan: Scan, other: Scan, name: str, earlier: str) -> None:
    """Refuse a scan that is there already: counts are noisy, and no two scans have the same."""
    same = scan.counts.shape == other.counts.shape and bool(scan.counts.any())
    same = same and all(np.array_equal(scan.angles[c], other.angles[c]) for c in scan.angles)
    if same and np.array_equal(scan.counts, other.counts, equal_nan=scan.counts.dtype.kind == "f"):
        raise ValueError(
            f"scans of one map must be different ones, got {name} with the counts and angles of "
            f"{earlier}, which would count twice; leave one out"
        )


def _flat(scan: Scan) -> Scan:
    """Return a scan of a point detector, or of channels with angles of their own, as points."""

    def spread(values: Any) -> Any:
        if values is None or values.shape == scan.counts.shape:
            return None if values is None else values.ravel()
        return np.repeat(values, scan.counts.size // scan.n_points)

    factors: dict[str, Any] = {name: spread(getattr(scan, name)) for name in FACTORS}
    return Scan(
        scan.counts.ravel(),
        {circle: spread(values) for circle, values in scan.angles.items()},
        energy_kev=scan.energy_kev,
        mask=None if scan.mask is None else np.broadcast_to(scan.mask, scan.counts.shape).ravel(),
        corrected=scan.corrected,
        unit=scan.unit,
        **factors,
    )
