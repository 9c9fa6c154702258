"""Slices as single TIFFs in a folder, in the order in which a person counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["natural_key", "read_slice_folder"]


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts numbers inside names by their value.

    Examples
    --------
    >>> [p.name for p in sorted(map(Path, ("s10.tif", "s2.tif", "s1.tif")), key=natural_key)]
    ['s1.tif', 's2.tif', 's10.tif']
    """
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_slice_folder(folder: Path) -> NDArray[Any]:
    """Return the TIFFs of a folder as a stack (n, H, W), in natural order of their names.

    Raises
    ------
    ValueError
        When there are none, or they are not single images of one shape.
    """
    import tifffile

    files = sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")
        ),
        key=natural_key,
    )
    if not files:
        raise ValueError(
            f"a folder must hold TIFFs, got none in {folder}; slices are taken in the order of "
            "the numbers in their names"
        )
    slices = [np.asarray(tifffile.imread(path)) for path in files]
    for path, one in zip(files, slices, strict=True):
        if one.ndim != 2 or one.shape != slices[0].shape:
            raise ValueError(
                f"slices must be single images of one shape, got {one.shape} in {path.name} and "
                f"{slices[0].shape} in {files[0].name}; take out what is no slice"
            )
    return np.stack(slices)
