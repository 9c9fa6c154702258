"""A map of scans as a NeXus file: sum, count and mask of the cells, peaks, and the goniometer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bl_steer.analysis.rsm.checks import scan_of_inputs
from bl_steer.analysis.rsm.geometry import circle_angles
from bl_steer.analysis.rsm.params import RsmParams
from bl_steer.diffraction import Goniometer, find_sentinels
from bl_steer.protocols import AnalysisResult, Inputs
from bl_steer.runs.nexus_geometry import write_goniometer, write_pixel_mask
from bl_steer.runs.nexus_groups import TEXT, new_group, new_map_in_q, new_nexus

__all__ = ["write_map"]


def write_map(result: AnalysisResult, inputs: Inputs, params: RsmParams, path: Path) -> Path:
    """Write the result of the analysis ``rsm`` into a NeXus file, in place of one that is there.

    Parameters
    ----------
    inputs, params : that the result was made of
    """
    arrays, about = result.arrays, result.provenance
    scan = scan_of_inputs(inputs, params)
    goniometer = Goniometer.from_dict(about["goniometer"])
    with new_nexus(path) as entry:
        entry.attrs["default"] = "map"
        entry["title"] = "reciprocal-space map"
        entry.create_dataset("files", data=inputs.source.get("files", []), dtype=TEXT)
        cells = {
            "mean": (arrays["map"], f"mean intensity ({about['unit']}); NaN where nothing fell"),
            "sum": (arrays["counts"], "sum of the counts, as stored"),
            "count": (arrays["n"], "readings that fell into each cell"),
            "mask": ((arrays["n"] == 0).astype(np.uint8), "1 where none did"),
        }
        axes = {name: arrays[name] for name in ("q_perp", "q_par")}
        group = new_map_in_q(entry, "map", list(cells), axes)
        for name, (values, text) in cells.items():
            group[name] = values
            group[name].attrs["long_name"] = text
        group["mean"].attrs["units"] = about["unit"]
        group["sum"].attrs["units"] = about["stored_unit"]
        peaks = new_group(entry, "peaks", "NXcollection")
        for name, column in result.tables["peaks"].items():
            peaks[name] = column
            if name.startswith(("q_", "width")):
                peaks[name].attrs["units"] = "1/angstrom"
        detector = new_group(
            new_group(entry, "instrument", "NXinstrument"), "detector", "NXdetector"
        )
        write_goniometer(entry, detector, goniometer, circle_angles(scan, goniometer))
        if scan.counts.ndim == 3:
            lost = find_sentinels(scan.counts) | (scan.counts < 0)
            lost = lost if scan.mask is None else lost | scan.mask
            write_pixel_mask(detector, np.asarray(lost.all(axis=0)))
    return path
