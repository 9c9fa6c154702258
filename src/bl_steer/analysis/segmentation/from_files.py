"""Micrographs from files through the analysis ``segment``, and the results into a folder.

What the command ``bl-steer segment run`` does; functions return what it prints and writes as JSON.
Training is in `bl_steer.analysis.segmentation.training.from_files`, planning in
`bl_steer.analysis.segmentation.planning.from_files`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.fields import field_name, titles_of
from bl_steer.analysis.segmentation.from_zarr import open_planes
from bl_steer.analysis.segmentation.training import masks_among
from bl_steer.files import list_images, read_all, read_micrographs
from bl_steer.files.atomic import check_place
from bl_steer.files.formats import is_zarr
from bl_steer.files.images import Micrographs
from bl_steer.files.pixel_size import check_pixel_size, contradictions
from bl_steer.files.slice_folder import in_order, natural_key
from bl_steer.files.volumes import check_form, write_volume
from bl_steer.processing.digest import digest_of
from bl_steer.processing.registry import find_analysis, make_params
from bl_steer.processing.result_folder import write_result, write_table
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

__all__ = ["inputs_from_files", "run"]

STACKED = ("labels", "uncertainty")
"""Arrays of each field that may be written as one stack."""


def inputs_from_files(
    paths: Sequence[str | Path],
    metadata: Mapping[str, Any] | None = None,
    *,
    as_slices: bool = False,
) -> Inputs:
    """Return the micrographs of files and folders as inputs.

    Parameters
    ----------
    paths : files, stacks in Zarr, and folders of images, read in natural order; painted masks
        beside their micrographs are left out
    metadata : acquisition metadata that hold for all of them, such as ``pixel_size_nm``; they go
        before what the files say of themselves
    as_slices : in the order of a stack, which the numbers in the names tell

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
    if as_slices and len(files) > 1:
        files, order = in_order(sorted(files, key=natural_key), "")
        notes += order
    for read in read_all(_read, files):
        path = read.path
        known = {
            "file": str(path),
            "pixel_size_nm": read.pixel_size_nm,
            **({"bar_px": read.bar_rows} if read.bar_rows else {}),
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


def _read(path: Path) -> Micrographs:
    """Return the fields of a file, or the planes of a Zarr."""
    if not is_zarr(path):
        return read_micrographs(path)
    planes, about = open_planes(path)
    return replace(about, fields=tuple(np.asarray(planes[z]) for z in range(planes.shape[0])))


def _files(paths: Sequence[str | Path], notes: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if is_zarr(path) or not path.is_dir():
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
    inputs = inputs_from_files(paths, metadata, as_slices=form is not None)
    if form is not None:
        _check_alike(inputs, form)
    result = analysis.run(inputs, make_params(analysis, params), progress)
    sample = {key: column.tolist() for key, column in result.tables["sample"].items()}
    names = [str(Path(file).resolve()) for file in inputs.source["files"]]
    told = params.get("pixel_size_nm")
    sizes = [told or size or np.nan for size in inputs.metadata["pixel_size_nm"]]
    shown = replace(result, tables={**result.tables, "fractions": _with_files(result, inputs)})
    if form is None:
        written = write_result(shown, out, writing)
    else:
        written = _write_stacks(shown, inputs, sizes, out, form)
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


def _with_files(result: AnalysisResult, inputs: Inputs) -> Table:
    """Return the fractions with the file of each field, by which its user knows it."""
    names = list(inputs.arrays)
    titles = dict(zip(names, titles_of(names, inputs.metadata["file"]), strict=True))
    table = result.tables["fractions"]
    files = np.array([titles[field] for field in table["field"]])
    return {"field": table["field"], "file": files, **table}


def _check_alike(inputs: Inputs, form: str) -> None:
    """Refuse fields that make no stack, before any work is done."""
    check_form(form)
    shapes = {np.shape(array)[-2:] for array in inputs.arrays.values()}
    if len(shapes) > 1:
        listed = " and ".join(" × ".join(map(str, shape)) for shape in sorted(shapes))
        raise ValueError(
            f"fields must be of one shape to make a stack, got {listed} pixels; give those of one "
            "shape, or write each field by itself"
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
        "another folder with out=DIR, or remove them"
    ]
