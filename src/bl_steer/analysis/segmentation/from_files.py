"""Micrographs from files through the analysis ``segment``, and the results into a folder.

What the command ``bl-steer segment run`` does; functions return what it prints and writes as JSON.
Training is in `bl_steer.analysis.segmentation.training.from_files`, planning in
`bl_steer.analysis.segmentation.planning.from_files`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from bl_steer.analysis import segmentation
from bl_steer.analysis.segmentation.analysis import (
    SegmentParams,
    field_name,
    provenance_for,
    tables_for,
)
from bl_steer.analysis.segmentation.checks import (
    bar_warnings,
    doubled_warnings,
    doubt_warnings,
    doubtful,
    size_warnings,
    texture_warnings,
    textureless,
    too_small,
    warnings_for,
)
from bl_steer.analysis.segmentation.passes import Passes
from bl_steer.analysis.segmentation.shipped import find_model
from bl_steer.analysis.segmentation.stacks import StoredPlanes
from bl_steer.analysis.segmentation.training import masks_among, resumable
from bl_steer.files import list_images, read_all, read_micrographs
from bl_steer.files.atomic import check_place
from bl_steer.files.pixel_size import check_pixel_size, contradictions
from bl_steer.files.stacks import open_stack, open_zarr
from bl_steer.files.volumes import check_form, write_volume
from bl_steer.files.volumes.ome_zarr import described
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_folder import write_result, write_table
from bl_steer.protocols import AnalysisResult, Inputs, Progress

__all__ = ["inputs_from_files", "run", "run_stack"]

STACKED = ("labels", "uncertainty")
"""Arrays of each field that may be written as one stack."""


def inputs_from_files(
    paths: Sequence[str | Path], metadata: Mapping[str, Any] | None = None
) -> Inputs:
    """Return the micrographs of files and folders as inputs.

    Parameters
    ----------
    paths : files, and folders of images, read in natural order; painted masks beside their
        micrographs are left out
    metadata : acquisition metadata that hold for all of them, such as ``pixel_size_nm``; they go
        before what the files say of themselves

    Raises
    ------
    ValueError
        When a path is missing, a folder has no image, a file cannot be read, or the pixel size is
        no positive number.
    """
    check_pixel_size((metadata or {}).get("pixel_size_nm"))
    arrays: dict[str, NDArray[Any]] = {}
    recorded: list[dict[str, Any]] = []
    notes: list[str] = []
    origin: list[str] = []
    files = list(_files(paths, notes))
    for read in read_all(read_micrographs, files):
        path = read.path
        known = {
            "file": str(path),
            "pixel_size_nm": read.pixel_size_nm,
            **read.metadata,
            **(metadata or {}),
        }
        for image in read.fields:
            arrays[field_name(len(arrays))] = image
            recorded.append(known)
            origin.append(str(path))
        told = (metadata or {}).get("pixel_size_nm")
        notes += contradictions("a pixel", told, read.pixel_size_nm, where=path.name)
        notes += [
            note if note.startswith(path.name) else f"{path.name}: {note}" for note in read.notes
        ]
    keys = dict.fromkeys(key for row in recorded for key in row)
    by_name = {key: [row.get(key) for row in recorded] for key in keys}
    return Inputs(arrays, by_name, {"files": origin}, notes)


def _files(paths: Sequence[str | Path], notes: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        images = list_images(path)
        if not images:
            raise ValueError(f"a folder must hold images, got none in {path}; give another")
        masks = masks_among(images)
        if masks:
            notes.append(
                f"{len(masks)} masks in {path.name}, such as {masks[0].name}, are not segmented."
            )
        yield from (image for image in images if image not in masks)


def run(
    paths: Sequence[Path],
    *,
    params: Mapping[str, Any],
    metadata: Mapping[str, Any],
    out: Path,
    form: str | None = None,
    progress: Progress | None = None,
    writing: Progress | None = None,
) -> dict[str, Any]:
    """Segment the micrographs of files and folders; write label maps, tables and figures.

    Parameters
    ----------
    metadata : acquisition metadata of all of them
    form : of one stack of all label maps, and one of their uncertainty, in place of files and
        figures of each field: `bl_steer.files.volumes.check_form`
    progress : of the segmentation
    writing : progress of the files: to draw many fields takes as long as to segment them
    """
    check_place(out)
    analysis = find_analysis("segment")
    inputs = inputs_from_files(paths, metadata)
    if form is not None:
        _check_alike(inputs, form)
    result = analysis.run(inputs, make_params(analysis, params), progress)
    sample = {key: column.tolist() for key, column in result.tables["sample"].items()}
    names = [str(Path(file).resolve()) for file in inputs.source["files"]]
    told = params.get("pixel_size_nm")
    sizes = [told or size or np.nan for size in inputs.metadata["pixel_size_nm"]]
    if form is None:
        written = write_result(result, out, writing)
    else:
        written = _write_stacks(result, inputs, sizes, out, form)
    of_files = {
        "field": np.array(list(inputs.arrays)),
        "file": np.array(names),
        "pixel_size_nm": np.array(sizes, float),
    }
    written.append(write_table(of_files, out / "fields.csv"))
    return {
        "n_fields": len(inputs.arrays),
        "sample": sample,
        "digest": digest_of(result),
        "weights_sha256": result.provenance["weights"],
        "duration_s": result.provenance["duration_s"],
        "warnings": [*result.warnings, *_left_over(out, written)],
        "files": [str(path) for path in written],
    }


def _check_alike(inputs: Inputs, form: str) -> None:
    """Refuse fields that make no stack, before any work is done."""
    check_form(form)
    shapes = {np.shape(array)[-2:] for array in inputs.arrays.values()}
    if len(shapes) > 1:
        listed = " and ".join(" × ".join(map(str, shape)) for shape in sorted(shapes))
        raise ValueError(
            f"fields must be of one shape to make a stack, got {listed} pixels; leave out --format"
        )


def _write_stacks(
    result: AnalysisResult, inputs: Inputs, sizes: Sequence[float], out: Path, form: str
) -> list[Path]:
    """Write tables, what is kept beside label maps, and a stack of these and of the uncertainty."""
    end = f"_{STACKED[0]}"
    names = [name.removesuffix(end) for name in result.arrays if name.endswith(end)]
    single = {f"{name}_{kind}" for name in names for kind in STACKED}
    others = {name: array for name, array in result.arrays.items() if name not in single}
    written = write_result(replace(result, arrays=others, figures={}), out)
    pitches = inputs.metadata.get("pitch_nm") or [None]
    pixel = sizes[0] if len(set(sizes)) == 1 and np.isfinite(sizes[0]) else None
    voxel = (pitches[0] if len(set(pitches)) == 1 else None, pixel, pixel)
    phases = [phase["name"] for phase in result.provenance["phases"]]
    for kind in STACKED:
        stack = np.stack([result.arrays[f"{name}_{kind}"] for name in names])
        named = phases if kind == STACKED[0] else ()
        written.append(write_volume(out / kind, stack, voxel, form, named))
    return written


def _left_over(out: Path, written: Sequence[Path]) -> list[str]:
    """Name the results of earlier fields that are still in a folder."""
    left = sorted(path.name for path in out.glob("field_*") if path not in written)
    if not left:
        return []
    return [
        f"{len(left)} files of an earlier result, such as {left[0]}, are still in {out}; give "
        "another folder with --out, or remove them"
    ]


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
    known = open_stack(source).known
    size = settings.pixel_size_nm or known.get("pixel_size_nm")
    with resumable(out, "labels.zarr", "stack"):
        fractions = segmentation.segment_stack(
            settings.model,
            source,
            out / "labels.zarr",
            pixel_size_nm=size,
            passes=Passes(settings.tile_px, settings.views, settings.precision),
            scheduler=scheduler,
            progress=progress,
        )
    table = {name: fractions[:, label] for label, name in enumerate(model.phases.names)}
    path = write_table({"plane": np.arange(len(fractions)), **table}, out / "fractions.csv")
    group: Any = zarr.open_group(str(out / "labels.zarr"), mode="a")
    voxel = (known.get("pitch_nm"), size, size)
    group.attrs.update(described("labels", voxel, model.phases.names))
    if size is not None:
        metadata = {**metadata, "pixel_size_nm": size}
    result = _result_of_stack(source, out / "labels.zarr", model, settings, metadata, began)
    told = contradictions("a pixel", settings.pixel_size_nm, known.get("pixel_size_nm"))
    return {
        "n_planes": len(fractions),
        "mean_fraction": {name: float(column.mean()) for name, column in table.items()},
        "digest": digest_of(result),
        "weights_sha256": model.weights_sha256,
        "duration_s": perf_counter() - began,
        "warnings": [*told, *result.warnings],
        "files": [str(out / "labels.zarr"), str(path)],
    }


def _result_of_stack(
    source: Path,
    target: Path,
    model: segmentation.SegmentationModel,
    params: SegmentParams,
    metadata: Mapping[str, Any],
    began: float,
) -> AnalysisResult:
    """Return what the analysis gives for the planes of a stack; they stay on disk."""
    stack = open_zarr(source)
    planes = StoredPlanes({"": stack})
    flat = textureless(planes.items())
    textured = [name for name in planes if name not in flat]
    small = too_small((name, planes[name]) for name in textured)
    doubts_of = StoredPlanes({"": open_zarr(target, "uncertainty")})
    edge_px = (stack.shape[1] * stack.shape[2]) ** 0.5
    uncertainty = {n: (float(doubts_of[n].mean(dtype=np.float64)), edge_px) for n in textured}
    doubts = doubtful(model, uncertainty)
    worst = max(uncertainty, key=lambda name: uncertainty[name], default=None)
    # A dozen at most: they fit into memory.
    compared = [planes[textured[k]] for k in segmentation.compared_images(len(textured))]
    unsure = {*flat, *small, *doubts}
    titles = {name: f"plane {z} of {source.name}" for z, name in enumerate(planes)}
    return AnalysisResult(
        tables=tables_for(model, StoredPlanes({"": open_zarr(target, "labels")}), unsure),
        arrays=StoredPlanes(
            {f"_{name}": open_zarr(target, name) for name in ("labels", "uncertainty")}
        ),
        provenance=provenance_for(
            model, params, Inputs({}, metadata, {"files": [str(source)]}), began
        ),
        warnings=(
            *bar_warnings((titles[name], planes[name]) for name in textured),
            *doubled_warnings((titles[name], planes[name]) for name in textured),
            *size_warnings({titles[name]: shape for name, shape in small.items()}),
            *texture_warnings({titles[name]: levels for name, levels in flat.items()}),
            *doubt_warnings(
                model,
                {titles[name]: times for name, times in doubts.items()},
                None if worst is None else planes[worst],
            ),
            *warnings_for(model, compared, metadata),
        ),
    )
