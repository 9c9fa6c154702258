"""Label volumes in stored analyses: of ``segment``, ``superres`` and ``reconstruct``.

`from_files` takes them from files.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bl_steer.processing.publish import result_of
from bl_steer.protocols import AnalysisResult, Inputs
from bl_steer.runs import Run

__all__ = ["inputs_from_analysis"]


def inputs_from_analysis(run: Run) -> Inputs:
    """Return the labels in an analysis run as a volume, with its voxel and phases where known.

    Parameters
    ----------
    run : read from its record: ``reconstruct`` or ``superres`` give their volume, ``segment`` its
        label maps one above the other, a pitch of the raw run apart

    Raises
    ------
    ValueError
        When the run has no record, or holds no labels of one shape.
    """
    if run.record is None:
        raise ValueError(
            f"an analysis must have its record and frames beside it, got run {run.uid} without; "
            "open it from a store's folder"
        )
    result = result_of(run, run.record.parent.parent / "frames")
    raw = run.record.with_name(f"{run.start['analysis']['raw_run']}.jsonl")
    volume = result.arrays.get("volume")
    if volume is not None:
        voxel = _voxel_of(result)
    else:
        volume = _stacked(result, run.uid)
        voxel = _voxel_of_slices(Run.from_record(raw)) if raw.exists() else None
    known: dict[str, Any] = {} if voxel is None else {"voxel_size_nm": voxel}
    if "phases" in result.provenance:
        known["phases"] = [str(phase["name"]) for phase in result.provenance["phases"]]
    return Inputs({"labels": volume}, known, {"run": run.uid})


def _stacked(result: AnalysisResult, uid: str) -> Any:
    maps = [array for name, array in result.arrays.items() if name.endswith("_labels")]
    shapes = sorted({labels.shape for labels in maps})
    if len(shapes) != 1:
        raise ValueError(
            f"structure must come from labels of one shape, got {shapes} in the analysis {uid}; "
            "segment slices of one stack"
        )
    return np.stack(maps)


def _voxel_of(result: AnalysisResult) -> list[float] | None:
    if "voxel_nm" in result.provenance:
        return [float(edge) for edge in result.provenance["voxel_nm"]]
    table = result.tables.get("voxel")
    return None if table is None else [float(edge) for edge in table["edge_nm"]]


def _voxel_of_slices(raw: Run) -> list[float] | None:
    pitch = raw.start.get("slices", {}).get("pitch_nm")
    size = raw.start.get("conditions", {}).get("pixel_size_nm")
    return None if pitch is None or size is None else [float(pitch), float(size), float(size)]
