"""Fields of view of a sample, as the analysis ``segment`` takes them from its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bl_steer.analysis.data_bars import rows_above
from bl_steer.files.formats import is_zarr
from bl_steer.protocols import Inputs

__all__ = ["FieldOfView", "field_name", "fields_of", "titles_of"]


def field_name(number: int) -> str:
    """Return what a field of view is called in a result, by its number.

    >>> field_name(7)
    'field_007'
    """
    return f"field_{number:03d}"


@dataclass(frozen=True)
class FieldOfView:
    """A field of view: its name, micrograph (H, W), acquisition metadata and pixel size.

    Its title is what the user knows it by: its file, where it came from one.
    """

    name: str
    image: NDArray[Any]
    metadata: Mapping[str, Any]
    size_nm: float | None
    title: str


def fields_of(inputs: Inputs, params: Any, bars: list[str]) -> Iterator[FieldOfView]:
    """Yield each field of view without its data bar.

    A pixel size of the parameters goes before the recorded one.

    Parameters
    ----------
    bars : takes sentences on bars that a file states otherwise
    """
    titles = titles_of(list(inputs.arrays), inputs.metadata.get("file"))
    for number, (name, array) in enumerate(inputs.arrays.items()):
        metadata = {key: _own(value, number) for key, value in inputs.metadata.items()}
        size_nm = params.pixel_size_nm or metadata.get("pixel_size_nm")
        image: Any = array
        if params.bar_px is not None:
            rows, told = rows_above(
                np.shape(image)[-2], params.bar_px, int(metadata.get("bar_px") or 0)
            )
            image, bars[:] = image[..., :rows, :], [*bars, *told]
        if np.ndim(image) == 3:
            for plane in range(len(image)):
                title = f"{titles[number]}, plane {plane}"
                shown = np.asarray(image[plane])
                yield FieldOfView(f"{name}_{plane:04d}", shown, metadata, size_nm, title)
        else:
            yield FieldOfView(name, np.asarray(image), metadata, size_nm, titles[number])


def titles_of(names: Sequence[str], files: Any) -> list[str]:
    """Return what a user knows each array by: its file, with the page in one of several.

    The planes of a Zarr count from 0, as everywhere.

    >>> titles_of(["field_000", "field_001", "field_002"], ["a.tif", "b/s.tif", "b/s.tif"])
    ['a.tif', 'page 1 of s.tif', 'page 2 of s.tif']
    """
    if not isinstance(files, list) or len(files) != len(names) or None in files:
        return list(names)
    folders: dict[str, set[Path]] = {}
    for path in map(Path, files):
        folders.setdefault(path.name, set()).add(path.parent)
    titles = []
    for number, path in enumerate(map(Path, files)):
        one = len(folders[path.name]) == 1
        title = path.name if one else f"{path.parent.name}/{path.name}"
        before, pages = files[:number].count(files[number]), files.count(files[number])
        page = f"plane {before}" if is_zarr(path) else f"page {before + 1}"
        titles.append(title if pages == 1 and not is_zarr(path) else f"{page} of {title}")
    return titles


def _own(value: Any, number: int) -> Any:
    """Return one array's share of the metadata: a list holds a value for each."""
    return value[number] if isinstance(value, list) and number < len(value) else value
