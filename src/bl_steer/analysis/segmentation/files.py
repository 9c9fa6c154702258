"""Micrographs from files into an analysis, and its result back into files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.segmentation.training.pairs import masks_among
from bl_steer.files import list_images, read_all, read_micrographs
from bl_steer.files.atomic import draft_of
from bl_steer.files.pixel_size import check_pixel_size
from bl_steer.plotting.fonts import with_japanese
from bl_steer.protocols import AnalysisResult, Inputs, Progress, Table

__all__ = ["inputs_from_files", "write_result", "write_table"]


def inputs_from_files(
    paths: Sequence[str | Path], conditions: Mapping[str, Any] | None = None
) -> tuple[Inputs, list[str]]:
    """Return the micrographs of files and folders as inputs, and what a user should know of them.

    Parameters
    ----------
    paths : files, and folders whose images are all taken, in natural order; painted masks beside
        their micrographs are left out
    conditions : that hold for all of them, such as ``pixel_size_nm``; they go before what the
        files say of themselves

    Raises
    ------
    ValueError
        When a path is missing, a folder has no image, a file cannot be read, or the pixel size is
        no positive number.
    """
    check_pixel_size((conditions or {}).get("pixel_size_nm"))
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
            **(conditions or {}),
        }
        for image in read.fields:
            arrays[f"field_{len(arrays):03d}"] = image
            recorded.append(known)
            origin.append(str(path))
        notes += [
            note if note.startswith(path.name) else f"{path.name}: {note}" for note in read.notes
        ]
    keys = dict.fromkeys(key for one in recorded for key in one)
    metadata = {key: [one.get(key) for one in recorded] for key in keys}
    return Inputs(arrays, metadata, {"files": origin}), notes


def _files(paths: Sequence[str | Path], notes: list[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = list_images(path)
        if not found:
            raise ValueError(f"a folder must hold images, got none in {path}; give another")
        masks = masks_among(found)
        if masks:
            notes.append(
                f"{len(masks)} masks in {path.name}, such as {masks[0].name}, are not segmented."
            )
        yield from (one for one in found if one not in masks)


def write_result(
    result: AnalysisResult, folder: str | Path, progress: Progress | None = None
) -> list[Path]:
    """Write a result into a folder: tables as CSV, label maps as TIFF, the rest as .npy, figures.

    Parameters
    ----------
    progress : told of each file

    Returns
    -------
    paths of the files

    Raises
    ------
    UnwritableError
        Naming the file that cannot be written; no file is left cut short.
    """
    place = Path(folder)
    total = len(result.tables) + len(result.arrays) + len(result.figures)
    written: list[Path] = []
    for path in _written(result, place):
        written.append(path)
        if progress is not None:
            progress(len(written), total)
    return written


def _written(result: AnalysisResult, place: Path) -> Iterator[Path]:
    """Write the files of a result one by one, and yield their paths."""
    for name, table in result.tables.items():
        yield write_table(table, place / f"{name}.csv")
    for name, array in result.arrays.items():
        yield _write_array(array, place / name)
    for name, draw in result.figures.items():
        path = place / f"{name}.png"
        with draft_of(path) as draft, with_japanese():
            draw().savefig(draft, dpi=130)
        yield path


def write_table(table: Table, path: Path) -> Path:
    """Write a table as CSV and return its path."""
    with draft_of(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    return path


def _write_array(array: NDArray[Any], stem: Path) -> Path:
    if array.dtype == np.uint8 and array.ndim == 2:
        import tifffile

        path = stem.with_suffix(".tif")
        with draft_of(path) as draft:
            tifffile.imwrite(draft, array, compression="zlib")
    else:
        path = stem.with_suffix(".npy")
        with draft_of(path) as draft:
            np.save(draft, array)
    return path
