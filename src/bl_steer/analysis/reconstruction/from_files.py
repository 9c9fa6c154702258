"""What ``bl-steer slices`` does: the slices of an instrument's files to one report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from bl_steer.analysis.reconstruction.analysis import Reconstruct
from bl_steer.analysis.reconstruction.report import write_report
from bl_steer.analysis.slices.from_files import inputs_from_files
from bl_steer.files.atomic import check_place, draft_of
from bl_steer.files.stacks import check_apart
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import make_params
from bl_steer.protocols import AnalysisResult, Progress, Table

__all__ = ["plain_table", "reconstruct_files"]

VOLUMES = ("volume", "uncertainty", "slices", "labels")
"""Arrays of the result that are written, each a TIFF that ImageJ opens with its voxel."""


def reconstruct_files(
    path: str | Path,
    *,
    params: Mapping[str, Any],
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Reconstruct the slices of a folder or a stack; write the report and the volumes.

    Parameters
    ----------
    params : of the analysis ``reconstruct``, with what the files do not say of themselves
    out : folder of ``report.html``, tables as CSV, and volumes as TIFF

    Returns
    -------
    report : JSON-compatible; NaN, where there is no value, is None
    """
    path = Path(path)
    check_apart(path, out)
    check_place(out)
    analysis = Reconstruct()
    settings: Any = make_params(analysis, params)
    inputs = inputs_from_files([path])
    result = analysis.run(inputs, settings, progress)
    about = {"files": str(path), "slices": f"{len(inputs.arrays['slices'])} read"}
    title = f"Slices into structure: {path.name}"
    files = [
        *write_report(result, result.tables, out, title=title, about=about),
        *_write_volumes(result, out),
    ]
    return {
        "report": str(files[0]),
        "files": [str(file) for file in files[1:]],
        "digest": digest_of(result),
        "warnings": list(result.warnings),
        **{key: plain_table(result.tables.get(key)) for key in ("table_1", "table_2", "leave_out")},
        "resolution_nm": result.provenance["resolution_nm"],
        "voxel_nm": result.provenance["voxel_nm"],
        "duration_s": result.provenance["duration_s"],
    }


def plain_table(table: Table | None) -> dict[str, list[Any]] | None:
    """Return a table for JSON: NaN, where there is no value, is None."""
    if table is None:
        return None
    return {
        key: [None if value != value else value for value in np.asarray(column).tolist()]
        for key, column in table.items()
    }


def _write_volumes(result: AnalysisResult, out: Path) -> list[Path]:
    """Write volumes on the even grid, and the slices with their labels, as ImageJ has them."""
    z, y, x = (float(edge) for edge in result.provenance["voxel_nm"])
    pitch = float(result.provenance["pitch_nm"])
    paths = []
    for name in VOLUMES:
        array = np.asarray(result.arrays[name])
        if array.dtype not in (np.uint8, np.uint16):  # of the types that ImageJ knows
            array = array.astype(np.float32)
        path = out / f"{name}.tif"
        with draft_of(path) as draft:
            tifffile.imwrite(
                draft,
                array,
                imagej=True,
                resolution=(1e3 / x, 1e3 / y),
                metadata={
                    "axes": "ZYX",
                    "unit": "um",
                    "spacing": 1e-3 * (z if name in ("volume", "uncertainty") else pitch),
                },
            )
        paths.append(path)
    return paths
