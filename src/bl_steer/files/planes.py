"""A stack of any size, in memory or on disk, and how to have some planes of it at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.files.errors import listed
from bl_steer.files.images.image_metadata import doubtful_voxel
from bl_steer.files.large_arrays import let_go

__all__ = ["StoredStack", "some_planes", "with_edges", "with_one_bar", "with_whole_labels"]

MOST_BYTES = 2**27
"""Of the planes that are had at a time."""


@dataclass(frozen=True)
class StoredStack:
    """A stack as it lies on the disk.

    Parameters
    ----------
    array : (Z, Y, X): numpy, mapped from an .npy, or Zarr; whatever type was stored
    known : what the file says of ``voxel_size_nm`` (z, y, x) and ``phases``; of a TIFF or single
        slices also what `image_metadata` reads, such as ``pixel_size_nm`` and ``pitch_nm``
    notes : what a user should know, one sentence each
    gaps : the same of slices that are missing, where those around are taken as neighbours
    numbers : of single slices in steps of one, as their names have them
    names : of the files of single slices
    left_out : names of files that have a number, and are no slice of the stack, by number
    palette : of a single slice, the colour of each number, where the file has one
    """

    array: Any
    known: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    gaps: Sequence[str] = ()
    numbers: Sequence[int] | None = None
    names: Sequence[str] = ()
    left_out: Mapping[int, str] = field(default_factory=dict)
    palette: Mapping[int, Sequence[int]] = field(default_factory=dict)


def some_planes(array: Any) -> Iterator[NDArray[Any]]:
    """Yield an array (Z, …) in order of z, as many planes at a time as memory has room for.

    Parameters
    ----------
    array : numpy, Zarr, or anything with shape and type that is sliced alike
    """
    plane = max(1, math.prod(array.shape[1:]) * array.dtype.itemsize)
    step = max(1, MOST_BYTES // plane)
    for first in range(0, array.shape[0], step):
        yield np.asarray(array[first : first + step])
        let_go(array)


def with_whole_labels(stored: StoredStack) -> StoredStack:
    """Return labels that were saved as real numbers as the whole ones that they are."""
    if stored.array.dtype.kind != "f":
        return stored
    whole = np.empty(stored.array.shape, np.uint8)
    first = 0
    for planes in some_planes(stored.array):
        if not ((planes >= 0) & (planes <= 255) & (planes % 1 == 0)).all():
            return stored
        whole[first : first + len(planes)] = planes
        first += len(planes)
    return replace(stored, array=whole)


def with_edges(stored: StoredStack) -> StoredStack:
    """Return a stack whose voxel is also known as pitch and pixel, for those who ask for these."""
    if "voxel_size_nm" not in stored.known:
        return stored
    stated = stored.known["voxel_size_nm"]
    try:
        z, y, x = map(float, stated)
    except (TypeError, ValueError):
        z = y = x = math.nan
    if not all(math.isfinite(edge) and edge > 0 for edge in (z, y, x)):
        known = {key: value for key, value in stored.known.items() if key != "voxel_size_nm"}
        return replace(stored, known={**known, "stated_voxel": f"a voxel_size_nm of {stated}"})
    edges = {"pitch_nm": z, "pixel_size_nm": x, **({"pixel_height_nm": y} if y != x else {})}
    notes = [*stored.notes, *doubtful_voxel((z, y, x), "the file states")]
    return replace(stored, known={**edges, **stored.known}, notes=notes)


def with_one_bar(
    names: Sequence[str], slices: Sequence[StoredStack]
) -> tuple[list[StoredStack], list[str]]:
    """Return slices without the data bar that most state, and a sentence on those that do not.

    Parameters
    ----------
    names : of the slices' files
    slices : single images, each without the bar that its own header states
    """
    stated = [int(stored.known.get("bar_px", 0)) for stored in slices]
    heights = [stored.array.shape[0] + own for stored, own in zip(slices, stated, strict=True)]
    bar, whole = (Counter(numbers).most_common(1)[0][0] for numbers in (stated, heights))
    cut, without = [], []
    for name, stored, own, height in zip(names, slices, stated, heights, strict=True):
        if own < bar and height == whole:
            without.append(name)
            known = {**stored.known, "bar_px": bar}
            cut.append(replace(stored, array=stored.array[: whole - bar], known=known))
        else:
            cut.append(stored)
    return cut, [
        f"the data bar of {bar} rows that the headers of the other slices state is left out of "
        f"{listed(without)}, too, of which none is stated"
    ] * bool(without)
