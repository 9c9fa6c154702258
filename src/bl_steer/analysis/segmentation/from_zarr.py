"""Stacks in Zarr through the analysis ``segment``, plane by plane: they may be larger than memory.

What the command ``bl-steer segment run`` does with them; `from_files` takes all other files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import zarr

from bl_steer.analysis import segmentation
from bl_steer.analysis.data_bars import rows_above
from bl_steer.analysis.segmentation.analysis import (
    SegmentParams,
    provenance_for,
)
from bl_steer.analysis.segmentation.fields import FieldOfView
from bl_steer.analysis.segmentation.passes import Passes
from bl_steer.analysis.segmentation.shipped import find_model
from bl_steer.analysis.segmentation.stacks import StoredPlanes
from bl_steer.analysis.segmentation.training import resumable
from bl_steer.analysis.segmentation.verdict import look_at, verdict_on
from bl_steer.files.atomic import check_place
from bl_steer.files.images import Micrographs
from bl_steer.files.images.image_metadata import notes_of_pixels
from bl_steer.files.images.micrographs import flaws_of
from bl_steer.files.pixel_size import contradictions
from bl_steer.files.stacks import open_stack, open_zarr
from bl_steer.files.volumes.ome_zarr import described
from bl_steer.processing.digest import digest_of
from bl_steer.processing.result_folder import write_table
from bl_steer.protocols import AnalysisResult, Inputs, Progress

__all__ = ["open_planes", "run_stack"]

NOT_OF_FIELDS = ("phases", "voxel_size_nm", "stated_voxel", "lossy")


def open_planes(path: Path) -> tuple[Any, Micrographs]:
    """Return the planes (Z, H, W) of a Zarr, still on disk, and what it says of them."""
    stored = open_stack(path)
    known = {k: v for k, v in stored.known.items() if k not in NOT_OF_FIELDS}
    notes = [*stored.notes, *notes_of_pixels(known)]
    known.pop("pixel_height_nm", None)
    size = known.pop("pixel_size_nm", None)
    return stored.array, Micrographs((), size, known, tuple(notes), path)


def run_stack(
    source: Path,
    *,
    params: Mapping[str, Any],
    metadata: Mapping[str, Any],
    scheduler: str | None,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment a Zarr stack plane by plane; write label maps and a row of fractions a plane.

    Digest and warnings are those of the same planes in files, through the analysis ``segment``.

    Parameters
    ----------
    metadata : acquisition metadata of all planes
    """
    check_place(out)
    began = perf_counter()
    settings = SegmentParams.model_validate(params)
    model = find_model(settings.model)
    stack, about = open_planes(source)
    size = settings.pixel_size_nm or about.pixel_size_nm
    rows, bar_notes = rows_above(stack.shape[1], settings.bar_px or 0)
    with resumable(out, "labels.zarr", "stack"):
        fractions = segmentation.segment_stack(
            settings.model,
            source,
            out / "labels.zarr",
            pixel_size_nm=size,
            rows=rows,
            passes=Passes(settings.tile_px, settings.views, settings.precision),
            scheduler=scheduler,
            progress=progress,
        )
    table = {name: fractions[:, label] for label, name in enumerate(model.phases.names)}
    path = write_table({"plane": np.arange(len(fractions)), **table}, out / "fractions.csv")
    group: Any = zarr.open_group(str(out / "labels.zarr"), mode="a")
    voxel = (about.metadata.get("pitch_nm"), size, size)
    group.attrs.update(described("labels", voxel, model.phases.names))
    metadata = {**about.metadata, **metadata}
    if size is not None:
        metadata["pixel_size_nm"] = size
    flaws: list[str] = []
    result = _result_of_stack(source, out / "labels.zarr", model, settings, metadata, began, flaws)
    told = contradictions("a pixel", settings.pixel_size_nm, about.pixel_size_nm)
    noted = [note if note.startswith(source.name) else f"{source.name}: {note}"
             for note in (*about.notes, *dict.fromkeys(flaws))]  # fmt: skip
    return {
        "n_planes": len(fractions),
        "mean_fraction": {name: float(column.mean()) for name, column in table.items()},
        "digest": digest_of(result),
        "weights_sha256": model.weights_sha256,
        "duration_s": perf_counter() - began,
        "warnings": [*noted, *told, *bar_notes, *result.warnings],
        "files": [str(out / "labels.zarr"), str(path)],
    }


def _result_of_stack(
    source: Path,
    target: Path,
    model: segmentation.SegmentationModel,
    params: SegmentParams,
    metadata: Mapping[str, Any],
    began: float,
    flaws: list[str],
) -> AnalysisResult:
    """Return what the analysis gives for the planes of a stack; they stay on disk.

    Parameters
    ----------
    flaws : takes what the reader of files would say of the planes
    """
    stack, labels = open_zarr(source), open_zarr(target, "labels")
    planes, rows = StoredPlanes({"": stack}), labels.shape[1]
    doubts = StoredPlanes({"": open_zarr(target, "uncertainty")})
    size = metadata.get("pixel_size_nm")

    def fields() -> Iterator[FieldOfView]:
        for z, name in enumerate(planes):
            plane = planes[name]
            flaws.extend(flaws_of(plane, f"Plane {z}"))
            yield FieldOfView(name, plane[:rows], metadata, size, f"plane {z} of {source.name}")

    verdict = verdict_on(
        model,
        look_at(model, fields()),
        StoredPlanes({"": labels}),
        lambda name: float(doubts[name].mean(dtype=np.float64)),
        image_of=lambda name: planes[name][:rows],
        metadata=metadata,
    )
    return AnalysisResult(
        tables=verdict.tables,
        arrays=StoredPlanes(
            {f"_{name}": open_zarr(target, name) for name in ("labels", "uncertainty")}
        ),
        provenance=provenance_for(
            model, params, Inputs({}, metadata, {"files": [str(source)]}), began
        ),
        warnings=verdict.warnings,
    )
