"""Micrographs from files through the analysis ``segment``, and the results into a folder.

What the command ``bl-steer segment run`` does; functions return what it prints and writes as JSON.
Training is in `bl_steer.analysis.segmentation.training.from_files`, planning in
`bl_steer.analysis.segmentation.planning.from_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from os.path import abspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.fields import field_name, titles_of
from bl_steer.analysis.segmentation.from_zarr import open_planes
from bl_steer.analysis.segmentation.training import masks_among
from bl_steer.files import list_images, read_micrographs
from bl_steer.files.atomic import check_place
from bl_steer.files.errors import listed
from bl_steer.files.formats import is_zarr, unread_images
from bl_steer.files.images import Micrographs
from bl_steer.files.images.micrographs import flaws_of
from bl_steer.files.many import read_each, told_once, unsound
from bl_steer.files.pixel_size import check_pixel_size, contradictions
from bl_steer.files.slice_names import in_order, natural_key
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
    every: bool = False,
) -> Inputs:
    """Return the micrographs of files and folders as inputs.

    Files that cannot be read are left out, with a note of each; one that is given twice is read
    once.

    Parameters
    ----------
    paths : files, stacks in Zarr, and folders of images, read in natural order; painted masks
        beside their micrographs are left out
    metadata : acquisition metadata that hold for all of them, such as ``pixel_size_nm``; they go
        before what the files say of themselves
    as_slices : in the order of a stack, which the numbers in the names tell
    every : raise where one file cannot be read

    Raises
    ------
    ValueError
        When a path is missing, a folder has no image, no file can be read, or the pixel size is no
        positive number.
    """
    check_pixel_size((metadata or {}).get("pixel_size_nm"))
    arrays: dict[str, NDArray[Any]] = {}
    recorded: list[dict[str, Any]] = []
    notes: list[str] = []
    origin: list[str] = []
    files = _each_once(list(_files(paths, notes)), notes)
    if as_slices and len(files) > 1:
        files, order = in_order(sorted(files, key=natural_key), "")
        notes += order
    contents, problems = read_each(_read, files)
    sound = [read for read in contents if read is not None]
    if problems and (every or not sound):
        raise unsound(problems)
    notes += [f"left out: {problem}" for problem in problems]
    told_of: list[tuple[str, str]] = []
    for read in sound:
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
        told_of += [(path.name, note.removeprefix(f"{path.name}: ")) for note in read.notes]
    notes += told_once(told_of)
    keys = dict.fromkeys(key for row in recorded for key in row)
    by_name = {key: [row.get(key) for row in recorded] for key in keys}
    left_out = [path.name for path, read in zip(files, contents, strict=True) if read is None]
    return Inputs(arrays, by_name, {"files": origin, "left_out": left_out}, notes)


def _read(path: Path) -> Micrographs:
    """Return the fields of a file, or the planes of a Zarr."""
    if not is_zarr(path):
        return read_micrographs(path)
    stored, about = open_planes(path)
    planes = tuple(np.asarray(stored[z]) for z in range(stored.shape[0]))
    flaws = [flaw for z, plane in enumerate(planes) for flaw in flaws_of(plane, f"Plane {z}")]
    return replace(about, fields=planes, notes=(*about.notes, *flaws))


def _each_once(files: Sequence[Path], notes: list[str]) -> list[Path]:
    """Return files without those that are there already.

    Links are not followed: equal files of a job may be links to one, and count as what they are.
    """
    first: dict[Path, Path] = {}
    again = Counter[Path]()
    for path in files:
        place = Path(abspath(path))
        if first.setdefault(place, path) is not path:
            again[place] += 1
    for place, count in again.items():
        times = "twice" if count == 1 else f"{count + 1} times"
        notes.append(f"{first[place].name} was given {times}: it is read and counted once.")
    return list(first.values())


def _files(paths: Sequence[str | Path], notes: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if is_zarr(path) or not path.is_dir():
            yield path
            continue
        images = list_images(path)
        unread = unread_images(path)
        if not images:
            inner = [one.name for one in sorted(path.iterdir()) if one.is_dir()][:1]
            unread += [f"folders in it, such as {one}, are given by themselves" for one in inner]
            why = "".join(f" ({note})" for note in unread)
            raise ValueError(f"a folder must hold images, got none in {path}{why}; give another")
        notes += [f"{note[0].upper()}{note[1:]}." for note in unread]
        masks = masks_among(images)
        if masks:
            notes.append(
                f"{len(masks)} masks in {path.name}, such as {masks[0].name}, are not segmented."
            )
        fields = [image for image in images if image not in masks]
        stems = Counter(image.stem.lower() for image in fields)
        if twins := [image.name for image in fields if stems[image.stem.lower()] > 1]:
            notes.append(
                f"{listed(twins)} in {path.name} differ in their endings alone: where they are one "
                "image in several forms, it counts several times; take the others out."
            )
        yield from fields


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
    in_stack = form is not None
    inputs = inputs_from_files(paths, metadata, as_slices=in_stack, every=in_stack)
    if form is not None:
        _check_alike(inputs, form)
    result = analysis.run(inputs, make_params(analysis, params), progress)
    sample = {key: column.tolist() for key, column in result.tables["sample"].items()}
    done = [f"{field}_labels" in result.arrays for field in inputs.arrays]
    fields = list(compress(inputs.arrays, done))
    left_out = [
        *inputs.source["left_out"],
        *(Path(file).name for file, n in zip(inputs.source["files"], done, strict=True) if not n),
    ]
    names = [str(Path(file).resolve()) for file in compress(inputs.source["files"], done)]
    told = params.get("pixel_size_nm")
    sizes = [told or size or np.nan for size in compress(inputs.metadata["pixel_size_nm"], done)]
    shown = replace(result, tables={**result.tables, "fractions": _with_files(result, inputs)})
    if form is None:
        written = write_result(shown, out, writing)
    else:
        written = _write_stacks(shown, inputs, sizes, out, form)
    of_files = {
        "field": np.array(fields),
        "file": np.array(names),
        "pixel_size_nm": np.array(sizes, float),
    }
    written.append(write_table(of_files, out / "fields.csv"))
    return {
        "n_fields": len(fields),
        "left_out": left_out,
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
        sizes = " and ".join(" × ".join(map(str, shape)) for shape in sorted(shapes))
        raise ValueError(
            f"fields must be of one shape to make a stack, got {sizes} pixels; give those of one "
            "shape, or write each field by itself"
        )
    of_files = zip(inputs.source["files"], inputs.arrays.values(), strict=True)
    if gaps := [Path(file).name for file, image in of_files if not np.isfinite(image).all()]:
        raise ValueError(
            f"fields must be finite to make a stack, got NaN or infinity in {listed(gaps)}; crop "
            "or fill them, or write each field by itself"
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
