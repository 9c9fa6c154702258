"""What ``bl-steer slices`` does: the slices of an instrument's files to one report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bl_steer.analysis.reconstruction.analysis import Reconstruct
from bl_steer.analysis.reconstruction.report import write_report
from bl_steer.analysis.slices.from_files import inputs_from_files
from bl_steer.files.atomic import check_place
from bl_steer.files.stacks import check_apart
from bl_steer.files.volumes import check_form, write_result_volume
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import make_params
from bl_steer.processing.unfinished import unfinished_in
from bl_steer.protocols import AnalysisResult, Progress, Table

__all__ = ["plain_table", "reconstruct_files", "write_volumes"]

UNFINISHED = "unfinished"
"""Folder beside the report of what goes on there after a kill."""
VOLUMES = ("volume", "uncertainty", "slices", "labels")
"""Arrays of the result that are written, each with its voxel."""


def reconstruct_files(
    path: str | Path,
    *,
    params: Mapping[str, Any],
    out: Path,
    form: str = "imagej",
    progress: Progress | None = None,
    writing: Progress | None = None,
) -> dict[str, Any]:
    """Reconstruct the slices of a folder or a stack; write the report and the volumes.

    Parameters
    ----------
    params : of the analysis ``reconstruct``, with what the files do not say of themselves
    out : folder of ``report.html``, tables as CSV, and volumes
    form : of the volumes: `bl_steer.files.volumes.FORMS`
    progress : of the analysis
    writing : progress of the report and the volumes, which take long where they are large

    Returns
    -------
    report : JSON-compatible; NaN, where there is no value, is None
    """
    path = Path(path)
    check_form(form)
    check_apart(path, out)
    check_place(out)
    analysis = Reconstruct()
    settings: Any = make_params(analysis, params)
    inputs = inputs_from_files([path])
    with unfinished_in(out / UNFINISHED):
        result = analysis.run(inputs, settings, progress)
    about = {"files": str(path), "slices": f"{len(inputs.arrays['slices'])} read"}
    title = f"Slices into structure: {path.name}"
    if writing is not None:
        writing(0, len(VOLUMES))
    files = [
        *write_report(result, result.tables, out, title=title, about=about),
        *write_volumes(result, out, form, writing),
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


def write_volumes(
    result: AnalysisResult, out: Path, form: str, progress: Progress | None = None
) -> list[Path]:
    """Write volumes on the even grid, and the slices with their labels."""
    names = [phase["name"] for phase in result.provenance["phases"]]
    written = []
    for number, name in enumerate(VOLUMES):
        if progress is not None:
            progress(number, len(VOLUMES))
        phases = names if name == "labels" else ()
        written.append(write_result_volume(out / name, result, name, form, phases))
    return written
